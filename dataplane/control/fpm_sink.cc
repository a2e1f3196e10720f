#include "dataplane/control/fpm_sink.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/log.h"

namespace penstock {
namespace {

// So far ahead that a table's line has arrived when its turn comes.
constexpr size_t kPrefetchAhead = 8;
constexpr size_t kProblemsShown = 20;
constexpr uint32_t kLargestWeight = 1u << 16;  // what a group takes; nested ones multiply theirs

RouteAction ActionOf(fpm::PathAction action) {
  switch (action) {
    case fpm::PathAction::kForward:
      return RouteAction::kForward;
    case fpm::PathAction::kBlackhole:
      return RouteAction::kBlackhole;
    case fpm::PathAction::kProhibit:
      return RouteAction::kProhibit;
    case fpm::PathAction::kUnreachable:
      break;
  }
  return RouteAction::kUnreachable;
}

}  // namespace

FpmSink::FpmSink(Model& model) : model_(model) {
  model_.tables().next_hops.OnAlive([this](uint32_t) { TellAlive(); });
}

FpmSink::~FpmSink() {
  model_.tables().next_hops.OnAlive(nullptr);
  model_.routes.RemoveAll(RouteSource::kBgp);
  for (const std::optional<Entry>& entry : entries_) {
    if (entry) {
      model_.routes.RemovePath(entry->path);
    }
  }
}

FpmSink::Entry* FpmSink::Find(fpm::PathId id) {
  return id < entries_.size() && entries_[id] ? &*entries_[id] : nullptr;
}

const FpmSink::Entry* FpmSink::Find(fpm::PathId id) const {
  return id < entries_.size() && entries_[id] ? &*entries_[id] : nullptr;
}

std::optional<RouteVia> FpmSink::ViaOf(const fpm::Hop& hop, std::string& problem) const {
  RouteVia via;
  via.weight = std::clamp(hop.weight, 1u, kLargestWeight);
  if (hop.interface == 0) {
    if (!hop.gateway) {
      problem = "a next hop has neither interface nor gateway";
      return std::nullopt;
    }
    via.address = hop.gateway;
    return via;
  }
  const InterfaceId* interface = model_.addresses.Find(static_cast<int>(hop.interface));
  if (interface == nullptr) {
    problem = fmt::format("interface {} is neither a tunnel's device nor a port's", hop.interface);
    return std::nullopt;
  }
  if (interface->port != kNoPort) {
    via.port = interface->port;
    via.address = hop.gateway;
    return via;
  }
  const TunnelRecord* tunnel = model_.tunnels.Find(interface->tunnel);
  if (tunnel == nullptr) {
    problem = fmt::format("the tunnel of interface {} has gone", hop.interface);
    return std::nullopt;
  }
  via.tunnel = tunnel->spec.config.name;
  return via;
}

Status FpmSink::Translate(Entry& entry) {
  RoutePath path{ActionOf(entry.wanted.action), {}};
  std::vector<std::string> problems;
  for (const fpm::Hop& hop : entry.wanted.hops) {
    std::string problem;
    if (std::optional<RouteVia> via = ViaOf(hop, problem)) {
      path.via.push_back(std::move(*via));
    } else {
      problems.push_back(std::move(problem));
    }
  }
  entry.complete = problems.empty();
  const bool nothing_left = path.action == RouteAction::kForward && path.via.empty();
  const std::string text = fmt::format("{}", fmt::join(problems, "; "));
  const Status set = model_.routes.SetPath(entry.path, std::move(path), text);
  return set && nothing_left ? Fail(Errc::kUnavailable, "{}", text) : set;
}

Status FpmSink::SetPath(fpm::PathId id, const fpm::Path& path) {
  if (id >= entries_.size()) {
    entries_.resize(size_t{id} + 1);
  }
  const bool is_new = !entries_[id];
  if (is_new) {
    entries_[id].emplace();
    entries_[id]->path = model_.routes.AddPath();
  }
  Entry& entry = *entries_[id];
  entry.wanted = path;
  const Status set = Translate(entry);
  if (is_new) {
    entry.alive = model_.routes.IsAlive(entry.path);
  } else {
    TellAlive();
  }
  return set;
}

void FpmSink::RemovePath(fpm::PathId id) {
  if (const Entry* entry = Find(id)) {
    model_.routes.RemovePath(entry->path);
    entries_[id].reset();
  }
}

void FpmSink::Apply(std::span<const fpm::RouteUpdate> updates) {
  for (size_t i = 0; i < updates.size(); ++i) {
    if (i + kPrefetchAhead < updates.size()) {
      model_.routes.PrefetchLearned(updates[i + kPrefetchAhead].prefix);
    }
    const fpm::RouteUpdate& update = updates[i];
    if (update.withdraw) {
      (void)model_.routes.Remove(update.prefix, RouteSource::kBgp);  // may never have come
      continue;
    }
    const Entry* entry = Find(update.path);
    PENSTOCK_CHECK(entry != nullptr);
    if (const Status set = model_.routes.SetLearned(update.prefix, entry->path); !set) {
      ++refused_;
      Log("fpm").debug("{}", set.error().message);
    }
  }
}

bool FpmSink::Alive(fpm::PathId id) const {
  const Entry* entry = Find(id);
  return entry != nullptr && model_.routes.IsAlive(entry->path);
}

void FpmSink::VisitRoutes(fpm::PathId id, const std::function<void(const Prefix&)>& visit) const {
  if (const Entry* entry = Find(id)) {
    model_.routes.VisitLearned(entry->path, visit);
  }
}

void FpmSink::TellAlive() {
  for (fpm::PathId id = 0; id < entries_.size(); ++id) {
    Entry* entry = Find(id);
    if (entry == nullptr) {
      continue;
    }
    const bool alive = model_.routes.IsAlive(entry->path);
    if (alive != entry->alive) {
      entry->alive = alive;
      if (on_alive_) {
        on_alive_(id, alive);
      }
    }
  }
}

void FpmSink::Refresh() {
  for (std::optional<Entry>& entry : entries_) {
    if (entry && !entry->complete) {
      (void)Translate(*entry);  // what is missing still is told by Problems
    }
  }
  TellAlive();
}

std::vector<std::string> FpmSink::Problems() const {
  std::vector<std::string> problems;
  if (refused_ != 0) {
    problems.push_back(fmt::format("{} routes found no room in the table", refused_));
  }
  for (const std::optional<Entry>& entry : entries_) {
    if (!entry || problems.size() == kProblemsShown) {
      continue;
    }
    const std::string& problem = model_.routes.problem(entry->path);
    if (!problem.empty() &&
        std::find(problems.begin(), problems.end(), problem) == problems.end()) {
      problems.push_back(problem);
    }
  }
  return problems;
}

}  // namespace penstock
