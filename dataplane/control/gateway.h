// The running gateway: ports, workers, host path and tables, brought up in order and taken down in
// reverse; and the reload of its configuration.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/gateway.pb.h"
#include "dataplane/base/event_loop.h"
#include "dataplane/control/fpm_sink.h"
#include "dataplane/control/kernel_routes.h"
#include "dataplane/control/model.h"
#include "dataplane/control/port_set.h"
#include "dataplane/control/worker_set.h"
#include "dataplane/route/kernel_links.h"
#include "dataplane/runtime/bfd_watch.h"
#include "dataplane/runtime/host_path.h"
#include "fpm_client/listener.h"

namespace penstock {

// Control thread only. The EAL is up while it lives.
class Gateway {
 public:
  // `config` is valid. Errors name the part and what would be right; what was begun is undone.
  static Result<std::unique_ptr<Gateway>> Start(EventLoop& loop, const config::Gateway& config,
                                                std::string config_file);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  Model& model() { return *model_; }
  PortSet& ports() { return *ports_; }
  WorkerSet& workers() { return *workers_; }
  HostPath& host_path() { return *host_path_; }
  Engine& engine() { return *engine_; }
  EventLoop& loop() { return loop_; }
  const BfdWatch& bfd_watch() const { return *bfd_watch_; }
  FpmSink* fpm_sink() { return fpm_sink_.get(); }  // null: the FPM is off
  const fpm::Listener* fpm_listener() const { return fpm_listener_.get(); }
  const config::Gateway& config() const { return config_; }
  const std::string& config_file() const { return config_file_; }
  int64_t started_nanoseconds() const { return started_.count(); }

  PortByName FindPort();

  // Where events are told; several may listen, each until its handle is dropped.
  using Subscription = std::shared_ptr<EventSink>;
  Subscription Subscribe(EventSink sink);

  // What an operator should look at, a sentence each.
  std::vector<std::string> Warnings() const;

  struct Reloaded {
    std::vector<std::string> changes;
    std::vector<std::string> needs_restart;
  };
  // Reads the configuration file again: tunnels, routes, protected prefixes and logging follow, the
  // rest is reported. A file with errors changes nothing.
  Result<Reloaded> Reload();

 private:
  explicit Gateway(EventLoop& loop) : loop_(loop) {}
  Status Bring(const config::Gateway& config);
  Status OpenKernel();
  Status AddTunnelsAndRoutes(const config::Gateway& config);
  Status ListenForZebra();
  void AnnounceAddresses(unsigned times);
  void StartTimers();
  void Tell(const GatewayEvent& event);
  KernelListener MakeListener();
  int KernelDeviceOf(const RouteVia& via);
  void RefreshSink();
  void WatchBfd();
  void FollowBfd();
  void ReloadTunnels(const std::vector<TunnelSpec>& wanted, Reloaded& report);
  void ReloadRoutes(const std::vector<std::pair<Prefix, RoutePath>>& wanted, Reloaded& report);

  EventLoop& loop_;
  config::Gateway config_;
  std::string config_file_;
  Nanoseconds started_{0};
  std::vector<std::weak_ptr<EventSink>> subscribers_;
  std::unique_ptr<Engine> engine_;  // the control thread's own
  std::unique_ptr<Epoch> epoch_;
  std::unique_ptr<GatewayTables> tables_;
  std::unique_ptr<WorkerSet> workers_;
  std::unique_ptr<PortSet> ports_;
  std::unique_ptr<HostPath> host_path_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<KernelLinks> kernel_;
  std::unique_ptr<KernelRoutes> kernel_routes_;
  std::unique_ptr<FpmSink> fpm_sink_;
  std::unique_ptr<fpm::Listener> fpm_listener_;
  EventLoop::Handle announcement_;
  std::shared_ptr<BfdWatch> bfd_watch_;
  std::set<uint32_t> bfd_down_;  // tunnels that BFD speaks against
  std::vector<EventLoop::Handle> timers_;
};

}  // namespace penstock
