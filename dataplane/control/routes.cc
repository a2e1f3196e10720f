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

namespace {

// A prefix that has only this source.
unsigned HolderOf(RouteSource source) {
  return RouteEntry::kFirstSource + static_cast<unsigned>(source);
}

}  // namespace

RouteTable::RouteTable(GatewayTables& tables) : tables_(tables) {}

RouteTable::~RouteTable() {
  wanted_.ForEach([this](const Prefix& prefix, const RouteEntry& entry) {
    if (entry.installed != kNextHopNoRoute) {
      (void)tables_.fib.Remove(prefix);
    }
  });
  for (const Path& path : paths_) {
    if (path.owns) {
      tables_.next_hops.Release(path.next_hop);
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
  if (std::all_of(path.via.begin(), path.via.end(),
                  [](const RouteVia& via) { return via.standby; })) {
    return Fail(Errc::kInvalidArgument, "route {}: every next hop is standby; one must not be",
                prefix.ToString());
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

std::span<const RouteTable::Candidate> RouteTable::CandidatesOf(const RouteEntry& entry,
                                                                Candidate& room) const {
  switch (entry.holder) {
    case RouteEntry::kEmpty:
    case RouteEntry::kNobody:
      return {};
    case RouteEntry::kSeveral:
      return several_[entry.path];
    default:
      room = {static_cast<RouteSource>(entry.holder - RouteEntry::kFirstSource), entry.path};
      return {&room, 1};
  }
}

const RouteTable::Path* RouteTable::Best(const RouteEntry& entry) const {
  Candidate room;
  const std::span<const Candidate> candidates = CandidatesOf(entry, room);
  return candidates.empty() ? nullptr : &paths_[candidates.front().path];
}

// The path that this source had before.
RouteTable::PathId RouteTable::PutCandidate(RouteEntry& entry, Candidate candidate) {
  if (entry.holder == RouteEntry::kNobody) {
    entry.holder = HolderOf(candidate.source) & 0xf;
    entry.path = candidate.path;
    return kNoPath;
  }
  if (entry.holder == HolderOf(candidate.source)) {
    return std::exchange(entry.path, candidate.path);
  }
  if (entry.holder != RouteEntry::kSeveral) {
    Candidate room;
    const Candidate other = CandidatesOf(entry, room).front();
    if (free_several_.empty()) {
      free_several_.push_back(static_cast<uint32_t>(several_.size()));
      several_.emplace_back();
    }
    entry.path = free_several_.back();
    free_several_.pop_back();
    several_[entry.path] = {other};
    entry.holder = RouteEntry::kSeveral;
  }
  std::vector<Candidate>& candidates = several_[entry.path];
  for (Candidate& old : candidates) {
    if (old.source == candidate.source) {
      return std::exchange(old.path, candidate.path);
    }
  }
  const auto place =
      std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& other) {
        return RoutePreference(other.source) > RoutePreference(candidate.source);
      });
  candidates.insert(place, candidate);
  return kNoPath;
}

// The path that this source had.
RouteTable::PathId RouteTable::TakeCandidate(RouteEntry& entry, RouteSource source) {
  Candidate room;
  const std::span<const Candidate> candidates = CandidatesOf(entry, room);
  const auto found =
      std::find_if(candidates.begin(), candidates.end(),
                   [source](const Candidate& candidate) { return candidate.source == source; });
  if (found == candidates.end()) {
    return kNoPath;
  }
  const PathId path = found->path;
  if (entry.holder != RouteEntry::kSeveral) {
    entry.holder = RouteEntry::kNobody;
    return path;
  }
  std::vector<Candidate>& list = several_[entry.path];
  list.erase(list.begin() + (found - candidates.begin()));
  if (list.size() == 1) {
    free_several_.push_back(entry.path);
    entry.holder = HolderOf(list.front().source) & 0xf;
    entry.path = list.front().path;
  }
  return path;
}

// Takes over one use of the path.
Status RouteTable::Put(const Prefix& prefix, RouteSource source, PathId id) {
  RouteEntry& entry = *wanted_.FindOrInsert(prefix);
  const PathId old = PutCandidate(entry, {source, id});
  if (source == RouteSource::kBgp) {
    CountLearned(entry, old == kNoPath);
  }
  const Status installed = InstallWithProtected(prefix, entry);
  if (old != kNoPath) {
    Unuse(old);
  } else if (!installed) {
    (void)Remove(prefix, source);  // a full table: nothing is kept half
    return installed;
  }
  if (old != id) {
    Changed(prefix, source);
  }
  return installed;
}

Status RouteTable::Set(const Prefix& prefix, RouteSource source, RoutePath path) {
  if (const Status checked = Check(prefix, path); !checked) {
    return checked;
  }
  if (const RouteEntry* entry = wanted_.Find(prefix)) {
    Candidate room;
    for (const Candidate& candidate : CandidatesOf(*entry, room)) {
      if (candidate.source != source || paths_[candidate.path].named) {
        continue;
      }
      if (paths_[candidate.path].wanted == path) {
        return {};
      }
      if (ReplaceInPlace(candidate.path, path)) {
        Changed(prefix, source);
        return {};
      }
    }
  }
  return Put(prefix, source, Use(std::move(path)));
}

Status RouteTable::Remove(const Prefix& prefix, RouteSource source) {
  RouteEntry* entry = wanted_.Find(prefix);
  const PathId path = entry == nullptr ? kNoPath : TakeCandidate(*entry, source);
  if (path == kNoPath) {
    return Fail(Errc::kNotFound, "there is no {} route {}", RouteSourceName(source),
                prefix.ToString());
  }
  if (source == RouteSource::kBgp) {
    --learned_;
    stale_ -= entry->generation != generation_ ? 1 : 0;
  }
  const Status installed = InstallWithProtected(prefix, *entry);
  Unuse(path);
  Changed(prefix, source);
  return installed;
}

void RouteTable::RemoveAll(RouteSource source) {
  for (const Prefix& prefix : PrefixesOf(source)) {
    (void)Remove(prefix, source);  // cannot fail: it was listed
  }
}

std::vector<Prefix> RouteTable::PrefixesOf(RouteSource source) const {
  std::vector<Prefix> prefixes;
  wanted_.ForEach([&](const Prefix& prefix, const RouteEntry& entry) {
    Candidate room;
    for (const Candidate& candidate : CandidatesOf(entry, room)) {
      if (candidate.source == source) {
        prefixes.push_back(prefix);
      }
    }
  });
  std::sort(prefixes.begin(), prefixes.end());
  return prefixes;
}

const RoutePath* RouteTable::Find(const Prefix& prefix, RouteSource source) const {
  if (const RouteEntry* entry = wanted_.Find(prefix)) {
    Candidate room;
    for (const Candidate& candidate : CandidatesOf(*entry, room)) {
      if (candidate.source == source) {
        return &paths_[candidate.path].wanted;
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
    (void)Install(prefix, *wanted_.FindOrInsert(prefix));
  }
  for (const Prefix& outer : touched) {
    InstallInside(outer);
  }
  Changed();
}

// The prefix itself and all that lie inside it.
void RouteTable::InstallInside(const Prefix& outer) {
  std::vector<Prefix> inside{outer};
  tables_.fib.Visit(outer.family(), outer, [&](const Fib::Match& match) {
    if (!outer.Contains(match.prefix)) {
      return false;
    }
    inside.push_back(match.prefix);
    return true;
  });
  for (const Prefix& prefix : inside) {
    if (const Status installed = Install(prefix); !installed) {
      Log("route").error("route {}: {}", prefix.ToString(), installed.error().message);
    }
  }
}

void RouteTable::InstallAllProtected() {
  for (const Prefix& outer : protected_) {
    InstallInside(outer);
  }
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
uint32_t RouteTable::Effective(const Prefix& prefix, const RouteEntry& entry) const {
  const Path* path = Best(entry);
  if (path == nullptr) {
    return EffectiveOfProtected(prefix);
  }
  return path->clear && ProtectedBy(prefix) ? kNextHopProtected : path->next_hop;
}

// A protected prefix without a route of its own follows the route that covers it, if that is a
// tunnel.
uint32_t RouteTable::EffectiveOfProtected(const Prefix& prefix) const {
  for (int length = prefix.length() - 1; length >= 0; --length) {
    const RouteEntry* entry = wanted_.Find(Prefix(prefix.address(), static_cast<uint8_t>(length)));
    const Path* path = entry == nullptr ? nullptr : Best(*entry);
    if (path != nullptr) {
      return path->tunnels && !path->clear ? path->next_hop : kNextHopProtected;
    }
  }
  return kNextHopProtected;
}

Status RouteTable::Install(const Prefix& prefix) {
  RouteEntry* entry = wanted_.Find(prefix);
  return entry == nullptr ? Status() : Install(prefix, *entry);
}

// The entry may be gone afterwards.
Status RouteTable::Install(const Prefix& prefix, RouteEntry& entry) {
  if (entry.holder == RouteEntry::kNobody && !protected_.contains(prefix)) {
    Status removed;
    if (entry.installed != kNextHopNoRoute) {
      removed = tables_.fib.Remove(prefix);
    }
    wanted_.Erase(prefix);
    return removed;
  }
  const uint32_t next_hop = Effective(prefix, entry);
  if (entry.installed == next_hop) {
    return {};
  }
  const Status set = tables_.fib.Set(prefix, next_hop);
  if (set) {
    entry.installed = next_hop & (kMaxNextHops - 1);
  }
  return set;
}

// The protected prefixes below follow; they go first when the new answer could be a port, but since
// each has an entry of its own the order does not matter to packets inside them.
Status RouteTable::InstallWithProtected(const Prefix& prefix, RouteEntry& entry) {
  const Status installed = Install(prefix, entry);
  for (auto inner = protected_.lower_bound(prefix);
       inner != protected_.end() && prefix.Contains(*inner); ++inner) {
    if (*inner != prefix) {
      (void)Install(*inner);  // cannot be full: the prefix is in the table
    }
  }
  return installed;
}

void RouteTable::Changed() {
  if (on_change_) {
    on_change_();
  }
}

void RouteTable::Changed(const Prefix& prefix, RouteSource source) {
  if (source == RouteSource::kStatic || source == RouteSource::kControl) {
    if (Find(prefix, RouteSource::kStatic) != nullptr ||
        Find(prefix, RouteSource::kControl) != nullptr) {
      hand_made_.insert(prefix);
    } else {
      hand_made_.erase(prefix);
    }
  }
  Changed();
}

}  // namespace penstock
