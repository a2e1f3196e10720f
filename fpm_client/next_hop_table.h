// zebra's next hop objects and groups, by their numbers, and the paths that they make. A route
// names a number; what stands behind it may come later, change in place, or be nested.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fpm_client/route_message.h"
#include "fpm_client/route_sink.h"

namespace penstock::fpm {

// Control thread only. Tells the sink of each path that routes may use.
class NextHopTable {
 public:
  explicit NextHopTable(RouteSink& sink) : sink_(sink) {}

  // Adds, replaces or removes. Groups that name it follow, and the paths of all of them. Returns
  // the numbers that have become complete by it: routes that wait for them may go on. Errors:
  // zebra's groups lead in a circle or nest too deep, or the sink refuses the path; the text is for
  // people.
  struct Outcome {
    std::vector<uint32_t> completed;
    std::optional<Error> problem;
  };
  Outcome Apply(const NextHopChange& change);

  // The path of a number; nothing while it, or a part of it, has not come.
  std::optional<PathId> PathOf(uint32_t id);
  // The path of next hops that stand in a route itself.
  PathId PathOf(const Path& path);

  // A new connection tells all anew: what is not told again goes with Forget.
  void MarkAll() { ++round_; }
  void Forget();  // everything that was not told since MarkAll

  size_t next_hops() const { return records_.size() - groups_; }
  size_t groups() const { return groups_; }
  size_t paths() const { return path_count_; }

 private:
  struct Record {
    std::vector<GroupMemberId> group;
    PathAction action = PathAction::kForward;
    Hop hop;
    uint64_t round = 0;
    std::vector<uint32_t> parents;  // groups that name it
    std::optional<PathId> path;     // once a route asked for it
    bool known = false;             // false: only named by a group so far
  };
  // Next hops that stood in a route itself; the one used last in front. When one falls out at the
  // end, its routes keep it.
  struct Inline {
    std::string key;
    PathId id;
  };

  void Remove(uint32_t id);
  void Unlink(uint32_t id, Record& record);
  bool Collect(uint32_t id, uint32_t weight, unsigned depth, unsigned& steps, Path& path) const;
  std::optional<Path> Resolve(uint32_t id) const;
  void Update(uint32_t id, unsigned depth, unsigned& steps, Outcome& outcome);
  PathId TakePathId();
  void ReleasePath(PathId id);

  RouteSink& sink_;
  std::unordered_map<uint32_t, Record> records_;
  std::list<Inline> inline_paths_;
  std::unordered_map<std::string_view, std::list<Inline>::iterator> inline_by_key_;
  std::vector<PathId> free_paths_;
  PathId next_path_ = 0;
  size_t path_count_ = 0;
  size_t groups_ = 0;
  uint64_t round_ = 0;
};

}  // namespace penstock::fpm
