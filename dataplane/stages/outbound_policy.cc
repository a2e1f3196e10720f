#include "dataplane/stages/sa_events.h"
#include "dataplane/stages/stages.h"
#include "dataplane/stages/ttl.h"

namespace penstock {
namespace {

// By the policy's tunnel, whatever the route says. Without one it fails closed.
void Protect(StageContext& context, Packet* packet, const PolicyVerdict& verdict) {
  PacketNotes& notes = NotesOf(packet);
  if (verdict.tunnel == kNoTunnel) {
    RaiseAcquire(context, packet, kNoTunnel, verdict.policy);
    return DropPacket(context, packet, DropReason::kNoOutboundSa);
  }
  if (PassHop(context, packet, notes)) {
    notes.next_hop = verdict.tunnel;
    context.tunnel.Push(packet);
  }
}

}  // namespace

// Packets to ourselves do not leave, so that no outbound policy speaks of them; all others are
// asked for, whatever route they have (RFC 4301 5.1).
void RunOutboundPolicy(StageContext& context) {
  Lane& lane = context.ip;
  PolicyVerdict verdicts[kBurst];
  context.tables.spd.ClassifyOutbound(lane.packets, verdicts, lane.count);
  unsigned kept = 0;
  for (unsigned i = 0; i < lane.count; ++i) {
    Packet* packet = lane.packets[i];
    const bool local =
        context.tables.next_hops[NotesOf(packet).next_hop].kind == NextHopKind::kLocal;
    if (local || verdicts[i].policy == 0 || verdicts[i].action == PolicyAction::kBypass) {
      lane.packets[kept++] = packet;
    } else if (verdicts[i].action == PolicyAction::kDiscard) {
      DropPacket(context, packet, DropReason::kPolicyDiscard);
    } else {
      Protect(context, packet, verdicts[i]);
    }
  }
  lane.count = kept;
}

}  // namespace penstock
