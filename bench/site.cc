#include "bench/site.h"

#include <rte_cycles.h>

#include <algorithm>

#include "dataplane/ipsec/esp_frame.h"

namespace penstock {
namespace {

constexpr uint16_t kClassicMtu = 1500;
constexpr unsigned kOuterHeaders = 128;  // room for what ESP puts around the largest frames

struct Ends {
  IpAddress source, destination;
};

// Documentation addresses (RFC 5737, RFC 3849).
Ends OuterEnds(bool v6) {
  if (!v6) {
    return {IpAddress::V4(0xcb007101), IpAddress::V4(0xcb007102)};
  }
  uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const IpAddress source = IpAddress::V6(bytes);
  bytes[15] = 2;
  return {source, IpAddress::V6(bytes)};
}

Secret KeyBytes(size_t length, unsigned first) {
  std::vector<uint8_t> key(length);
  for (size_t i = 0; i < length; ++i) {
    key[i] = static_cast<uint8_t>(first + i);
  }
  return Secret(key);
}

SaConfig ConfigOf(const BenchOptions& options, const Suite& suite, uint32_t index, uint32_t spi,
                  bool inbound) {
  const Ends ends = OuterEnds(options.outer_v6);
  SaConfig config;
  config.name = fmt::format("bench{}", index);
  config.spi = spi;
  config.inbound = inbound;
  config.suite = &suite;
  config.cipher_key = KeyBytes(suite.key_length(), 1);
  config.integrity_key = KeyBytes(suite.integrity_key_length, 101);
  config.esn = options.esn;
  config.replay_window = inbound ? options.replay_window : 0;
  config.source = ends.source;
  config.destination = ends.destination;
  config.udp_encapsulation = options.udp;
  config.source_port = config.destination_port = options.udp ? kPortNatT : uint16_t{0};
  config.if_id = index + 1;
  return config;
}

Result<uint32_t> AddNeighbor(NextHopTable& next_hops, const IpAddress& gateway) {
  const Result<uint32_t> index = next_hops.AddForward(kOutputPort, gateway);
  if (index) {
    LinkHeader link{};
    std::ranges::copy(kStationMac, link.destination);
    std::ranges::copy(kSourceMac, link.source);
    link.resolved = 1;
    next_hops.SetLink(*index, link);
  }
  return index;
}

template <typename T>
Status StatusOf(const Result<T>& result) {
  return result ? Status{} : Status(tl::unexpected<Error>(result.error()));
}

}  // namespace

Prefix RoutePrefix(bool v6, uint32_t index) {
  if (!v6) {
    return {IpAddress::V4(0x20000000 + (index << 8)), 24};
  }
  uint8_t bytes[16] = {0x24,
                       0,
                       static_cast<uint8_t>(index >> 24),
                       static_cast<uint8_t>(index >> 16),
                       static_cast<uint8_t>(index >> 8),
                       static_cast<uint8_t>(index)};
  return {IpAddress::V6(bytes), 48};
}

Result<std::unique_ptr<Site>> Site::Make(Role role, const BenchOptions& options, const Suite& suite,
                                         unsigned frame) {
  std::unique_ptr<Site> site(new Site);
  const auto mtu = static_cast<uint16_t>(std::max<unsigned>(kClassicMtu, frame + kOuterHeaders));
  if (Status status = site->Build(role, options, suite, mtu); !status) {
    return tl::unexpected<Error>(status.error());
  }
  return site;
}

Site::~Site() {
  pipelines_.clear();
  for (const auto& worker : workers_) {
    FreeWorkerRings(*worker);
  }
}

Status Site::Build(Role role, const BenchOptions& options, const Suite& suite, uint16_t mtu) {
  tables_ = std::make_unique<GatewayTables>(epoch_);
  Result<std::unique_ptr<Engine>> engine = MakeEngine(options.engine);
  if (!engine) {
    return StatusOf(engine);
  }
  engine_ = std::move(*engine);
  std::ranges::copy(kStationMac, tables_->ports[kInputPort].mac);
  for (PortInfo* port = tables_->ports; port <= tables_->ports + kOutputPort; ++port) {
    port->in_use = port->has_v4 = port->has_v6 = 1;
  }
  const Ends ends = OuterEnds(options.outer_v6);
  const Result<uint32_t> outer = AddNeighbor(tables_->next_hops, ends.destination);
  const Result<uint32_t> clear = AddNeighbor(tables_->next_hops, RoutePrefix(false, 0).address());
  if (!outer || !clear) {
    return StatusOf(!outer ? outer : clear);
  }
  options_ = &options;
  suite_ = &suite;
  outer_hop_ = *outer;
  const Family family = options.outer_v6 ? Family::kIpv6 : Family::kIpv4;
  inner_mtu_ = static_cast<uint16_t>(InnerMtu(mtu, OverheadOf(suite, family, options.udp)));
  for (uint32_t i = 0; i < options.sas; ++i) {
    if (Status status = AddTunnel(role, i); !status) {
      return status;
    }
  }
  Status status = AddRoutes(role, options, *clear);
  return status ? AddWorkers(options, mtu) : status;
}

Status Site::AddTunnel(Role role, uint32_t index) {
  TunnelConfig tunnel;
  tunnel.name = fmt::format("t{}", index);
  tunnel.if_id = index + 1;
  const Result<uint32_t> id = tables_->tunnels.Add(tunnel);
  if (!id) {
    return StatusOf(id);
  }
  tunnels_.push_back(*id);
  if (role == Role::kDecrypts) {
    return AddInbound(index, kFirstSpi + index);
  }
  auto sa = MakeOutbound(index, kFirstSpi + index);
  if (!sa) {
    return StatusOf(sa);
  }
  tables_->tunnels.SetMtu(*id, inner_mtu_);
  tables_->tunnels[*id].outbound.store(sa->get());
  outbound_.push_back(std::move(*sa));
  const Result<uint32_t> hop = tables_->next_hops.AddTunnel(*id);
  if (hop) {
    tunnel_hops_.push_back(*hop);
  }
  return StatusOf(hop);
}

Status Site::AddInbound(uint32_t tunnel, uint32_t spi) {
  const Result<uint32_t> slot = tables_->sad.SlotForInbound(spi);
  if (!slot) {
    return StatusOf(slot);
  }
  auto sa = MakeInboundSa(ConfigOf(*options_, *suite_, tunnel, spi, true), *slot, tunnels_[tunnel],
                          *engine_, SystemClock());
  return sa ? tables_->sad.InsertInbound(std::move(*sa)) : StatusOf(sa);
}

Result<std::unique_ptr<OutboundSa>> Site::MakeOutbound(uint32_t tunnel, uint32_t spi) {
  const Result<uint32_t> slot = tables_->sad.SlotForOutbound();
  if (!slot) {
    return tl::unexpected<Error>(slot.error());
  }
  auto sa = MakeOutboundSa(ConfigOf(*options_, *suite_, tunnel, spi, false), *slot,
                           tunnels_[tunnel], *engine_, SystemClock());
  if (sa) {
    (*sa)->outer_next_hop = outer_hop_;
    (*sa)->inner_mtu = inner_mtu_;
  }
  return sa;
}

Status Site::ReplaceOutbound(uint32_t tunnel, uint32_t spi) {
  auto sa = MakeOutbound(tunnel, spi);
  if (!sa) {
    return StatusOf(sa);
  }
  tables_->tunnels[tunnels_[tunnel]].outbound.store(sa->get());
  std::swap(outbound_[tunnel], *sa);
  const uint32_t slot = (*sa)->slot;
  epoch_.Defer([old = sa->release()] { delete old; });
  tables_->sad.ReleaseSlot(slot);
  return {};
}

Status Site::AddRoutes(Role role, const BenchOptions& options, uint32_t clear) {
  for (uint32_t i = 0; i < options.routes; ++i) {
    uint32_t hop = clear;
    if (role == Role::kEncrypts) {
      hop = tunnel_hops_[i % options.sas];
      if (options.ecmp > 1) {
        std::vector<GroupMember> members;
        for (uint32_t member = 0; member < options.ecmp; ++member) {
          members.push_back({tunnel_hops_[(i + member) % options.sas], 1});
        }
        const Result<uint32_t> group = tables_->next_hops.AddSharedGroup(members);
        if (!group) {
          return StatusOf(group);
        }
        hop = *group;
      }
    }
    if (Status status = tables_->fib.Set(RoutePrefix(options.inner_v6, i), hop); !status) {
      return status;
    }
  }
  return {};
}

Status Site::AddWorkers(const BenchOptions& options, uint16_t mtu) {
  for (unsigned i = 0; i < options.workers; ++i) {
    auto worker = std::make_unique<WorkerContext>();
    worker->id = i;
    worker->hertz = rte_get_tsc_hz();
    worker->now = rte_rdtsc();
    for (uint16_t port = 0; port <= kOutputPort; ++port) {
      worker->outputs[port].mtu = mtu;
    }
    Result<std::unique_ptr<Engine>> engine = MakeEngine(options.engine);
    if (!engine) {
      return StatusOf(engine);
    }
    pipelines_.push_back(
        std::make_unique<Pipeline>(*worker, *tables_, std::move(*engine), nullptr, nullptr));
    workers_.push_back(std::move(worker));
  }
  return {};
}

std::string Site::Losses() const {
  std::string losses;
  for (const auto& worker : workers_) {
    for (unsigned i = 0; i < kDropReasonCount; ++i) {
      if (const uint64_t count = worker->counters.drops[i].Read(); count != 0) {
        losses +=
            fmt::format("{}{} {}", losses.empty() ? "" : ", ", count, kDropReasonInfo[i].name);
      }
    }
  }
  return losses;
}

}  // namespace penstock
