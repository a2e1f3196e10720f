// Packets to the gateway's own addresses.
#pragma once

#include "dataplane/stages/context.h"

namespace penstock {

// To Linux, but for what the data plane must answer for itself: ESP without SA, NAT keepalives,
// fragments that may be ESP.
void DeliverLocal(StageContext& context, Packet* packet);

}  // namespace penstock
