// Frames made by hand, and readers that share no code with the data plane.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace penstock {

using Bytes = std::vector<uint8_t>;

// An IP packet to be built; the family is that of `source`.
struct Ip {
  std::string source = "10.1.0.10";
  std::string destination = "10.2.0.20";
  uint8_t protocol = 17;
  uint8_t ttl = 64;
  uint8_t tos = 0;        // or traffic class
  uint16_t fragment = 0;  // IPv4 flags and offset
  uint16_t identification = 0x4242;
  uint16_t source_port = 1234,
           destination_port = 5678;  // first bytes of the payload, for TCP and UDP
  size_t length = 100;               // of the whole packet; at least the headers
  unsigned seed = 1;                 // of the payload
};
Bytes MakeIp(const Ip& ip);
// A TCP SYN with an MSS option.
Bytes MakeSyn(Ip ip, uint16_t mss);

Bytes MakeFrame(const Bytes& destination_mac, const Bytes& ip);
Bytes IpOf(const Bytes& frame);

uint16_t Word(const Bytes& bytes, size_t at);
void PutWord(Bytes& bytes, size_t at, unsigned value);
// RFC 1071 in its plainest form; 0 over a correct header.
uint16_t PlainChecksum(const Bytes& bytes, size_t offset, size_t length);
void FixIpv4Checksum(Bytes& ip, size_t offset = 0);
bool Ipv4ChecksumIsRight(const Bytes& ip);
// UDP or TCP over IPv4 or IPv6, pseudo-header and all.
bool TransportChecksumIsRight(const Bytes& ip);
Bytes WithTtl(Bytes ip, uint8_t ttl);
Bytes WithTos(Bytes ip, uint8_t tos);
uint8_t TosOf(const Bytes& ip);
uint16_t MssOf(const Bytes& ip);

}  // namespace penstock
