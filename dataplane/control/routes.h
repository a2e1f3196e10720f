// The wanted routes of all sources, and what of them stands in the FIB: the one place where routes
// are added, replaced and removed, and where protected prefixes are kept from the ports.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/ip_address.h"
#include "dataplane/base/result.h"
#include "dataplane/control/wanted_routes.h"
#include "dataplane/stages/context.h"

namespace penstock {

// Who wants a route. One prefix may have a route of each source; the one of the lowest preference
// is in force.
enum class RouteSource : uint8_t { kLocal, kConnected, kControl, kStatic, kBgp };
const char* RouteSourceName(RouteSource source);
uint32_t RoutePreference(RouteSource source);

enum class RouteAction : uint8_t { kForward, kLocal, kBlackhole, kUnreachable, kProhibit };

// One next hop as it is wanted: a tunnel by name, or a neighbour's address (the port is found by
// the connected networks unless it is named), or a port alone (the destinations are on its link).
struct RouteVia {
  std::string tunnel;
  std::optional<IpAddress> address;
  uint16_t port = kNoPort;
  uint32_t weight = 1;
  bool standby = false;  // carries only while no ordinary next hop is alive
  friend auto operator<=>(const RouteVia&, const RouteVia&) = default;
  friend bool operator==(const RouteVia&, const RouteVia&) = default;
};

struct RoutePath {
  RouteAction action = RouteAction::kForward;
  std::vector<RouteVia> via;  // for kForward: 1 to kMaxGroupMembers; none: unreachable
  friend auto operator<=>(const RoutePath&, const RoutePath&) = default;
  friend bool operator==(const RoutePath&, const RoutePath&) = default;
};

// Control thread only.
//
// Protected prefixes: no destination inside one ever resolves to a port. A clear route inside is
// installed as kNextHopProtected and kept as wanted; the protected prefix itself has an entry
// always: its own route's or a covering route's tunnel, else kNextHopProtected. Each single change
// of the FIB keeps that true, so there is no moment between two of them in which it is not.
class RouteTable {
 public:
  explicit RouteTable(GatewayTables& tables);
  ~RouteTable();
  RouteTable(const RouteTable&) = delete;
  RouteTable& operator=(const RouteTable&) = delete;

  // Called for every forward next hop that is made, so that its neighbour gets resolved.
  void OnForward(std::function<void(uint32_t next_hop)> callback) {
    on_forward_ = std::move(callback);
  }
  // Called after changes that may move tunnels' outer packets.
  void OnChange(std::function<void()> callback) { on_change_ = std::move(callback); }

  // Adds or replaces the route of this source. Errors: no such tunnel or port, families that do not
  // go together, too many next hops, table full. A next hop that cannot be resolved now is no
  // error: the prefix is unreachable until it can (never left to a shorter prefix).
  Status Set(const Prefix& prefix, RouteSource source, RoutePath path);
  Status Remove(const Prefix& prefix, RouteSource source);  // kNotFound
  void RemoveAll(RouteSource source);
  std::vector<Prefix> PrefixesOf(RouteSource source) const;
  const RoutePath* Find(const Prefix& prefix, RouteSource source) const;

  // Routes of a routing protocol (kBgp): they name a path that was made before and may change under
  // them. SetPath moves all routes of the path at once, in the next hop table, and flows of next
  // hops that stay keep their next hop. Error: too many next hops; the path is unreachable then.
  using PathId = uint32_t;
  PathId AddPath();  // unreachable until it is set
  Status SetPath(PathId id, RoutePath path, std::string problem = "");
  void RemovePath(PathId id);  // goes with its last route
  Status SetLearned(const Prefix& prefix, PathId id);
  void PrefetchLearned(const Prefix& prefix) const { wanted_.Prefetch(prefix); }
  // Mark and sweep: all learned routes become stale, SetLearned makes one fresh, SweepLearned
  // removes at most `most` stale ones and returns how many.
  void MarkLearned();
  size_t SweepLearned(size_t most);
  size_t stale() const { return stale_; }
  size_t learned() const { return learned_; }
  // A packet by this path would be carried: a tunnel with a live SA, or a port.
  bool IsAlive(PathId id) const;
  const std::string& problem(PathId id) const { return paths_[id].problem; }
  void VisitLearned(PathId id, const std::function<void(const Prefix&)>& visit) const;

  size_t memory_bytes() const { return wanted_.memory_bytes(); }
  // The prefixes that have static or control routes.
  const std::set<Prefix>& hand_made() const { return hand_made_; }
  // The next hop with its port or tunnel filled in from the connected networks; nothing if none has
  // it.
  std::optional<RouteVia> LinkOf(const RouteVia& via) const;

  // Networks on a port's link or inside a tunnel, by which gateways are found. The route to the
  // network itself is part of it.
  Status AddConnected(const Prefix& prefix, const RouteVia& link);
  void RemoveConnected(const Prefix& prefix, const RouteVia& link);

  void SetProtected(const std::vector<Prefix>& prefixes);
  const std::set<Prefix>& protected_prefixes() const { return protected_; }
  // The protected prefix that this one lies in, if any.
  std::optional<Prefix> ProtectedBy(const Prefix& prefix) const;

  // Finds all next hops anew: a tunnel came or went.
  void Resolve();

  // The way of an encrypted packet to a tunnel's peer: over a port, never into a tunnel, and as
  // wanted: what is protected is what is inside, so the peer may lie in a protected prefix.
  // `next_hop` is held for the caller, who releases it.
  struct Outer {
    uint32_t next_hop = kNextHopNoRoute;
    uint16_t port = kNoPort;
    std::string problem;  // why there is none
  };
  Outer ResolveOuter(const IpAddress& remote, uint32_t flow_hash);

  struct View {
    Prefix prefix;
    RouteSource source = RouteSource::kStatic;
    RoutePath path;
    bool active = false;
    bool is_protected = false;  // the protected prefix's own entry; source and path mean nothing
    uint32_t next_hop = 0;      // in force in the FIB
    std::string note;
  };
  // In order of prefix; `from` (exclusive) goes on after an earlier page. Stops when `visit`
  // returns false; all routes of one prefix are given together.
  void Visit(const std::optional<Prefix>& from,
             const std::function<bool(const std::vector<View>&)>& visit) const;
  std::vector<View> ViewsOf(const Prefix& prefix) const;

 private:
  // Where routes lead. Paths that are equal are shared, but for those of AddPath.
  struct Path {
    RoutePath wanted;
    std::vector<GroupMember> members;  // found next hops; held by the group, or by the path itself
    uint32_t next_hop = kNextHopUnreachable;
    bool owns = false;      // a reference to next_hop
    bool in_place = false;  // next_hop is a group of its own, which follows changes
    bool named = false;     // of AddPath
    bool removed = false;   // by RemovePath, and waits for its last route
    bool clear = false;     // leaves by a port, wholly or in part
    bool tunnels = false;   // has a tunnel
    std::string problem;
    std::string given_problem;  // of SetPath
    size_t users = 0;
    bool in_use = false;
  };
  struct Members {
    std::vector<GroupMember> found;  // each held
    bool clear = false;
    bool tunnels = false;
    std::string problem;
  };
  struct Candidate {
    RouteSource source = RouteSource::kStatic;
    PathId path = 0;
  };
  static constexpr PathId kNoPath = UINT32_MAX;

  Status Check(const Prefix& prefix, const RoutePath& path) const;

  // route_paths.cc
  PathId NewPath(RoutePath wanted);
  PathId Use(RoutePath path);
  void Unuse(PathId id);
  void Discard(PathId id);
  Members FindMembers(const Path& path);
  Result<uint32_t> ResolveVia(const RouteVia& via, Members& members);
  void ReleaseAll(const std::vector<GroupMember>& members);
  void Bind(Path& path, Members members);
  bool Retarget(Path& path, Members members);
  bool Rebind(Path& path, Members members, std::vector<uint32_t>& released);
  bool ReplaceInPlace(PathId id, const RoutePath& wanted);
  const std::pair<Prefix, RouteVia>* FindConnected(const IpAddress& address) const;

  // What a prefix has.
  std::span<const Candidate> CandidatesOf(const RouteEntry& entry, Candidate& room) const;
  const Path* Best(const RouteEntry& entry) const;
  PathId PutCandidate(RouteEntry& entry, Candidate candidate);
  PathId TakeCandidate(RouteEntry& entry, RouteSource source);
  Status Put(const Prefix& prefix, RouteSource source, PathId id);
  void CountLearned(RouteEntry& entry, bool is_new);

  uint32_t Effective(const Prefix& prefix, const RouteEntry& entry) const;
  uint32_t EffectiveOfProtected(const Prefix& prefix) const;
  Status Install(const Prefix& prefix);
  Status Install(const Prefix& prefix, RouteEntry& entry);
  Status InstallWithProtected(const Prefix& prefix, RouteEntry& entry);
  void InstallInside(const Prefix& outer);
  void InstallAllProtected();
  std::vector<View> MakeViews(const Prefix& prefix, const RouteEntry& entry) const;
  void Changed();
  void Changed(const Prefix& prefix, RouteSource source);

  GatewayTables& tables_;
  std::function<void(uint32_t)> on_forward_;
  std::function<void()> on_change_;
  std::deque<Path> paths_;
  std::vector<PathId> free_paths_;
  std::map<RoutePath, PathId> shared_paths_;
  WantedRoutes wanted_;
  std::deque<std::vector<Candidate>> several_;  // sorted by preference
  std::vector<uint32_t> free_several_;
  std::vector<std::pair<Prefix, RouteVia>> connected_;
  std::set<Prefix> protected_;
  std::set<Prefix> hand_made_;
  size_t learned_ = 0;
  size_t stale_ = 0;
  uint32_t generation_ = 1;
  size_t sweep_slot_ = 0;
};

}  // namespace penstock
