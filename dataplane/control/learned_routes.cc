// Routes of a routing protocol: RouteTable's part for many routes over few paths.
#include <utility>

#include "dataplane/control/routes.h"

namespace penstock {

RouteTable::PathId RouteTable::AddPath() {
  const PathId id = NewPath({});
  Path& path = paths_[id];
  path.named = true;
  Bind(path, FindMembers(path));
  return id;
}

Status RouteTable::SetPath(PathId id, RoutePath wanted, std::string problem) {
  Path& path = paths_[id];
  PENSTOCK_CHECK(path.in_use && path.named);
  Status status;
  if (wanted.via.size() > kMaxGroupMembers) {
    status = Fail(Errc::kInvalidArgument, "{} next hops: at most {} are possible",
                  wanted.via.size(), kMaxGroupMembers);
    problem = status.error().message;
    wanted = {};
  }
  if (!path.in_place) {
    return Fail(Errc::kExhausted, "all {} next hops are in use", kMaxNextHops);
  }
  path.wanted = std::move(wanted);
  path.given_problem = std::move(problem);
  if (Retarget(path, FindMembers(path))) {
    Changed();
  }
  return status;
}

void RouteTable::RemovePath(PathId id) {
  PENSTOCK_CHECK(paths_[id].in_use && paths_[id].named);
  paths_[id].removed = true;
  if (paths_[id].users == 0) {
    Discard(id);
  }
}

Status RouteTable::SetLearned(const Prefix& prefix, PathId id) {
  ++paths_[id].users;
  return Put(prefix, RouteSource::kBgp, id);
}

void RouteTable::CountLearned(RouteEntry& entry, bool is_new) {
  if (is_new) {
    ++learned_;
  } else if (entry.generation != generation_) {
    --stale_;
  }
  entry.generation = generation_;
}

// A route is stale if its generation is not the present one; 2^32 marks do not happen.
void RouteTable::MarkLearned() {
  ++generation_;
  stale_ = learned_;
  sweep_slot_ = 0;
}

size_t RouteTable::SweepLearned(size_t most) {
  size_t removed = 0;
  while (removed < most && stale_ > 0) {
    if (sweep_slot_ >= wanted_.slots()) {
      sweep_slot_ = 0;  // the table grew meanwhile
    }
    Prefix prefix;
    const RouteEntry* entry = wanted_.At(sweep_slot_, prefix);
    Candidate room;
    bool stale = false;
    if (entry != nullptr && entry->generation != generation_) {
      for (const Candidate& candidate : CandidatesOf(*entry, room)) {
        stale = stale || candidate.source == RouteSource::kBgp;
      }
    }
    if (stale) {
      (void)Remove(prefix, RouteSource::kBgp);  // another entry may stand in this slot now
      ++removed;
    } else {
      ++sweep_slot_;
    }
  }
  return removed;
}

bool RouteTable::IsAlive(PathId id) const {
  const Path& path = paths_[id];
  if (path.wanted.action != RouteAction::kForward) {
    return true;  // what it says is done
  }
  for (const GroupMember& member : path.members) {
    if (member.next_hop >= kFirstFreeNextHop && tables_.next_hops.alive(member.next_hop)) {
      return true;
    }
  }
  return false;
}

void RouteTable::VisitLearned(PathId id, const std::function<void(const Prefix&)>& visit) const {
  std::vector<Prefix> prefixes;  // the visitor may change routes
  wanted_.ForEach([&](const Prefix& prefix, const RouteEntry& entry) {
    Candidate room;
    for (const Candidate& candidate : CandidatesOf(entry, room)) {
      if (candidate.source == RouteSource::kBgp && candidate.path == id) {
        prefixes.push_back(prefix);
      }
    }
  });
  for (const Prefix& prefix : prefixes) {
    visit(prefix);
  }
}

}  // namespace penstock
