// Neighbours of ports: which next hops wait for which link address, and when the kernel is asked.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/route/fib.h"
#include "dataplane/route/next_hop.h"

namespace penstock {

struct NeighborView {
  uint16_t port = 0;
  IpAddress address;
  std::optional<MacAddress> mac;
  bool permanent = false;
  int64_t age_nanoseconds = 0;  // since the kernel last told
};

// Control thread only. Ties kernel neighbours to next hops (as gateways) and to host routes (an
// on-link neighbour gets a /32 or /128 in the FIB, so that packets to it find their link header).
class NeighborTable {
 public:
  // `resolve` asks the kernel (KernelLinks::Resolve through the port's mirror device).
  NeighborTable(Fib& fib, NextHopTable& next_hops, const Clock& clock,
                std::function<void(uint16_t port, const IpAddress&)> resolve);
  ~NeighborTable();

  void SetPortMac(uint16_t port, const MacAddress& mac);
  // Connected prefixes: neighbours outside of them get no host route.
  void AddConnected(uint16_t port, const Prefix& prefix);
  void RemoveConnected(uint16_t port, const Prefix& prefix);
  // From the kernel; no mac: gone.
  void Update(uint16_t port, const IpAddress& address, const std::optional<MacAddress>& mac,
              bool permanent);
  // A next hop to this gateway was made: gives it the link address if known, else asks for it.
  void Attach(uint32_t next_hop);
  // A worker met an unresolved one. Asks the kernel, at most once a second for each address; where
  // the answer is known already, puts back a host route that somebody took away.
  void Want(uint16_t port, const IpAddress& address);
  // From a timer: asks again for those in use, so that the kernel keeps them fresh.
  void Refresh();
  std::vector<NeighborView> neighbors() const;

 private:
  struct Entry {
    std::optional<MacAddress> mac;
    bool permanent = false;
    Nanoseconds told{0};
    std::optional<Nanoseconds> asked;
    std::optional<uint32_t> host_route;  // our next hop in the FIB, held
  };
  using Key = std::pair<uint16_t, IpAddress>;

  void Ask(const Key& key, Entry& entry);
  void SetLinks(const Key& key, const Entry& entry);
  bool DeservesHostRoute(const Key& key) const;
  void EnsureHostRoute(const Key& key, Entry& entry);
  void DropHostRoute(const Key& key, Entry& entry);
  bool IsGateway(const Key& key, const Entry& entry) const;
  bool MakeRoomForUnresolved();

  Fib& fib_;
  NextHopTable& next_hops_;
  const Clock& clock_;
  std::function<void(uint16_t, const IpAddress&)> resolve_;
  std::map<Key, Entry> entries_;
  std::map<uint16_t, MacAddress> port_macs_;
  std::map<uint16_t, std::vector<Prefix>> connected_;
  size_t unresolved_ = 0;  // entries without a link address
};

}  // namespace penstock
