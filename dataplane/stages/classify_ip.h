// Reads an IP packet once: what it is, how long, whose flow; the plain IPv4 packet inline.
#pragma once

#include <algorithm>

#include "dataplane/stages/classify.h"
#include "dataplane/stages/flow_hash.h"

namespace penstock {

inline constexpr uint8_t kProtocolSctp = 132;
inline constexpr unsigned kVlanTag = 4;

// What is read of an IP packet before anything is written: the notes are of bytes, which may alias
// everything, so that reads after writes would be made twice.
struct IpReading {
  unsigned l3_offset;
  unsigned l4_offset;
  unsigned end;       // of the IP packet
  unsigned readable;  // end of what of it lies in the first segment
  uint8_t version;
  uint8_t protocol;
  uint8_t traffic_class;
  uint8_t flags;
  uint32_t ports = 0;  // the first four bytes behind the IP header, as they stand there
};

// RFC 1071. 2^16 is 1 modulo 65535, so the sum of a correct header's words, of any size, is a
// multiple of 65535; it is never zero, since the version is not.
inline bool ChecksumIsRight(const uint8_t* header, unsigned length) {
  uint64_t sum = uint64_t{LoadAs<uint32_t>(header)} + LoadAs<uint32_t>(header + 4) +
                 LoadAs<uint32_t>(header + 8) + LoadAs<uint32_t>(header + 12) +
                 LoadAs<uint32_t>(header + 16);
  for (unsigned at = sizeof(Ipv4Header); at < length; at += 4) {
    sum += LoadAs<uint32_t>(header + at);
  }
  return sum % 0xffff == 0;
}

// A device looks at the first IP header of a frame only.
inline bool CheckedByDevice(const Packet* packet, unsigned offset) {
  return (packet->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
         offset <= sizeof(EthernetHeader) + kVlanTag;
}

// TCP, UDP and SCTP have ports there, ESP its SPI. Fragments have none that could be relied on.
inline uint32_t PortsOf(Packet* packet, const IpReading& reading) {
  const uint8_t protocol = reading.protocol;
  const bool has_ports = protocol == kProtocolUdp || protocol == kProtocolTcp ||
                         protocol == kProtocolEsp || protocol == kProtocolSctp;
  if (!has_ports || (reading.flags & kPacketFragment) != 0 ||
      reading.l4_offset + 4 > reading.readable) {
    return 0;
  }
  return LoadAs<uint32_t>(DataAt(packet, reading.l4_offset));
}

inline bool IsEncapsulationPort(const GatewaySettings& settings, uint16_t port) {
  const uint16_t* ports = settings.encapsulation_ports;
  return ((port == ports[0]) | (port == ports[1]) | (port == ports[2]) | (port == ports[3])) &&
         port != 0;
}

// RFC 3948 2.2: behind the UDP header a non-zero SPI is ESP, four zero bytes are IKE.
inline bool IsEspInUdp(const GatewaySettings& settings, Packet* packet, const IpReading& reading) {
  const uint16_t port = SwapBytes(static_cast<uint16_t>(reading.ports >> 16));
  if (!IsEncapsulationPort(settings, port) ||
      reading.l4_offset + sizeof(UdpHeader) + sizeof(EspHeader) > reading.readable) {
    return false;
  }
  const auto* udp = DataAt<UdpHeader>(packet, reading.l4_offset);
  const auto* esp = reinterpret_cast<const EspHeader*>(udp + 1);
  return udp->length.ToHost() == reading.end - reading.l4_offset && esp->spi.raw() != 0;
}

inline void NoteEsp(PacketNotes& notes, const IpReading& reading, bool in_udp) {
  notes.esp_offset = static_cast<uint16_t>(reading.l4_offset + (in_udp ? sizeof(UdpHeader) : 0));
  notes.source_port = in_udp ? SwapBytes(static_cast<uint16_t>(reading.ports)) : uint16_t{0};
}

// A fragment has no ports here, so that it is no ESP candidate: ESP takes whole packets only.
inline IpClass WriteNotes(const GatewaySettings& settings, Packet* packet, const IpReading& reading,
                          uint32_t flow_hash) {
  PacketNotes& notes = NotesOf(packet);
  notes.l3_offset = static_cast<uint16_t>(reading.l3_offset);
  notes.l4_offset = static_cast<uint16_t>(reading.l4_offset);
  notes.l3_length = static_cast<uint16_t>(reading.end - reading.l3_offset);
  notes.flow_hash = flow_hash;
  notes.version = reading.version;
  notes.protocol = reading.protocol;
  notes.traffic_class = reading.traffic_class;
  notes.flags = reading.flags;
  if (reading.protocol == kProtocolEsp) {
    NoteEsp(notes, reading, false);
    return reading.ports != 0 && reading.l4_offset + sizeof(EspHeader) <= reading.readable
               ? IpClass::kEsp
               : IpClass::kIp;
  }
  if (reading.protocol == kProtocolUdp && IsEspInUdp(settings, packet, reading)) {
    NoteEsp(notes, reading, true);
    notes.flags = reading.flags | kPacketUdpEncap;
    return IpClass::kEsp;
  }
  return IpClass::kIp;
}

// Everything but plain IPv4: options, fragments, chains of segments, IPv6.
IpClass ClassifyUncommonIp(const GatewaySettings& settings, Packet* packet, unsigned offset,
                           uint8_t flags);

// ClassifyIp of classify.h, where calls would cost: 20 bytes of IPv4 header, whole, in one segment.
inline IpClass ClassifyIpInline(const GatewaySettings& settings, Packet* packet, unsigned offset,
                                uint8_t flags) {
  constexpr uint16_t kFragmentBits = Be16::FromHost(kIpv4MoreFragments | kIpv4OffsetMask).raw();
  const unsigned length = packet->data_len;
  if (offset + sizeof(Ipv4Header) > length) [[unlikely]] {
    return IpClass::kMalformed;
  }
  const auto* ip = DataAt<Ipv4Header>(packet, offset);
  if (ip->version_ihl != 0x45 || (ip->fragment.raw() & kFragmentBits) != 0 || packet->nb_segs != 1)
      [[unlikely]] {
    return ClassifyUncommonIp(settings, packet, offset, flags);
  }
  const unsigned end = offset + ip->total_length.ToHost();
  if (end > length || end < offset + sizeof(Ipv4Header)) [[unlikely]] {
    return IpClass::kMalformed;
  }
  if (!CheckedByDevice(packet, offset) &&
      !ChecksumIsRight(reinterpret_cast<const uint8_t*>(ip), sizeof(Ipv4Header))) [[unlikely]] {
    return IpClass::kBadChecksum;
  }
  IpReading reading{.l3_offset = offset,
                    .l4_offset = offset + static_cast<unsigned>(sizeof(Ipv4Header)),
                    .end = end,
                    .readable = end,
                    .version = 4,
                    .protocol = ip->protocol,
                    .traffic_class = ip->tos,
                    .flags = flags};
  reading.ports = PortsOf(packet, reading);
  const uint32_t flow_hash = FlowHashV4(&ip->source, reading.ports, reading.protocol);
  if (end != length) [[unlikely]] {  // Ethernet or TFC padding
    packet->pkt_len = end;
    packet->data_len = static_cast<uint16_t>(end);
  }
  return WriteNotes(settings, packet, reading, flow_hash);
}

}  // namespace penstock
