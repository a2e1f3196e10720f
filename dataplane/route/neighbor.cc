#include "dataplane/route/neighbor.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/log.h"

namespace penstock {
namespace {

constexpr Nanoseconds kAskEvery = std::chrono::seconds(1);
// Somebody who scans an empty network must not fill our memory; the kernel has a limit of this
// order.
constexpr size_t kMaxUnresolved = 4096;

}  // namespace

NeighborTable::NeighborTable(Fib& fib, NextHopTable& next_hops, const Clock& clock,
                             std::function<void(uint16_t port, const IpAddress&)> resolve)
    : fib_(fib), next_hops_(next_hops), clock_(clock), resolve_(std::move(resolve)) {}

NeighborTable::~NeighborTable() = default;

void NeighborTable::SetPortMac(uint16_t port, const MacAddress& mac) {
  port_macs_[port] = mac;
  for (auto& [key, entry] : entries_) {
    if (key.first == port) {
      SetLinks(key, entry);
      EnsureHostRoute(key, entry);
    }
  }
}

void NeighborTable::AddConnected(uint16_t port, const Prefix& prefix) {
  std::vector<Prefix>& prefixes = connected_[port];
  if (std::find(prefixes.begin(), prefixes.end(), prefix) != prefixes.end()) {
    return;
  }
  prefixes.push_back(prefix);
  for (auto& [key, entry] : entries_) {
    EnsureHostRoute(key, entry);
  }
}

void NeighborTable::RemoveConnected(uint16_t port, const Prefix& prefix) {
  std::erase(connected_[port], prefix);
  for (auto& [key, entry] : entries_) {
    if (!DeservesHostRoute(key)) {
      DropHostRoute(key, entry);
    }
  }
}

void NeighborTable::Update(uint16_t port, const IpAddress& address,
                           const std::optional<MacAddress>& mac, bool permanent) {
  const Key key{port, address};
  auto found = entries_.find(key);
  if (found == entries_.end()) {
    if (!mac || address.is_multicast() || address.is_unspecified()) {
      return;  // nobody asked for it
    }
    found = entries_.emplace(key, Entry{}).first;
    ++unresolved_;
  }
  Entry& entry = found->second;
  if (entry.mac.has_value() != mac.has_value()) {
    unresolved_ += mac ? size_t(-1) : 1;
  }
  entry.mac = mac;
  entry.permanent = permanent;
  entry.told = clock_.Now();
  SetLinks(key, entry);
  if (mac) {
    EnsureHostRoute(key, entry);
    return;
  }
  DropHostRoute(key, entry);
  if (IsGateway(key, entry)) {
    Ask(key, entry);  // routes hang on it: it may come back
  } else if (!entry.asked || clock_.Now() - *entry.asked >= kAskEvery) {
    entries_.erase(found);
    --unresolved_;
  }
}

void NeighborTable::Attach(uint32_t next_hop) {
  const NextHop& hop = next_hops_[next_hop];
  if (hop.kind != NextHopKind::kForward) {
    return;
  }
  const Key key{hop.port,
                hop.gateway_version == 6 ? IpAddress::V6(hop.gateway) : IpAddress::V4(hop.gateway)};
  const auto found = entries_.find(key);
  if (found != entries_.end() && found->second.mac) {
    SetLinks(key, found->second);
  } else {
    Want(key.first, key.second);
  }
}

void NeighborTable::Want(uint16_t port, const IpAddress& address) {
  if (address.is_multicast() || address.is_unspecified()) {
    return;
  }
  const Key key{port, address};
  auto found = entries_.find(key);
  if (found == entries_.end()) {
    if (!MakeRoomForUnresolved()) {
      return;
    }
    found = entries_.emplace(key, Entry{}).first;
    ++unresolved_;
  }
  if (found->second.mac) {
    SetLinks(key, found->second);
    EnsureHostRoute(key, found->second);
  } else {
    Ask(key, found->second);
  }
}

void NeighborTable::Refresh() {
  for (auto found = entries_.begin(); found != entries_.end();) {
    auto& [key, entry] = *found;
    const bool in_use = entry.host_route || IsGateway(key, entry);
    if (!entry.mac && !in_use && (!entry.asked || clock_.Now() - *entry.asked >= kAskEvery)) {
      found = entries_.erase(found);
      --unresolved_;
      continue;
    }
    if (in_use && !entry.permanent) {
      Ask(key, entry);
    }
    ++found;
  }
}

std::vector<NeighborView> NeighborTable::neighbors() const {
  std::vector<NeighborView> views;
  views.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) {
    views.push_back(
        {key.first, key.second, entry.mac, entry.permanent, (clock_.Now() - entry.told).count()});
  }
  return views;
}

void NeighborTable::Ask(const Key& key, Entry& entry) {
  const Nanoseconds now = clock_.Now();
  if (entry.asked && now - *entry.asked < kAskEvery) {
    return;
  }
  entry.asked = now;
  resolve_(key.first, key.second);
}

// Gives every next hop to this neighbour its link header, or takes it away.
void NeighborTable::SetLinks(const Key& key, const Entry& entry) {
  const auto source = port_macs_.find(key.first);
  std::optional<LinkHeader> link;
  if (entry.mac && source != port_macs_.end()) {
    link.emplace();
    std::copy(entry.mac->bytes.begin(), entry.mac->bytes.end(), link->destination);
    std::copy(source->second.bytes.begin(), source->second.bytes.end(), link->source);
  }
  for (uint32_t next_hop : next_hops_.FindForwards(key.first, key.second)) {
    next_hops_.SetLink(next_hop, link);
  }
}

bool NeighborTable::DeservesHostRoute(const Key& key) const {
  // Link-local addresses mean something else on each port, the FIB knows only one of each.
  const auto prefixes = connected_.find(key.first);
  return prefixes != connected_.end() && !key.second.is_link_local() &&
         std::any_of(prefixes->second.begin(), prefixes->second.end(),
                     [&key](const Prefix& prefix) { return prefix.Contains(key.second); });
}

void NeighborTable::EnsureHostRoute(const Key& key, Entry& entry) {
  if (!entry.mac || !port_macs_.contains(key.first) || !DeservesHostRoute(key)) {
    return;
  }
  const Prefix host = Prefix::Host(key.second);
  if (fib_.Find(host)) {
    return;  // ours already; or somebody else's (a route, our own address), which goes before
  }
  if (!entry.host_route) {
    const Result<uint32_t> next_hop = next_hops_.AddForward(key.first, key.second);
    if (!next_hop) {
      Log("route").warn("neighbour {}: {}", key.second.ToString(), next_hop.error().message);
      return;
    }
    entry.host_route = *next_hop;
    SetLinks(key, entry);
  }
  if (const Status set = fib_.Set(host, *entry.host_route); !set) {
    Log("route").warn("neighbour {}: {}", key.second.ToString(), set.error().message);
    DropHostRoute(key, entry);
  }
}

void NeighborTable::DropHostRoute(const Key& key, Entry& entry) {
  if (!entry.host_route) {
    return;
  }
  const Prefix host = Prefix::Host(key.second);
  if (fib_.Find(host) == entry.host_route) {
    (void)fib_.Remove(host);  // cannot fail: it was found
  }
  next_hops_.Release(*entry.host_route);
  entry.host_route.reset();
}

// Whether others than our own host route use it.
bool NeighborTable::IsGateway(const Key& key, const Entry& entry) const {
  for (uint32_t next_hop : next_hops_.FindForwards(key.first, key.second)) {
    if (next_hops_.references(next_hop) > (entry.host_route == next_hop ? 1u : 0u)) {
      return true;
    }
  }
  return false;
}

bool NeighborTable::MakeRoomForUnresolved() {
  if (unresolved_ < kMaxUnresolved) {
    return true;
  }
  unresolved_ -= std::erase_if(entries_, [this](const auto& item) {
    const auto& [key, entry] = item;
    return !entry.mac && !IsGateway(key, entry) &&
           (!entry.asked || clock_.Now() - *entry.asked >= kAskEvery);
  });
  return unresolved_ < kMaxUnresolved;
}

}  // namespace penstock
