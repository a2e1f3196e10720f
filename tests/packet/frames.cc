#include "tests/packet/frames.h"

#include <arpa/inet.h>

#include <algorithm>
#include <random>

namespace penstock {
namespace {

Bytes Address(const std::string& text) {
  const bool v6 = text.find(':') != std::string::npos;
  Bytes bytes(v6 ? 16 : 4);
  inet_pton(v6 ? AF_INET6 : AF_INET, text.c_str(), bytes.data());
  return bytes;
}

bool IsV4(const Bytes& ip) { return ip.at(0) >> 4 == 4; }

size_t HeaderLength(const Bytes& ip) { return IsV4(ip) ? (ip.at(0) & 15u) * 4u : 40; }

Bytes Header(const Ip& ip, size_t payload) {
  const Bytes source = Address(ip.source);
  const Bytes destination = Address(ip.destination);
  Bytes header;
  if (source.size() == 4) {
    header.assign(12, 0);
    header[0] = 0x45;
    header[1] = ip.tos;
    PutWord(header, 2, static_cast<unsigned>(20 + payload));
    PutWord(header, 4, ip.identification);
    PutWord(header, 6, ip.fragment);
    header[8] = ip.ttl;
    header[9] = ip.protocol;
  } else {
    header.assign(8, 0);
    PutWord(header, 0, 0x6000u | static_cast<unsigned>(ip.tos) << 4);
    PutWord(header, 4, static_cast<unsigned>(payload));
    header[6] = ip.protocol;
    header[7] = ip.ttl;
  }
  header.insert(header.end(), source.begin(), source.end());
  header.insert(header.end(), destination.begin(), destination.end());
  if (source.size() == 4) {
    FixIpv4Checksum(header);
  }
  return header;
}

}  // namespace

uint16_t Word(const Bytes& bytes, size_t at) {
  return static_cast<uint16_t>(bytes.at(at) << 8 | bytes.at(at + 1));
}

void PutWord(Bytes& bytes, size_t at, unsigned value) {
  bytes.at(at) = static_cast<uint8_t>(value >> 8);
  bytes.at(at + 1) = static_cast<uint8_t>(value);
}

uint16_t PlainChecksum(const Bytes& bytes, size_t offset, size_t length) {
  unsigned sum = 0;
  for (size_t i = 0; i < length; ++i) {
    const unsigned byte = bytes.at(offset + i);
    sum += i % 2 == 0 ? byte << 8 : byte;
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}

void FixIpv4Checksum(Bytes& ip, size_t offset) {
  PutWord(ip, offset + 10, 0);
  PutWord(ip, offset + 10, PlainChecksum(ip, offset, (ip.at(offset) & 15u) * 4u));
}

bool Ipv4ChecksumIsRight(const Bytes& ip) { return PlainChecksum(ip, 0, HeaderLength(ip)) == 0; }

bool TransportChecksumIsRight(const Bytes& ip) {
  const size_t header = HeaderLength(ip);
  const size_t address_offset = IsV4(ip) ? 12 : 8;
  const size_t address_length = IsV4(ip) ? 8 : 32;
  const uint8_t protocol = IsV4(ip) ? ip.at(9) : ip.at(6);
  Bytes pseudo(ip.begin() + static_cast<long>(address_offset),
               ip.begin() + static_cast<long>(address_offset + address_length));
  const size_t length = ip.size() - header;
  pseudo.insert(pseudo.end(),
                {static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length), 0, protocol});
  pseudo.insert(pseudo.end(), ip.begin() + static_cast<long>(header), ip.end());
  return PlainChecksum(pseudo, 0, pseudo.size()) == 0;
}

Bytes MakeIp(const Ip& ip) {
  const size_t header = Address(ip.source).size() == 4 ? 20 : 40;
  const size_t payload = ip.length > header ? ip.length - header : 0;
  Bytes bytes = Header(ip, payload);
  std::mt19937 random(ip.seed);
  for (size_t i = 0; i < payload; ++i) {
    bytes.push_back(static_cast<uint8_t>(random()));
  }
  const bool ports = (ip.protocol == 17 || ip.protocol == 6) && (ip.fragment & 0x1fff) == 0;
  if (ports && payload >= 8) {
    PutWord(bytes, header, ip.source_port);
    PutWord(bytes, header + 2, ip.destination_port);
    if (ip.protocol == 17) {
      PutWord(bytes, header + 4, static_cast<unsigned>(payload));
    }
  }
  return bytes;
}

Bytes MakeSyn(Ip ip, uint16_t mss) {
  ip.protocol = 6;
  const size_t header = Address(ip.source).size() == 4 ? 20 : 40;
  ip.length = header + 24;
  Bytes bytes = MakeIp(ip);
  std::fill(bytes.begin() + static_cast<long>(header) + 4, bytes.end(), uint8_t{0});
  bytes[header + 12] = 0x60;
  bytes[header + 13] = 0x02;
  bytes[header + 20] = 2;
  bytes[header + 21] = 4;
  PutWord(bytes, header + 22, mss);
  Bytes pseudo(bytes.begin() + (header == 20 ? 12 : 8), bytes.begin() + static_cast<long>(header));
  pseudo.insert(pseudo.end(), {0, 24, 0, 6});
  pseudo.insert(pseudo.end(), bytes.begin() + static_cast<long>(header), bytes.end());
  PutWord(bytes, header + 16, PlainChecksum(pseudo, 0, pseudo.size()));
  return bytes;
}

Bytes MakeFrame(const Bytes& destination_mac, const Bytes& ip) {
  Bytes frame = destination_mac;
  frame.insert(frame.end(), {0x02, 0xaa, 0, 0, 0, 1});
  const bool v6 = !ip.empty() && ip[0] >> 4 == 6;
  frame.insert(frame.end(), {uint8_t(v6 ? 0x86 : 0x08), uint8_t(v6 ? 0xdd : 0x00)});
  frame.insert(frame.end(), ip.begin(), ip.end());
  return frame;
}

Bytes IpOf(const Bytes& frame) { return {frame.begin() + 14, frame.end()}; }

Bytes WithTtl(Bytes ip, uint8_t ttl) {
  if (IsV4(ip)) {
    ip.at(8) = ttl;
    FixIpv4Checksum(ip);
  } else {
    ip.at(7) = ttl;
  }
  return ip;
}

Bytes WithTos(Bytes ip, uint8_t tos) {
  if (IsV4(ip)) {
    ip.at(1) = tos;
    FixIpv4Checksum(ip);
  } else {
    PutWord(ip, 0, (Word(ip, 0) & 0xf00fu) | static_cast<unsigned>(tos) << 4);
  }
  return ip;
}

uint8_t TosOf(const Bytes& ip) {
  return IsV4(ip) ? ip.at(1) : static_cast<uint8_t>(Word(ip, 0) >> 4);
}

uint16_t MssOf(const Bytes& ip) { return Word(ip, HeaderLength(ip) + 22); }

}  // namespace penstock
