#include "dataplane/control/routes.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/log.h"

namespace penstock {

const char* RouteSourceName(RouteSource source) {
  constexpr const char* kNames[] = {"local", "connected", "control", "static", "bgp"};
  return kNames[static_cast<unsigned>(source)];
}

uint32_t RoutePreference(RouteSource source) {
  constexpr uint32_t kPreferences[] = {0, 1, 5, 10, 20};
  return kPreferences[static_cast<unsigned>(source)];
}

RouteTable::RouteTable(GatewayTables& tables) : tables_(tables) {}

RouteTable::~RouteTable() {
  for (auto& [prefix, wanted] : wanted_) {
    if (wanted.installed) {
      (void)tables_.fib.Remove(prefix);
    }
  }
  for (auto& [path, state] : paths_) {
    if (state.owns) {
      tables_.next_hops.Release(state.next_hop);
    }
  }
}

Status RouteTable::Check(const Prefix& prefix, const RoutePath& path) const {
  if (path.action != RouteAction::kForward) {
    return {};
  }
  if (path.via.empty() || path.via.size() > kMaxGroupMembers) {
    return Fail(Errc::kInvalidArgument, "route {}: {} next hops, 1 to {} are possible",
                prefix.ToString(), path.via.size(), kMaxGroupMembers);
  }
  for (const RouteVia& via : path.via) {
    if (via.weight == 0 || via.weight > 255) {
      return Fail(Errc::kInvalidArgument, "route {}: weight {} is not from 1 to 255",
                  prefix.ToString(), via.weight);
    }
    if (!via.tunnel.empty() && tables_.tunnels.FindByName(via.tunnel) == kNoTunnel) {
      return Fail(Errc::kNotFound, "route {}: there is no tunnel named {}", prefix.ToString(),
                  via.tunnel);
    }
    if (via.tunnel.empty() && !via.address && via.port == kNoPort) {
      return Fail(Errc::kInvalidArgument,
                  "route {}: a next hop needs a tunnel, an address or a port", prefix.ToString());
    }
    if (via.tunnel.empty() && via.address && via.address->family() != prefix.family()) {
      return Fail(Errc::kInvalidArgument, "route {}: gateway {} is of the other address family",
                  prefix.ToString(), via.address->ToString());
    }
  }
  return {};
}

Status RouteTable::Set(const Prefix& prefix, RouteSource source, RoutePath path) {
  if (const Status checked = Check(prefix, path); !checked) {
    return checked;
  }
  Wanted& wanted = wanted_[prefix];
  auto found =
      std::find_if(wanted.candidates.begin(), wanted.candidates.end(),
                   [source](const Candidate& candidate) { return candidate.source == source; });
  if (found != wanted.candidates.end()) {
    if (found->path->first == path) {
      return {};
    }
    Paths::value_type* old = found->path;
    if (!ReplaceInPlace(*found, path)) {
      found->path = Use(std::move(path));
      const Status installed = InstallWithProtected(prefix);
      Unuse(old);
      Changed(&prefix);
      return installed;
    }
    Changed(&prefix);
    return InstallWithProtected(prefix);
  }
  const auto place = std::find_if(
      wanted.candidates.begin(), wanted.candidates.end(), [source](const Candidate& candidate) {
        return RoutePreference(candidate.source) > RoutePreference(source);
      });
  wanted.candidates.insert(place, {source, Use(std::move(path))});
  const Status installed = InstallWithProtected(prefix);
  if (!installed) {
    (void)Remove(prefix, source);  // a full table: nothing is kept half
    return installed;
  }
  Changed(&prefix);
  return {};
}

Status RouteTable::Remove(const Prefix& prefix, RouteSource source) {
  const auto entry = wanted_.find(prefix);
  auto missing = [&] {
    return Fail(Errc::kNotFound, "there is no {} route {}", RouteSourceName(source),
                prefix.ToString());
  };
  if (entry == wanted_.end()) {
    return missing();
  }
  std::vector<Candidate>& candidates = entry->second.candidates;
  const auto found =
      std::find_if(candidates.begin(), candidates.end(),
                   [source](const Candidate& candidate) { return candidate.source == source; });
  if (found == candidates.end()) {
    return missing();
  }
  Paths::value_type* path = found->path;
  candidates.erase(found);
  const Status installed = InstallWithProtected(prefix);
  Unuse(path);
  Changed(&prefix);
  return installed;
}

void RouteTable::RemoveAll(RouteSource source) {
  for (const Prefix& prefix : PrefixesOf(source)) {
    (void)Remove(prefix, source);  // cannot fail: it was listed
  }
}

std::vector<Prefix> RouteTable::PrefixesOf(RouteSource source) const {
  std::vector<Prefix> prefixes;
  for (const auto& [prefix, wanted] : wanted_) {
    if (Find(prefix, source) != nullptr) {
      prefixes.push_back(prefix);
    }
  }
  return prefixes;
}

const RoutePath* RouteTable::Find(const Prefix& prefix, RouteSource source) const {
  const auto entry = wanted_.find(prefix);
  if (entry != wanted_.end()) {
    for (const Candidate& candidate : entry->second.candidates) {
      if (candidate.source == source) {
        return &candidate.path->first;
      }
    }
  }
  return nullptr;
}

Status RouteTable::AddConnected(const Prefix& prefix, const RouteVia& link) {
  connected_.emplace_back(prefix, link);
  if (Find(prefix, RouteSource::kConnected) == nullptr) {
    const Status set = Set(prefix, RouteSource::kConnected, {RouteAction::kForward, {link}});
    if (!set) {
      connected_.pop_back();
      return set;
    }
  }
  Resolve();
  return {};
}

void RouteTable::RemoveConnected(const Prefix& prefix, const RouteVia& link) {
  const auto found = std::find(connected_.begin(), connected_.end(), std::pair(prefix, link));
  if (found == connected_.end()) {
    return;
  }
  connected_.erase(found);
  const auto other = std::find_if(connected_.begin(), connected_.end(),
                                  [&](const auto& item) { return item.first == prefix; });
  if (other == connected_.end()) {
    (void)Remove(prefix, RouteSource::kConnected);
  } else {
    (void)Set(prefix, RouteSource::kConnected, {RouteAction::kForward, {other->second}});
  }
  Resolve();
}

void RouteTable::SetProtected(const std::vector<Prefix>& prefixes) {
  const std::set<Prefix> old = std::exchange(protected_, {prefixes.begin(), prefixes.end()});
  std::set<Prefix> touched = protected_;
  touched.insert(old.begin(), old.end());
  // First what protects: the entries of the prefixes themselves, then what lies inside them.
  for (const Prefix& prefix : protected_) {
    wanted_[prefix];
    (void)Install(prefix);
  }
  for (const Prefix& outer : touched) {
    std::vector<Prefix> inside;
    for (auto entry = wanted_.lower_bound(outer);
         entry != wanted_.end() && outer.Contains(entry->first); ++entry) {
      inside.push_back(entry->first);
    }
    for (const Prefix& prefix : inside) {
      (void)Install(prefix);
    }
  }
  Changed();
}

std::optional<Prefix> RouteTable::ProtectedBy(const Prefix& prefix) const {
  for (const Prefix& outer : protected_) {
    if (outer.Contains(prefix)) {
      return outer;
    }
  }
  return std::nullopt;
}

// What the FIB shall say for this prefix.
uint32_t RouteTable::Effective(const Prefix& prefix, const Wanted& wanted) const {
  if (wanted.candidates.empty()) {
    return EffectiveOfProtected(prefix);
  }
  const Path& path = wanted.candidates.front().path->second;
  return path.clear && ProtectedBy(prefix) ? kNextHopProtected : path.next_hop;
}

// A protected prefix without a route of its own follows the route that covers it, if that is a
// tunnel.
uint32_t RouteTable::EffectiveOfProtected(const Prefix& prefix) const {
  for (int length = prefix.length() - 1; length >= 0; --length) {
    const auto entry = wanted_.find(Prefix(prefix.address(), static_cast<uint8_t>(length)));
    if (entry == wanted_.end() || entry->second.candidates.empty()) {
      continue;
    }
    const Paths::value_type& path = *entry->second.candidates.front().path;
    const bool tunnels =
        path.first.action == RouteAction::kForward && !path.second.clear && path.second.owns;
    return tunnels ? path.second.next_hop : kNextHopProtected;
  }
  return kNextHopProtected;
}

Status RouteTable::Install(const Prefix& prefix) {
  const auto entry = wanted_.find(prefix);
  if (entry == wanted_.end()) {
    return {};
  }
  Wanted& wanted = entry->second;
  if (wanted.candidates.empty() && !protected_.contains(prefix)) {
    Status removed;
    if (wanted.installed) {
      removed = tables_.fib.Remove(prefix);
    }
    wanted_.erase(entry);
    return removed;
  }
  const uint32_t next_hop = Effective(prefix, wanted);
  if (wanted.installed == next_hop) {
    return {};
  }
  const Status set = tables_.fib.Set(prefix, next_hop);
  if (set) {
    wanted.installed = next_hop;
  }
  return set;
}

// The protected prefixes below follow; they go first when the new answer could be a port, but since
// each has an entry of its own the order does not matter to packets inside them.
Status RouteTable::InstallWithProtected(const Prefix& prefix) {
  const Status installed = Install(prefix);
  for (auto inner = protected_.lower_bound(prefix);
       inner != protected_.end() && prefix.Contains(*inner); ++inner) {
    if (*inner != prefix) {
      (void)Install(*inner);  // cannot be full: the prefix is in the table
    }
  }
  return installed;
}

void RouteTable::Changed(const Prefix* prefix) {
  if (prefix != nullptr) {
    if (Find(*prefix, RouteSource::kStatic) != nullptr ||
        Find(*prefix, RouteSource::kControl) != nullptr) {
      hand_made_.insert(*prefix);
    } else {
      hand_made_.erase(*prefix);
    }
  }
  if (on_change_) {
    on_change_();
  }
}

std::vector<RouteTable::View> RouteTable::MakeViews(const Prefix& prefix,
                                                    const Wanted& wanted) const {
  std::vector<View> views;
  for (const Candidate& candidate : wanted.candidates) {
    const Path& path = candidate.path->second;
    View view;
    view.prefix = prefix;
    view.source = candidate.source;
    view.path = candidate.path->first;
    view.active = views.empty();
    view.next_hop = wanted.installed.value_or(path.next_hop);
    view.note = path.problem;
    const std::optional<Prefix> outer = ProtectedBy(prefix);
    if (path.clear && outer) {
      view.active = false;
      view.note = fmt::format("clear route inside protected {}", outer->ToString());
    }
    views.push_back(std::move(view));
  }
  if (wanted.candidates.empty()) {
    View view;
    view.prefix = prefix;
    view.is_protected = true;
    view.active = true;
    view.next_hop = wanted.installed.value_or(kNextHopProtected);
    views.push_back(std::move(view));
  }
  return views;
}

void RouteTable::Visit(const std::optional<Prefix>& from,
                       const std::function<bool(const std::vector<View>&)>& visit) const {
  auto entry = from ? wanted_.upper_bound(*from) : wanted_.begin();
  for (; entry != wanted_.end(); ++entry) {
    if (!visit(MakeViews(entry->first, entry->second))) {
      return;
    }
  }
}

std::vector<RouteTable::View> RouteTable::ViewsOf(const Prefix& prefix) const {
  const auto entry = wanted_.find(prefix);
  return entry == wanted_.end() ? std::vector<View>{} : MakeViews(prefix, entry->second);
}

}  // namespace penstock
