// A hop: TTL or hop limit goes down by one, or the packet ends here.
#pragma once

#include "dataplane/stages/slow_path.h"

namespace penstock {

// RFC 1624: TTL is the upper byte of its word, so one less TTL is 0x0100 less in the sum, which is
// 0x0100 more in its complement.
inline void DecrementTtl(Ipv4Header& ip) {
  const uint32_t sum = ip.checksum.ToHost() + 0x0100u;
  ip.checksum = Be16::FromHost(static_cast<uint16_t>(sum + (sum >= 0xffff ? 1 : 0)));
  --ip.ttl;
}

// False if the packet's way ended (RFC 1812 5.3.1, RFC 8200 3). What Linux or we ourselves sent
// makes no hop here.
inline bool PassHop(StageContext& context, Packet* packet, const PacketNotes& notes) {
  if ((notes.flags & kPacketFromHost) != 0) [[unlikely]] {
    return true;
  }
  uint8_t& hops = notes.version == 4 ? Ipv4Of(packet).ttl : Ipv6Of(packet).hop_limit;
  if (hops <= 1) [[unlikely]] {
    DropWithIcmp(context, packet, DropReason::kTtlExceeded, IcmpError::kTtlExceeded);
    return false;
  }
  if (notes.version == 4) {
    DecrementTtl(Ipv4Of(packet));
  } else {
    --hops;
  }
  return true;
}

}  // namespace penstock
