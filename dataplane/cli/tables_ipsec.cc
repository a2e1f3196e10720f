#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "dataplane/cli/tables.h"

namespace penstock::cli {
namespace {

Color SaColor(const std::string& state) {
  if (state == "current" || state == "receiving") {
    return Color::kGood;
  }
  return state == "standby" ? Color::kNone : Color::kBad;
}

// ":1-1024" behind a prefix; nothing for all ports.
std::string PortRange(uint32_t first, uint32_t last) {
  if (first == 0 && (last == 0 || last == 65'535)) {
    return "";
  }
  return first == last ? fmt::format(" port {}", first) : fmt::format(" ports {}-{}", first, last);
}

// " (BFD up)"; a session that is down says so in the state already.
std::string BfdText(const control::Tunnel& tunnel) {
  const bool any_up = std::any_of(tunnel.bfd().begin(), tunnel.bfd().end(),
                                  [](const auto& session) { return session.state() == "up"; });
  return any_up ? " (BFD up)" : "";
}

}  // namespace

std::string TunnelsText(const control::Tunnels& tunnels, const View& view) {
  const Units& units = view.units;
  Table table({{"TUNNEL"},
               {"STATE"},
               {"LOCAL -> REMOTE"},
               {"IN PACKETS", Align::kRight},
               {"IN BYTES", Align::kRight, 2},
               {"OUT PACKETS", Align::kRight},
               {"OUT BYTES", Align::kRight, 2},
               {"DROPPED", Align::kRight, 1},
               {"OUT SPI", Align::kLeft, 3},
               {"SAS IN/OUT", Align::kRight, 4},
               {"IF_ID", Align::kRight, 6},
               {"MTU", Align::kRight, 5},
               {"ADDRESSES", Align::kLeft, 7},
               {"SOURCE", Align::kLeft, 9},
               {"NEXT HOP", Align::kLeft, 8}});
  for (const control::Tunnel& tunnel : tunnels.tunnels()) {
    table.Add({{tunnel.name(), Color::kBold},
               {tunnel.state() + BfdText(tunnel),
                tunnel.up() && !tunnel.bfd_down() ? Color::kGood : Color::kBad},
               fmt::format("{} -> {}", tunnel.local(), tunnel.remote()),
               units.Count(tunnel.in_packets()),
               units.Count(tunnel.in_bytes()),
               units.Count(tunnel.out_packets()),
               units.Count(tunnel.out_bytes()),
               BadCount(tunnel.in_dropped_packets() + tunnel.out_dropped_packets(), units),
               FormatSpi(tunnel.current_outbound_spi()),
               fmt::format("{}/{}", tunnel.inbound_sas(), tunnel.outbound_sas()),
               tunnel.if_id() == 0 ? "" : std::to_string(tunnel.if_id()),
               tunnel.mtu() == 0 ? "" : std::to_string(tunnel.mtu()),
               fmt::format("{}", fmt::join(tunnel.addresses(), ", ")),
               tunnel.source(),
               tunnel.outer_next_hop()});
  }
  return table.empty() ? "no tunnels\n" : table.Render(view.style);
}

std::string LifeLeftText(const control::Lifetime& lifetime, const Units& units) {
  struct Limit {
    uint64_t limit;
    uint64_t left;
    std::string text;
  };
  const std::array<Limit, 3> limits = {{
      {lifetime.hard_seconds(), lifetime.hard_left_seconds(),
       FormatDuration(lifetime.hard_left_seconds())},
      {lifetime.hard_bytes(), lifetime.hard_left_bytes(), units.Bytes(lifetime.hard_left_bytes())},
      {lifetime.hard_packets(), lifetime.hard_left_packets(),
       units.Count(lifetime.hard_left_packets()) + " packets"},
  }};
  std::string nearest = "-";
  double smallest_share = 2;
  for (const Limit& limit : limits) {
    const double share =
        limit.limit == 0 ? 2 : static_cast<double>(limit.left) / static_cast<double>(limit.limit);
    if (share < smallest_share) {
      smallest_share = share;
      nearest = limit.text;
    }
  }
  return nearest;
}

std::string SasText(const control::Sas& sas, const View& view) {
  const Units& units = view.units;
  Table table({{"TUNNEL"},
               {"DIR"},
               {"SPI"},
               {"NAME", Align::kLeft, 2},
               {"SUITE", Align::kLeft, 1},
               {"STATE"},
               {"PACKETS", Align::kRight},
               {"BYTES", Align::kRight, 2},
               {"AGE", Align::kRight, 3},
               {"LIFE LEFT", Align::kRight, 2},
               {"IDLE", Align::kRight, 4},
               {"REPLAYED", Align::kRight, 5},
               {"LATE", Align::kRight, 5},
               {"FAILED", Align::kRight, 5},
               {"SOURCE -> DESTINATION", Align::kLeft, 6},
               {"SEQUENCE", Align::kRight, 7}});
  for (const control::Sa& sa : sas.sas()) {
    const bool inbound = sa.direction() == "in";
    const std::string outer =
        sa.udp_encapsulation()
            ? fmt::format("{} port {} -> {} port {}", sa.source(), sa.source_port(),
                          sa.destination(), sa.destination_port())
            : fmt::format("{} -> {}", sa.source(), sa.destination());
    const auto checked = [&](uint64_t count) -> Cell {
      return inbound ? BadCount(count, units) : Cell("");
    };
    table.Add({{sa.tunnel(), Color::kBold},
               sa.direction(),
               FormatSpi(sa.spi()),
               sa.name(),
               sa.suite(),
               {sa.state(), SaColor(sa.state())},
               units.Count(sa.packets()),
               units.Count(sa.bytes()),
               FormatDuration(sa.age_seconds()),
               LifeLeftText(sa.lifetime(), units),
               sa.packets() == 0 ? "" : FormatAge(sa.idle_microseconds()),
               checked(sa.replay().duplicate_packets()),
               checked(sa.replay().late_packets()),
               checked(sa.integrity_failed_packets()),
               outer,
               std::to_string(sa.sequence())});
  }
  return table.empty() ? "no SAs\n" : table.Render(view.style);
}

std::string SelectorText(const control::Selector& selector) {
  const std::string source =
      selector.source() + PortRange(selector.source_port_first(), selector.source_port_last());
  const std::string destination =
      selector.destination() +
      PortRange(selector.destination_port_first(), selector.destination_port_last());
  const std::string protocol =
      selector.protocol() == 0 ? "" : " " + FormatProtocol(selector.protocol());
  return fmt::format("{} -> {}{}", source, destination, protocol);
}

std::string PoliciesText(const control::Policies& policies, const View& view) {
  Table table({{"DIR"},
               {"ACTION"},
               {"PRIORITY", Align::kRight},
               {"SELECTOR"},
               {"TUNNEL"},
               {"IF_ID", Align::kRight, 2},
               {"REQID", Align::kRight, 3},
               {"LOCAL -> REMOTE", Align::kLeft, 1}});
  for (const control::Policy& policy : policies.policies()) {
    const bool protects = policy.action() == "protect";
    table.Add({policy.direction(),
               {policy.action(), policy.action() == "discard" ? Color::kWarning : Color::kNone},
               std::to_string(policy.priority()),
               SelectorText(policy.selector()),
               {protects && policy.tunnel().empty() ? "none yet" : policy.tunnel(),
                protects && policy.tunnel().empty() ? Color::kWarning : Color::kBold},
               policy.if_id() == 0 ? "" : std::to_string(policy.if_id()),
               policy.reqid() == 0 ? "" : std::to_string(policy.reqid()),
               policy.local().empty() && policy.remote().empty()
                   ? ""
                   : fmt::format("{} -> {}", policy.local(), policy.remote())});
  }
  return table.empty() ? "no policies\n" : table.Render(view.style);
}

}  // namespace penstock::cli
