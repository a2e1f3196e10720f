#include "fpm_client/next_hop_table.h"

#include <algorithm>
#include <utility>

namespace penstock::fpm {
namespace {

// Groups of groups of ...: zebra itself nests once.
constexpr unsigned kMaxDepth = 8;
// The gateway takes 64 members; a group that names more, by nesting, is not unfolded any further.
constexpr size_t kMaxHops = 256;
constexpr size_t kMaxInlinePaths = 4096;
// Steps of one unfolding and of one change upwards: what is woven to be endless ends there.
constexpr unsigned kMaxUnfoldSteps = 4096;
constexpr unsigned kMaxUpdateSteps = 100'000;

template <typename T>
void AppendBytes(std::string& key, const T& value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string KeyOf(const Path& path) {
  std::string key;
  AppendBytes(key, path.action);
  for (const Hop& hop : path.hops) {
    AppendBytes(key, hop.interface);
    AppendBytes(key, hop.weight);
    key.push_back(hop.onlink ? 1 : 0);
    key += hop.gateway ? hop.gateway->ToBytes() : "";
    key.push_back(hop.gateway ? static_cast<char>(hop.gateway->size()) : 0);
  }
  return key;
}

}  // namespace

NextHopTable::Outcome NextHopTable::Apply(const NextHopChange& change) {
  Outcome outcome;
  if (change.remove) {
    Remove(change.id);
    return outcome;
  }
  Record& record = records_[change.id];
  Unlink(change.id, record);
  if (record.path && record.round != round_) {
    // A restarted zebra may have given the number to another next hop. Routes of before keep what
    // they had until they are told again.
    ReleasePath(*record.path);
    record.path.reset();
  }
  record.group = change.group;
  record.action = change.action;
  record.hop = change.hop;
  record.round = round_;
  record.known = true;
  groups_ += record.group.empty() ? 0 : 1;
  for (const GroupMemberId& member : change.group) {
    records_[member.id].parents.push_back(change.id);  // may make a record that is not known yet
  }
  unsigned steps = kMaxUpdateSteps;
  Update(change.id, 0, steps, outcome);
  return outcome;
}

// Takes the record's membership out of its members, before it changes.
void NextHopTable::Unlink(uint32_t id, Record& record) {
  groups_ -= record.group.empty() ? 0 : 1;
  const std::vector<GroupMemberId> members = std::exchange(record.group, {});
  for (const GroupMemberId& member : members) {
    const auto found = records_.find(member.id);
    if (found == records_.end()) {
      continue;
    }
    std::erase(found->second.parents, id);
    if (!found->second.known && found->second.parents.empty()) {
      records_.erase(found);
    }
  }
}

void NextHopTable::Remove(uint32_t id) {
  const auto found = records_.find(id);
  if (found == records_.end() || !found->second.known) {
    return;
  }
  Unlink(id, found->second);
  if (found->second.path) {
    ReleasePath(*found->second.path);  // what routes are left with it keep it
    found->second.path.reset();
  }
  found->second.known = false;
  if (found->second.parents.empty()) {
    records_.erase(found);
  }
}

void NextHopTable::Forget() {
  std::vector<uint32_t> old;
  for (const auto& [id, record] : records_) {
    if (record.known && record.round != round_) {
      old.push_back(id);
    }
  }
  for (const uint32_t id : old) {
    Remove(id);
  }
}

// False if a part has not come, or the nesting has no end.
bool NextHopTable::Collect(uint32_t id, uint32_t weight, unsigned depth, unsigned& steps,
                           Path& path) const {
  const auto found = records_.find(id);
  if (found == records_.end() || !found->second.known || depth == kMaxDepth || steps == 0) {
    return false;
  }
  --steps;
  const Record& record = found->second;
  if (record.group.empty()) {
    if (record.action != PathAction::kForward) {
      path.action = record.action;
    } else if (path.hops.size() < kMaxHops) {
      path.hops.push_back(record.hop);
      path.hops.back().weight = weight;
    }
    return true;
  }
  return std::all_of(record.group.begin(), record.group.end(), [&](const GroupMemberId& member) {
    return Collect(member.id, weight * member.weight, depth + 1, steps, path);
  });
}

std::optional<Path> NextHopTable::Resolve(uint32_t id) const {
  Path path;
  unsigned steps = kMaxUnfoldSteps;
  if (!Collect(id, 1, 0, steps, path)) {
    return std::nullopt;
  }
  if (!path.hops.empty()) {
    path.action = PathAction::kForward;
  }
  return path;
}

// The path of a number and of all groups above it.
void NextHopTable::Update(uint32_t id, unsigned depth, unsigned& steps, Outcome& outcome) {
  if (depth == kMaxDepth || steps == 0) {
    outcome.problem = Error{Errc::kInvalidArgument,
                            fmt::format("next hop group {} leads back to itself, or nests deeper "
                                        "than {}",
                                        id, kMaxDepth)};
    return;
  }
  --steps;
  Record& record = records_[id];
  if (const std::optional<Path> path = Resolve(id)) {
    if (!record.path) {
      outcome.completed.push_back(id);
    } else if (const Status set = sink_.SetPath(*record.path, *path); !set) {
      outcome.problem =
          Error{set.error().code, fmt::format("next hop {}: {}", id, set.error().message)};
    }
  }
  for (const uint32_t parent : std::vector<uint32_t>(record.parents)) {
    Update(parent, depth + 1, steps, outcome);
  }
}

std::optional<PathId> NextHopTable::PathOf(uint32_t id) {
  const auto found = records_.find(id);
  if (found == records_.end() || !found->second.known) {
    return std::nullopt;
  }
  Record& record = found->second;
  if (!record.path) {
    const std::optional<Path> path = Resolve(id);
    if (!path) {
      return std::nullopt;
    }
    record.path = TakePathId();
    (void)sink_.SetPath(*record.path, *path);  // what is wrong with it, the sink shows
  }
  return record.path;
}

PathId NextHopTable::PathOf(const Path& path) {
  std::string key = KeyOf(path);
  if (const auto found = inline_by_key_.find(key); found != inline_by_key_.end()) {
    inline_paths_.splice(inline_paths_.begin(), inline_paths_, found->second);
    return inline_paths_.front().id;
  }
  if (inline_paths_.size() == kMaxInlinePaths) {
    inline_by_key_.erase(inline_paths_.back().key);
    ReleasePath(inline_paths_.back().id);
    inline_paths_.pop_back();
  }
  const PathId id = TakePathId();
  inline_paths_.push_front({std::move(key), id});
  inline_by_key_.emplace(inline_paths_.front().key, inline_paths_.begin());
  (void)sink_.SetPath(id, path);
  return id;
}

PathId NextHopTable::TakePathId() {
  ++path_count_;
  if (free_paths_.empty()) {
    return next_path_++;
  }
  const PathId id = free_paths_.back();
  free_paths_.pop_back();
  return id;
}

void NextHopTable::ReleasePath(PathId id) {
  --path_count_;
  free_paths_.push_back(id);
  sink_.RemovePath(id);
}

}  // namespace penstock::fpm
