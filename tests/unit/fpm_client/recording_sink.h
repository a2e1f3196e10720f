// A RouteSink that keeps what it is told, and fails the test when it is told what its header
// forbids.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fpm_client/route_sink.h"

namespace penstock::fpm {

class RecordingSink : public RouteSink {
 public:
  Status SetPath(PathId id, const Path& path) override {
    paths_.insert_or_assign(id, path);
    if (path.hops.size() > most_hops_) {
      return Fail(Errc::kExhausted, "{} hops are more than {}", path.hops.size(), most_hops_);
    }
    return {};
  }

  // The routes that are left keep what the path was, as in the gateway.
  void RemovePath(PathId id) override {
    const auto found = paths_.find(id);
    ASSERT_NE(found, paths_.end()) << "path " << id << " was never set";
    for (auto& [prefix, route] : routes_) {
      if (route.path == id && !route.orphan) {
        route.orphan = found->second;
      }
    }
    paths_.erase(found);
  }

  void Apply(std::span<const RouteUpdate> updates) override {
    ++applied_;
    for (const RouteUpdate& update : updates) {
      const std::string prefix = update.prefix.ToString();
      history_[prefix] += update.withdraw ? "-" : "+";
      if (update.withdraw) {
        routes_.erase(prefix);
        continue;
      }
      ASSERT_TRUE(paths_.contains(update.path)) << prefix << " by unknown path " << update.path;
      routes_[prefix] = {update.prefix, update.path, {}, true};
    }
  }

  void MarkAll() override {
    for (auto& [prefix, route] : routes_) {
      route.fresh = false;
    }
  }
  size_t Sweep(size_t most) override {
    size_t removed = 0;
    for (auto route = routes_.begin(); route != routes_.end() && removed < most;) {
      route = route->second.fresh ? std::next(route) : (++removed, routes_.erase(route));
    }
    return removed;
  }
  size_t stale() const override {
    size_t count = 0;
    for (const auto& [prefix, route] : routes_) {
      count += route.fresh ? 0 : 1;
    }
    return count;
  }
  size_t size() const override { return routes_.size(); }

  bool Alive(PathId id) const override { return !dead_.contains(id); }
  void OnAlive(std::function<void(PathId, bool)> callback) override { on_alive_ = callback; }
  void VisitRoutes(PathId id, const std::function<void(const Prefix&)>& visit) const override {
    for (const auto& [prefix, route] : routes_) {
      if (route.path == id && !route.orphan) {
        visit(route.prefix);
      }
    }
  }

  // What the gateway would do of itself: the path's last way dies, or one comes back.
  void TurnAlive(PathId id, bool alive) {
    if (alive) {
      dead_.erase(id);
    } else {
      dead_.insert(id);
    }
    if (on_alive_) {
      on_alive_(id, alive);
    }
  }

  bool Has(const std::string& prefix) const { return routes_.contains(prefix); }
  PathId PathIdOf(const std::string& prefix) const { return routes_.at(prefix).path; }
  // Where the route leads, as text: "1 via 10.0.0.1 x2 | 3", "blackhole"; "none" without a route.
  std::string WayOf(const std::string& prefix) const {
    const auto found = routes_.find(prefix);
    if (found == routes_.end()) {
      return "none";
    }
    const Route& route = found->second;
    return ToText(route.orphan ? *route.orphan : paths_.at(route.path));
  }
  // All routes, each with its way.
  std::map<std::string, std::string> Ways() const {
    std::map<std::string, std::string> ways;
    for (const auto& [prefix, route] : routes_) {
      ways[prefix] = WayOf(prefix);
    }
    return ways;
  }
  // A "+" for each time the prefix was set, a "-" for each time it was removed.
  std::string HistoryOf(const std::string& prefix) const {
    const auto found = history_.find(prefix);
    return found == history_.end() ? "" : found->second;
  }
  std::string PathText(PathId id) const { return ToText(paths_.at(id)); }
  size_t applied() const { return applied_; }
  size_t paths() const { return paths_.size(); }
  void RefuseAbove(size_t most_hops) { most_hops_ = most_hops; }

 private:
  struct Route {
    Prefix prefix;
    PathId path = 0;
    std::optional<Path> orphan;  // its path has gone
    bool fresh = true;
  };

  static std::string ToText(const Path& path) {
    switch (path.action) {
      case PathAction::kBlackhole:
        return "blackhole";
      case PathAction::kUnreachable:
        return "unreachable";
      case PathAction::kProhibit:
        return "prohibit";
      case PathAction::kForward:
        break;
    }
    std::string text;
    for (const Hop& hop : path.hops) {
      text += fmt::format("{}{}{}{}{}", text.empty() ? "" : " | ", hop.interface,
                          hop.gateway ? " via " + hop.gateway->ToString() : "",
                          hop.weight == 1 ? "" : fmt::format(" x{}", hop.weight),
                          hop.onlink ? " onlink" : "");
    }
    return text;
  }

  std::map<PathId, Path> paths_;
  std::map<std::string, Route> routes_;
  std::map<std::string, std::string> history_;
  std::set<PathId> dead_;
  std::function<void(PathId, bool)> on_alive_;
  size_t applied_ = 0;
  size_t most_hops_ = 64;
};

}  // namespace penstock::fpm
