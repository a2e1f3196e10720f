// Builds ESP frames around the packets of one run: headers from the SA's template, padding,
// trailer, jobs.
#pragma once

#include "dataplane/stages/context.h"

namespace penstock {

// Packets of one tunnel, side by side, that use one SA. All have room for what is put around them.
struct OutboundRun {
  OutboundRun(OutboundSa& run_sa, Packet** run_packets) : sa(&run_sa), packets(run_packets) {}

  OutboundSa* sa;
  Packet** packets;
  unsigned count = 0;
  uint32_t next_hop = 0;     // of the outer packets: a neighbour on a port
  uint32_t payload[kBurst];  // bytes to encrypt of each: the inner packet and its TFC padding
};

// What must be free in front of an inner packet of this SA, and behind its payload. The latter is
// more than any padding, trailer and ICV, since padding is written 16 bytes at once.
inline constexpr unsigned kEspTailRoom = 64;
inline unsigned FrontRoom(const OutboundSa& sa) {
  return sa.header_length + sa.iv_length + static_cast<unsigned>(sizeof(EthernetHeader));
}

// Writes everything but the ICV (and CBC's IV) of every packet. The packets get the sequence
// numbers from `sequence` on; jobs[i] becomes packet i's. The notes then describe the outer
// packets, in front of which there is room for the link header.
void Encapsulate(const OutboundRun& run, uint64_t sequence, Job* jobs);

// The checksum of an outer UDP header over IPv6, once everything behind it is final. RFC 6935 would
// allow zero, but receivers drop that unless they were told to expect it, so we compute it.
void WriteUdpChecksumV6(Packet* packet);

}  // namespace penstock
