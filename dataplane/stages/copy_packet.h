// Buffers for packets that the slow path makes, and copies out of chains.
#pragma once

#include <cstring>

#include "dataplane/runtime/worker.h"

namespace penstock {

// Room that a made packet keeps behind its data: ESP padding, trailer and the longest ICV.
inline constexpr unsigned kMadeTailroom = 64;

// The pool whose buffers hold `bytes`, headroom included; null if none does.
rte_mempool* PoolFor(const WorkerContext& worker, unsigned bytes);

// A packet of one segment with `length` bytes of unwritten data, at least `headroom` in front of
// them and `tailroom` behind, notes all zero. Null: `why` says whether it is too large or nothing
// was free.
Packet* NewPacket(WorkerContext& worker, unsigned headroom, unsigned length, unsigned tailroom,
                  DropReason& why);

// Copies [offset, offset + length) of the packet, over all its segments. The caller has checked
// that the packet is that long.
inline void CopyBytes(const Packet* packet, unsigned offset, unsigned length, void* to) {
  const void* found = rte_pktmbuf_read(packet, offset, length, to);
  if (found != to) {
    std::memcpy(to, found, length);
  }
}

// Folds and completes a sum of rte_raw_cksum's, as it is stored in a header (RFC 1071).
uint16_t FinishChecksum(uint32_t sum);
// Computes and stores the IPv4 header checksum at `header`.
void SetIpv4Checksum(void* header, unsigned header_length);

}  // namespace penstock
