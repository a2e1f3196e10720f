// A chained packet becomes one segment, since headers, padding and the ICV are written in place.
#include "dataplane/stages/copy_packet.h"
#include "dataplane/stages/slow_path.h"

namespace penstock {

Packet* MakeLinear(StageContext& context, Packet* packet, unsigned headroom, unsigned tailroom) {
  if (packet->nb_segs == 1 && rte_pktmbuf_headroom(packet) >= headroom &&
      rte_pktmbuf_tailroom(packet) >= tailroom) {
    return packet;
  }
  DropReason why = DropReason::kNoBuffer;
  Packet* linear = NewPacket(context.worker, headroom, packet->pkt_len, tailroom, why);
  if (linear == nullptr) {
    DropPacket(context, packet, why);
    return nullptr;
  }
  CopyBytes(packet, 0, packet->pkt_len, DataAt(linear));
  NotesOf(linear) = NotesOf(packet);
  linear->port = packet->port;
  rte_pktmbuf_free(packet);
  return linear;
}

}  // namespace penstock
