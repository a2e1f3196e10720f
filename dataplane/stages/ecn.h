// Explicit congestion notification through tunnels (RFC 6040) and what else happens to the TOS
// byte.
#pragma once

#include <cstdint>

#include "dataplane/packet/packet.h"
#include "dataplane/stages/flow_hash.h"

namespace penstock {

inline constexpr uint8_t kEcnMask = 3;
inline constexpr uint8_t kDscpMask = 0xfc;
inline constexpr uint8_t kEcnDrop = 0xff;

// RFC 6040 figure 4: the inner packet's ECN field after decapsulation, by [inner][outer]; fields in
// the order not-ECT, ECT(1), ECT(0), CE. Only CE on a not-ECT packet is dropped.
inline constexpr uint8_t kEcnDecapsulated[4][4] = {
    {0, 0, 0, kEcnDrop},
    {1, 1, 1, 3},
    {2, 1, 2, 3},
    {3, 3, 3, 3},
};

// Writes a TOS byte or traffic class into the IP header at l3_offset, and into the notes. The IPv4
// checksum is corrected (RFC 1624, equation 3).
inline void SetTrafficClass(Packet* packet, PacketNotes& notes, uint8_t traffic_class) {
  if (notes.version == 4) {
    Ipv4Header& ip = Ipv4Of(packet);
    const uint32_t sum = static_cast<uint16_t>(~ip.checksum.ToHost()) +
                         static_cast<uint32_t>(static_cast<uint16_t>(~ip.tos)) + traffic_class;
    const uint32_t folded = (sum & 0xffff) + (sum >> 16);
    ip.checksum = Be16::FromHost(static_cast<uint16_t>(~((folded & 0xffff) + (folded >> 16))));
    ip.tos = traffic_class;
  } else {
    Ipv6Header& ip = Ipv6Of(packet);
    const uint32_t rest = ip.version_class_flow.ToHost() & 0xf00fffff;
    ip.version_class_flow = Be32::FromHost(rest | uint32_t{traffic_class} << 20);
  }
  notes.traffic_class = traffic_class;
}

}  // namespace penstock
