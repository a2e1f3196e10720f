// What happens to the few: ICMP errors, fragmentation, reassembly, waiting for a neighbour, the host path.
// The hot stages call these; each is one file.
#pragma once

#include "dataplane/stages/context.h"

namespace penstock {

// --- icmp_error.cc ---
enum class IcmpError : uint8_t {
  kTtlExceeded,
  kTooBig,           // with the MTU: ICMP 3/4 or ICMPv6 packet too big
  kHostUnreachable,  // no route, unreachable
  kProhibited,
  kReassemblyTimeout,
};
// Queues an ICMP or ICMPv6 error about the packet to `generated` (RFC 792, 1191, 1812 4.3.2, 4443), rate
// limited, from the gateway's own address on the input side; then drops the packet with `reason`. Errors
// about ICMP errors, later fragments, multicast and link broadcasts are never sent.
void DropWithIcmp(StageContext& context, Packet* packet, DropReason reason, IcmpError error,
                  uint16_t mtu = 0);

// --- fragment.cc ---
// Cuts the IP packet at l3_offset into pieces of at most `mtu` bytes (IPv4 by RFC 791; IPv6 only for
// packets that we may fragment as their source) and passes each piece, notes filled, l3_offset 0 and
// kPacketFragmented set, to `sink`. The original is consumed. On failure it is dropped with its reason.
void FragmentIpv4(StageContext& context, Packet* packet, uint16_t mtu,
                  void (*sink)(StageContext&, Packet*, void*), void* argument);

// --- reassemble.cc ---
// Takes a fragment of a packet addressed to us that must be whole (ESP, UDP encapsulation, or selectors
// with ports). Returns the whole packet (classified anew, linear), or null while pieces are missing or
// when it was dropped.
Packet* Reassemble(StageContext& context, Packet* packet);
// Drops what waited too long; called every poll, cheap when nothing waits.
void ExpireFragments(StageContext& context);
std::unique_ptr<Reassembly, void (*)(Reassembly*)> MakeReassembly(const GatewaySettings& settings,
                                                                  uint64_t hertz);

// --- hold.cc ---
// Keeps a packet until its next hop's neighbour resolves, and asks the control thread to resolve it. For
// kGlean the neighbour is the packet's destination.
void HoldForNeighbor(StageContext& context, Packet* packet);
// Puts what can go now onto `forward` (at most a burst), drops what waited too long.
void ReleaseHeld(StageContext& context);
std::unique_ptr<HoldQueue, void (*)(HoldQueue*)> MakeHoldQueue(const GatewaySettings& settings);
void DropHeld(StageContext& context);  // all, with reason shutdown

// --- punt.cc ---
// Empties the punt lane towards Linux, policed.
void RunPunt(StageContext& context);

// --- clamp_mss.cc ---
// Lowers the MSS option of a TCP SYN at l3_offset to `mss` and corrects the checksum (RFC 1624); other
// packets are left alone.
void ClampMss(Packet* packet, uint16_t mss);

// --- linearize.cc ---
// Makes a chained packet one segment with at least `headroom` in front and `tailroom` behind, from the
// jumbo pool if needed. Returns the packet to go on with, or null when it was dropped.
Packet* MakeLinear(StageContext& context, Packet* packet, unsigned headroom, unsigned tailroom);

}  // namespace penstock
