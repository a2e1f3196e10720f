// What Linux sends: frames on the mirror devices of ports, IP packets on the devices of tunnels.
#pragma once

#include "dataplane/stages/context.h"

namespace penstock {

// A frame that Linux sent on a port's mirror device. It leaves by that port as it is - unless it is
// an IP packet to a destination whose route is a tunnel or a protected prefix: Linux has a route of
// its own then, and the gateway's says that the packet must not leave in clear. It goes to the
// `tunnel` lane, or is dropped. The caller leaves room in that lane.
void SendHostFrame(StageContext& context, Packet* packet);

// A packet that Linux routed into a tunnel's device: it has no other way to go than that tunnel.
void AcceptInner(StageContext& context, Packet* packet);

}  // namespace penstock
