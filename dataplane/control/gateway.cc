#include "dataplane/control/gateway.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/control/config_values.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr unsigned kAnnouncements = 3;
constexpr auto kTick = milliseconds(100);
constexpr auto kLinkPoll = milliseconds(200);
constexpr auto kNeighborRefresh = seconds(10);

}  // namespace

Result<std::unique_ptr<Gateway>> Gateway::Start(EventLoop& loop, const config::Gateway& config,
                                                std::string config_file) {
  std::unique_ptr<Gateway> gateway(new Gateway(loop));
  gateway->config_ = config;
  gateway->config_file_ = std::move(config_file);
  gateway->started_ = SystemClock().Now();
  if (const Status brought = gateway->Bring(config); !brought) {
    return tl::unexpected(brought.error());
  }
  return gateway;
}

Status Gateway::Bring(const config::Gateway& config) {
  const Result<WorkerSetOptions> worker_options = WorkerOptionsOf(config);
  const Result<std::vector<PortSpec>> port_specs = PortsOf(config);
  if (!worker_options || !port_specs) {
    return tl::unexpected(worker_options ? port_specs.error() : worker_options.error());
  }
  Result<std::unique_ptr<Engine>> engine = MakeEngine(worker_options->engine);
  if (!engine) {
    return tl::unexpected(engine.error());
  }
  engine_ = std::move(*engine);
  if (const Status right = CheckKnownAnswers(*engine_); !right) {
    return Prefixed("crypto self-test", right.error());
  }
  Log("gateway").info("crypto: {}", engine_->description());
  Result<std::unique_ptr<WorkerSet>> workers = WorkerSet::Make(*worker_options);
  if (!workers) {
    return tl::unexpected(workers.error());
  }
  workers_ = std::move(*workers);
  epoch_ = std::make_unique<Epoch>();
  tables_ = std::make_unique<GatewayTables>(*epoch_);
  tables_->settings = worker_options->settings;
  ports_ = std::make_unique<PortSet>([this](const GatewayEvent& event) { Tell(event); });
  if (const Status opened = ports_->Open(*port_specs, *workers_, *tables_); !opened) {
    return opened;
  }
  Result<std::unique_ptr<HostPath>> host_path =
      HostPath::Start(workers_->contexts(), workers_->pool());
  if (!host_path) {
    return Prefixed("host path", host_path.error());
  }
  host_path_ = std::move(*host_path);
  if (const Status kernel = OpenKernel(); !kernel) {
    return kernel;
  }
  WatchBfd();
  // What protects comes before anything that could route.
  const Result<std::vector<Prefix>> protected_prefixes = ProtectedOf(config);
  if (!protected_prefixes) {
    return tl::unexpected(protected_prefixes.error());
  }
  model_->SetProtected(*protected_prefixes);
  if (const Status mirrors = ports_->OpenMirrors(*model_, *host_path_); !mirrors) {
    return mirrors;
  }
  if (const Status added = AddTunnelsAndRoutes(config); !added) {
    return added;
  }
  if (const Status known = kernel_->Dump(); !known) {
    return Prefixed("netlink", known.error());
  }
  if (const Status listening = ListenForZebra(); !listening) {
    return listening;
  }
  StartTimers();
  return workers_->Start(loop_, *tables_, host_path_.get(), [this] { model_->DrainEvents(); });
}

Status Gateway::OpenKernel() {
  ModelOptions options;
  options.host.host_path = host_path_.get();
  options.events = [this](const GatewayEvent& event) { Tell(event); };
  options.resolve = [this](uint16_t port, const IpAddress& address) {
    const int interface = ports_->KernelIndexOf(port);
    if (interface != 0 && kernel_ != nullptr) {
      if (const Status asked = kernel_->Resolve(interface, address); !asked) {
        Log("route").debug("neighbour {}: {}", address.ToString(), asked.error().message);
      }
    }
  };
  model_ = std::make_unique<Model>(*tables_, *engine_, SystemClock(), workers_->contexts(),
                                   std::move(options));
  Result<std::unique_ptr<KernelLinks>> kernel = KernelLinks::Open(loop_, MakeListener());
  if (!kernel) {
    return Prefixed("netlink", kernel.error());
  }
  kernel_ = std::move(*kernel);
  model_->host.kernel = kernel_.get();
  kernel_routes_ = std::make_unique<KernelRoutes>(
      model_->routes, *kernel_, [this](const RouteVia& via) { return KernelDeviceOf(via); });
  if (config_.has_fpm()) {
    fpm_sink_ = std::make_unique<FpmSink>(*model_);
  }
  model_->OnSettle([this] {
    kernel_routes_->Sync();
    RefreshSink();
  });
  return {};
}

// The host-path thread sees the packets; what follows from them is the control thread's.
void Gateway::WatchBfd() {
  bfd_watch_ = std::make_shared<BfdWatch>();
  host_path_->ObserveBfd(
      [this, watch = bfd_watch_](uint32_t tunnel, bool from_host, std::span<const uint8_t> ip) {
        if (watch->See(tunnel, from_host, ip, SystemClock().Now())) {
          loop_.Post([this, weak = std::weak_ptr(watch)] {
            if (!weak.expired()) {
              FollowBfd();
            }
          });
        }
      });
}

void Gateway::FollowBfd() {
  const std::map<uint32_t, std::string> down = bfd_watch_->DownTunnels(SystemClock().Now());
  for (const uint32_t tunnel : std::exchange(bfd_down_, {})) {
    if (!down.contains(tunnel)) {
      model_->tunnels.SetBfdProblem(tunnel, "");
    }
  }
  for (const auto& [tunnel, problem] : down) {
    if (model_->tunnels.Find(tunnel) == nullptr) {
      bfd_watch_->Forget(tunnel);
      continue;
    }
    model_->tunnels.SetBfdProblem(tunnel, problem);
    bfd_down_.insert(tunnel);
  }
}

void Gateway::RefreshSink() {
  if (fpm_sink_ != nullptr) {
    fpm_sink_->Refresh();
  }
}

int Gateway::KernelDeviceOf(const RouteVia& via) {
  if (via.tunnel.empty()) {
    return ports_->KernelIndexOf(via.port);
  }
  const TunnelRecord* record = model_->tunnels.FindByName(via.tunnel);
  return record != nullptr && record->device != nullptr ? record->device->interface() : 0;
}

KernelListener Gateway::MakeListener() {
  KernelListener listener;
  listener.on_neighbor = [this](const KernelNeighbor& neighbor) {
    const InterfaceId* interface = model_->addresses.Find(neighbor.interface);
    if (interface != nullptr && interface->port != kNoPort) {
      model_->neighbors.Update(interface->port, neighbor.address, neighbor.mac, neighbor.permanent);
    }
  };
  listener.on_address = [this](const KernelAddress& address, bool added) {
    if (const InterfaceId* interface = model_->addresses.Find(address.interface)) {
      if (added) {
        model_->addresses.Add(*interface, address.address);
      } else {
        model_->addresses.Remove(*interface, address.address);
      }
      model_->Settle();
    }
  };
  return listener;
}

PortByName Gateway::FindPort() {
  return [this](const std::string& name) { return ports_->FindByName(name); };
}

Status Gateway::AddTunnelsAndRoutes(const config::Gateway& config) {
  const Result<std::vector<TunnelSpec>> tunnels = TunnelsOf(config);
  if (!tunnels) {
    return tl::unexpected(tunnels.error());
  }
  for (const TunnelSpec& spec : *tunnels) {
    if (const Result<uint32_t> added = model_->tunnels.Add(spec); !added) {
      return tl::unexpected(added.error());
    }
  }
  const auto routes = RoutesOf(config, FindPort());
  if (!routes) {
    return tl::unexpected(routes.error());
  }
  for (const auto& [prefix, path] : *routes) {
    if (const Status set = model_->routes.Set(prefix, RouteSource::kStatic, path); !set) {
      return set;
    }
  }
  model_->Settle();
  return {};
}

// FRR 8.4's zebra reads links in one thread and addresses in another: of devices that a restarted
// daemon has just made it can miss the addresses, link-local ones too, and BGP stays down. So Linux
// is asked to tell them once more when zebra knows the devices; and again, for one that is slow.
void Gateway::AnnounceAddresses(unsigned times) {
  constexpr std::chrono::seconds kSettled{2};
  announcement_ = loop_.After(kSettled, [this, times] {
    const EventLoop::Handle done = std::move(announcement_);
    model_->addresses.Visit([this](int kernel_index, const InterfaceAddress& address) {
      (void)kernel_->AddAddress(kernel_index, address);  // it is there
    });
    if (times > 1) {
      AnnounceAddresses(times - 1);
    }
  });
}

// Late, so that the devices that zebra names are known.
Status Gateway::ListenForZebra() {
  if (fpm_sink_ == nullptr) {
    return {};
  }
  const config::Fpm& config = config_.fpm();
  fpm::ListenerOptions options;
  options.listen = config.listen();
  options.sweep = std::chrono::seconds(config.sweep_seconds());
  options.withdraw_hold = std::chrono::milliseconds(config.withdraw_hold_milliseconds());
  options.acknowledge = config.acknowledge();
  options.on_connected = [this] { AnnounceAddresses(kAnnouncements); };
  Result<std::unique_ptr<fpm::Listener>> listener =
      fpm::Listener::Start(loop_, *fpm_sink_, options);
  if (!listener) {
    return tl::unexpected(listener.error());
  }
  fpm_listener_ = std::move(*listener);
  return {};
}

void Gateway::StartTimers() {
  timers_.push_back(loop_.Every(kTick, [this] {
    model_->Tick();
    FollowBfd();
  }));
  timers_.push_back(loop_.Every(kLinkPoll, [this] { ports_->PollLinks(*model_, *workers_); }));
  timers_.push_back(loop_.Every(kNeighborRefresh, [this] { model_->neighbors.Refresh(); }));
}

// Reverse order: nobody may use what has gone.
Gateway::~Gateway() {
  timers_.clear();
  if (workers_ != nullptr) {
    workers_->Stop();
  }
  if (model_ != nullptr && ports_ != nullptr && host_path_ != nullptr) {
    ports_->CloseMirrors(*model_, *host_path_);
  }
  if (model_ != nullptr) {
    model_->OnSettle(nullptr);
  }
  announcement_.reset();
  fpm_listener_.reset();
  fpm_sink_.reset();
  if (host_path_ != nullptr) {
    host_path_->ObserveBfd(nullptr);
  }
  bfd_watch_.reset();
  model_.reset();
  kernel_routes_.reset();
  kernel_.reset();
  host_path_.reset();
  ports_.reset();
  if (epoch_ != nullptr) {
    epoch_->Synchronize();
  }
  tables_.reset();
  epoch_.reset();
  workers_.reset();
  engine_.reset();
}

void Gateway::Tell(const GatewayEvent& event) {
  if (event.kind == "tunnel_added") {
    RefreshSink();  // zebra may have named its device before
  }
  std::erase_if(subscribers_, [](const auto& subscriber) { return subscriber.expired(); });
  const auto subscribers = subscribers_;  // one may leave while it is told
  for (const auto& weak : subscribers) {
    if (const auto subscriber = weak.lock()) {
      (*subscriber)(event);
    }
  }
}

Gateway::Subscription Gateway::Subscribe(EventSink sink) {
  auto subscription = std::make_shared<EventSink>(std::move(sink));
  subscribers_.push_back(subscription);
  return subscription;
}

std::vector<std::string> Gateway::Warnings() const {
  std::vector<std::string> warnings;
  for (const char* family : {"ipv4", "ipv6"}) {
    for (const PortSet::Entry& entry : ports_->entries()) {
      std::ifstream file(
          fmt::format("/proc/sys/net/{}/conf/{}/forwarding", family, entry.spec.config.name));
      int value = 0;
      if (file >> value && value != 0) {
        warnings.push_back(
            fmt::format("Linux forwards {} on {} too; set net.{}.conf.{}.forwarding=0", family,
                        entry.spec.config.name, family, entry.spec.config.name));
      }
    }
  }
  if (workers_->buffers_free() < workers_->buffers() / 20) {
    warnings.push_back("packet buffers are nearly used up; raise workers.memory");
  }
  for (const auto& [id, record] : model_->tunnels.records()) {
    if (record.up && !record.outer_problem.empty()) {
      warnings.push_back(
          fmt::format("tunnel {}: {}", record.spec.config.name, record.outer_problem));
    }
  }
  return warnings;
}

}  // namespace penstock
