// The routes by which Linux itself answers: what the operator routes into tunnels or to gateways,
// Linux knows too, so that the gateway's own addresses can be reached from behind a tunnel.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>

#include "dataplane/control/routes.h"
#include "dataplane/route/kernel_links.h"

namespace penstock {

// Control thread only. Follows the static and the control routes; a routing daemon brings its own
// to Linux. Of several next hops Linux gets the first that it can use. A clear route inside a
// protected prefix is not passed on: Linux is not to send there in clear either.
class KernelRoutes {
 public:
  // The kernel's index of the device that a next hop leaves by; 0: none.
  using DeviceOf = std::function<int(const RouteVia&)>;

  KernelRoutes(RouteTable& routes, KernelLinks& kernel, DeviceOf device_of);

  // Brings Linux in line with what is wanted; cheap when nothing has changed.
  void Sync();

 private:
  struct Installed {
    int device = 0;
    IpAddress gateway;
    friend bool operator==(const Installed&, const Installed&) = default;
  };
  std::optional<Installed> WantedFor(const Prefix& prefix) const;

  RouteTable& routes_;
  KernelLinks& kernel_;
  DeviceOf device_of_;
  std::map<Prefix, Installed> installed_;
};

}  // namespace penstock
