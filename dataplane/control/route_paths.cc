// How wanted next hops become indices of the NextHopTable: the second half of RouteTable.
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/control/routes.h"

namespace penstock {
namespace {

uint32_t FixedNextHop(RouteAction action) {
  switch (action) {
    case RouteAction::kLocal:
      return kNextHopLocal;
    case RouteAction::kBlackhole:
      return kNextHopBlackhole;
    case RouteAction::kProhibit:
      return kNextHopProhibit;
    case RouteAction::kForward:
    case RouteAction::kUnreachable:
      break;
  }
  return kNextHopUnreachable;
}

}  // namespace

RouteTable::PathId RouteTable::NewPath(RoutePath wanted) {
  PathId id = static_cast<PathId>(paths_.size());
  if (free_paths_.empty()) {
    paths_.emplace_back();
  } else {
    id = free_paths_.back();
    free_paths_.pop_back();
  }
  paths_[id].wanted = std::move(wanted);
  paths_[id].in_use = true;
  return id;
}

RouteTable::PathId RouteTable::Use(RoutePath wanted) {
  const auto found = shared_paths_.find(wanted);
  PathId id;
  if (found != shared_paths_.end()) {
    id = found->second;
  } else {
    id = NewPath(wanted);
    shared_paths_.emplace(std::move(wanted), id);
    Bind(paths_[id], FindMembers(paths_[id]));
  }
  ++paths_[id].users;
  return id;
}

void RouteTable::Unuse(PathId id) {
  Path& path = paths_[id];
  if (--path.users != 0 || (path.named && !path.removed)) {
    return;
  }
  if (!path.named) {
    shared_paths_.erase(path.wanted);
  }
  Discard(id);
}

void RouteTable::Discard(PathId id) {
  Path& path = paths_[id];
  if (path.owns) {
    tables_.next_hops.Release(path.next_hop);
  }
  path = {};
  free_paths_.push_back(id);
}

// The longest connected network that holds the address.
const std::pair<Prefix, RouteVia>* RouteTable::FindConnected(const IpAddress& address) const {
  const std::pair<Prefix, RouteVia>* best = nullptr;
  for (const auto& item : connected_) {
    if (item.first.Contains(address) &&
        (best == nullptr || item.first.length() > best->first.length())) {
      best = &item;
    }
  }
  return best;
}

std::optional<RouteVia> RouteTable::LinkOf(const RouteVia& via) const {
  RouteVia link = via;
  if (link.tunnel.empty() && link.port == kNoPort) {
    const auto* connected = via.address ? FindConnected(*via.address) : nullptr;
    if (connected == nullptr) {
      return std::nullopt;
    }
    link.tunnel = connected->second.tunnel;
    link.port = connected->second.port;
  }
  return link;
}

// A held next hop for one member.
Result<uint32_t> RouteTable::ResolveVia(const RouteVia& via, Members& members) {
  const std::optional<RouteVia> link = LinkOf(via);
  if (!link) {
    return Fail(Errc::kUnavailable, "no port or tunnel has a network with the gateway {}",
                via.address ? via.address->ToString() : "");
  }
  const std::string& tunnel = link->tunnel;
  const uint16_t port = link->port;
  if (!tunnel.empty()) {
    const uint32_t id = tables_.tunnels.FindByName(tunnel);
    if (id == kNoTunnel) {
      return Fail(Errc::kUnavailable, "the tunnel {} does not exist", tunnel);
    }
    members.tunnels = true;
    return tables_.next_hops.AddTunnel(id);
  }
  members.clear = true;
  if (!via.address) {
    return tables_.next_hops.AddGlean(port);
  }
  Result<uint32_t> next_hop = tables_.next_hops.AddForward(port, *via.address);
  if (next_hop && on_forward_) {
    on_forward_(*next_hop);
  }
  return next_hop;
}

RouteTable::Members RouteTable::FindMembers(const Path& path) {
  Members members;
  members.problem = path.given_problem;
  for (const RouteVia& via : path.wanted.via) {
    const Result<uint32_t> next_hop = ResolveVia(via, members);
    if (next_hop) {
      members.found.push_back({*next_hop, via.weight, via.standby});
    } else {
      members.problem += (members.problem.empty() ? "" : "; ") + next_hop.error().message;
    }
  }
  if (members.found.empty()) {
    members.found.push_back({FixedNextHop(path.wanted.action)});
  }
  return members;
}

void RouteTable::ReleaseAll(const std::vector<GroupMember>& members) {
  for (const GroupMember& member : members) {
    tables_.next_hops.Release(member.next_hop);
  }
}

// Gives a path its next hop. What can change under its routes is a group, even of one.
void RouteTable::Bind(Path& path, Members members) {
  path.in_place = path.named || path.wanted.via.size() > 1;
  path.clear = members.clear;
  path.tunnels = members.tunnels;
  path.problem = std::move(members.problem);
  path.owns = true;
  if (path.in_place) {
    const Result<uint32_t> group = tables_.next_hops.AddGroup(members.found);
    ReleaseAll(members.found);  // the group holds them now
    path.owns = group.has_value();
    path.in_place = group.has_value();
    path.next_hop = group.value_or(kNextHopUnreachable);
    if (!group) {
      path.problem = group.error().message;
      path.clear = false;
      path.tunnels = false;
    }
  } else {
    path.next_hop = members.found.front().next_hop;
  }
  path.members = std::move(members.found);
}

// Moves a path that is a group, with all its routes, to other members; whether that changed
// anything. Before it takes a port in, and after the last port left, its routes inside protected
// prefixes are seen to.
bool RouteTable::Retarget(Path& path, Members members) {
  path.problem = std::move(members.problem);
  if (!path.in_place || path.members == members.found) {
    ReleaseAll(members.found);
    return false;
  }
  const bool sort_changes = members.clear != path.clear || members.tunnels != path.tunnels;
  path.clear = path.clear || members.clear;
  path.tunnels = path.tunnels && members.tunnels;
  if (sort_changes) {
    InstallAllProtected();
  }
  const Status updated = tables_.next_hops.UpdateGroup(path.next_hop, members.found);
  PENSTOCK_CHECK(updated.has_value());  // not too many, and each is held
  path.clear = members.clear;
  path.tunnels = members.tunnels;
  if (sort_changes) {
    InstallAllProtected();
  }
  ReleaseAll(members.found);
  path.members = std::move(members.found);
  return true;
}

// A path of a single next hop takes another one; its routes must be installed then. Whether that
// changed anything.
bool RouteTable::Rebind(Path& path, Members members, std::vector<uint32_t>& released) {
  const uint32_t old = path.next_hop;
  const bool was_clear = path.clear;
  const bool had_tunnels = path.tunnels;
  if (path.owns) {
    released.push_back(old);
  }
  Bind(path, std::move(members));
  return path.next_hop != old || path.clear != was_clear || path.tunnels != had_tunnels;
}

// A group that only this route uses takes new members in place, so that few flows move.
bool RouteTable::ReplaceInPlace(PathId id, const RoutePath& wanted) {
  Path& path = paths_[id];
  if (!path.in_place || path.users != 1 || wanted.action != RouteAction::kForward ||
      wanted.via.size() < 2 || shared_paths_.contains(wanted)) {
    return false;
  }
  shared_paths_.erase(path.wanted);
  path.wanted = wanted;
  shared_paths_.emplace(wanted, id);
  (void)Retarget(path, FindMembers(path));
  return true;
}

void RouteTable::Resolve() {
  std::vector<uint32_t> released;
  std::vector<bool> moved(paths_.size(), false);
  bool any_moved = false;
  bool changed = false;
  for (PathId id = 0; id < paths_.size(); ++id) {
    Path& path = paths_[id];
    if (!path.in_use || path.wanted.action != RouteAction::kForward) {
      continue;
    }
    Members members = FindMembers(path);
    if (path.in_place) {
      changed = Retarget(path, std::move(members)) || changed;
    } else {
      moved[id] = Rebind(path, std::move(members), released);
      any_moved = any_moved || moved[id];
    }
  }
  if (any_moved) {
    std::vector<Prefix> prefixes(protected_.begin(), protected_.end());
    wanted_.ForEach([&](const Prefix& prefix, const RouteEntry& entry) {
      Candidate room;
      const std::span<const Candidate> candidates = CandidatesOf(entry, room);
      if (!candidates.empty() && moved[candidates.front().path]) {
        prefixes.push_back(prefix);
      }
    });
    for (const Prefix& prefix : prefixes) {
      if (const Status installed = Install(prefix); !installed) {
        Log("route").error("route {}: {}", prefix.ToString(), installed.error().message);
      }
    }
  }
  for (const uint32_t next_hop : released) {
    tables_.next_hops.Release(next_hop);
  }
  if (any_moved || changed) {
    Changed();
  }
}

RouteTable::Outer RouteTable::ResolveOuter(const IpAddress& remote, uint32_t flow_hash) {
  Outer outer;
  for (int length = remote.max_prefix_length(); length >= 0; --length) {
    const Prefix prefix(remote, static_cast<uint8_t>(length));
    const RouteEntry* entry = wanted_.Find(prefix);
    const Path* path = entry == nullptr ? nullptr : Best(*entry);
    if (path == nullptr) {
      continue;
    }
    const uint32_t member = tables_.next_hops.Resolve(path->next_hop, flow_hash);
    const NextHop& next_hop = tables_.next_hops[member];
    if (next_hop.kind == NextHopKind::kForward) {
      tables_.next_hops.Hold(member);
      outer.next_hop = member;
      outer.port = next_hop.port;
    } else if (next_hop.kind == NextHopKind::kGlean) {
      const Result<uint32_t> neighbor = tables_.next_hops.AddForward(next_hop.port, remote);
      if (!neighbor) {
        outer.problem = neighbor.error().message;
        return outer;
      }
      if (on_forward_) {
        on_forward_(*neighbor);
      }
      outer.next_hop = *neighbor;
      outer.port = next_hop.port;
    } else {
      outer.problem =
          fmt::format("the route {} to the peer {} does not leave by a port: {}", prefix.ToString(),
                      remote.ToString(), tables_.next_hops.ToString(member));
    }
    return outer;
  }
  outer.problem = fmt::format("no route to the peer {}", remote.ToString());
  return outer;
}

}  // namespace penstock
