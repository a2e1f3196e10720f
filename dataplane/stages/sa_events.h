// What the stages tell the control thread about SAs.
#pragma once

#include "dataplane/stages/context.h"

namespace penstock {

// The events of a run that crossed a limit; a hard limit replaces a soft one.
inline void RaiseLifetime(WorkerContext& worker, const Lifetime::RunVerdict& verdict, uint32_t slot,
                          uint32_t tunnel) {
  if (!verdict.soft && !verdict.hard) [[likely]] {
    return;
  }
  const auto kind =
      verdict.hard ? WorkerEvent::Kind::kHardLifetime : WorkerEvent::Kind::kSoftLifetime;
  worker.PushEvent({.kind = kind, .slot = slot, .tunnel = tunnel});
}

// The packet wants an SA that is not there. One event every few seconds for each flow of a tunnel
// (or policy, for tunnel 0), and a bounded number for all of them.
void RaiseAcquire(StageContext& context, Packet* packet, uint32_t tunnel, uint32_t policy);

}  // namespace penstock
