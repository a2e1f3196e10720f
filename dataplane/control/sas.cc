#include "dataplane/control/sas.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/ipsec/esp_frame.h"
#include "dataplane/stages/flow_hash.h"

namespace penstock {
namespace {

constexpr uint16_t kDefaultOuterMtu = 1500;

std::string Describe(const SaName& name) {
  return fmt::format("{} SA 0x{:08x} to {}", name.inbound ? "inbound" : "outbound", name.spi,
                     name.destination.ToString());
}

}  // namespace

SaSet::SaSet(GatewayTables& tables, TunnelSet& tunnels, RouteTable& routes, Engine& engine,
             const Clock& clock, std::vector<WorkerContext*> workers, EventSink events)
    : tables_(tables),
      tunnels_(tunnels),
      routes_(routes),
      engine_(engine),
      clock_(clock),
      workers_(std::move(workers)),
      events_(std::move(events)) {
  tables_.sad.OnSlotFree([this](uint32_t slot) { ClearCounters(slot); });
}

SaSet::~SaSet() {
  while (!outbound_.empty()) {
    (void)RemoveOutbound(outbound_.begin()->first);
  }
  while (!inbound_.empty()) {
    (void)RemoveInbound(inbound_.begin()->first);
  }
  tables_.sad.OnSlotFree(nullptr);
}

Result<uint32_t> SaSet::ReserveSpi() {
  Result<uint32_t> spi = tables_.sad.ReserveSpi();
  if (spi) {
    reserved_.insert(*spi);
  }
  return spi;
}

Status SaSet::ReleaseSpi(uint32_t spi) {
  if (reserved_.erase(spi) == 0) {
    return Fail(Errc::kNotFound, "there is no SA and no reserved SPI 0x{:08x}", spi);
  }
  tables_.sad.ReleaseSpi(spi);
  return {};
}

Status SaSet::Add(SaConfig config, uint32_t tunnel, Origin origin, bool completes) {
  TunnelRecord* record = tunnels_.Find(tunnel);
  if (record == nullptr) {
    return Fail(Errc::kNotFound, "SA 0x{:08x}: there is no tunnel with the id {}", config.spi,
                tunnel);
  }
  if (record->spec.df) {
    config.headers.df = *record->spec.df;
  }
  if (record->spec.dscp) {
    config.headers.copy_dscp = false;
    config.headers.dscp = *record->spec.dscp;
  }
  const SaName name{config.inbound, config.spi, config.destination};
  const Status added = config.inbound ? AddInbound(std::move(config), tunnel, origin, completes)
                                      : AddOutbound(std::move(config), tunnel, origin);
  if (added) {
    tunnels_.Refresh(tunnel);
    Tell(name, tunnel, "sa_added", fmt::format("{} was installed", Describe(name)));
  }
  return added;
}

Status SaSet::AddInbound(SaConfig config, uint32_t tunnel, Origin origin, bool completes) {
  const uint32_t spi = config.spi;
  const bool reserved = reserved_.contains(spi);
  if (completes && !reserved) {
    return Fail(Errc::kNotFound, "SPI 0x{:08x} was not given out by GetSpi", spi);
  }
  if (!completes && reserved) {
    return Fail(Errc::kAlreadyExists, "SPI 0x{:08x} is reserved for an SA that is being negotiated",
                spi);
  }
  if (const Status valid = ValidateSaConfig(config); !valid) {
    return valid;
  }
  const Result<uint32_t> slot = tables_.sad.SlotForInbound(spi);
  if (!slot) {
    return tl::unexpected(slot.error());
  }
  const IpAddress destination = config.destination;
  const LifetimeLimits limits = config.limits;
  Result<std::unique_ptr<InboundSa>> sa =
      MakeInboundSa(std::move(config), *slot, tunnel, engine_, clock_);
  Status inserted;
  if (sa) {
    inserted = tables_.sad.InsertInbound(std::move(*sa));
  } else {
    inserted = tl::unexpected(sa.error());
  }
  if (!inserted) {
    if (!reserved) {
      tables_.sad.ReleaseSlot(*slot);
    }
    return inserted;
  }
  reserved_.erase(spi);
  inbound_[spi] = origin;
  by_slot_[*slot] = {true, spi, destination};
  expiries_.Add(*slot, limits, clock_.Now());
  tunnels_.Find(tunnel)->inbound.push_back(spi);
  return {};
}

Status SaSet::AddOutbound(SaConfig config, uint32_t tunnel, Origin origin) {
  const SaName name{false, config.spi, config.destination};
  if (outbound_.contains(name)) {
    return Fail(Errc::kAlreadyExists, "{} exists", Describe(name));
  }
  const Result<uint32_t> slot = tables_.sad.SlotForOutbound();
  if (!slot) {
    return tl::unexpected(slot.error());
  }
  const LifetimeLimits limits = config.limits;
  Result<std::unique_ptr<OutboundSa>> sa =
      MakeOutboundSa(std::move(config), *slot, tunnel, engine_, clock_);
  if (!sa) {
    tables_.sad.ReleaseSlot(*slot);
    return tl::unexpected(sa.error());
  }
  OutboundRecord& record = outbound_[name];
  record.sa = std::move(*sa);
  record.origin = origin;
  RefreshOuter(record);
  by_slot_[*slot] = name;
  expiries_.Add(*slot, limits, clock_.Now());
  tunnels_.Find(tunnel)->outbound.push_back(record.sa.get());
  return {};
}

Status SaSet::Remove(const SaName& name) {
  return name.inbound ? RemoveInbound(name.spi) : RemoveOutbound(name);
}

Status SaSet::RemoveInbound(uint32_t spi) {
  const InboundSa* sa = tables_.sad.FindForControl(spi);
  if (sa == nullptr) {
    return Fail(Errc::kNotFound, "there is no inbound SA 0x{:08x}", spi);
  }
  const SaName name{true, spi, sa->config.destination};
  const uint32_t tunnel = sa->tunnel;
  KeepLastUse(tunnel, sa->config.reqid, sa->slot, true);
  by_slot_.erase(sa->slot);
  expiries_.Remove(sa->slot);
  expired_.erase(sa->slot);
  inbound_.erase(spi);
  std::erase(tunnels_.Find(tunnel)->inbound, spi);
  const Status removed = tables_.sad.RemoveInbound(spi);
  tunnels_.Refresh(tunnel);
  Tell(name, tunnel, "sa_deleted", fmt::format("{} was removed", Describe(name)));
  return removed;
}

Status SaSet::RemoveOutbound(const SaName& name) {
  const auto found = outbound_.find(name);
  if (found == outbound_.end()) {
    return Fail(Errc::kNotFound, "there is no {}", Describe(name));
  }
  OutboundRecord record = std::move(found->second);
  const SaName known = found->first;  // `name` may be the map's own key
  outbound_.erase(found);
  const uint32_t tunnel = record.sa->tunnel;
  const uint32_t slot = record.sa->slot;
  KeepLastUse(tunnel, record.sa->config.reqid, slot, false);
  by_slot_.erase(slot);
  expiries_.Remove(slot);
  expired_.erase(slot);
  std::erase(tunnels_.Find(tunnel)->outbound, record.sa.get());
  tunnels_.Refresh(tunnel);  // the one before takes over; workers see it from their next burst on
  tables_.next_hops.Release(record.outer_next_hop);
  Retire(std::move(record.sa));
  tables_.sad.ReleaseSlot(slot);
  Tell(known, tunnel, "sa_deleted", fmt::format("{} was removed", Describe(known)));
  return {};
}

void SaSet::Retire(std::unique_ptr<OutboundSa> sa) {
  tables_.epoch.Defer([old = sa.release()] { delete old; });
}

void SaSet::RemoveOf(uint32_t tunnel) {
  const TunnelRecord* record = tunnels_.Find(tunnel);
  while (record != nullptr && !record->inbound.empty()) {
    (void)RemoveInbound(record->inbound.front());
  }
  while (record != nullptr && !record->outbound.empty()) {
    const SaConfig& config = record->outbound.front()->config;
    (void)RemoveOutbound({false, config.spi, config.destination});
  }
}

void SaSet::Flush(Origin origin) {
  std::vector<SaName> names;
  for (const auto& [name, record] : outbound_) {
    if (record.origin == origin) {
      names.push_back(name);
    }
  }
  for (const auto& [spi, owner] : inbound_) {
    if (owner == origin) {
      names.push_back({true, spi, {}});
    }
  }
  for (const SaName& name : names) {
    (void)Remove(name);  // cannot fail: it was listed
  }
  if (origin == Origin::kIke) {
    for (const uint32_t spi : std::exchange(reserved_, {})) {
      tables_.sad.ReleaseSpi(spi);
    }
  }
}

Status SaSet::Move(const SaName& name, const SaMove& move) {
  return name.inbound ? MoveInbound(name, move) : MoveOutbound(name, move);
}

// In place: workers compare outer addresses with these fields only, and one that reads them half
// changed drops that packet, no more.
Status SaSet::MoveInbound(const SaName& name, const SaMove& move) {
  InboundSa* sa = tables_.sad.FindForControl(name.spi);
  if (sa == nullptr) {
    return Fail(Errc::kNotFound, "there is no inbound SA 0x{:08x}", name.spi);
  }
  if (move.source.family() != move.destination.family()) {
    return Fail(Errc::kInvalidArgument, "SA 0x{:08x}: {} and {} are of different families",
                name.spi, move.source.ToString(), move.destination.ToString());
  }
  SaConfig& config = sa->config;
  config.source = move.source;
  config.destination = move.destination;
  config.udp_encapsulation = move.udp_encapsulation;
  config.source_port = move.udp_encapsulation ? move.source_port : uint16_t{0};
  config.destination_port = move.udp_encapsulation ? move.destination_port : uint16_t{0};
  std::memset(sa->local, 0, sizeof(sa->local));
  std::memset(sa->peer, 0, sizeof(sa->peer));
  std::memcpy(sa->local, move.destination.data(), move.destination.size());
  std::memcpy(sa->peer, move.source.data(), move.source.size());
  sa->outer_version = static_cast<uint8_t>(move.destination.family());
  sa->udp_source = Be16::FromHost(config.source_port);
  const unsigned cleared = sa->flags & ~static_cast<unsigned>(kSaUdp | kSaOuterV6);
  sa->flags = static_cast<uint16_t>(cleared | (move.udp_encapsulation ? kSaUdp : 0) |
                                    (move.destination.is_v6() ? kSaOuterV6 : 0));
  sa->reported_mapping.store(0, std::memory_order_relaxed);
  by_slot_[sa->slot] = {true, name.spi, move.destination};
  return {};
}

Status SaSet::MoveOutbound(const SaName& name, const SaMove& move) {
  const auto found = outbound_.find(name);
  if (found == outbound_.end()) {
    return Fail(Errc::kNotFound, "there is no {}", Describe(name));
  }
  const SaName next_name{false, name.spi, move.destination};
  if (next_name != name && outbound_.contains(next_name)) {
    return Fail(Errc::kAlreadyExists, "{} exists", Describe(next_name));
  }
  OuterAddresses outer;
  outer.source = move.source;
  outer.destination = move.destination;
  outer.udp_encapsulation = move.udp_encapsulation;
  outer.source_port = move.source_port;
  outer.destination_port = move.destination_port;
  // Workers claim from the old counter until their next burst: at most one burst each.
  const uint64_t margin = kBurst * std::max<uint64_t>(workers_.size(), 1);
  Result<std::unique_ptr<OutboundSa>> moved = MoveOutboundSa(*found->second.sa, outer, margin);
  if (!moved) {
    return tl::unexpected(moved.error());
  }
  OutboundRecord record = std::move(found->second);
  outbound_.erase(found);
  std::unique_ptr<OutboundSa> old = std::exchange(record.sa, std::move(*moved));
  const uint32_t tunnel = old->tunnel;
  OutboundRecord& placed = outbound_[next_name] = std::move(record);
  by_slot_[old->slot] = next_name;
  RefreshOuter(placed);
  std::vector<OutboundSa*>& order = tunnels_.Find(tunnel)->outbound;
  std::replace(order.begin(), order.end(), old.get(), placed.sa.get());
  tunnels_.Refresh(tunnel);
  Retire(std::move(old));
  return {};
}

void SaSet::RefreshOuter(OutboundRecord& record) {
  OutboundSa& sa = *record.sa;
  const RouteTable::Outer outer =
      routes_.ResolveOuter(sa.config.destination, FlowHashOf(sa.config.spi));
  sa.outer_next_hop.store(outer.next_hop, std::memory_order_release);
  tables_.next_hops.Release(std::exchange(record.outer_next_hop, outer.next_hop));
  record.outer_problem = outer.problem;
  TunnelRecord* tunnel = tunnels_.Find(sa.tunnel);
  uint16_t mtu = tunnel->spec.config.outer_mtu;
  if (mtu == 0) {
    const auto port = port_mtu_.find(outer.port);
    mtu = port != port_mtu_.end() ? port->second : kDefaultOuterMtu;
  }
  const EspOverhead overhead =
      OverheadOf(*sa.config.suite, sa.config.destination.family(), sa.config.udp_encapsulation);
  sa.inner_mtu.store(static_cast<uint16_t>(InnerMtu(mtu, overhead)), std::memory_order_relaxed);
  tunnel->outer_problem = outer.problem;
  tunnel->port_down = ports_down_.contains(outer.port);
  if (tunnel->port_down && tunnel->outer_problem.empty()) {
    tunnel->outer_problem = "the port to the peer is down";
  }
}

void SaSet::SetPortUp(uint16_t port, bool up) {
  if (up) {
    ports_down_.erase(port);
  } else {
    ports_down_.insert(port);
  }
  RefreshOuter();
}

void SaSet::RefreshOuter() {
  std::set<uint32_t> touched;
  for (auto& [name, record] : outbound_) {
    RefreshOuter(record);
    touched.insert(record.sa->tunnel);
  }
  for (const uint32_t tunnel : touched) {
    tunnels_.Refresh(tunnel);
  }
}

void SaSet::Tell(const SaName& name, uint32_t tunnel, const char* kind, const std::string& text) {
  Log("sa").info("{}", text);
  if (!events_) {
    return;
  }
  GatewayEvent event;
  event.kind = kind;
  event.spi = name.spi;
  event.direction = name.inbound ? "in" : "out";
  event.text = text;
  if (const TunnelRecord* record = tunnels_.Find(tunnel)) {
    event.tunnel = record->spec.config.name;
  }
  events_(event);
}

}  // namespace penstock
