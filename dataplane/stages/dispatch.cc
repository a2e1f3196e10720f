#include "dataplane/stages/ecn.h"
#include "dataplane/stages/lane_writer.h"
#include "dataplane/stages/local.h"
#include "dataplane/stages/slow_path.h"
#include "dataplane/stages/stages.h"
#include "dataplane/stages/ttl.h"

namespace penstock {
namespace {

// Why a packet to such a destination goes nowhere else: addresses that routers do not forward (RFC
// 1812 5.3.7, RFC 3927 7, RFC 4291 2.5.6).
enum class Scope : uint8_t { kGlobal, kLink, kMulticast, kNowhere };

inline Scope ScopeOfV4(const Ipv4Header& ip) {
  const uint32_t destination = ip.destination.ToHost();
  const uint32_t first = destination >> 24;
  if (first >= 224) [[unlikely]] {
    return (destination & 0xffffff00) == 0xe0000000 ? Scope::kLink
           : first < 240                            ? Scope::kMulticast
                                                    : Scope::kNowhere;
  }
  if (first == 0 || first == 127 || (destination & 0xffff0000) == 0xa9fe0000) [[unlikely]] {
    return Scope::kNowhere;
  }
  return Scope::kGlobal;
}

inline Scope ScopeOfV6(const Ipv6Header& ip) {
  const uint8_t* destination = ip.destination;
  if (destination[0] == 0xff) [[unlikely]] {
    return (destination[1] & 0x0f) <= 2 ? Scope::kLink : Scope::kMulticast;
  }
  if (destination[0] == 0xfe && (destination[1] & 0xc0) == 0x80) [[unlikely]] {
    return Scope::kLink;
  }
  if (ip.source[0] == 0xfe && (ip.source[1] & 0xc0) == 0x80) [[unlikely]] {
    return Scope::kNowhere;  // a link-local source stays on its link
  }
  constexpr uint8_t kLoopback[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return destination[0] == 0 && memcmp(destination, kLoopback, 15) == 0 && destination[15] <= 1
             ? Scope::kNowhere
             : Scope::kGlobal;
}

inline Scope ScopeOf(Packet* packet, const PacketNotes& notes) {
  return notes.version == 4 ? ScopeOfV4(Ipv4Of(packet)) : ScopeOfV6(Ipv6Of(packet));
}

// Link-scoped packets are for Linux: neighbour discovery, routing protocols over a tunnel.
void StopAtScope(StageContext& context, Packet* packet, Scope scope) {
  if (scope == Scope::kLink && (NotesOf(packet).flags & kPacketFromHost) == 0) {
    context.punt.Push(packet);
  } else if (scope == Scope::kMulticast) {
    DropPacket(context, packet, DropReason::kMulticastNotForwarded);
  } else {
    DropPacket(context, packet, DropReason::kNoRoute);
  }
}

void ForwardPiece(StageContext& context, Packet* piece, void* next_hop) {
  NotesOf(piece).next_hop = *static_cast<const uint32_t*>(next_hop);
  context.forward.Push(piece);
  if (context.forward.count == kBurst) {
    RunForward(context);
  }
}

// Larger than the port's MTU, in clear.
void ForwardTooBig(StageContext& context, Packet* packet, PacketNotes& notes, uint16_t mtu) {
  if (notes.version != 4 || (Ipv4Of(packet).fragment.ToHost() & kIpv4DontFragment) != 0) {
    return DropWithIcmp(context, packet, DropReason::kTooBig, IcmpError::kTooBig, mtu);
  }
  uint32_t next_hop = notes.next_hop;
  RunForward(context);  // makes room: pieces can be many
  FragmentIpv4(context, packet, mtu, ForwardPiece, &next_hop);
  RunForward(context);
}

void ForwardToPort(StageContext& context, Packet* packet, PacketNotes& notes, uint16_t port) {
  const uint16_t mtu = context.worker.outputs[port].mtu;
  if (notes.l3_length > mtu) [[unlikely]] {
    return ForwardTooBig(context, packet, notes, mtu);
  }
  context.forward.Push(packet);
}

void Refuse(StageContext& context, Packet* packet, NextHopKind kind) {
  switch (kind) {
    case NextHopKind::kBlackhole:
      return DropPacket(context, packet, DropReason::kBlackhole);
    case NextHopKind::kUnreachable:
      return DropWithIcmp(context, packet, DropReason::kUnreachable, IcmpError::kHostUnreachable);
    case NextHopKind::kProhibit:
      return DropWithIcmp(context, packet, DropReason::kProhibited, IcmpError::kProhibited);
    case NextHopKind::kProtected:
      return DropPacket(context, packet, DropReason::kProtectedPrefix);
    default:
      return DropWithIcmp(context, packet, DropReason::kNoRoute, IcmpError::kHostUnreachable);
  }
}

inline void DispatchOne(StageContext& context, Packet* packet, LaneWriter& tunnel) {
  PacketNotes& notes = NotesOf(packet);
  const NextHop& next_hop = context.tables.next_hops[notes.next_hop];
  if (next_hop.kind == NextHopKind::kLocal) {
    return DeliverLocal(context, packet);
  }
  if (const Scope scope = ScopeOf(packet, notes); scope != Scope::kGlobal) [[unlikely]] {
    return StopAtScope(context, packet, scope);
  }
  const bool forwards = next_hop.kind == NextHopKind::kTunnel ||
                        next_hop.kind == NextHopKind::kForward ||
                        next_hop.kind == NextHopKind::kGlean;
  if (!forwards) [[unlikely]] {
    return Refuse(context, packet, next_hop.kind);
  }
  if (!PassHop(context, packet, notes)) [[unlikely]] {
    return;
  }
  if (next_hop.kind == NextHopKind::kTunnel) {
    notes.next_hop = next_hop.tunnel;
    tunnel.Push(packet);
  } else {
    ForwardToPort(context, packet, notes, next_hop.port);
  }
}

}  // namespace

void RunDispatch(StageContext& context) {
  LaneWriter tunnel(context.tunnel, context.ip.count);
  for (Packet* packet : context.ip) {
    DispatchOne(context, packet, tunnel);
  }
  context.ip.Clear();
}

}  // namespace penstock
