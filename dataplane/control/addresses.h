// Which addresses our mirror and tunnel devices have, and what follows from them: local and
// connected routes, sources of ICMP errors, networks in which neighbours are found. Linux holds the
// addresses; this follows it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "dataplane/base/ip_address.h"
#include "dataplane/control/routes.h"
#include "dataplane/route/neighbor.h"
#include "dataplane/stages/context.h"

namespace penstock {

// A port or a tunnel.
struct InterfaceId {
  uint16_t port = kNoPort;
  uint32_t tunnel = kNoTunnel;
  friend auto operator<=>(const InterfaceId&, const InterfaceId&) = default;
};

// Control thread only.
class AddressBook {
 public:
  AddressBook(GatewayTables& tables, RouteTable& routes, NeighborTable& neighbors)
      : tables_(tables), routes_(routes), neighbors_(neighbors) {}

  // The kernel's interface index of a device, for Update.
  void Bind(int kernel_index, InterfaceId interface) { bound_[kernel_index] = interface; }
  void Unbind(int kernel_index) { bound_.erase(kernel_index); }
  // Which of ours the kernel means; null: none.
  const InterfaceId* Find(int kernel_index) const;

  // Adding twice and removing what is not there change nothing.
  void Add(InterfaceId interface, const InterfaceAddress& address);
  void Remove(InterfaceId interface, const InterfaceAddress& address);
  void RemoveAll(InterfaceId interface);
  std::vector<InterfaceAddress> Of(InterfaceId interface) const;
  bool IsOurs(const IpAddress& address) const;
  // All addresses of all devices, with the kernel's number of the device.
  void Visit(const std::function<void(int kernel_index, const InterfaceAddress&)>& visit) const;

  // Protected prefixes changed: neighbours inside of them get no routes of their own.
  void RefreshNeighborNetworks();

 private:
  void AddLocal(const IpAddress& address);
  void RemoveLocal(const IpAddress& address);
  RouteVia LinkOf(InterfaceId interface) const;
  void SetIcmpSource(InterfaceId interface);
  std::set<Prefix> NeighborNetworks(uint16_t port) const;

  GatewayTables& tables_;
  RouteTable& routes_;
  NeighborTable& neighbors_;
  std::map<int, InterfaceId> bound_;
  std::map<InterfaceId, std::vector<InterfaceAddress>> addresses_;  // in the order of their coming
  std::map<IpAddress, unsigned> local_;                             // uses of each local address
  std::map<uint16_t, std::set<Prefix>> neighbor_networks_;  // as told to the neighbour table
};

// What is left of `prefix` without the parts that lie in one of `holes`, as few prefixes as
// possible.
std::vector<Prefix> Without(const Prefix& prefix, const std::set<Prefix>& holes);

}  // namespace penstock
