// What a reload of the configuration changes, and what it leaves for a restart.
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <utility>

#include "config/load.h"
#include "dataplane/base/log.h"
#include "dataplane/control/config_values.h"
#include "dataplane/control/gateway.h"

namespace penstock {
namespace {

using google::protobuf::util::MessageDifferencer;

bool SamePorts(const config::Gateway& a, const config::Gateway& b) {
  return a.ports_size() == b.ports_size() &&
         std::equal(a.ports().begin(), a.ports().end(), b.ports().begin(),
                    [](const config::Port& left, const config::Port& right) {
                      return MessageDifferencer::Equals(left, right);
                    });
}

}  // namespace

Result<Gateway::Reloaded> Gateway::Reload() {
  Result<config::Gateway> next = config::LoadFile(config_file_);
  if (!next) {
    return tl::unexpected(next.error());
  }
  const Result<std::vector<TunnelSpec>> tunnels = TunnelsOf(*next);
  const auto routes = RoutesOf(*next, FindPort());
  const Result<std::vector<Prefix>> protected_prefixes = ProtectedOf(*next);
  if (!tunnels || !routes || !protected_prefixes) {
    return tl::unexpected(!tunnels  ? tunnels.error()
                          : !routes ? routes.error()
                                    : protected_prefixes.error());
  }
  Reloaded report;
  if (!SamePorts(config_, *next)) {
    report.needs_restart.push_back("ports differ");
  }
  if (!MessageDifferencer::Equals(config_.workers(), next->workers())) {
    report.needs_restart.push_back("workers differ");
  }
  if (!MessageDifferencer::Equals(config_.sockets(), next->sockets()) ||
      config_.instance() != next->instance()) {
    report.needs_restart.push_back("instance or sockets differ");
  }
  if (!MessageDifferencer::Equals(config_.limits(), next->limits())) {
    report.needs_restart.push_back("limits differ");
  }
  if (config_.has_fpm() != next->has_fpm() ||
      !MessageDifferencer::Equals(config_.fpm(), next->fpm())) {
    report.needs_restart.push_back("fpm differs");
  }
  const std::vector<Prefix>& wanted = *protected_prefixes;
  if (std::set<Prefix>(wanted.begin(), wanted.end()) != model_->routes.protected_prefixes()) {
    model_->SetProtected(wanted);
    report.changes.push_back(fmt::format("{} protected prefixes", wanted.size()));
  }
  ReloadTunnels(*tunnels, report);
  ReloadRoutes(*routes, report);
  if (!MessageDifferencer::Equals(config_.logging(), next->logging())) {
    if (const Status logging = ConfigureLog(LogOptionsOf(*next)); logging) {
      report.changes.push_back("logging");
    } else {
      report.needs_restart.push_back(logging.error().message);
    }
  }
  *config_.mutable_tunnels() = next->tunnels();
  *config_.mutable_routes() = next->routes();
  *config_.mutable_protected_() = next->protected_();
  *config_.mutable_logging() = next->logging();
  model_->Settle();
  for (const std::string& change : report.changes) {
    Log("gateway").info("reload: {}", change);
  }
  for (const std::string& left : report.needs_restart) {
    Log("gateway").warn("reload: {}: needs a restart", left);
  }
  return report;
}

void Gateway::ReloadTunnels(const std::vector<TunnelSpec>& wanted, Reloaded& report) {
  std::vector<uint32_t> gone;
  for (const auto& [id, record] : model_->tunnels.records()) {
    const auto same = [&record = record](const TunnelSpec& spec) {
      return spec.config.name == record.spec.config.name &&
             spec.config.if_id == record.spec.config.if_id;
    };
    if (record.spec.origin == Origin::kConfig && std::none_of(wanted.begin(), wanted.end(), same)) {
      gone.push_back(id);
    }
  }
  for (const uint32_t id : gone) {
    const std::string name = model_->tunnels.Find(id)->spec.config.name;
    model_->sas.RemoveOf(id);
    (void)model_->tunnels.Remove(id);  // cannot fail: its SAs have gone
    report.changes.push_back(fmt::format("tunnel {} was removed", name));
  }
  for (const TunnelSpec& spec : wanted) {
    TunnelRecord* record = model_->tunnels.FindByName(spec.config.name);
    if (record != nullptr && record->spec == spec) {
      continue;
    }
    const Status done = record != nullptr ? model_->tunnels.Change(record->id, spec)
                                          : model_->tunnels.Add(spec).map([](uint32_t) {});
    report.changes.push_back(done ? fmt::format("tunnel {} was {}", spec.config.name,
                                                record != nullptr ? "changed" : "added")
                                  : "failed: " + done.error().message);
  }
  model_->sas.RefreshOuter();  // a tunnel's outer MTU may be another
}

void Gateway::ReloadRoutes(const std::vector<std::pair<Prefix, RoutePath>>& wanted,
                           Reloaded& report) {
  size_t changed = 0;
  for (const auto& [prefix, path] : wanted) {
    const RoutePath* old = model_->routes.Find(prefix, RouteSource::kStatic);
    if (old != nullptr && *old == path) {
      continue;
    }
    ++changed;
    if (const Status set = model_->routes.Set(prefix, RouteSource::kStatic, path); !set) {
      report.changes.push_back("failed: " + set.error().message);
    }
  }
  for (const Prefix& prefix : model_->routes.PrefixesOf(RouteSource::kStatic)) {
    if (std::none_of(wanted.begin(), wanted.end(),
                     [&](const auto& item) { return item.first == prefix; })) {
      (void)model_->routes.Remove(prefix, RouteSource::kStatic);  // cannot fail: it was listed
      ++changed;
    }
  }
  if (changed != 0) {
    report.changes.push_back(fmt::format("{} static routes", changed));
  }
}

}  // namespace penstock
