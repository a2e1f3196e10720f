// Drops that belong to a tunnel are counted there too.
#pragma once

#include "dataplane/stages/context.h"

namespace penstock {

inline void DropInbound(StageContext& context, Packet* packet, DropReason reason, uint32_t tunnel) {
  if (reason != DropReason::kDummyPacket) {  // nothing is lost with a dummy
    context.worker.counters.tunnels[tunnel].in_dropped.Add(1);
  }
  NotesOf(packet).input_tunnel = tunnel;
  DropPacket(context, packet, reason);
}

inline void DropOutbound(StageContext& context, Packet* packet, DropReason reason,
                         uint32_t tunnel) {
  context.worker.counters.tunnels[tunnel].out_dropped.Add(1);
  DropPacket(context, packet, reason);
}

}  // namespace penstock
