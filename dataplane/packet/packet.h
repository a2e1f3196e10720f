// A packet is one DPDK mbuf (or a chain) and 64 bytes of notes that the stages leave for each
// other.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/packet/drop_reason.h"
#include "dataplane/packet/headers.h"

namespace penstock {

inline constexpr unsigned kCacheLine = 64;

// At most so many packets pass through the stages at once.
inline constexpr unsigned kBurst = 64;

using Packet = rte_mbuf;

struct InboundSa;
struct OutboundSa;
struct Tunnel;

enum PacketFlag : uint8_t {
  kPacketFragment = 1 << 0,     // IPv4 or IPv6 fragment (first or later): has no usable ports
  kPacketFromHost = 1 << 1,     // Linux sent it: TTL is not decremented, policies do not apply
  kPacketUdpEncap = 1 << 2,     // ESP inside UDP (RFC 3948)
  kPacketFragmented = 1 << 3,   // came out of our own fragmentation; leave it alone
  kPacketMulticastL2 = 1 << 4,  // the frame's destination MAC has the group bit
  kPacketNoIcmp = 1 << 5,  // never answer it with an ICMP error (RFC 1122 3.2.2, RFC 4443 2.4e)
  kPacketTfc = 1 << 6,     // TFC padding may be added
};

inline constexpr uint16_t kNoPort = 0xffff;
inline constexpr uint32_t kNoTunnel = 0;  // tunnel ids start at 1

// Lives in the mbuf's private area. Written by `classify`, extended by later stages, read by one
// worker at a time. Offsets are from the start of the packet's data (rte_pktmbuf_mtod).
struct alignas(kCacheLine) PacketNotes {
  uint16_t l3_offset;   // the IP header that the stages work on (the inner one after decapsulation)
  uint16_t l4_offset;   // behind the IP header and its extension headers
  uint16_t l3_length;   // IP total length: header and payload, as the header says
  uint16_t input_port;  // port it was received on, also after decapsulation; kNoPort: from Linux
  uint32_t input_tunnel;  // tunnel it was decapsulated from, or kNoTunnel
  uint32_t flow_hash;     // over the 5-tuple (3-tuple for fragments), never 0
  uint32_t next_hop;      // index into NextHopTable, groups already resolved
  uint8_t version;        // 4 or 6
  uint8_t protocol;       // of the layer behind l4_offset
  uint8_t traffic_class;  // TOS or traffic class byte
  uint8_t flags;          // PacketFlag
  union {                 // the SA at work
    const OutboundSa* outbound;
    InboundSa* inbound;
  };
  uint64_t sequence;        // 64-bit ESP sequence number: claimed (out) or inferred (in)
  uint16_t esp_offset;      // inbound: the ESP header
  uint16_t source_port;     // inbound, UDP-encapsulated: host order
  uint16_t output_port;     // set by forward: the port it leaves by
  uint16_t capture_length;  // scratch of the capture hook
  uint8_t scratch[12];      // of the stage that holds the packet
};
static_assert(sizeof(PacketNotes) == kCacheLine);

// Pools must be made with a private area of exactly this size (see runtime/port.h, MakePacketPool).
inline PacketNotes& NotesOf(Packet* packet) { return *reinterpret_cast<PacketNotes*>(packet + 1); }
inline const PacketNotes& NotesOf(const Packet* packet) {
  return *reinterpret_cast<const PacketNotes*>(packet + 1);
}

template <typename T = uint8_t>
inline T* DataAt(Packet* packet, unsigned offset = 0) {
  return rte_pktmbuf_mtod_offset(packet, T*, offset);
}

inline Ipv4Header& Ipv4Of(Packet* packet) {
  return *DataAt<Ipv4Header>(packet, NotesOf(packet).l3_offset);
}
inline Ipv6Header& Ipv6Of(Packet* packet) {
  return *DataAt<Ipv6Header>(packet, NotesOf(packet).l3_offset);
}

// Room kept in front of received data: the largest outer header chain (Ethernet with VLAN, IPv6,
// UDP, ESP, 16-byte IV) fits with space to spare.
inline constexpr unsigned kHeadroom = RTE_PKTMBUF_HEADROOM;
static_assert(kHeadroom >= 128);

}  // namespace penstock
