#include "dataplane/stages/ike_ports.h"
#include "dataplane/stages/stages.h"
#include "dataplane/stages/tunnel_drop.h"

namespace penstock {
namespace {

// What ourselves must hear in clear: IKE, which makes the SAs (RFC 4301 5.2); ESP, which ends as
// such for want of an SA; and fragments of UDP, whose ports show once they are whole.
bool IsNeededInClear(const GatewayTables& tables, Packet* packet, const PacketNotes& notes) {
  if (tables.next_hops[notes.next_hop].kind != NextHopKind::kLocal) {
    return false;
  }
  if (notes.protocol == kProtocolEsp || (notes.flags & kPacketUdpEncap) != 0) {
    return true;
  }
  if (notes.protocol != kProtocolUdp) {
    return false;
  }
  if ((notes.flags & kPacketFragment) != 0) {
    return true;
  }
  return notes.l4_offset + sizeof(UdpHeader) <= packet->data_len &&
         IsIkePort(tables.settings,
                   DataAt<UdpHeader>(packet, notes.l4_offset)->destination.ToHost());
}

// kCount: may go on. What came out of a tunnel was checked against its SA's selectors, so that only
// a policy that forbids it stops it; the rest arrived in clear (RFC 4301 5.2, steps 3b and 4).
DropReason Judge(const PolicyVerdict& verdict, bool clear) {
  if (verdict.policy == 0 || verdict.action == PolicyAction::kBypass) {
    return DropReason::kCount;
  }
  if (verdict.action == PolicyAction::kDiscard) {
    return DropReason::kPolicyDiscard;
  }
  return clear ? DropReason::kNoPolicy : DropReason::kCount;
}

}  // namespace

// What we made ourselves did not come in.
void RunInboundPolicy(StageContext& context) {
  Lane& lane = context.ip;
  PolicyVerdict verdicts[kBurst];
  context.tables.spd.ClassifyInbound(lane.packets, verdicts, lane.count);
  unsigned kept = 0;
  for (unsigned i = 0; i < lane.count; ++i) {
    Packet* packet = lane.packets[i];
    const PacketNotes& notes = NotesOf(packet);
    const bool clear = notes.input_tunnel == kNoTunnel;
    const bool made_here = (notes.flags & kPacketFromHost) != 0;
    const DropReason reason = made_here ? DropReason::kCount : Judge(verdicts[i], clear);
    if (reason == DropReason::kCount || (clear && IsNeededInClear(context.tables, packet, notes)))
        [[likely]] {
      lane.packets[kept++] = packet;
    } else if (clear) {
      DropPacket(context, packet, reason);
    } else {
      DropInbound(context, packet, reason, notes.input_tunnel);
    }
  }
  lane.count = kept;
}

}  // namespace penstock
