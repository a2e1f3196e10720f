// The border between the FPM client and the gateway: the gateway implements RouteSink. Values only,
// already checked. Everything runs on the control thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/base/ip_address.h"
#include "dataplane/base/result.h"

namespace penstock::fpm {

enum class PathAction : uint8_t { kForward, kBlackhole, kUnreachable, kProhibit };

// One next hop as zebra names it. `interface` is Linux's ifindex in the gateway's namespace: that
// of a tunnel's TUN device or of a port's mirror device; 0: to be found by the gateway's address.
struct Hop {
  uint32_t interface = 0;
  std::optional<IpAddress> gateway;  // may be of the other family (RFC 5549)
  uint32_t weight = 1;
  bool onlink = false;
  friend bool operator==(const Hop&, const Hop&) = default;
};

// Where a route leads: nested groups are flattened, members in a stable order.
struct Path {
  PathAction action = PathAction::kForward;
  std::vector<Hop> hops;  // for kForward: 1 or more
  friend bool operator==(const Path&, const Path&) = default;
};

// Chosen by the client: dense small numbers, used again after RemovePath.
using PathId = uint32_t;

struct RouteUpdate {
  Prefix prefix;
  PathId path = 0;
  bool withdraw = false;
};

// A call has taken effect for all workers when it returns. Each prefix goes from its old path to
// its new one in one step.
class RouteSink {
 public:
  virtual ~RouteSink() = default;

  // New, or replaced in place: all routes of the path follow at once, and flows of next hops that
  // stay keep their next hop. An error is one sentence for `show fpm`; the path is unreachable
  // then.
  virtual Status SetPath(PathId id, const Path& path) = 0;
  virtual void RemovePath(PathId id) = 0;  // no route uses it any more
  virtual void Apply(std::span<const RouteUpdate> updates) = 0;

  // Mark and sweep after a reconnect: MarkAll makes every route of zebra's stale, Apply makes one
  // fresh. Sweep removes at most `most` stale ones and tells how many it removed; 0: none is left.
  virtual void MarkAll() = 0;
  virtual size_t Sweep(size_t most) = 0;
  virtual size_t stale() const = 0;
  virtual size_t size() const = 0;  // routes of zebra's, stale ones too

  // True if a packet by this path would be carried: a live SA or a port behind at least one member.
  virtual bool Alive(PathId id) const = 0;
  // Called when Alive of a path changes; for acknowledgements.
  virtual void OnAlive(std::function<void(PathId, bool)> callback) = 0;
  // The routes of a path, fresh and stale.
  virtual void VisitRoutes(PathId id, const std::function<void(const Prefix&)>& visit) const = 0;
};

}  // namespace penstock::fpm
