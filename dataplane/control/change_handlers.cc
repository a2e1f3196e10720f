// Tunnels, SAs and routes made by hand, logging, reload.
#include <algorithm>
#include <cstring>

#include "dataplane/base/log.h"
#include "dataplane/control/config_values.h"
#include "dataplane/control/handlers.h"
#include "dataplane/crypto/suite.h"

namespace penstock {
namespace {

constexpr uint32_t kUsualReplayWindow = 64;

Result<IpAddress> AddressOr(const std::string& text, const IpAddress& usual, const char* field) {
  if (!text.empty()) {
    return IpAddress::Parse(text);
  }
  if (usual.is_unspecified()) {
    return Fail(Errc::kInvalidArgument, "{}: give one, the tunnel has none", field);
  }
  return usual;
}

Status TakeKeys(const control::AddSa& request, const Suite& suite, SaConfig& config) {
  const std::string& key = request.key();
  const size_t wanted = size_t{suite.key_length()} + suite.integrity_key_length;
  if (key.size() != wanted) {
    return Fail(Errc::kInvalidArgument,
                "key has {} bytes, {} needs {} ({} key + {} salt + {} integrity)", key.size(),
                suite.name, wanted, suite.cipher_key_length, suite.salt_length,
                suite.integrity_key_length);
  }
  const std::string_view bytes(key);
  config.cipher_key = Secret(bytes.substr(0, suite.key_length()));
  config.integrity_key = Secret(bytes.substr(suite.key_length()));
  return {};
}

Result<uint16_t> PortNumber(uint32_t value, const char* field) {
  if (value > UINT16_MAX) {
    return Fail(Errc::kInvalidArgument, "{}: {} is no port number, use 0 to 65535", field, value);
  }
  return static_cast<uint16_t>(value == 0 ? kPortNatT : value);
}

Status TakeHeaders(const control::AddSa& request, HeaderPolicy& headers) {
  const std::string& df = request.df();
  if (!df.empty() && df != "copy" && df != "set" && df != "clear") {
    return Fail(Errc::kInvalidArgument, "df \"{}\": use copy, set or clear", df);
  }
  headers.df = df == "set" ? DfMode::kSet : df == "clear" ? DfMode::kClear : DfMode::kCopy;
  if (request.has_dscp()) {
    if (request.dscp() > 63) {
      return Fail(Errc::kInvalidArgument, "dscp {}: use 0 to 63", request.dscp());
    }
    headers.copy_dscp = false;
    headers.dscp = static_cast<uint8_t>(request.dscp());
  }
  return {};
}

Result<Selector> SelectorOf(const control::Selector& request) {
  const Result<Prefix> source = Prefix::Parse(request.source());
  const Result<Prefix> destination = Prefix::Parse(request.destination());
  if (!source || !destination) {
    return Prefixed("selector", source ? destination.error() : source.error());
  }
  for (const uint32_t port : {request.source_port_first(), request.source_port_last(),
                              request.destination_port_first(), request.destination_port_last()}) {
    if (port > UINT16_MAX) {
      return Fail(Errc::kInvalidArgument, "selector: {} is no port number", port);
    }
  }
  if (request.protocol() > 255) {
    return Fail(Errc::kInvalidArgument, "selector: protocol {}: use 0 to 255", request.protocol());
  }
  Selector selector;
  selector.source = *source;
  selector.destination = *destination;
  selector.protocol = static_cast<uint8_t>(request.protocol());
  if (request.source_port_first() != 0 || request.source_port_last() != 0) {
    selector.source_port_first = static_cast<uint16_t>(request.source_port_first());
    selector.source_port_last = static_cast<uint16_t>(request.source_port_last());
  }
  if (request.destination_port_first() != 0 || request.destination_port_last() != 0) {
    selector.destination_port_first = static_cast<uint16_t>(request.destination_port_first());
    selector.destination_port_last = static_cast<uint16_t>(request.destination_port_last());
  }
  return selector;
}

LifetimeLimits LimitsOf(const control::Lifetime& request) {
  LifetimeLimits limits;
  limits.soft_bytes = request.soft_bytes();
  limits.hard_bytes = request.hard_bytes();
  limits.soft_packets = request.soft_packets();
  limits.hard_packets = request.hard_packets();
  limits.soft_seconds =
      static_cast<uint32_t>(std::min<uint64_t>(request.soft_seconds(), UINT32_MAX));
  limits.hard_seconds =
      static_cast<uint32_t>(std::min<uint64_t>(request.hard_seconds(), UINT32_MAX));
  return limits;
}

Status TakeOuter(const control::AddSa& request, const TunnelConfig& tunnel, SaConfig& config) {
  const Result<IpAddress> source =
      AddressOr(request.source(), config.inbound ? tunnel.remote : tunnel.local, "source");
  const Result<IpAddress> destination = AddressOr(
      request.destination(), config.inbound ? tunnel.local : tunnel.remote, "destination");
  if (!source || !destination) {
    return tl::unexpected(source ? destination.error() : source.error());
  }
  config.source = *source;
  config.destination = *destination;
  config.udp_encapsulation = request.udp_encapsulation();
  if (config.udp_encapsulation) {
    const Result<uint16_t> from = PortNumber(request.source_port(), "source_port");
    const Result<uint16_t> to = PortNumber(request.destination_port(), "destination_port");
    if (!from || !to) {
      return tl::unexpected(from ? to.error() : from.error());
    }
    config.source_port = *from;
    config.destination_port = *to;
  }
  return {};
}

}  // namespace

Status AddTunnel(Gateway& gateway, const control::AddTunnel& request) {
  config::Tunnel tunnel;
  tunnel.set_name(request.name());
  tunnel.set_if_id(request.if_id());
  tunnel.set_local(request.local());
  tunnel.set_remote(request.remote());
  *tunnel.mutable_addresses() = request.addresses();
  for (const uint32_t mtu : {request.mtu(), request.outer_mtu(), request.mss()}) {
    if (mtu > UINT16_MAX) {
      return Fail(Errc::kInvalidArgument, "tunnel {}: {} bytes are more than 65535", request.name(),
                  mtu);
    }
  }
  tunnel.set_mtu(request.mtu());
  tunnel.set_outer_mtu(request.outer_mtu());
  tunnel.set_mss(request.mss());
  tunnel.set_clamp_mss(!request.no_mss_clamp());
  if (request.if_id() == 0) {
    return Fail(Errc::kInvalidArgument, "tunnel {}: if_id must not be 0", request.name());
  }
  Result<TunnelSpec> spec = TunnelOf(tunnel);
  if (!spec) {
    return tl::unexpected(spec.error());
  }
  spec->origin = Origin::kControl;
  return gateway.model().tunnels.Add(*spec).map([](uint32_t) {});
}

Status DeleteTunnel(Gateway& gateway, const control::DeleteTunnel& request) {
  Model& model = gateway.model();
  const TunnelRecord* record = model.tunnels.FindByName(request.name());
  if (record == nullptr) {
    return Fail(Errc::kNotFound, "there is no tunnel named {}", request.name());
  }
  if (record->spec.origin != Origin::kControl) {
    return Fail(Errc::kPermission, "tunnel {} comes from {}; remove it there", request.name(),
                record->spec.origin == Origin::kConfig ? "the configuration" : "IKE");
  }
  const uint32_t id = record->id;
  model.sas.RemoveOf(id);
  return model.tunnels.Remove(id);
}

Status AddSa(Gateway& gateway, const control::AddSa& request) {
  Model& model = gateway.model();
  const TunnelRecord* tunnel = model.tunnels.FindByName(request.tunnel());
  if (tunnel == nullptr) {
    return Fail(Errc::kNotFound, "there is no tunnel named \"{}\"", request.tunnel());
  }
  if (request.direction() != "in" && request.direction() != "out") {
    return Fail(Errc::kInvalidArgument, "direction \"{}\": use in or out", request.direction());
  }
  const Result<const Suite*> suite = FindSuite(request.suite());
  if (!suite) {
    return tl::unexpected(suite.error());
  }
  SaConfig config;
  config.name = request.name();
  config.spi = request.spi();
  config.inbound = request.direction() == "in";
  config.suite = *suite;
  config.esn = request.esn();
  config.initial_sequence = request.initial_sequence();
  config.if_id = tunnel->spec.config.if_id;
  config.reqid = tunnel->spec.config.reqid;
  config.limits = LimitsOf(request.lifetime());
  if (config.inbound) {
    config.check_source = request.check_source();
    config.replay_window = request.no_replay()                    ? 0
                           : request.replay_window_packets() != 0 ? request.replay_window_packets()
                                                                  : kUsualReplayWindow;
  } else {
    config.tfc_length = request.tfc_length_bytes();
  }
  Status taken = TakeKeys(request, **suite, config);
  if (taken) {
    taken = TakeOuter(request, tunnel->spec.config, config);
  }
  if (taken) {
    taken = TakeHeaders(request, config.headers);
  }
  if (!taken) {
    return taken;
  }
  for (const control::Selector& item : request.selectors()) {
    const Result<Selector> selector = SelectorOf(item);
    if (!selector) {
      return tl::unexpected(selector.error());
    }
    config.selectors.push_back(*selector);
  }
  return model.sas.Add(std::move(config), tunnel->id, Origin::kControl);
}

Status DeleteSa(Gateway& gateway, const control::DeleteSa& request) {
  SaSet& sas = gateway.model().sas;
  std::vector<SaName> names;
  const auto matches = [&](const SaConfig& config, const char* direction) {
    return config.spi == request.spi() &&
           (request.direction().empty() || request.direction() == direction) &&
           (request.destination().empty() ||
            request.destination() == config.destination.ToString());
  };
  for (const InboundSa* sa : sas.inbound()) {
    if (matches(sa->config, "in")) {
      names.push_back({true, sa->config.spi, sa->config.destination});
    }
  }
  for (const OutboundRecord* record : sas.outbound()) {
    const SaConfig& config = record->sa->config;
    if (matches(config, "out")) {
      names.push_back({false, config.spi, config.destination});
    }
  }
  if (names.empty()) {
    return Fail(Errc::kNotFound, "there is no {}SA 0x{:08x}{}{}",
                request.direction() == "in"    ? "inbound "
                : request.direction() == "out" ? "outbound "
                                               : "",
                request.spi(), request.destination().empty() ? "" : " to ", request.destination());
  }
  if (names.size() > 1) {
    return Fail(
        Errc::kInvalidArgument,
        "{} SAs have the SPI 0x{:08x}; say the direction, and the destination for outbound ones",
        names.size(), request.spi());
  }
  return sas.Remove(names.front());
}

Status AddRoute(Gateway& gateway, const control::AddRoute& request) {
  const Result<Prefix> prefix = Prefix::Parse(request.prefix());
  if (!prefix) {
    return tl::unexpected(prefix.error());
  }
  const Result<RouteAction> action = ParseRouteAction(request.action());
  if (!action) {
    return tl::unexpected(action.error());
  }
  if (*action != RouteAction::kForward && request.via_size() != 0) {
    return Fail(Errc::kInvalidArgument, "route {}: either next hops or action {}, not both",
                request.prefix(), request.action());
  }
  RoutePath path{*action, {}};
  for (const control::RouteVia& hop : request.via()) {
    const Result<RouteVia> via =
        MakeRouteVia(hop.tunnel(), hop.address(), hop.port(), hop.weight(), gateway.FindPort());
    if (!via) {
      return Prefixed("route " + request.prefix(), via.error());
    }
    path.via.push_back(*via);
    path.via.back().standby = hop.standby();
  }
  return gateway.model().routes.Set(*prefix, RouteSource::kControl, std::move(path));
}

Status DeleteRoute(Gateway& gateway, const control::DeleteRoute& request) {
  const Result<Prefix> prefix = Prefix::Parse(request.prefix());
  if (!prefix) {
    return tl::unexpected(prefix.error());
  }
  const RouteTable& routes = gateway.model().routes;
  if (routes.Find(*prefix, RouteSource::kControl) == nullptr &&
      routes.Find(*prefix, RouteSource::kStatic) != nullptr) {
    return Fail(Errc::kPermission, "route {} comes from the configuration; remove it there",
                request.prefix());
  }
  return gateway.model().routes.Remove(*prefix, RouteSource::kControl);
}

Status SetLogLevel(const control::SetLogLevel& request) {
  return SetLogLevel(request.level(), request.area());
}

Result<control::Reloaded> ReloadConfiguration(Gateway& gateway) {
  const Result<Gateway::Reloaded> reloaded = gateway.Reload();
  if (!reloaded) {
    return tl::unexpected(reloaded.error());
  }
  control::Reloaded out;
  out.mutable_changes()->Assign(reloaded->changes.begin(), reloaded->changes.end());
  out.mutable_needs_restart()->Assign(reloaded->needs_restart.begin(),
                                      reloaded->needs_restart.end());
  return out;
}

}  // namespace penstock
