// Whether a packet is a TCP SYN, whose MSS may have to be clamped.
#pragma once

#include "dataplane/ipsec/tunnel.h"
#include "dataplane/packet/packet.h"

namespace penstock {

inline bool IsTcpSyn(Packet* packet, const PacketNotes& notes) {
  constexpr uint8_t kSyn = 2;
  if (notes.protocol != kProtocolTcp) [[likely]] {
    return false;
  }
  return (notes.flags & kPacketFragment) == 0 &&
         notes.l4_offset + sizeof(TcpHeader) <= notes.l3_offset + notes.l3_length &&
         notes.l4_offset + sizeof(TcpHeader) <= packet->data_len &&
         (DataAt<TcpHeader>(packet, notes.l4_offset)->flags & kSyn) != 0;
}

// 0: no clamp.
inline uint16_t MssOf(const Tunnel& tunnel, uint8_t version) {
  return (version == 4 ? tunnel.mss_v4 : tunnel.mss_v6).load(std::memory_order_relaxed);
}

}  // namespace penstock
