// Which SAs the IKE daemon has been asked for and has not delivered yet.
#pragma once

#include <cstdint>
#include <map>

#include "dataplane/base/clock.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/ipsec/spd.h"
#include "dataplane/runtime/worker.h"

namespace penstock {

// Control thread only. A wish is one flow's for one policy; it pends as long as Linux's do.
class AcquireBook {
 public:
  struct Peers {
    IpAddress local, remote;  // outer; unspecified: not known
  };

  // False while the same wish pends, or while too many do.
  bool Begin(const WorkerEvent& packet, const Peers& peers, Nanoseconds now);
  // Nobody heard it.
  void Withdraw(const WorkerEvent& packet) { pending_.erase(FlowOf(packet)); }
  // The SA came, or policies changed: what is wanted from here on is wanted anew.
  void ForgetTunnel(uint32_t tunnel);
  // A negotiation with this peer was given up.
  void ForgetPeer(const Peers& peers);
  void Clear() { pending_.clear(); }
  size_t size() const { return pending_.size(); }

 private:
  struct Flow {
    uint32_t tunnel = 0;
    uint32_t policy = 0;
    IpAddress source, destination;
    uint8_t protocol = 0;
    uint16_t source_port = 0, destination_port = 0;
    friend auto operator<=>(const Flow&, const Flow&) = default;
  };
  struct Pending {
    Nanoseconds until{0};
    Peers peers;
  };
  static Flow FlowOf(const WorkerEvent& packet);

  std::map<Flow, Pending> pending_;  // by tunnel first
};

}  // namespace penstock
