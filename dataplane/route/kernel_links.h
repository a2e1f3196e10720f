// rtnetlink: addresses, links and neighbours of our mirror and tunnel devices, as events; and
// requests to the kernel (set up a device, resolve a neighbour). Over libmnl.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/event_loop.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/base/result.h"

namespace penstock {

struct KernelNeighbor {
  int interface = 0;  // ifindex
  IpAddress address;
  std::optional<MacAddress> mac;  // empty: failed, incomplete or gone
  bool permanent = false;
};

struct KernelAddress {
  int interface = 0;
  InterfaceAddress address;
};

// What the kernel told; called on the control thread's loop. Links and addresses are told when they
// change, neighbours each time the kernel speaks of them. A link is up when it is set up and has
// carrier.
struct KernelListener {
  std::function<void(const KernelNeighbor&)> on_neighbor;
  std::function<void(const KernelAddress&, bool added)> on_address;
  std::function<void(int interface, const std::string& name, bool up, uint32_t mtu)> on_link;
  std::function<void(int interface)> on_link_gone;
};

class KernelLinks {
 public:
  // Subscribes and dumps the present state into `listener`. Malformed or truncated messages are
  // counted and logged, never trusted; a lost notification (ENOBUFS) makes it dump again.
  static Result<std::unique_ptr<KernelLinks>> Open(EventLoop& loop, KernelListener listener);
  virtual ~KernelLinks() = default;

  // Requests; each waits for the kernel's answer (microseconds) and quotes its error.
  // An existing address is fine; IPv6 without duplicate address detection: usable at once.
  virtual Status AddAddress(int interface, const InterfaceAddress& address) = 0;
  virtual Status RemoveAddress(int interface, const InterfaceAddress& address) = 0;
  virtual Status SetUp(int interface, bool up) = 0;
  virtual Status SetMtu(int interface, uint32_t mtu) = 0;
  virtual Status SetMac(int interface, const MacAddress& mac) = 0;
  // Asks the kernel to resolve (ARP or ND) and to keep the entry in use; the answer is on_neighbor.
  virtual Status Resolve(int interface, const IpAddress& address) = 0;
  // Routes that Linux itself needs, e.g. to a tunnel's inside network through its TUN device;
  // replaced if there. `gateway` may be unspecified (on link).
  virtual Status AddRoute(const Prefix& prefix, int interface, const IpAddress& gateway) = 0;
  virtual Status RemoveRoute(const Prefix& prefix, int interface) = 0;
  // All present again, into the listener.
  virtual Status Dump() = 0;
};

// Sets /proc/sys/net/... values: "net/ipv4/conf/p0/rp_filter", or dots instead of slashes where no
// component has a dot itself. Errors name the file.
Status WriteSysctl(const std::string& name, const std::string& value);

}  // namespace penstock
