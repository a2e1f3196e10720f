#include "dataplane/route/fib.h"

#include "dataplane/route/lpm_table.h"
#include "dataplane/route/next_hop.h"
#include "dataplane/route/prefix_tree.h"

namespace penstock {
namespace {

// One family: what the workers read and what the control side remembers.
template <typename Key>
class FamilyTable {
 public:
  using Route = typename PrefixTree<Key>::Route;

  FamilyTable(Epoch& epoch, uint32_t max_routes, uint32_t max_chunks)
      : lpm_(epoch, max_chunks), tree_(max_routes) {}

  const LpmTable<Key>& lpm() const { return lpm_; }
  const PrefixTree<Key>& tree() const { return tree_; }

  Status Set(const Prefix& prefix, uint32_t next_hop) {
    const Key key = KeyOf<Key>(prefix.address());
    if (!lpm_.HasRoomFor(key, prefix.length())) {
      return Fail(Errc::kExhausted, "route {}: all {} chunks of the table are in use",
                  prefix.ToString(), lpm_.max_chunks());
    }
    const auto change = tree_.Set(key, prefix.length(), next_hop);
    if (change == PrefixTree<Key>::Change::kFull) {
      return Fail(Errc::kExhausted, "route {}: the table holds its limit of {} routes",
                  prefix.ToString(), tree_.max_routes());
    }
    lpm_.Set(key, prefix.length(), next_hop, change == PrefixTree<Key>::Change::kAdded);
    return {};
  }

  Status Remove(const Prefix& prefix) {
    const Key key = KeyOf<Key>(prefix.address());
    const auto removed = tree_.Remove(key, prefix.length());
    if (!removed) {
      return Fail(Errc::kNotFound, "no route {}", prefix.ToString());
    }
    const Route cover = removed->cover.value_or(Route{});
    lpm_.Remove(key, prefix.length(), cover.length, cover.next_hop);
    return {};
  }

  std::optional<uint32_t> Find(const Prefix& prefix) const {
    return tree_.Find(KeyOf<Key>(prefix.address()), prefix.length());
  }

  std::optional<Fib::Match> LongestMatch(const IpAddress& destination) const {
    const auto route = tree_.LongestMatch(KeyOf<Key>(destination));
    return route ? std::optional(MatchOf(*route)) : std::nullopt;
  }

  void Visit(const std::optional<Prefix>& from,
             const std::function<bool(const Fib::Match&)>& visit) const {
    std::optional<Route> start;
    if (from) {
      start = Route{KeyOf<Key>(from->address()), from->length(), 0};
    }
    tree_.Visit(start, [&visit](const Route& route) { return visit(MatchOf(route)); });
  }

  size_t memory_bytes() const { return lpm_.memory_bytes() + tree_.memory_bytes(); }

 private:
  static Fib::Match MatchOf(const Route& route) {
    return {Prefix(AddressOf<Key>(route.key), route.length), route.next_hop};
  }

  LpmTable<Key> lpm_;
  PrefixTree<Key> tree_;
};

}  // namespace

struct Fib::Tables {
  FamilyTable<Key4> v4;
  FamilyTable<Key6> v6;
};

Fib::Fib(Epoch& epoch, const FibLimits& limits)
    : tables_(new Tables{{epoch, limits.max_routes_v4, limits.max_chunks},
                         {epoch, limits.max_routes_v6, limits.max_chunks}}) {}

Fib::~Fib() = default;

void Fib::LookupV4(const uint32_t* destinations, uint32_t* next_hops, unsigned count) const {
  tables_->v4.lpm().Lookup(reinterpret_cast<const uint8_t*>(destinations), next_hops, count);
}

void Fib::LookupV6(const uint8_t (*destinations)[16], uint32_t* next_hops, unsigned count) const {
  tables_->v6.lpm().Lookup(reinterpret_cast<const uint8_t*>(destinations), next_hops, count);
}

uint32_t Fib::Lookup(const IpAddress& destination) const {
  uint32_t next_hop = kNextHopNoRoute;
  if (destination.is_v4()) {
    tables_->v4.lpm().Lookup(destination.data(), &next_hop, 1);
  } else {
    tables_->v6.lpm().Lookup(destination.data(), &next_hop, 1);
  }
  return next_hop;
}

Status Fib::Set(const Prefix& prefix, uint32_t next_hop) {
  if (next_hop >= kMaxNextHops) {
    return Fail(Errc::kInvalidArgument, "route {}: next hop {} must be below {}", prefix.ToString(),
                next_hop, kMaxNextHops);
  }
  return prefix.family() == Family::kIpv4 ? tables_->v4.Set(prefix, next_hop)
                                          : tables_->v6.Set(prefix, next_hop);
}

Status Fib::Remove(const Prefix& prefix) {
  return prefix.family() == Family::kIpv4 ? tables_->v4.Remove(prefix) : tables_->v6.Remove(prefix);
}

std::optional<uint32_t> Fib::Find(const Prefix& prefix) const {
  return prefix.family() == Family::kIpv4 ? tables_->v4.Find(prefix) : tables_->v6.Find(prefix);
}

std::optional<Fib::Match> Fib::LongestMatch(const IpAddress& destination) const {
  return destination.is_v4() ? tables_->v4.LongestMatch(destination)
                             : tables_->v6.LongestMatch(destination);
}

void Fib::Visit(Family family, const std::optional<Prefix>& from,
                const std::function<bool(const Match&)>& visit) const {
  if (family == Family::kIpv4) {
    tables_->v4.Visit(from, visit);
  } else {
    tables_->v6.Visit(from, visit);
  }
}

size_t Fib::size(Family family) const {
  return family == Family::kIpv4 ? tables_->v4.tree().size() : tables_->v6.tree().size();
}

size_t Fib::memory_bytes() const { return tables_->v4.memory_bytes() + tables_->v6.memory_bytes(); }

}  // namespace penstock
