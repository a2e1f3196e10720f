// Several child SAs with selectors of their own on one tunnel: which of them a packet takes.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/ipsec/sa.h"
#include "dataplane/ipsec/spd.h"

namespace penstock {

// Immutable; the control thread publishes another one when policies or SAs of the tunnel change.
// Tunnels have few policies, so that they are compared one by one.
struct TunnelPolicies {
  struct Entry {
    Selector selector;
    PolicyAction action = PolicyAction::kProtect;
    OutboundSa* outbound = nullptr;  // null: none yet
  };
  std::vector<Entry> entries;  // best first

  // `packet` has notes; null: no policy allows it.
  const Entry* Find(Packet* packet) const;
};

}  // namespace penstock
