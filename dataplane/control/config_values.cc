#include "dataplane/control/config_values.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>

#include "dataplane/runtime/port_device.h"

namespace penstock {
namespace {

// Ethernet with a VLAN tag and checksum, and what drivers add: see MakePacketPool.
constexpr uint32_t kFrameOverhead = 118;

Result<IpAddress> OptionalAddress(const std::string& text) {
  return text.empty() ? Result<IpAddress>(IpAddress()) : IpAddress::Parse(text);
}

template <typename Strings>
Result<std::vector<InterfaceAddress>> ParseAddresses(const Strings& texts) {
  std::vector<InterfaceAddress> addresses;
  for (const std::string& text : texts) {
    const Result<InterfaceAddress> address = InterfaceAddress::Parse(text);
    if (!address) {
      return tl::unexpected(address.error());
    }
    addresses.push_back(*address);
  }
  return addresses;
}

}  // namespace

LogOptions LogOptionsOf(const config::Gateway& gateway) {
  return {gateway.logging().level(), gateway.logging().file()};
}

EalConfig EalConfigOf(const config::Gateway& gateway) {
  const config::Workers& workers = gateway.workers();
  EalConfig eal;
  eal.instance = gateway.instance();
  eal.workers = workers.count();
  eal.worker_cpus.assign(workers.cpus().begin(), workers.cpus().end());
  eal.pin = workers.pin();
  eal.hugepages = workers.hugepages() == "yes"  ? Hugepages::kYes
                  : workers.hugepages() == "no" ? Hugepages::kNo
                                                : Hugepages::kAuto;
  eal.memory_mebibytes = workers.memory();
  eal.extra.assign(workers.eal().begin(), workers.eal().end());
  for (const config::Port& port : gateway.ports()) {
    const Result<PortDevice> device = ParsePortDevice(port.device());
    if (device && device->driver == "pci") {
      eal.pci_devices.push_back(port.device());
    }
  }
  return eal;
}

Result<WorkerSetOptions> WorkerOptionsOf(const config::Gateway& gateway) {
  const config::Workers& workers = gateway.workers();
  WorkerSetOptions options;
  options.workers = workers.count();
  const Result<EngineChoice> engine = ParseEngineChoice(workers.engine());
  if (!engine) {
    return Prefixed("workers.engine", engine.error());
  }
  options.engine = *engine;
  options.loop.polling = workers.polling() == "busy" ? Polling::kBusy : Polling::kAdaptive;
  uint32_t descriptors = 0;
  uint32_t mtu = 1500;
  for (const config::Port& port : gateway.ports()) {
    descriptors = std::max(descriptors, port.descriptors());
    mtu = std::max(mtu, port.mtu());
  }
  options.packet_buffers =
      PacketBuffersFor(static_cast<unsigned>(gateway.ports_size()), descriptors, workers.count());
  options.largest_frame = mtu + kFrameOverhead;
  const config::Limits& limits = gateway.limits();
  options.settings.icmp_errors_per_second = limits.icmp_errors();
  options.settings.punt_packets_per_second = limits.host_packets();
  options.settings.reassembly_datagrams = limits.reassembly_datagrams();
  for (int i = 0; i < std::min(limits.encapsulation_ports_size(), 3); ++i) {
    options.settings.encapsulation_ports[i + 1] =
        static_cast<uint16_t>(limits.encapsulation_ports(i));
  }
  for (int i = 0; i < std::min(limits.ike_ports_size(), 3); ++i) {
    options.settings.ike_ports[i + 1] = static_cast<uint16_t>(limits.ike_ports(i));
  }
  return options;
}

Result<std::vector<PortSpec>> PortsOf(const config::Gateway& gateway) {
  std::vector<PortSpec> specs;
  for (const config::Port& port : gateway.ports()) {
    PortSpec spec;
    spec.config.name = port.name();
    spec.config.device = port.device();
    spec.config.queues = static_cast<uint16_t>(port.queues());
    spec.config.mtu = static_cast<uint16_t>(port.mtu());
    spec.config.descriptors = static_cast<uint16_t>(port.descriptors());
    spec.config.promiscuous = port.promiscuous();
    Result<std::vector<InterfaceAddress>> addresses = ParseAddresses(port.addresses());
    if (!addresses) {
      return Prefixed("port " + port.name(), addresses.error());
    }
    spec.addresses = std::move(*addresses);
    specs.push_back(std::move(spec));
  }
  return specs;
}

Result<TunnelSpec> TunnelOf(const config::Tunnel& tunnel) {
  TunnelSpec spec;
  spec.config.name = tunnel.name();
  spec.config.if_id = tunnel.if_id();
  const Result<IpAddress> local = OptionalAddress(tunnel.local());
  const Result<IpAddress> remote = OptionalAddress(tunnel.remote());
  Result<std::vector<InterfaceAddress>> addresses = ParseAddresses(tunnel.addresses());
  if (!local || !remote || !addresses) {
    return Prefixed("tunnel " + tunnel.name(), !local    ? local.error()
                                               : !remote ? remote.error()
                                                         : addresses.error());
  }
  spec.config.local = *local;
  spec.config.remote = *remote;
  spec.config.addresses = std::move(*addresses);
  spec.config.mtu = static_cast<uint16_t>(tunnel.mtu());
  spec.config.outer_mtu = static_cast<uint16_t>(tunnel.outer_mtu());
  spec.config.mss = static_cast<uint16_t>(tunnel.mss());
  spec.config.clamp_mss = !tunnel.has_clamp_mss() || tunnel.clamp_mss();
  if (!tunnel.df().empty()) {
    spec.df = tunnel.df() == "set"     ? DfMode::kSet
              : tunnel.df() == "clear" ? DfMode::kClear
                                       : DfMode::kCopy;
  }
  if (tunnel.has_dscp()) {
    spec.dscp = static_cast<uint8_t>(tunnel.dscp());
  }
  return spec;
}

Result<std::vector<TunnelSpec>> TunnelsOf(const config::Gateway& gateway) {
  std::vector<TunnelSpec> specs;
  for (const config::Tunnel& tunnel : gateway.tunnels()) {
    Result<TunnelSpec> spec = TunnelOf(tunnel);
    if (!spec) {
      return tl::unexpected(spec.error());
    }
    specs.push_back(std::move(*spec));
  }
  return specs;
}

Result<std::vector<Prefix>> ProtectedOf(const config::Gateway& gateway) {
  std::vector<Prefix> prefixes;
  for (const std::string& text : gateway.protected_()) {
    const Result<Prefix> prefix = Prefix::Parse(text);
    if (!prefix) {
      return Prefixed("protected", prefix.error());
    }
    prefixes.push_back(*prefix);
  }
  return prefixes;
}

Result<RouteVia> MakeRouteVia(const std::string& tunnel, const std::string& address,
                              const std::string& port, uint32_t weight,
                              const PortByName& find_port) {
  RouteVia via;
  via.tunnel = tunnel;
  via.weight = weight == 0 ? 1 : weight;
  if (!tunnel.empty() && (!address.empty() || !port.empty())) {
    return Fail(Errc::kInvalidArgument, "next hop: tunnel {} takes neither address nor port",
                tunnel);
  }
  if (!address.empty()) {
    const Result<IpAddress> parsed = IpAddress::Parse(address);
    if (!parsed) {
      return tl::unexpected(parsed.error());
    }
    via.address = *parsed;
  }
  if (!port.empty()) {
    const std::optional<uint16_t> index = find_port(port);
    if (!index) {
      return Fail(Errc::kNotFound, "next hop: there is no port named {}", port);
    }
    via.port = *index;
  }
  return via;
}

Result<RouteAction> ParseRouteAction(const std::string& text) {
  if (text.empty()) {
    return RouteAction::kForward;
  }
  if (text == "blackhole") {
    return RouteAction::kBlackhole;
  }
  if (text == "unreachable") {
    return RouteAction::kUnreachable;
  }
  if (text == "prohibit") {
    return RouteAction::kProhibit;
  }
  return Fail(Errc::kInvalidArgument, "action \"{}\": use blackhole, unreachable or prohibit",
              text);
}

Result<std::vector<std::pair<Prefix, RoutePath>>> RoutesOf(const config::Gateway& gateway,
                                                           const PortByName& find_port) {
  std::vector<std::pair<Prefix, RoutePath>> routes;
  for (const config::Route& route : gateway.routes()) {
    const Result<Prefix> prefix = Prefix::Parse(route.prefix());
    if (!prefix) {
      return tl::unexpected(prefix.error());
    }
    const Result<RouteAction> action = ParseRouteAction(route.action());
    if (!action) {
      return Prefixed("route " + route.prefix(), action.error());
    }
    RoutePath path{*action, {}};
    for (const config::NextHop& hop : route.via()) {
      const Result<RouteVia> via =
          MakeRouteVia(hop.tunnel(), hop.address(), hop.port(), hop.weight(), find_port);
      if (!via) {
        return Prefixed("route " + route.prefix(), via.error());
      }
      path.via.push_back(*via);
      path.via.back().standby = hop.standby();
    }
    routes.emplace_back(*prefix, std::move(path));
  }
  return routes;
}

Result<MessageServerOptions> SocketOf(const config::Gateway& gateway, const std::string& file) {
  MessageServerOptions options;
  options.path = gateway.sockets().directory() + "/" + file;
  options.group = gateway.sockets().group();
  options.allowed_uids = {0, geteuid()};
  if (!options.group.empty()) {
    const group* entry = getgrnam(options.group.c_str());
    if (entry == nullptr) {
      return Fail(Errc::kNotFound, "sockets.group: there is no group named {}", options.group);
    }
    for (char** member = entry->gr_mem; *member != nullptr; ++member) {
      if (const passwd* user = getpwnam(*member)) {
        options.allowed_uids.push_back(user->pw_uid);
      }
    }
  }
  return options;
}

}  // namespace penstock
