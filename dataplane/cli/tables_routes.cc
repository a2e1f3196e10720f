#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "dataplane/cli/tables.h"

namespace penstock::cli {
namespace {

constexpr int kManyHops = 4;

std::string HopList(const google::protobuf::RepeatedPtrField<control::NextHop>& hops) {
  std::vector<std::string> parts;
  bool all_alike = true;
  for (const control::NextHop& hop : hops) {
    all_alike = all_alike && hop.weight() == hops[0].weight();
  }
  for (const control::NextHop& hop : hops) {
    if (parts.size() == kManyHops) {
      parts.push_back(fmt::format("and {} more", hops.size() - kManyHops));
      break;
    }
    parts.push_back(NextHopText(hop) + (all_alike ? "" : fmt::format(" weight {}", hop.weight())) +
                    (hop.standby() ? " standby" : "") + (hop.alive() ? "" : " (dead)"));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

Cell HopState(const control::NextHop& hop) {
  const std::string standby = hop.standby() ? ", standby" : "";
  return hop.alive() ? Cell("alive" + standby, Color::kGood) : Cell("dead" + standby, Color::kBad);
}

void AddHopLines(Block& block, const control::LookupResult& result) {
  for (const control::GroupMember& member : result.group().members()) {
    const bool taken = NextHopText(member.next_hop()) == NextHopText(result.next_hop());
    block.Add("  member", {fmt::format("{}: {} of {} buckets{}{}", NextHopText(member.next_hop()),
                                       member.buckets(), result.group().buckets(),
                                       std::string(member.next_hop().standby() ? ", standby" : "") +
                                           (member.next_hop().alive() ? "" : ", dead"),
                                       taken ? "  <- taken" : ""),
                           taken ? Color::kGood : Color::kNone});
  }
}

}  // namespace

std::string NextHopText(const control::NextHop& hop) {
  if (!hop.tunnel().empty()) {
    return "tunnel " + hop.tunnel();
  }
  if (hop.address().empty()) {
    return "port " + hop.port();
  }
  return hop.port().empty() ? hop.address() : fmt::format("{} port {}", hop.address(), hop.port());
}

std::string RoutesText(const control::Routes& routes, const View& view) {
  Table table({{"PREFIX"},
               {""},
               {"ACTION"},
               {"NEXT HOPS"},
               {"SOURCE", Align::kLeft, 1},
               {"PREF", Align::kRight, 3},
               {"GROUP", Align::kRight, 2},
               {"NOTE", Align::kLeft, 4}});
  bool any_note = false;
  for (const control::Route& route : routes.routes()) {
    any_note = any_note || !route.note().empty();
  }
  for (const control::Route& route : routes.routes()) {
    table.Add({{route.prefix(), route.active() ? Color::kBold : Color::kDim},
               {route.active() ? "*" : " ", Color::kGood},
               route.action(),
               HopList(route.next_hops()),
               route.source(),
               std::to_string(route.preference()),
               route.group() == 0 ? "" : std::to_string(route.group()),
               {any_note && route.note().empty() ? " " : route.note(), Color::kWarning}});
  }
  return table.empty() ? "no routes\n"
                       : table.Render(view.style) + Paint("* in force\n", Color::kDim, view.style);
}

std::string GroupsText(const control::Groups& groups, const View& view) {
  Table table({{"GROUP", Align::kRight},
               {"BUCKETS", Align::kRight},
               {"USED BY", Align::kRight},
               {"MEMBER"},
               {"STATE"},
               {"WEIGHT", Align::kRight},
               {"HOLDS", Align::kRight},
               {"SHARE", Align::kRight, 1}});
  for (const control::Group& group : groups.groups()) {
    bool first = true;
    for (const control::GroupMember& member : group.members()) {
      const double share =
          group.buckets() == 0 ? 0 : static_cast<double>(member.buckets()) / group.buckets();
      table.Add({{first ? std::to_string(group.index()) : " ", Color::kBold},
                 first ? std::to_string(group.buckets()) : " ",
                 first ? std::to_string(group.references()) : " ",
                 NextHopText(member.next_hop()),
                 HopState(member.next_hop()),
                 std::to_string(member.next_hop().weight()),
                 std::to_string(member.buckets()),
                 FormatPercent(share)});
      first = false;
    }
  }
  return table.empty() ? "no groups\n" : table.Render(view.style);
}

std::string FpmText(const control::Fpm& fpm, const View& view) {
  if (!fpm.enabled()) {
    return "off: the configuration has no section fpm\n";
  }
  Block block;
  block.Add("listens on", fpm.listen());
  block.Add("zebra", fpm.connected() ? Cell(fmt::format("connected from {} for {}", fpm.peer(),
                                                        FormatDuration(fpm.connected_seconds())),
                                            Color::kGood)
                                     : Cell("not connected; its routes stay", Color::kBad));
  block.Add("connections", std::to_string(fpm.connections()));
  block.Add("routes", view.units.Count(fpm.routes()));
  block.Add("  stale", {view.units.Count(fpm.stale_routes()),
                        fpm.stale_routes() == 0 ? Color::kNone : Color::kWarning});
  block.Add("  parked", {view.units.Count(fpm.parked_routes()),
                         fpm.parked_routes() == 0 ? Color::kNone : Color::kWarning});
  block.Add("  held", view.units.Count(fpm.held_withdrawals()));
  block.Add("next hops",
            fmt::format("{}, {} groups, {} paths", fpm.next_hops(), fpm.groups(), fpm.paths()));
  block.Add("received", fmt::format("{} frames, {}", view.units.Count(fpm.frames()),
                                    view.units.Bytes(fpm.bytes())));
  for (const control::FpmCount& row : fpm.messages()) {
    std::string kind = row.kind();
    std::replace(kind.begin(), kind.end(), '_', ' ');
    block.Add("  " + kind, view.units.Count(row.count()));
  }
  block.Add("  ignored", view.units.Count(fpm.ignored_messages()));
  block.Add("  malformed", BadCount(fpm.malformed_messages(), view.units));
  if (fpm.acknowledge()) {
    block.Add("acknowledged",
              fmt::format("{} offloaded, {} failed", view.units.Count(fpm.acknowledged_routes()),
                          view.units.Count(fpm.failed_routes())));
  }
  if (!fpm.last_error().empty()) {
    block.Add("last error", {fmt::format("{} ago: {}", FormatDuration(fpm.last_error_age_seconds()),
                                         fpm.last_error()),
                             Color::kWarning});
  }
  for (const std::string& problem : fpm.problems()) {
    block.Add("problem", {problem, Color::kWarning});
  }
  return block.Render(view.style);
}

std::string NeighborsText(const control::Neighbors& neighbors, const View& view) {
  Table table({{"ADDRESS"}, {"PORT"}, {"MAC"}, {"AGE", Align::kRight}});
  for (const control::Neighbor& neighbor : neighbors.neighbors()) {
    const bool resolved = !neighbor.mac().empty();
    table.Add({{neighbor.address(), Color::kBold},
               neighbor.port(),
               {resolved ? neighbor.mac() : "not resolved", resolved ? Color::kNone : Color::kBad},
               neighbor.permanent() ? "permanent" : FormatAge(neighbor.age_milliseconds() * 1000)});
  }
  return table.empty() ? "no neighbors\n" : table.Render(view.style);
}

std::string LookupText(const control::LookupResult& result, const View& view) {
  Block block;
  block.Add(result.destination(), {result.verdict(), Color::kBold});
  if (result.prefix().empty()) {
    block.Add("route", {"none", Color::kBad});
    return block.Render(view.style);
  }
  const control::Route& route = result.route();
  block.Add("route", fmt::format("{} ({}, preference {}): {}", result.prefix(), route.source(),
                                 route.preference(), route.action()));
  if (result.has_group() && result.group().members_size() > 0) {
    block.Add("group", result.has_bucket()
                           ? fmt::format("{}, bucket {}", result.group().index(), result.bucket())
                           : std::to_string(result.group().index()));
    AddHopLines(block, result);
  } else if (route.next_hops_size() > 0) {
    block.Add("next hop", HopList(route.next_hops()));
  }
  if (!result.tunnel().empty()) {
    block.Add("tunnel", result.tunnel());
    block.Add("SA", result.spi() == 0
                        ? Cell("none: packets are dropped", Color::kBad)
                        : Cell(fmt::format("{} {}", FormatSpi(result.spi()), result.suite())));
  }
  if (!result.outer_source().empty()) {
    block.Add("outer packet", result.outer_source() + " -> " + result.outer_destination());
  }
  if (result.has_outer_next_hop()) {
    const control::NextHop& outer = result.outer_next_hop();
    block.Add("outer", fmt::format("{} mac {}", NextHopText(outer),
                                   outer.mac().empty() ? "not resolved" : outer.mac()));
  } else if (result.has_next_hop() && !result.next_hop().mac().empty()) {
    block.Add("mac", result.next_hop().mac());
  }
  return block.Render(view.style);
}

}  // namespace penstock::cli
