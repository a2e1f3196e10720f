#include "dataplane/stages/stages.h"

namespace penstock {
namespace {

// IKE to ourselves is always let in (RFC 4301 5.2): it is what makes SAs.
bool IsIkeToUs(const NextHopTable& next_hops, const GatewaySettings& settings, Packet* packet,
               const PacketNotes& notes) {
  if (next_hops[notes.next_hop].kind != NextHopKind::kLocal || notes.protocol != kProtocolUdp ||
      (notes.flags & kPacketFragment) != 0 ||
      notes.l4_offset + sizeof(UdpHeader) > packet->data_len) {
    return false;
  }
  const uint16_t port = DataAt<UdpHeader>(packet, notes.l4_offset)->destination.ToHost();
  bool encapsulation = false;
  for (const uint16_t candidate : settings.encapsulation_ports) {
    encapsulation |= candidate != 0 && candidate == port;
  }
  return port == kPortIke || encapsulation;
}

// kCount: may go on.
DropReason Judge(const PolicyVerdict& verdict) {
  if (verdict.policy == 0 || verdict.action == PolicyAction::kBypass) {
    return DropReason::kCount;
  }
  return verdict.action == PolicyAction::kDiscard ? DropReason::kPolicyDiscard
                                                  : DropReason::kNoPolicy;
}

}  // namespace

// What came out of a tunnel was checked against its SA's selectors; what we made ourselves did not
// come in. The rest arrived in clear (RFC 4301 5.2, step 3b).
void RunInboundPolicy(StageContext& context) {
  Lane& lane = context.ip;
  PolicyVerdict verdicts[kBurst];
  context.tables.spd.ClassifyInbound(lane.packets, verdicts, lane.count);
  unsigned kept = 0;
  for (unsigned i = 0; i < lane.count; ++i) {
    Packet* packet = lane.packets[i];
    const PacketNotes& notes = NotesOf(packet);
    const bool clear = notes.input_tunnel == kNoTunnel && (notes.flags & kPacketFromHost) == 0;
    const DropReason reason = clear ? Judge(verdicts[i]) : DropReason::kCount;
    if (reason != DropReason::kCount &&
        !IsIkeToUs(context.tables.next_hops, context.tables.settings, packet, notes)) {
      DropPacket(context, packet, reason);
      continue;
    }
    lane.packets[kept++] = packet;
  }
  lane.count = kept;
}

}  // namespace penstock
