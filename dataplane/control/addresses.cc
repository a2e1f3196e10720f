#include "dataplane/control/addresses.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "dataplane/base/log.h"

namespace penstock {
namespace {

// The network's broadcast address (RFC 919), where the network is large enough to have one.
std::optional<IpAddress> BroadcastOf(const InterfaceAddress& address) {
  if (!address.address.is_v4() || address.length > 30) {
    return std::nullopt;
  }
  const uint32_t host_bits = address.length == 0 ? UINT32_MAX : (1u << (32 - address.length)) - 1;
  return IpAddress::V4(address.address.ToV4HostOrder() | host_bits);
}

// fe80::/64 is on every link, so that no single route can lead to it. The addresses of
// 169.254.0.0/16 are ordinary ones here: clouds number their tunnels by them.
bool GivesRoute(const InterfaceAddress& address) {
  return address.length < address.address.max_prefix_length() &&
         !(address.address.is_v6() && address.address.is_link_local());
}

std::pair<Prefix, Prefix> Halves(const Prefix& prefix) {
  const auto length = static_cast<uint8_t>(prefix.length() + 1);
  uint8_t bytes[16] = {};
  std::memcpy(bytes, prefix.address().data(), prefix.address().size());
  bytes[prefix.length() / 8] |= static_cast<uint8_t>(0x80u >> (prefix.length() % 8));
  const IpAddress upper = prefix.address().is_v4() ? IpAddress::V4(bytes) : IpAddress::V6(bytes);
  return {Prefix(prefix.address(), length), Prefix(upper, length)};
}

}  // namespace

std::vector<Prefix> Without(const Prefix& prefix, const std::set<Prefix>& holes) {
  bool overlaps = false;
  for (const Prefix& hole : holes) {
    if (hole.Contains(prefix)) {
      return {};
    }
    overlaps = overlaps || prefix.Contains(hole);
  }
  if (!overlaps) {
    return {prefix};
  }
  const auto [lower, upper] = Halves(prefix);
  std::vector<Prefix> left = Without(lower, holes);
  const std::vector<Prefix> right = Without(upper, holes);
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

const InterfaceId* AddressBook::Find(int kernel_index) const {
  const auto found = bound_.find(kernel_index);
  return found == bound_.end() ? nullptr : &found->second;
}

RouteVia AddressBook::LinkOf(InterfaceId interface) const {
  RouteVia via;
  if (interface.tunnel != kNoTunnel) {
    via.tunnel = tables_.tunnels.config(interface.tunnel).name;
  } else {
    via.port = interface.port;
  }
  return via;
}

void AddressBook::AddLocal(const IpAddress& address) {
  if (local_[address]++ == 0) {
    const Status set =
        routes_.Set(Prefix::Host(address), RouteSource::kLocal, {RouteAction::kLocal, {}});
    if (!set) {
      Log("route").error("{}", set.error().message);
    }
  }
}

void AddressBook::RemoveLocal(const IpAddress& address) {
  const auto found = local_.find(address);
  if (found != local_.end() && --found->second == 0) {
    local_.erase(found);
    (void)routes_.Remove(Prefix::Host(address), RouteSource::kLocal);
  }
}

void AddressBook::Add(InterfaceId interface, const InterfaceAddress& address) {
  std::vector<InterfaceAddress>& list = addresses_[interface];
  if (std::find(list.begin(), list.end(), address) != list.end()) {
    return;
  }
  list.push_back(address);
  AddLocal(address.address);
  if (interface.port != kNoPort) {
    if (const auto broadcast = BroadcastOf(address)) {
      AddLocal(*broadcast);
    }
  }
  if (GivesRoute(address)) {
    const Status connected = routes_.AddConnected(address.prefix(), LinkOf(interface));
    if (!connected) {
      Log("route").error("{}", connected.error().message);
    }
  }
  SetIcmpSource(interface);
  RefreshNeighborNetworks();
}

void AddressBook::Remove(InterfaceId interface, const InterfaceAddress& address) {
  std::vector<InterfaceAddress>& list = addresses_[interface];
  const auto found = std::find(list.begin(), list.end(), address);
  if (found == list.end()) {
    return;
  }
  list.erase(found);
  if (GivesRoute(address)) {
    routes_.RemoveConnected(address.prefix(), LinkOf(interface));
  }
  if (interface.port != kNoPort) {
    if (const auto broadcast = BroadcastOf(address)) {
      RemoveLocal(*broadcast);
    }
  }
  RemoveLocal(address.address);
  SetIcmpSource(interface);
  RefreshNeighborNetworks();
}

void AddressBook::RemoveAll(InterfaceId interface) {
  for (const InterfaceAddress& address : Of(interface)) {
    Remove(interface, address);
  }
  addresses_.erase(interface);
}

std::vector<InterfaceAddress> AddressBook::Of(InterfaceId interface) const {
  const auto found = addresses_.find(interface);
  return found == addresses_.end() ? std::vector<InterfaceAddress>{} : found->second;
}

void AddressBook::Visit(
    const std::function<void(int kernel_index, const InterfaceAddress&)>& visit) const {
  for (const auto& [kernel_index, interface] : bound_) {
    for (const InterfaceAddress& address : Of(interface)) {
      visit(kernel_index, address);
    }
  }
}

bool AddressBook::IsOurs(const IpAddress& address) const { return local_.contains(address); }

void AddressBook::SetIcmpSource(InterfaceId interface) {
  const std::vector<InterfaceAddress> list = Of(interface);
  const auto first = [&](Family family) -> const IpAddress* {
    for (const InterfaceAddress& item : list) {
      if (item.address.family() == family &&
          !(item.address.is_v6() && item.address.is_link_local())) {
        return &item.address;
      }
    }
    return nullptr;
  };
  const IpAddress* v4 = first(Family::kIpv4);
  const IpAddress* v6 = first(Family::kIpv6);
  if (interface.tunnel != kNoTunnel) {
    Tunnel& tunnel = tables_.tunnels[interface.tunnel];
    std::memset(tunnel.icmp_source_v4, 0, sizeof(tunnel.icmp_source_v4));
    std::memset(tunnel.icmp_source_v6, 0, sizeof(tunnel.icmp_source_v6));
    if (v4 != nullptr) {
      std::memcpy(tunnel.icmp_source_v4, v4->data(), 4);
    }
    if (v6 != nullptr) {
      std::memcpy(tunnel.icmp_source_v6, v6->data(), 16);
    }
    return;
  }
  PortInfo& port = tables_.ports[interface.port];
  port.has_v4.store(0, std::memory_order_release);
  port.has_v6.store(0, std::memory_order_release);
  if (v4 != nullptr) {
    std::memcpy(port.icmp_source_v4, v4->data(), 4);
    port.has_v4.store(1, std::memory_order_release);
  }
  if (v6 != nullptr) {
    std::memcpy(port.icmp_source_v6, v6->data(), 16);
    port.has_v6.store(1, std::memory_order_release);
  }
}

std::set<Prefix> AddressBook::NeighborNetworks(uint16_t port) const {
  std::set<Prefix> networks;
  for (const InterfaceAddress& address : Of({port, kNoTunnel})) {
    if (GivesRoute(address)) {
      const std::vector<Prefix> parts = Without(address.prefix(), routes_.protected_prefixes());
      networks.insert(parts.begin(), parts.end());
    }
  }
  return networks;
}

void AddressBook::RefreshNeighborNetworks() {
  for (const auto& [interface, list] : addresses_) {
    if (interface.port == kNoPort) {
      continue;
    }
    std::set<Prefix> next = NeighborNetworks(interface.port);
    std::set<Prefix>& now = neighbor_networks_[interface.port];
    for (const Prefix& gone : now) {
      if (!next.contains(gone)) {
        neighbors_.RemoveConnected(interface.port, gone);
      }
    }
    for (const Prefix& added : next) {
      if (!now.contains(added)) {
        neighbors_.AddConnected(interface.port, added);
      }
    }
    now = std::move(next);
  }
}

}  // namespace penstock
