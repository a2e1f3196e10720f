// The stages of the hot path, in the packet's order. Each takes one lane, empties it, and leaves
// every packet in exactly one other lane, a queue, or Drop.
#pragma once

#include "dataplane/stages/classify.h"
#include "dataplane/stages/context.h"

namespace penstock {

// esp -> esp (with context.jobs laid out beside it), ip (not ours, no SA).
void RunInboundSa(StageContext& context);
// esp and its jobs -> ip (inner packets), again (ESP inside ESP).
void RunEspDecrypt(StageContext& context);
// ip -> ip, with notes.next_hop known and groups resolved.
void RunRoute(StageContext& context);
// ip -> ip, without what arrived in clear but must not. Only while there are inbound policies.
void RunInboundPolicy(StageContext& context);
// ip -> ip, tunnel. Only while there are outbound policies.
void RunOutboundPolicy(StageContext& context);
// ip -> tunnel, forward, punt, again, by the kind of next hop; TTL and the port's MTU.
void RunDispatch(StageContext& context);
// tunnel -> forward. In this lane notes.next_hop is the tunnel's id.
void RunEspEncrypt(StageContext& context);
// forward -> the ports' outputs, or waiting for a neighbour.
void RunForward(StageContext& context);

}  // namespace penstock
