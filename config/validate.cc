#include "config/validate.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "dataplane/base/ip_address.h"

namespace penstock::config {
namespace {

constexpr uint32_t kMinimumMtu = 576;
constexpr uint32_t kMinimumMtuIpv6 = 1280;  // RFC 8200 5
constexpr uint32_t kMaximumMtu = 9600;
constexpr uint32_t kMaximumMembers = 64;

bool IsName(std::string_view text, size_t longest) {
  return !text.empty() && text.size() <= longest &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; });
}

bool IsPciAddress(std::string_view text) {
  unsigned domain, bus, device, function;
  int length = 0;
  return std::sscanf(std::string(text).c_str(), "%4x:%2x:%2x.%1x%n", &domain, &bus, &device,
                     &function, &length) == 4 &&
         static_cast<size_t>(length) == text.size();
}

// "127.0.0.1:2620", "[::1]:2620" or "unix:/run/fpm.sock".
bool IsListenAddress(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  constexpr size_t kLongestUnixPath = 107;
  if (text.starts_with(kUnix)) {
    const std::string_view path = text.substr(kUnix.size());
    return path.size() > 1 && path.size() <= kLongestUnixPath && path.front() == '/';
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return false;
  }
  std::string_view host = text.substr(0, colon);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  host = brackets ? host.substr(1, host.size() - 2) : host;
  const auto address = IpAddress::Parse(std::string(host));
  if (!address || address->is_v6() != brackets) {
    return false;
  }
  const std::string_view port = text.substr(colon + 1);
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return error == std::errc() && end == port.data() + port.size() && number != 0;
}

class Validator {
 public:
  Validator(const Gateway& gateway, Problems& problems) : gateway_(gateway), problems_(problems) {}

  void Run() {
    if (!IsName(gateway_.instance(), 32)) {
      problems_.Add("instance", "'{}' is no name; use up to 32 letters, digits, '-' and '_'",
                    gateway_.instance());
    }
    CheckWorkers();
    CheckPorts();
    CheckTunnels();
    CheckRoutes();
    for (int i = 0; i < gateway_.protected__size(); ++i) {
      CheckPrefix(Item("protected", i), gateway_.protected_(i));
    }
    CheckOneOf("logging.level", gateway_.logging().level(),
               {"trace", "debug", "info", "warning", "error"});
    CheckLimits();
    CheckFpm();
  }

 private:
  static std::string Item(const std::string& list, int index) {
    return fmt::format("{}[{}]", list, index);
  }

  void CheckRange(const std::string& field, uint32_t value, uint32_t least, uint32_t most) {
    if (value < least || value > most) {
      problems_.Add(field, "{} is out of range; expected {} to {}", value, least, most);
    }
  }

  void CheckOneOf(const std::string& field, const std::string& value,
                  std::initializer_list<const char*> allowed) {
    if (std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
      problems_.Add(field, "'{}' is unknown; expected one of {}", value, fmt::join(allowed, ", "));
    }
  }

  std::optional<Prefix> CheckPrefix(const std::string& field, const std::string& text) {
    const auto prefix = Prefix::Parse(text);
    if (!prefix) {
      problems_.Add(field, "{}", prefix.error().message);
      return std::nullopt;
    }
    return *prefix;
  }

  std::optional<IpAddress> CheckAddress(const std::string& field, const std::string& text) {
    const auto address = IpAddress::Parse(text);
    if (!address) {
      problems_.Add(field, "{}", address.error().message);
      return std::nullopt;
    }
    return *address;
  }

  void CheckWorkers() {
    const Workers& workers = gateway_.workers();
    CheckRange("workers.count", workers.count(), 1, 64);
    if (workers.cpus_size() != 0 && static_cast<uint32_t>(workers.cpus_size()) != workers.count()) {
      problems_.Add("workers.cpus", "names {} CPUs for {} workers; name one for each, or none",
                    workers.cpus_size(), workers.count());
    }
    for (int i = 0; i < workers.cpus_size(); ++i) {
      CheckRange(Item("workers.cpus", i), workers.cpus(i), 0, 1023);
    }
    CheckOneOf("workers.polling", workers.polling(), {"adaptive", "busy"});
    CheckOneOf("workers.engine", workers.engine(), {"auto", "ipsec-mb", "openssl"});
    CheckOneOf("workers.hugepages", workers.hugepages(), {"auto", "yes", "no"});
    CheckRange("workers.memory", workers.memory(), 64, 1u << 20);
  }

  // Names of ports and tunnels are those of devices in Linux, so they share one space.
  void CheckDeviceName(const std::string& path, const std::string& name) {
    if (!IsName(name, 15)) {
      problems_.Add(path + ".name",
                    "'{}' is no device name; use 1 to 15 letters, digits, '-' and '_'", name);
    } else if (const auto [at, fresh] = device_names_.emplace(name, path); !fresh) {
      problems_.Add(path + ".name", "'{}' is the name of {} already; names must differ", name,
                    at->second);
    }
  }

  // Inside and outside addresses of the gateway: each may stand once.
  std::vector<InterfaceAddress> CheckAddresses(
      const std::string& path, const google::protobuf::RepeatedPtrField<std::string>& texts,
      uint32_t mtu) {
    std::vector<InterfaceAddress> addresses;
    for (int i = 0; i < texts.size(); ++i) {
      const std::string field = Item(path + ".addresses", i);
      const auto address = InterfaceAddress::Parse(texts[i]);
      if (!address) {
        problems_.Add(field, "{}", address.error().message);
        continue;
      }
      if (const auto [at, fresh] = addresses_.emplace(address->address, field); !fresh) {
        problems_.Add(field, "{} stands at {} already; an address belongs to one device",
                      address->address.ToString(), at->second);
      }
      if (address->address.is_v6() && mtu != 0 && mtu < kMinimumMtuIpv6) {
        problems_.Add(path + ".mtu", "{} is too small for the IPv6 address {}; expected {} or more",
                      mtu, texts[i], kMinimumMtuIpv6);
      }
      addresses.push_back(*address);
    }
    return addresses;
  }

  void CheckDevice(const std::string& field, const std::string& device) {
    static constexpr std::string_view kVirtual[] = {"af_packet", "af_xdp", "tap", "memif",
                                                    "pcap",      "null",   "ring"};
    const std::string_view kind = std::string_view(device).substr(0, device.find(','));
    if (std::find(std::begin(kVirtual), std::end(kVirtual), kind) == std::end(kVirtual) &&
        !IsPciAddress(device)) {
      problems_.Add(field, "'{}' is neither a PCI address (0000:3b:00.0) nor a virtual device ({})",
                    device, fmt::join(kVirtual, ", "));
    } else if ((kind == "af_packet" || kind == "af_xdp") &&
               device.find("iface=") == std::string::npos) {
      problems_.Add(field, "'{}' does not say which interface; write '{},iface=eth1'", device,
                    kind);
    }
  }

  void CheckPorts() {
    if (gateway_.ports_size() == 0) {
      problems_.Add("ports", "missing; a gateway needs at least one port");
    }
    if (gateway_.ports_size() > 32) {
      problems_.Add("ports", "{} ports; at most 32 are possible", gateway_.ports_size());
    }
    for (int i = 0; i < gateway_.ports_size(); ++i) {
      const std::string path = Item("ports", i);
      const Port& port = gateway_.ports(i);
      CheckDeviceName(path, port.name());
      CheckDevice(path + ".device", port.device());
      CheckRange(path + ".mtu", port.mtu(), kMinimumMtu, kMaximumMtu);
      CheckRange(path + ".queues", port.queues(), 0, 64);
      CheckRange(path + ".descriptors", port.descriptors(), 64, 16384);
      port_names_.insert(port.name());
      for (const InterfaceAddress& address : CheckAddresses(path, port.addresses(), port.mtu())) {
        networks_.push_back(address.prefix());
      }
    }
  }

  void CheckTunnels() {
    std::map<uint32_t, std::string> if_ids;
    for (int i = 0; i < gateway_.tunnels_size(); ++i) {
      const std::string path = Item("tunnels", i);
      const Tunnel& tunnel = gateway_.tunnels(i);
      CheckDeviceName(path, tunnel.name());
      tunnel_names_.insert(tunnel.name());
      if (tunnel.if_id() == 0) {
        problems_.Add(path + ".if_id",
                      "missing or 0; give each tunnel a number of its own, 1 and up");
      } else if (const auto [at, fresh] = if_ids.emplace(tunnel.if_id(), path); !fresh) {
        problems_.Add(path + ".if_id", "{} is the if_id of {} already", tunnel.if_id(), at->second);
      }
      CheckEndpoints(path, tunnel);
      CheckAddresses(path, tunnel.addresses(), tunnel.mtu());
      CheckTunnelSizes(path, tunnel);
      if (!tunnel.df().empty()) {
        CheckOneOf(path + ".df", tunnel.df(), {"copy", "set", "clear"});
      }
      if (tunnel.has_dscp()) {
        CheckRange(path + ".dscp", tunnel.dscp(), 0, 63);
      }
    }
  }

  void CheckEndpoints(const std::string& path, const Tunnel& tunnel) {
    std::optional<IpAddress> local, remote;
    if (!tunnel.local().empty()) {
      local = CheckAddress(path + ".local", tunnel.local());
    }
    if (!tunnel.remote().empty()) {
      remote = CheckAddress(path + ".remote", tunnel.remote());
    }
    if (local && remote && local->family() != remote->family()) {
      problems_.Add(path + ".remote", "{} and the local address {} are of different families",
                    tunnel.remote(), tunnel.local());
    } else if (local && remote && *local == *remote) {
      problems_.Add(path + ".remote", "{} is the local address too", tunnel.remote());
    }
  }

  void CheckTunnelSizes(const std::string& path, const Tunnel& tunnel) {
    if (tunnel.mtu() != 0) {
      CheckRange(path + ".mtu", tunnel.mtu(), kMinimumMtu, kMaximumMtu);
    }
    if (tunnel.outer_mtu() != 0) {
      CheckRange(path + ".outer_mtu", tunnel.outer_mtu(), kMinimumMtu, kMaximumMtu);
    }
    if (tunnel.mss() != 0) {
      CheckRange(path + ".mss", tunnel.mss(), 88, kMaximumMtu - 40);
    }
  }

  void CheckRoutes() {
    std::map<Prefix, std::string> prefixes;
    for (int i = 0; i < gateway_.routes_size(); ++i) {
      const std::string path = Item("routes", i);
      const Route& route = gateway_.routes(i);
      const auto prefix = CheckPrefix(path + ".prefix", route.prefix());
      if (prefix) {
        if (const auto [at, fresh] = prefixes.emplace(*prefix, path); !fresh) {
          problems_.Add(path + ".prefix",
                        "{} is the prefix of {} already; list several next hops under one `via`",
                        route.prefix(), at->second);
        }
      }
      if (route.action().empty() == (route.via_size() == 0)) {
        problems_.Add(path, "needs either `via` or `action`, {}",
                      route.action().empty() ? "and has neither" : "not both");
      }
      if (!route.action().empty()) {
        CheckOneOf(path + ".action", route.action(), {"blackhole", "unreachable", "prohibit"});
      }
      if (static_cast<uint32_t>(route.via_size()) > kMaximumMembers) {
        problems_.Add(path + ".via", "{} next hops; at most {} are possible", route.via_size(),
                      kMaximumMembers);
      }
      bool all_stand_by = route.via_size() != 0;
      for (int j = 0; j < route.via_size(); ++j) {
        CheckNextHop(Item(path + ".via", j), route.via(j), prefix);
        all_stand_by = all_stand_by && route.via(j).standby();
      }
      if (all_stand_by) {
        problems_.Add(path + ".via", "every next hop is standby; at least one must not be");
      }
    }
  }

  void CheckNextHop(const std::string& path, const NextHop& via,
                    const std::optional<Prefix>& prefix) {
    CheckRange(path + ".weight", via.weight(), 1, 255);
    if (!via.tunnel().empty()) {
      if (!via.address().empty() || !via.port().empty()) {
        problems_.Add(path, "names a tunnel and an address or port; keep one of them");
      }
      CheckReference(path + ".tunnel", via.tunnel(), tunnel_names_, "tunnel");
      return;
    }
    if (!via.port().empty()) {
      CheckReference(path + ".port", via.port(), port_names_, "port");
    }
    if (via.address().empty()) {
      if (via.port().empty()) {
        problems_.Add(path, "names no next hop; write `tunnel`, `address` or `port`");
      }
      return;
    }
    const auto address = CheckAddress(path + ".address", via.address());
    if (!address) {
      return;
    }
    if (prefix && prefix->family() == Family::kIpv6 && address->is_v4()) {
      problems_.Add(path + ".address", "{} is IPv4, and {} is IPv6", via.address(),
                    prefix->ToString());
    }
    const bool on_link =
        std::any_of(networks_.begin(), networks_.end(),
                    [&](const Prefix& network) { return network.Contains(*address); });
    if (!on_link && via.port().empty()) {
      problems_.Add(path + ".address", "{} is in no port's network; name its `port`, or correct it",
                    via.address());
    }
  }

  void CheckReference(const std::string& field, const std::string& name,
                      const std::set<std::string>& known, const char* what) {
    if (known.count(name) == 0) {
      problems_.Add(field, "no {} is named '{}'; there {}: {}", what, name,
                    known.size() == 1 ? "is" : "are",
                    known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")));
    }
  }

  void CheckUdpPorts(const std::string& field,
                     const google::protobuf::RepeatedField<uint32_t>& ports, unsigned usual) {
    if (ports.size() > 3) {
      problems_.Add(field, "{} ports; at most three besides {}", ports.size(), usual);
    }
    for (int i = 0; i < ports.size(); ++i) {
      CheckRange(Item(field, i), ports.Get(i), 1, 65535);
    }
  }

  void CheckLimits() {
    const Limits& limits = gateway_.limits();
    CheckUdpPorts("limits.encapsulation_ports", limits.encapsulation_ports(), 4500);
    CheckUdpPorts("limits.ike_ports", limits.ike_ports(), 500);
    CheckRange("limits.reassembly_datagrams", limits.reassembly_datagrams(), 16, 1u << 20);
  }

  void CheckFpm() {
    if (!gateway_.has_fpm()) {
      return;
    }
    const Fpm& fpm = gateway_.fpm();
    if (!IsListenAddress(fpm.listen())) {
      problems_.Add("fpm.listen",
                    "'{}' is no place to listen; write ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH",
                    fpm.listen());
    }
    CheckRange("fpm.sweep_seconds", fpm.sweep_seconds(), 1, 3600);
    CheckRange("fpm.withdraw_hold_milliseconds", fpm.withdraw_hold_milliseconds(), 0, 10'000);
  }

  const Gateway& gateway_;
  Problems& problems_;
  std::map<std::string, std::string> device_names_;
  std::map<IpAddress, std::string> addresses_;
  std::vector<Prefix> networks_;
  std::set<std::string> port_names_;
  std::set<std::string> tunnel_names_;
};

}  // namespace

void FillDefaults(Gateway& gateway) {
  const auto text = [](std::string* field, const std::string& value) {
    if (field->empty()) {
      *field = value;
    }
  };
  text(gateway.mutable_instance(), "penstock");
  Workers& workers = *gateway.mutable_workers();
  if (workers.count() == 0) {
    workers.set_count(workers.cpus_size() == 0 ? 1 : static_cast<uint32_t>(workers.cpus_size()));
  }
  if (!workers.has_pin()) {
    workers.set_pin(true);
  }
  text(workers.mutable_polling(), "adaptive");
  text(workers.mutable_engine(), "auto");
  text(workers.mutable_hugepages(), "auto");
  if (workers.memory() == 0) {
    workers.set_memory(256);
  }
  for (Port& port : *gateway.mutable_ports()) {
    port.set_mtu(port.mtu() == 0 ? 1500 : port.mtu());
    port.set_descriptors(port.descriptors() == 0 ? 1024 : port.descriptors());
  }
  for (Tunnel& tunnel : *gateway.mutable_tunnels()) {
    if (!tunnel.has_clamp_mss()) {
      tunnel.set_clamp_mss(true);
    }
  }
  for (Route& route : *gateway.mutable_routes()) {
    for (NextHop& via : *route.mutable_via()) {
      via.set_weight(via.weight() == 0 ? 1 : via.weight());
    }
  }
  text(gateway.mutable_logging()->mutable_level(), "info");
  text(gateway.mutable_sockets()->mutable_directory(), "/run/penstock/" + gateway.instance());
  Limits& limits = *gateway.mutable_limits();
  if (gateway.has_fpm()) {
    Fpm& fpm = *gateway.mutable_fpm();
    text(fpm.mutable_listen(), "127.0.0.1:2620");
    fpm.set_sweep_seconds(fpm.has_sweep_seconds() ? fpm.sweep_seconds() : 30);
    fpm.set_withdraw_hold_milliseconds(
        fpm.has_withdraw_hold_milliseconds() ? fpm.withdraw_hold_milliseconds() : 250);
  }
  limits.set_icmp_errors(limits.has_icmp_errors() ? limits.icmp_errors() : 1000);
  limits.set_host_packets(limits.has_host_packets() ? limits.host_packets() : 20000);
  limits.set_reassembly_datagrams(limits.has_reassembly_datagrams() ? limits.reassembly_datagrams()
                                                                    : 1024);
}

void Validate(const Gateway& gateway, Problems& problems) { Validator(gateway, problems).Run(); }

}  // namespace penstock::config
