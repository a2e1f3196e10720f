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

RouteTable::Paths::value_type* RouteTable::Use(RoutePath path) {
  auto [entry, is_new] = paths_.try_emplace(std::move(path));
  if (is_new) {
    entry->second = ResolvePath(entry->first);
  }
  ++entry->second.users;
  return &*entry;
}

void RouteTable::Unuse(Paths::value_type* path) {
  if (--path->second.users == 0) {
    if (path->second.owns) {
      tables_.next_hops.Release(path->second.next_hop);
    }
    paths_.erase(path->first);
  }
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
Result<uint32_t> RouteTable::ResolveVia(const RouteVia& via, bool& clear) {
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
    return tables_.next_hops.AddTunnel(id);
  }
  clear = true;
  if (!via.address) {
    return tables_.next_hops.AddGlean(port);
  }
  Result<uint32_t> next_hop = tables_.next_hops.AddForward(port, *via.address);
  if (next_hop && on_forward_) {
    on_forward_(*next_hop);
  }
  return next_hop;
}

RouteTable::Path RouteTable::ResolvePath(const RoutePath& path) {
  Path state;
  state.next_hop = FixedNextHop(path.action);
  std::vector<GroupMember> members;
  for (const RouteVia& via : path.via) {
    Result<uint32_t> member = ResolveVia(via, state.clear);
    if (member) {
      members.push_back({*member, via.weight});
    } else {
      state.problem += (state.problem.empty() ? "" : "; ") + member.error().message;
    }
  }
  if (members.size() == 1) {
    state.next_hop = members.front().next_hop;
    state.owns = true;
  } else if (members.size() > 1) {
    const Result<uint32_t> group = tables_.next_hops.AddGroup(members);
    for (const GroupMember& member : members) {
      tables_.next_hops.Release(member.next_hop);  // the group holds them now
    }
    if (group) {
      state.next_hop = *group;
      state.owns = true;
    } else {
      state.problem += (state.problem.empty() ? "" : "; ") + group.error().message;
    }
  }
  return state;
}

// A group that only this route uses takes new members in place, so that few flows move.
bool RouteTable::ReplaceInPlace(Candidate& candidate, const RoutePath& path) {
  Path& old = candidate.path->second;
  const bool groups = old.owns && tables_.next_hops[old.next_hop].kind == NextHopKind::kGroup &&
                      path.action == RouteAction::kForward && path.via.size() > 1;
  if (!groups || old.users != 1 || tables_.next_hops.references(old.next_hop) != 1 ||
      paths_.contains(path)) {
    return false;
  }
  std::vector<GroupMember> members;
  bool clear = false;
  bool complete = true;
  for (const RouteVia& via : path.via) {
    const Result<uint32_t> member = ResolveVia(via, clear);
    complete = complete && member;
    if (member) {
      members.push_back({*member, via.weight});
    }
  }
  // A group that turns from tunnels to ports must leave protected prefixes first: the long way.
  const bool done = complete && clear == old.clear &&
                    tables_.next_hops.UpdateGroup(old.next_hop, members).has_value();
  for (const GroupMember& member : members) {
    tables_.next_hops.Release(member.next_hop);
  }
  if (!done) {
    return false;
  }
  auto node = paths_.extract(candidate.path->first);
  node.key() = path;
  node.mapped().problem.clear();
  candidate.path = &*paths_.insert(std::move(node)).position;
  return true;
}

void RouteTable::Resolve() {
  std::vector<uint32_t> released;
  bool moved = false;
  for (auto& [path, state] : paths_) {
    if (path.action != RouteAction::kForward) {
      continue;
    }
    Path next = ResolvePath(path);
    const bool same = next.next_hop == state.next_hop && next.owns == state.owns;
    moved = moved || !same || next.clear != state.clear;
    if (state.owns) {
      released.push_back(state.next_hop);
    }
    next.users = state.users;
    state = std::move(next);
  }
  if (moved) {
    std::vector<Prefix> prefixes;
    prefixes.reserve(wanted_.size());
    for (const auto& [prefix, wanted] : wanted_) {
      prefixes.push_back(prefix);
    }
    for (const Prefix& prefix : prefixes) {
      if (const Status installed = Install(prefix); !installed) {
        Log("route").error("route {}: {}", prefix.ToString(), installed.error().message);
      }
    }
  }
  for (const uint32_t next_hop : released) {
    tables_.next_hops.Release(next_hop);
  }
  if (moved) {
    Changed();
  }
}

RouteTable::Outer RouteTable::ResolveOuter(const IpAddress& remote, uint32_t flow_hash) {
  Outer outer;
  for (int length = remote.max_prefix_length(); length >= 0; --length) {
    const auto entry = wanted_.find(Prefix(remote, static_cast<uint8_t>(length)));
    if (entry == wanted_.end() || entry->second.candidates.empty()) {
      continue;
    }
    const Path& path = entry->second.candidates.front().path->second;
    const uint32_t member = tables_.next_hops.Resolve(path.next_hop, flow_hash);
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
      outer.problem = fmt::format("the route {} to the peer {} does not leave by a port: {}",
                                  entry->first.ToString(), remote.ToString(),
                                  tables_.next_hops.ToString(member));
    }
    return outer;
  }
  outer.problem = fmt::format("no route to the peer {}", remote.ToString());
  return outer;
}

}  // namespace penstock
