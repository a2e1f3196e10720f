// What happens to the few: ICMP errors, fragmentation, reassembly, waiting for a neighbour, the
// host path. The hot stages call these; each is one file.
#pragma once

#include <span>

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
// Queues an ICMP or ICMPv6 error about the packet to `generated` (RFC 792, 1191, 1812 4.3.2, 4443),
// rate limited, from the gateway's own address on the input side; then drops the packet with
// `reason`. Errors about ICMP errors, later fragments, multicast and link broadcasts are never
// sent, nor about packets from an address of our own. Reason kNoRoute makes kHostUnreachable say
// "no route" instead of "host". About a packet that Linux sent into a tunnel's device
// (kPacketFromHost) the error goes back to Linux: its notes keep input_tunnel, which tells `punt`
// the device, and its source is the packet's destination, since Linux refuses packets that come
// from its own addresses.
void DropWithIcmp(StageContext& context, Packet* packet, DropReason reason, IcmpError error,
                  uint16_t mtu = 0);

// --- fragment.cc ---
// Cuts the IP packet at l3_offset into pieces of at most `mtu` bytes (IPv4 by RFC 791; IPv6 only
// for packets that we may fragment as their source) and passes each piece, notes filled, l3_offset
// 0 and kPacketFragment and kPacketFragmented set, to `sink`. The original is consumed. On failure
// it is dropped with its reason.
void FragmentIpv4(StageContext& context, Packet* packet, uint16_t mtu,
                  void (*sink)(StageContext&, Packet*, void*), void* argument);

// --- reassemble.cc ---
// Takes a fragment of a packet addressed to us that must be whole (ESP, UDP encapsulation, or
// selectors with ports). Returns the whole packet (classified anew, linear), or null while pieces
// are missing or when it was dropped. In the whole packet l3_offset, l4_offset, l3_length,
// protocol, traffic_class and flags are right; input and flow_hash are the first fragment's. A
// frame keeps its link header in front. What stands behind l4_offset has not been looked at.
Packet* Reassemble(StageContext& context, Packet* packet);
// Drops what waited too long, and tells the sender by ICMP (onto `generated`, so call it before the
// lanes are run); called every poll, cheap when nothing waits.
void ExpireFragments(StageContext& context);
void DropFragments(StageContext& context);  // all, with reason shutdown; DropHeld calls it
std::unique_ptr<Reassembly, void (*)(Reassembly*)> MakeReassembly(const GatewaySettings& settings,
                                                                  uint64_t hertz);

// --- hold.cc ---
// Keeps a packet until its next hop's neighbour resolves, and asks the control thread to resolve
// it. For kGlean the neighbour is the packet's destination.
void HoldForNeighbor(StageContext& context, Packet* packet);
// Puts what can go now onto `forward` (as far as there is room), next_hop filled anew, and drops
// what waited too long or is routed elsewhere by now. Looks once a millisecond.
void ReleaseHeld(StageContext& context);
std::unique_ptr<HoldQueue, void (*)(HoldQueue*)> MakeHoldQueue(const GatewaySettings& settings);
void DropHeld(StageContext& context);  // all, fragments too, with reason shutdown

// --- hold_sa.cc ---
// Keeps packets for a tunnel until it has a live outbound SA for them; they go on as if they came
// only then. What finds no room is dropped.
void HoldForOutboundSa(StageContext& context, std::span<Packet*> packets, uint32_t tunnel);
// Keeps ESP to ourselves whose SPI is being negotiated until its SA comes: a peer may use a new SA
// before our IKE daemon has installed it.
void HoldForInboundSa(StageContext& context, Packet* packet);
// Put what can go now onto `tunnel` and onto `esp`, as far as there is room, and drop what waited
// in vain. They look once a millisecond; true if they put something there.
bool ReleaseForOutboundSas(StageContext& context);
bool ReleaseForInboundSas(StageContext& context);
std::unique_ptr<SaHold, void (*)(SaHold*)> MakeSaHold(const GatewaySettings& settings);
void DropHeldForSas(StageContext& context);  // all, with reason shutdown

// --- punt.cc ---
// Empties the punt lane towards Linux, policed.
void RunPunt(StageContext& context);

// --- clamp_mss.cc ---
// Lowers the MSS option of a TCP SYN at l3_offset to `mss` and corrects the checksum (RFC 1624);
// other packets are left alone.
void ClampMss(Packet* packet, uint16_t mss);

// --- linearize.cc ---
// Makes a chained packet one segment with at least `headroom` in front and `tailroom` behind, from
// the jumbo pool if needed. Returns the packet to go on with, or null when it was dropped.
Packet* MakeLinear(StageContext& context, Packet* packet, unsigned headroom, unsigned tailroom);

}  // namespace penstock
