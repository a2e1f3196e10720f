// Routes, groups, neighbours, and where an address leads.
#include <algorithm>
#include <cstring>
#include <memory>

#include "dataplane/control/handlers.h"
#include "dataplane/stages/flow_hash.h"

namespace penstock {
namespace {

constexpr int kRoutesAPage = 1000;
constexpr unsigned kVisitsAPage =
    20000;  // routes looked at for one page, so that filters do not stall

const char* ActionName(NextHopKind kind) {
  switch (kind) {
    case NextHopKind::kBlackhole:
      return "blackhole";
    case NextHopKind::kUnreachable:
    case NextHopKind::kNoRoute:
      return "unreachable";
    case NextHopKind::kProhibit:
      return "prohibit";
    case NextHopKind::kLocal:
      return "local";
    case NextHopKind::kProtected:
      return "protected";
    case NextHopKind::kGlean:
      return "glean";
    case NextHopKind::kForward:
    case NextHopKind::kTunnel:
    case NextHopKind::kGroup:
      break;
  }
  return "forward";
}

control::NextHop DescribeMember(Gateway& gateway, const GroupMember& member) {
  control::NextHop hop = DescribeNextHop(gateway, member.next_hop);
  hop.set_weight(member.weight);
  hop.set_standby(member.standby);
  return hop;
}

void FillRoute(Gateway& gateway, const RouteTable::View& view, control::Route& out) {
  NextHopTable& next_hops = gateway.model().tables().next_hops;
  out.set_prefix(view.prefix.ToString());
  out.set_source(view.is_protected ? "protected" : RouteSourceName(view.source));
  out.set_preference(view.is_protected ? 255 : RoutePreference(view.source));
  out.set_active(view.active);
  out.set_note(view.note);
  const NextHopKind kind = next_hops[view.next_hop].kind;
  out.set_action(ActionName(kind));
  if (view.active && kind == NextHopKind::kGroup) {
    out.set_group(view.next_hop);
    for (const GroupMember& member : next_hops.group(view.next_hop).members) {
      if (member.next_hop < kFirstFreeNextHop) {
        out.set_action(ActionName(next_hops[member.next_hop].kind));
      } else {
        *out.add_next_hops() = DescribeMember(gateway, member);
      }
    }
  } else if (view.active) {
    if (kind == NextHopKind::kForward || kind == NextHopKind::kTunnel ||
        kind == NextHopKind::kGlean) {
      *out.add_next_hops() = DescribeNextHop(gateway, view.next_hop);
    }
  } else {
    for (const RouteVia& via : view.path.via) {
      control::NextHop& hop = *out.add_next_hops();
      hop.set_address(via.address ? via.address->ToString() : "");
      hop.set_tunnel(via.tunnel);
      hop.set_port(gateway.ports().NameOf(via.port));
      hop.set_weight(via.weight);
      hop.set_standby(via.standby);
    }
  }
}

control::Group MakeGroup(Gateway& gateway, uint32_t index) {
  NextHopTable& next_hops = gateway.model().tables().next_hops;
  const NextHopTable::GroupView view = next_hops.group(index);
  control::Group group;
  group.set_index(index);
  group.set_buckets(view.buckets);
  group.set_references(next_hops.references(index));
  for (size_t i = 0; i < view.members.size(); ++i) {
    control::GroupMember& member = *group.add_members();
    *member.mutable_next_hop() = DescribeMember(gateway, view.members[i]);
    member.set_buckets(view.bucket_counts[i]);
  }
  return group;
}

bool IsWanted(const control::ShowRoutes& filter, const RouteTable::View& view) {
  const std::string source = view.is_protected ? "protected" : RouteSourceName(view.source);
  const bool tunnel =
      filter.tunnel().empty() ||
      std::any_of(view.path.via.begin(), view.path.via.end(),
                  [&](const RouteVia& via) { return via.tunnel == filter.tunnel(); });
  return tunnel && (filter.source().empty() || filter.source() == source) &&
         (!filter.active() || view.active);
}

// As `classify` makes it of a packet.
uint32_t HashOfFlow(const IpAddress& source, const IpAddress& destination,
                    const control::Lookup& request) {
  uint8_t addresses[32] = {};
  std::memcpy(addresses, source.data(), source.size());
  std::memcpy(addresses + source.size(), destination.data(), destination.size());
  const Be16 ports[2] = {Be16::FromHost(static_cast<uint16_t>(request.source_port())),
                         Be16::FromHost(static_cast<uint16_t>(request.destination_port()))};
  uint32_t raw = 0;
  std::memcpy(&raw, ports, sizeof(raw));
  const auto protocol = static_cast<uint8_t>(request.protocol());
  return source.is_v4() ? FlowHashV4(addresses, raw, protocol)
                        : FlowHashV6(addresses, raw, protocol);
}

void FillVerdict(Gateway& gateway, uint32_t member, control::LookupResult& out) {
  Model& model = gateway.model();
  const NextHop& hop = model.tables().next_hops[member];
  if (hop.kind != NextHopKind::kTunnel) {
    out.set_verdict(NextHopText(gateway, member));
    return;
  }
  const TunnelRecord* record = model.tunnels.Find(hop.tunnel);
  if (record == nullptr) {
    out.set_verdict("dropped: the tunnel has gone");
    return;
  }
  out.set_tunnel(record->spec.config.name);
  const OutboundSa* sa =
      model.tables().tunnels[hop.tunnel].outbound.load(std::memory_order_relaxed);
  if (sa == nullptr || sa->dead.load(std::memory_order_relaxed) != 0) {
    out.set_verdict(fmt::format("dropped: tunnel {}: {}", record->spec.config.name,
                                model.tunnels.StateOf(*record)));
    return;
  }
  out.set_outer_source(sa->config.source.ToString());
  out.set_outer_destination(sa->config.destination.ToString());
  out.set_spi(sa->config.spi);
  out.set_suite(std::string(sa->config.suite->name));
  const uint32_t outer = sa->outer_next_hop.load(std::memory_order_relaxed);
  if (outer == kNextHopNoRoute) {
    out.set_verdict("dropped: " + record->outer_problem);
    return;
  }
  *out.mutable_outer_next_hop() = DescribeNextHop(gateway, outer);
  out.set_verdict(fmt::format("encrypted by tunnel {}, SPI 0x{:08x}, {}, to {}",
                              record->spec.config.name, sa->config.spi, sa->config.suite->name,
                              sa->config.destination.ToString()));
}

}  // namespace

control::NextHop DescribeNextHop(Gateway& gateway, uint32_t index) {
  NextHopTable& next_hops = gateway.model().tables().next_hops;
  const NextHop& hop = next_hops[index];
  control::NextHop out;
  out.set_weight(1);
  out.set_alive(next_hops.alive(index));
  if (hop.kind == NextHopKind::kTunnel) {
    if (const TunnelRecord* record = gateway.model().tunnels.Find(hop.tunnel)) {
      out.set_tunnel(record->spec.config.name);
    }
    return out;
  }
  if (index < kFirstFreeNextHop) {
    out.set_address(ActionName(hop.kind));  // in a group that leads nowhere
    return out;
  }
  if (hop.kind == NextHopKind::kForward || hop.kind == NextHopKind::kGlean) {
    out.set_port(gateway.ports().NameOf(hop.port));
  }
  if (hop.kind == NextHopKind::kForward) {
    out.set_address(
        (hop.gateway_version == 6 ? IpAddress::V6(hop.gateway) : IpAddress::V4(hop.gateway))
            .ToString());
    const LinkHeader link = LoadLink(hop);
    if (link.resolved != 0) {
      MacAddress mac;
      std::copy(std::begin(link.destination), std::end(link.destination), mac.bytes.begin());
      out.set_mac(mac.ToString());
    }
  }
  return out;
}

std::string NextHopText(Gateway& gateway, uint32_t index) {
  const NextHopTable& next_hops = gateway.model().tables().next_hops;
  const control::NextHop hop = DescribeNextHop(gateway, index);
  switch (next_hops[index].kind) {
    case NextHopKind::kForward:
      return fmt::format("in clear via {}, port {}{}", hop.address(), hop.port(),
                         hop.mac().empty() ? ", link address not resolved" : "");
    case NextHopKind::kGlean:
      return fmt::format("in clear on the link of port {}", hop.port());
    case NextHopKind::kLocal:
      return "to this host";
    case NextHopKind::kProtected:
      return "dropped: a protected prefix, and no tunnel carries it";
    default:
      return next_hops.ToString(index);
  }
}

Result<PageSource> ShowRoutes(Gateway& gateway, const control::ShowRoutes& request) {
  std::optional<Prefix> inside;
  if (!request.prefix().empty()) {
    const Result<Prefix> prefix = Prefix::Parse(request.prefix());
    if (!prefix) {
      return tl::unexpected(prefix.error());
    }
    inside = *prefix;
  }
  struct Position {
    std::optional<Prefix> from;
    uint32_t shown = 0;
  };
  auto position = std::make_shared<Position>();
  const uint32_t limit = request.limit() == 0 ? UINT32_MAX : request.limit();
  return PageSource([&gateway, inside, limit, filter = request, position] {
    control::Reply reply;
    control::Routes& routes = *reply.mutable_routes();
    bool more = false;
    unsigned visited = 0;
    gateway.model().routes.Visit(position->from, [&](const std::vector<RouteTable::View>& views) {
      if (routes.routes_size() >= kRoutesAPage || ++visited > kVisitsAPage) {
        more = true;
        return false;
      }
      position->from = views.front().prefix;
      if (inside && !inside->Contains(views.front().prefix)) {
        return true;
      }
      for (const RouteTable::View& view : views) {
        if (IsWanted(filter, view) && position->shown < limit) {
          FillRoute(gateway, view, *routes.add_routes());
          ++position->shown;
        }
      }
      return position->shown < limit;
    });
    reply.set_more(more);
    return reply;
  });
}

control::Groups ShowGroups(Gateway& gateway) {
  control::Groups groups;
  NextHopTable& next_hops = gateway.model().tables().next_hops;
  for (const uint32_t index : next_hops.indices()) {
    if (next_hops[index].kind == NextHopKind::kGroup) {
      *groups.add_groups() = MakeGroup(gateway, index);
    }
  }
  return groups;
}

control::Neighbors ShowNeighbors(Gateway& gateway) {
  control::Neighbors neighbors;
  for (const NeighborView& view : gateway.model().neighbors.neighbors()) {
    control::Neighbor& out = *neighbors.add_neighbors();
    out.set_address(view.address.ToString());
    out.set_port(gateway.ports().NameOf(view.port));
    out.set_mac(view.mac ? view.mac->ToString() : "");
    out.set_permanent(view.permanent);
    out.set_age_milliseconds(static_cast<uint64_t>(view.age_nanoseconds / 1'000'000));
  }
  return neighbors;
}

Result<control::LookupResult> LookupAddress(Gateway& gateway, const control::Lookup& request) {
  const Result<IpAddress> destination = IpAddress::Parse(request.destination());
  if (!destination) {
    return tl::unexpected(destination.error());
  }
  uint32_t hash = 1;
  if (!request.source().empty()) {
    const Result<IpAddress> source = IpAddress::Parse(request.source());
    if (!source) {
      return tl::unexpected(source.error());
    }
    if (source->family() != destination->family()) {
      return Fail(Errc::kInvalidArgument, "source {} and destination {} are of different families",
                  source->ToString(), destination->ToString());
    }
    hash = HashOfFlow(*source, *destination, request);
  }
  Model& model = gateway.model();
  NextHopTable& next_hops = model.tables().next_hops;
  control::LookupResult out;
  out.set_destination(destination->ToString());
  const std::optional<Fib::Match> match = model.tables().fib.LongestMatch(*destination);
  if (!match) {
    out.set_verdict("dropped: no route");
    return out;
  }
  out.set_prefix(match->prefix.ToString());
  for (const RouteTable::View& view : model.routes.ViewsOf(match->prefix)) {
    if (view.active || !out.has_route()) {
      FillRoute(gateway, view, *out.mutable_route());
    }
    if (view.active) {
      break;
    }
  }
  if (!out.has_route()) {
    out.mutable_route()->set_prefix(match->prefix.ToString());
    out.mutable_route()->set_source("neighbor");
    out.mutable_route()->set_active(true);
    out.mutable_route()->set_action("forward");
  }
  if (next_hops[match->next_hop].kind == NextHopKind::kGroup) {
    *out.mutable_group() = MakeGroup(gateway, match->next_hop);
    if (!request.source().empty()) {
      out.set_bucket(hash & next_hops[match->next_hop].bucket_mask);
    }
  }
  const uint32_t member = next_hops.Resolve(match->next_hop, hash);
  *out.mutable_next_hop() = DescribeNextHop(gateway, member);
  FillVerdict(gateway, member, out);
  return out;
}

}  // namespace penstock
