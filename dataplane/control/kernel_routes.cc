#include "dataplane/control/kernel_routes.h"

#include <utility>

#include "dataplane/base/log.h"

namespace penstock {

KernelRoutes::KernelRoutes(RouteTable& routes, KernelLinks& kernel, DeviceOf device_of)
    : routes_(routes), kernel_(kernel), device_of_(std::move(device_of)) {}

std::optional<KernelRoutes::Installed> KernelRoutes::WantedFor(const Prefix& prefix) const {
  for (const RouteSource source : {RouteSource::kControl, RouteSource::kStatic}) {
    const RoutePath* path = routes_.Find(prefix, source);
    if (path == nullptr) {
      continue;
    }
    for (const RouteVia& via : path->via) {
      const std::optional<RouteVia> link = routes_.LinkOf(via);
      if (!link || (link->tunnel.empty() && routes_.ProtectedBy(prefix))) {
        continue;
      }
      const int device = device_of_(*link);
      if (device != 0) {
        const bool gateway = link->tunnel.empty() && via.address;
        return Installed{device, gateway ? *via.address : IpAddress::Any(prefix.family())};
      }
    }
    return std::nullopt;
  }
  return std::nullopt;
}

void KernelRoutes::Sync() {
  std::map<Prefix, Installed> wanted;
  for (const Prefix& prefix : routes_.hand_made()) {
    if (const std::optional<Installed> route = WantedFor(prefix)) {
      wanted[prefix] = *route;
    }
  }
  for (const auto& [prefix, route] : installed_) {
    const auto next = wanted.find(prefix);
    if (next == wanted.end() || next->second.device != route.device) {
      (void)kernel_.RemoveRoute(prefix, route.device);  // gone already if its device went
    }
  }
  for (auto next = wanted.begin(); next != wanted.end();) {
    const auto& [prefix, route] = *next;
    const auto old = installed_.find(prefix);
    if (old == installed_.end() || old->second != route) {
      if (const Status added = kernel_.AddRoute(prefix, route.device, route.gateway); !added) {
        Log("route").debug("Linux did not take the route {}: {}", prefix.ToString(),
                           added.error().message);
        next = wanted.erase(next);
        continue;
      }
    }
    ++next;
  }
  installed_ = std::move(wanted);
}

}  // namespace penstock
