// Tunnels, SAs and policies. Nothing here can print a key: SAs do not keep them.
#include <rte_cycles.h>

#include <algorithm>
#include <deque>
#include <memory>

#include "dataplane/control/handlers.h"

namespace penstock {
namespace {

constexpr int kSasAPage = 200;

void FillSelector(const Selector& selector, control::Selector& out) {
  out.set_source(selector.source.ToString());
  out.set_destination(selector.destination.ToString());
  out.set_protocol(selector.protocol);
  out.set_source_port_first(selector.source_port_first);
  out.set_source_port_last(selector.source_port_last);
  out.set_destination_port_first(selector.destination_port_first);
  out.set_destination_port_last(selector.destination_port_last);
}

uint64_t LeftOf(uint64_t limit, uint64_t used) { return limit > used ? limit - used : 0; }

void FillLifetime(const LifetimeLimits& limits, uint64_t age_seconds, const SaUsage& usage,
                  control::Lifetime& out) {
  out.set_soft_bytes(limits.soft_bytes);
  out.set_hard_bytes(limits.hard_bytes);
  out.set_soft_packets(limits.soft_packets);
  out.set_hard_packets(limits.hard_packets);
  out.set_soft_seconds(limits.soft_seconds);
  out.set_hard_seconds(limits.hard_seconds);
  out.set_soft_left_seconds(LeftOf(limits.soft_seconds, age_seconds));
  out.set_hard_left_seconds(LeftOf(limits.hard_seconds, age_seconds));
  out.set_hard_left_bytes(LeftOf(limits.hard_bytes, usage.bytes));
  out.set_hard_left_packets(LeftOf(limits.hard_packets, usage.packets));
}

// What inbound and outbound have in common; returns the usage for what they have not.
template <typename Sa>
SaUsage FillCommon(Gateway& gateway, const Sa& sa, control::Sa& out) {
  Model& model = gateway.model();
  const SaConfig& config = sa.config;
  out.set_name(config.name);
  out.set_direction(config.inbound ? "in" : "out");
  out.set_spi(config.spi);
  if (const TunnelRecord* tunnel = model.tunnels.Find(sa.tunnel)) {
    out.set_tunnel(tunnel->spec.config.name);
  }
  out.set_if_id(config.if_id);
  out.set_reqid(config.reqid);
  out.set_suite(std::string(config.suite->name));
  out.set_source(config.source.ToString());
  out.set_destination(config.destination.ToString());
  out.set_udp_encapsulation(config.udp_encapsulation);
  out.set_source_port(config.source_port);
  out.set_destination_port(config.destination_port);
  out.set_esn(config.esn);
  const uint64_t age =
      static_cast<uint64_t>(model.clock().Now().count() - sa.installed_nanoseconds) /
      1'000'000'000u;
  out.set_age_seconds(age);
  out.set_installed_unix_seconds(sa.installed_wall_seconds);
  const SaUsage usage = model.sas.UsageOf(sa.slot);
  const uint64_t now = rte_rdtsc();
  if (usage.last_used != 0 && now > usage.last_used) {
    out.set_idle_microseconds(static_cast<uint64_t>(static_cast<double>(now - usage.last_used) *
                                                    1e6 / static_cast<double>(rte_get_tsc_hz())));
  }
  out.set_packets(usage.packets);
  out.set_bytes(usage.bytes);
  out.set_integrity_failed_packets(usage.integrity_failed);
  FillLifetime(config.limits, age, usage, *out.mutable_lifetime());
  for (const Selector& selector : config.selectors) {
    FillSelector(selector, *out.add_selectors());
  }
  return usage;
}

// The window, in steps that peers offer, that would have let every late packet in.
uint32_t SufficientWindow(const SaUsage& usage, uint32_t window) {
  if (usage.max_late < window || usage.max_late == 0) {
    return 0;
  }
  uint64_t sufficient = ReplayWindow::kMinimum;
  while (sufficient <= usage.max_late && sufficient < ReplayWindow::kMaximum) {
    sufficient *= 2;
  }
  return static_cast<uint32_t>(sufficient);
}

control::Sa MakeInbound(Gateway& gateway, const InboundSa& sa) {
  control::Sa out;
  const SaUsage usage = FillCommon(gateway, sa, out);
  out.set_state(sa.dead.load(std::memory_order_relaxed) != 0 ? "expired" : "receiving");
  out.set_sequence(sa.replay.top());
  control::Replay& replay = *out.mutable_replay();
  replay.set_window_packets(sa.replay.size());
  replay.set_duplicate_packets(usage.replay_duplicate);
  replay.set_late_packets(usage.replay_late);
  replay.set_latest_packets(usage.max_late);
  replay.set_sufficient_window_packets(SufficientWindow(usage, sa.replay.size()));
  for (unsigned bin = 0; bin < 32; ++bin) {
    if (usage.late_histogram[bin] != 0) {
      control::LateBin& row = *replay.add_late_histogram();
      row.set_from_packets(uint64_t{1} << bin);
      row.set_to_packets(uint64_t{2} << bin);
      row.set_packets(usage.late_histogram[bin]);
    }
  }
  return out;
}

control::Sa MakeOutbound(Gateway& gateway, const OutboundSa& sa) {
  control::Sa out;
  FillCommon(gateway, sa, out);
  const bool current =
      gateway.model().tables().tunnels[sa.tunnel].outbound.load(std::memory_order_relaxed) == &sa;
  const bool dead = sa.dead.load(std::memory_order_relaxed) != 0;
  out.set_state(sa.sequence.exhausted() ? "exhausted"
                : dead                  ? "expired"
                : current               ? "current"
                                        : "standby");
  out.set_sequence(sa.sequence.last());
  out.set_tfc_length_bytes(sa.tfc_length);
  out.set_inner_mtu(sa.inner_mtu.load(std::memory_order_relaxed));
  return out;
}

void FillBfd(Gateway& gateway, const TunnelRecord& record, control::Tunnel& out) {
  const Nanoseconds now = gateway.model().clock().Now();
  out.set_bfd_down(!record.bfd_problem.empty());
  for (const BfdWatch::Session& session : gateway.bfd_watch().SessionsOf(record.id)) {
    control::BfdSession& row = *out.add_bfd();
    row.set_local(session.local.ToString());
    row.set_remote(session.remote.ToString());
    row.set_multihop(session.multihop);
    row.set_state(BfdStateName(session.state));
    row.set_remote_state(session.remote_state ? BfdStateName(*session.remote_state) : "");
    row.set_diagnostic(BfdDiagnosticName(session.diagnostic));
    row.set_was_up(session.was_up);
    row.set_detect_milliseconds(session.detect_milliseconds);
    row.set_age_milliseconds(static_cast<uint64_t>((now - session.heard).count() / 1'000'000));
  }
}

void FillTunnel(Gateway& gateway, const TunnelRecord& record, control::Tunnel& out) {
  Model& model = gateway.model();
  const TunnelConfig& config = record.spec.config;
  const Tunnel& hot = model.tables().tunnels[record.id];
  out.set_name(config.name);
  out.set_id(record.id);
  out.set_if_id(config.if_id);
  out.set_reqid(config.reqid);
  out.set_state(model.tunnels.StateOf(record));
  out.set_up(record.up);
  const OutboundSa* current = hot.outbound.load(std::memory_order_relaxed);
  const bool from_sa = current != nullptr;
  const IpAddress local =
      config.local.is_unspecified() && from_sa ? current->config.source : config.local;
  const IpAddress remote =
      config.remote.is_unspecified() && from_sa ? current->config.destination : config.remote;
  out.set_local(local.is_unspecified() ? "" : local.ToString());
  out.set_remote(remote.is_unspecified() ? "" : remote.ToString());
  for (const InterfaceAddress& address : model.addresses.Of({kNoPort, record.id})) {
    out.add_addresses(address.ToString());
  }
  out.set_mtu(hot.mtu.load(std::memory_order_relaxed));
  out.set_mss_ipv4(hot.mss_v4.load(std::memory_order_relaxed));
  out.set_mss_ipv6(hot.mss_v6.load(std::memory_order_relaxed));
  out.set_inbound_sas(static_cast<uint32_t>(record.inbound.size()));
  out.set_outbound_sas(static_cast<uint32_t>(record.outbound.size()));
  if (from_sa) {
    out.set_current_outbound_spi(current->config.spi);
    const uint32_t next_hop = current->outer_next_hop.load(std::memory_order_relaxed);
    const control::NextHop outer = DescribeNextHop(gateway, next_hop);
    out.set_outer_next_hop(next_hop == kNextHopNoRoute
                               ? record.outer_problem
                               : fmt::format("via {}, port {}", outer.address(), outer.port()));
  }
  for (const WorkerContext* worker : model.workers()) {
    const TunnelCounters& counters = worker->counters.tunnels[record.id];
    out.set_in_packets(out.in_packets() + counters.in_packets.Read());
    out.set_in_bytes(out.in_bytes() + counters.in_bytes.Read());
    out.set_out_packets(out.out_packets() + counters.out_packets.Read());
    out.set_out_bytes(out.out_bytes() + counters.out_bytes.Read());
    out.set_in_dropped_packets(out.in_dropped_packets() + counters.in_dropped.Read());
    out.set_out_dropped_packets(out.out_dropped_packets() + counters.out_dropped.Read());
    out.set_to_host_packets(out.to_host_packets() + counters.punted_packets.Read());
    out.set_from_host_packets(out.from_host_packets() + counters.host_packets.Read());
  }
  out.set_source(OriginName(record.spec.origin));
  FillBfd(gateway, record, out);
}

}  // namespace

Result<control::Tunnels> ShowTunnels(Gateway& gateway, const control::ShowTunnels& request) {
  control::Tunnels tunnels;
  TunnelSet& set = gateway.model().tunnels;
  if (!request.name().empty() && set.FindByName(request.name()) == nullptr) {
    return Fail(Errc::kNotFound, "there is no tunnel named {}", request.name());
  }
  for (const auto& [id, record] : set.records()) {
    if (request.name().empty() || record.spec.config.name == request.name()) {
      FillTunnel(gateway, record, *tunnels.add_tunnels());
    }
  }
  tunnels.set_timestamp_microseconds(TimestampMicroseconds());
  return tunnels;
}

Result<PageSource> ShowSas(Gateway& gateway, const control::ShowSas& request) {
  Model& model = gateway.model();
  const TunnelRecord* tunnel = nullptr;
  if (!request.tunnel().empty()) {
    tunnel = model.tunnels.FindByName(request.tunnel());
    if (tunnel == nullptr) {
      return Fail(Errc::kNotFound, "there is no tunnel named {}", request.tunnel());
    }
  }
  // Names, not pointers: SAs may go between two pages.
  auto names = std::make_shared<std::deque<SaName>>();
  const auto add = [&](uint32_t of_tunnel, const SaConfig& config) {
    if ((tunnel == nullptr || tunnel->id == of_tunnel) &&
        (request.spi() == 0 || request.spi() == config.spi)) {
      names->push_back({config.inbound, config.spi, config.destination});
    }
  };
  for (const InboundSa* sa : model.sas.inbound()) {
    add(sa->tunnel, sa->config);
  }
  for (const OutboundRecord* record : model.sas.outbound()) {
    add(record->sa->tunnel, record->sa->config);
  }
  return PageSource([&gateway, names] {
    control::Reply reply;
    control::Sas& sas = *reply.mutable_sas();
    while (!names->empty() && sas.sas_size() < kSasAPage) {
      const SaName name = names->front();
      names->pop_front();
      SaSet& set = gateway.model().sas;
      if (name.inbound) {
        if (const InboundSa* sa = set.FindInbound(name.spi)) {
          *sas.add_sas() = MakeInbound(gateway, *sa);
        }
      } else if (const OutboundRecord* record = set.FindOutbound(name.spi, name.destination)) {
        *sas.add_sas() = MakeOutbound(gateway, *record->sa);
      }
    }
    sas.set_timestamp_microseconds(TimestampMicroseconds());
    reply.set_more(!names->empty());
    return reply;
  });
}

control::Policies ShowPolicies(Gateway& gateway) {
  constexpr const char* kDirections[] = {"in", "out", "forward"};
  constexpr const char* kActions[] = {"protect", "bypass", "discard"};
  control::Policies policies;
  Model& model = gateway.model();
  for (const PolicyConfig& policy : model.policies.policies()) {
    control::Policy& out = *policies.add_policies();
    out.set_direction(kDirections[static_cast<unsigned>(policy.direction)]);
    out.set_action(kActions[static_cast<unsigned>(policy.action)]);
    out.set_priority(policy.priority);
    out.set_if_id(policy.if_id);
    out.set_reqid(policy.reqid);
    FillSelector(policy.selector, *out.mutable_selector());
    out.set_local(policy.local.is_unspecified() ? "" : policy.local.ToString());
    out.set_remote(policy.remote.is_unspecified() ? "" : policy.remote.ToString());
    if (const TunnelRecord* tunnel = model.tunnels.Find(model.policies.TunnelOf(policy))) {
      out.set_tunnel(tunnel->spec.config.name);
    }
  }
  return policies;
}

}  // namespace penstock
