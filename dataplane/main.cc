// penstockd: reads its configuration, brings the gateway up, serves its sockets, and takes
// everything down again in reverse order.
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include "config/load.h"
#include "dataplane/base/event_loop.h"
#include "dataplane/base/log.h"
#include "dataplane/control/config_values.h"
#include "dataplane/control/gateway.h"
#include "dataplane/control/privileges.h"
#include "dataplane/control/server.h"
#include "dataplane/runtime/eal.h"
#include "dataplane/runtime/port_device.h"
#include "ike_bridge/sa_server.h"

namespace penstock {
namespace {

struct Options {
  std::string config_file = "/etc/penstock/penstock.yaml";
  std::string instance;
  bool check = false;
};

bool NeedsPhysicalAccess(const config::Gateway& config) {
  for (const config::Port& port : config.ports()) {
    const Result<PortDevice> device = ParsePortDevice(port.device());
    if (device && (device->driver == "pci" || device->driver == "af_xdp")) {
      return true;
    }
  }
  return false;
}

// The directory is ours to remove again if we made it.
Status MakeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return Fail(Errc::kPermission, "sockets.directory {}: {}", path, error.message());
  }
  if (chmod(path.c_str(), 0755) != 0) {
    return Fail(Errc::kPermission, "sockets.directory {}: {}", path, std::strerror(errno));
  }
  return {};
}

// Everything between a ready EAL and its end; all of it is gone when this returns.
Status Serve(const config::Gateway& config, const Options& options) {
  EventLoop loop;
  Result<std::unique_ptr<Gateway>> gateway = Gateway::Start(loop, config, options.config_file);
  if (!gateway) {
    return tl::unexpected(gateway.error());
  }
  if (const Status made = MakeDirectory(config.sockets().directory()); !made) {
    return made;
  }
  const Result<MessageServerOptions> sa_socket = SocketOf(config, "sa.sock");
  const Result<MessageServerOptions> control_socket = SocketOf(config, "control.sock");
  if (!sa_socket || !control_socket) {
    return tl::unexpected(sa_socket ? control_socket.error() : sa_socket.error());
  }
  Result<std::unique_ptr<SaServer>> sa_server =
      SaServer::Listen(loop, *sa_socket, (*gateway)->model().ike, "penstockd " PENSTOCK_VERSION);
  if (!sa_server) {
    return tl::unexpected(sa_server.error());
  }
  (*gateway)->model().SetListener(sa_server->get());
  Result<std::unique_ptr<ControlServer>> control =
      ControlServer::Listen(**gateway, *control_socket);
  if (!control) {
    return tl::unexpected(control.error());
  }
  const auto stop = [&loop] { loop.Stop(); };
  const EventLoop::Handle terminate = loop.OnSignal(SIGTERM, stop);
  const EventLoop::Handle interrupt = loop.OnSignal(SIGINT, stop);
  const EventLoop::Handle reload = loop.OnSignal(SIGHUP, [&gateway] {
    sd_notify(0, "RELOADING=1");
    if (const auto reloaded = (*gateway)->Reload(); !reloaded) {
      Log("gateway").error("reload: {}", reloaded.error().message);
    }
    sd_notify(0, "READY=1");
  });
  EventLoop::Handle watchdog;
  uint64_t watchdog_microseconds = 0;
  if (sd_watchdog_enabled(0, &watchdog_microseconds) > 0) {
    watchdog = loop.Every(std::chrono::microseconds(watchdog_microseconds / 2),
                          [] { sd_notify(0, "WATCHDOG=1"); });
  }
  for (const std::string& warning : (*gateway)->Warnings()) {
    Log("gateway").warn("{}", warning);
  }
  Log("gateway").info("penstockd {} is ready: instance {}, sockets in {}", PENSTOCK_VERSION,
                      config.instance(), config.sockets().directory());
  sd_notify(0, "READY=1");
  loop.Run();
  sd_notify(0, "STOPPING=1");
  Log("gateway").info("stopping");
  (*gateway)->model().SetListener(nullptr);
  return {};
}

Status Run(const config::Gateway& config, const Options& options) {
  if (const Status logging = ConfigureLog(LogOptionsOf(config)); !logging) {
    return logging;
  }
  if (const Status lowered = LowerPrivileges(NeedsPhysicalAccess(config)); !lowered) {
    return lowered;
  }
  if (const Status eal = InitEal(EalConfigOf(config)); !eal) {
    return eal;
  }
  const Status served = Serve(config, options);
  CleanupEal();
  std::error_code ignored;  // not empty: somebody else's files are in it
  std::filesystem::remove(config.sockets().directory(), ignored);
  return served;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app{"Penstock, an IPsec ESP gateway", "penstockd"};
  app.set_version_flag("--version", "penstockd " PENSTOCK_VERSION);
  app.add_option("--config", options.config_file, "Configuration file")->capture_default_str();
  app.add_option("--instance", options.instance, "Instead of the configuration's instance name");
  app.add_flag("--check", options.check, "Verify the configuration and end");
  CLI11_PARSE(app, argc, argv);

  Result<config::Gateway> config = config::LoadFile(options.config_file);
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().message.c_str());
    return 1;
  }
  if (options.check) {
    std::printf("%s: correct\n", options.config_file.c_str());
    return 0;
  }
  if (!options.instance.empty()) {
    const std::string usual = "/run/penstock/" + config->instance();
    if (config->sockets().directory() == usual) {
      config->mutable_sockets()->set_directory("/run/penstock/" + options.instance);
    }
    config->set_instance(options.instance);
  }
  if (const Status done = Run(*config, options); !done) {
    std::fprintf(stderr, "penstockd: %s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace penstock

int main(int argc, char** argv) { return penstock::Main(argc, argv); }
