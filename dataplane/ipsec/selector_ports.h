// The ports of a packet as selectors see them (RFC 4301 4.4.1.1).
#pragma once

#include <cstdint>

#include "dataplane/base/ip_address.h"
#include "dataplane/packet/packet.h"

namespace penstock {

// Host order. For ICMP and ICMPv6 both are type * 256 + code. `known` is false for fragments, for
// protocols without ports and where the bytes are missing.
struct SelectorPorts {
  uint16_t source = 0;
  uint16_t destination = 0;
  bool known = false;
};

constexpr bool HasPorts(uint8_t protocol) {
  constexpr uint8_t kDccp = 33, kSctp = 132, kUdpLite = 136;
  return protocol == kProtocolTcp || protocol == kProtocolUdp || protocol == kSctp ||
         protocol == kDccp || protocol == kUdpLite;
}

// Source and destination of the IP packet at l3_offset.
struct FlowAddresses {
  IpAddress source;
  IpAddress destination;
};

inline FlowAddresses AddressesOf(Packet* packet) {
  if (NotesOf(packet).version == 4) {
    const Ipv4Header& ip = Ipv4Of(packet);
    return {IpAddress::V4(&ip.source), IpAddress::V4(&ip.destination)};
  }
  const Ipv6Header& ip = Ipv6Of(packet);
  return {IpAddress::V6(ip.source), IpAddress::V6(ip.destination)};
}

// `packet` has notes with l4_offset, protocol and flags.
inline SelectorPorts PortsOf(const Packet* packet) {
  const PacketNotes& notes = NotesOf(packet);
  const unsigned needed = 4;  // two ports, or type, code and checksum
  if ((notes.flags & kPacketFragment) != 0 ||
      notes.l4_offset + needed > rte_pktmbuf_data_len(packet) ||
      notes.l4_offset + needed > uint32_t{notes.l3_offset} + notes.l3_length) {
    return {};
  }
  const uint8_t* bytes = rte_pktmbuf_mtod_offset(packet, const uint8_t*, notes.l4_offset);
  const auto word = [bytes](unsigned at) {
    return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
  };
  if (HasPorts(notes.protocol)) {
    return {word(0), word(2), true};
  }
  if (notes.protocol == kProtocolIcmp || notes.protocol == kProtocolIcmpv6) {
    return {word(0), word(0), true};
  }
  return {};
}

}  // namespace penstock
