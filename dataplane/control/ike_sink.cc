#include "dataplane/control/ike_sink.h"

#include <rte_cycles.h>

#include <algorithm>
#include <utility>

#include "dataplane/base/clock.h"
#include "dataplane/crypto/suite.h"

namespace penstock {
namespace {

constexpr size_t kMaxSelectors = 1024;

Selector MakeSelector(const ike::TrafficSelector& source, const ike::TrafficSelector& destination) {
  Selector selector;
  selector.source = source.prefix;
  selector.destination = destination.prefix;
  selector.protocol = source.protocol != 0 ? source.protocol : destination.protocol;
  selector.source_port_first = source.port_first;
  selector.source_port_last = source.port_last;
  selector.destination_port_first = destination.port_first;
  selector.destination_port_last = destination.port_last;
  return selector;
}

HeaderPolicy HeadersOf(const ike::AddSa& request) {
  HeaderPolicy headers;
  headers.df = request.df == ike::DfBit::kSet     ? DfMode::kSet
               : request.df == ike::DfBit::kClear ? DfMode::kClear
                                                  : DfMode::kCopy;
  headers.copy_dscp =
      request.copy_dscp == ike::CopyDscp::kOutOnly || request.copy_dscp == ike::CopyDscp::kBoth;
  headers.decapsulate_dscp =
      request.copy_dscp == ike::CopyDscp::kInOnly || request.copy_dscp == ike::CopyDscp::kBoth;
  headers.dscp = request.dscp;
  headers.ecn = request.copy_ecn;
  return headers;
}

LifetimeLimits LimitsOf(const ike::SaLifetime& lifetime) {
  LifetimeLimits limits;
  limits.soft_bytes = lifetime.soft_bytes;
  limits.hard_bytes = lifetime.hard_bytes;
  limits.soft_packets = lifetime.soft_packets;
  limits.hard_packets = lifetime.hard_packets;
  limits.soft_seconds = lifetime.soft_seconds;
  limits.hard_seconds = lifetime.hard_seconds;
  return limits;
}

// IKE names ciphers by number and tells their strength by the key's length alone.
Result<const Suite*> SuiteOf(const ike::AddSa& request) {
  if (!request.suite.empty()) {
    return FindSuite(request.suite);
  }
  const auto key_bytes = static_cast<uint16_t>(request.encryption_key.size());
  // An AEAD key has its salt behind it, a plain one has not: of the two readings one fits a suite.
  Result<const Suite*> plain =
      SuiteFromIke(request.encryption, static_cast<uint16_t>(key_bytes * 8), request.integrity);
  if (plain && (*plain)->key_length() == key_bytes) {
    return plain;
  }
  if (key_bytes > 4) {
    Result<const Suite*> salted = SuiteFromIke(
        request.encryption, static_cast<uint16_t>((key_bytes - 4) * 8), request.integrity);
    if (salted && (*salted)->key_length() == key_bytes) {
      return salted;
    }
  }
  if (plain) {
    return Fail(Errc::kInvalidArgument, "encryption_key has {} bytes, {} needs {}", key_bytes,
                (*plain)->name, (*plain)->key_length());
  }
  return plain;
}

PolicyConfig PolicyOf(const ike::PolicyId& id) {
  PolicyConfig policy;
  policy.direction = id.direction == ike::Direction::kIn    ? PolicyDirection::kIn
                     : id.direction == ike::Direction::kOut ? PolicyDirection::kOut
                                                            : PolicyDirection::kForward;
  policy.selector = MakeSelector(id.source, id.destination);
  policy.priority = id.priority;
  policy.if_id = id.if_id;
  return policy;
}

}  // namespace

Nanoseconds MonotonicOf(uint64_t tsc) {
  if (tsc == 0) {
    return Nanoseconds{0};
  }
  const uint64_t now = rte_rdtsc();
  const uint64_t ago = now > tsc ? now - tsc : 0;
  const auto passed =
      static_cast<int64_t>(static_cast<double>(ago) * 1e9 / static_cast<double>(rte_get_tsc_hz()));
  return SystemClock().Now() - Nanoseconds{passed};
}

Result<std::vector<Selector>> CombineSelectors(
    const std::vector<ike::TrafficSelector>& sources,
    const std::vector<ike::TrafficSelector>& destinations) {
  std::vector<Selector> selectors;
  if (sources.size() * destinations.size() > kMaxSelectors) {
    return Fail(Errc::kInvalidArgument,
                "{} source and {} destination selectors are more than {} pairs", sources.size(),
                destinations.size(), kMaxSelectors);
  }
  for (const ike::TrafficSelector& source : sources) {
    for (const ike::TrafficSelector& destination : destinations) {
      if (source.prefix.family() != destination.prefix.family() ||
          (source.protocol != 0 && destination.protocol != 0 &&
           source.protocol != destination.protocol)) {
        continue;  // no packet has both
      }
      selectors.push_back(MakeSelector(source, destination));
    }
  }
  if (selectors.empty() && (!sources.empty() || !destinations.empty())) {
    return Fail(Errc::kInvalidArgument,
                "source and destination selectors do not go together, no packet could match");
  }
  return selectors;
}

Result<uint32_t> IkeSink::TunnelFor(uint32_t if_id, uint32_t reqid) {
  if (if_id != 0) {
    const uint32_t tunnel = tables_.tunnels.FindByIfId(if_id);
    if (tunnel == kNoTunnel) {
      return Fail(Errc::kNotFound, "if_id {}: no tunnel has it; add one to the configuration",
                  if_id);
    }
    return tunnel;
  }
  if (reqid == 0) {
    return Fail(Errc::kInvalidArgument, "if_id and reqid are both 0: one must name the tunnel");
  }
  return tunnels_.ForReqid(reqid);
}

Result<SaName> IkeSink::NameOf(const ike::SaId& id) const {
  if (sas_.FindOutbound(id.spi, id.destination) != nullptr) {
    return SaName{false, id.spi, id.destination};
  }
  const InboundSa* inbound = sas_.FindInbound(id.spi);
  if (inbound != nullptr && inbound->config.destination == id.destination) {
    return SaName{true, id.spi, id.destination};
  }
  return Fail(Errc::kNotFound, "there is no SA 0x{:08x} to {}", id.spi, id.destination.ToString());
}

Result<uint32_t> IkeSink::GetSpi(const ike::GetSpi& request) {
  Result<uint32_t> spi = sas_.ReserveSpi();
  if (spi) {
    negotiated_[*spi] = {request.destination, request.source};
  }
  return spi;
}

// The negotiation came to nothing: who still wants the SA may ask again.
Status IkeSink::ReleaseSpi(uint32_t spi) {
  const auto found = negotiated_.find(spi);
  if (found != negotiated_.end()) {
    acquires_.ForgetPeer(found->second);
    negotiated_.erase(found);
  }
  return sas_.ReleaseSpi(spi);
}

Status IkeSink::AddSa(ike::AddSa request) {
  const Result<const Suite*> suite = SuiteOf(request);
  if (!suite) {
    return tl::unexpected(suite.error());
  }
  Result<std::vector<Selector>> selectors =
      CombineSelectors(request.source_selectors, request.destination_selectors);
  if (!selectors) {
    return tl::unexpected(selectors.error());
  }
  const Result<uint32_t> tunnel = TunnelFor(request.id.if_id, request.reqid);
  if (!tunnel) {
    return tl::unexpected(tunnel.error());
  }
  SaConfig config;
  config.name = std::move(request.name);
  config.spi = request.id.spi;
  config.inbound = request.inbound;
  config.suite = *suite;
  config.cipher_key = std::move(request.encryption_key);
  config.integrity_key = std::move(request.integrity_key);
  config.esn = request.esn;
  config.replay_window = request.inbound ? request.replay_window : 0;
  config.source = request.id.source;
  config.destination = request.id.destination;
  config.udp_encapsulation = request.udp_encapsulation;
  config.source_port = request.source_port;
  config.destination_port = request.destination_port;
  config.if_id = request.id.if_id;
  config.reqid = request.reqid;
  config.selectors = std::move(*selectors);
  config.check_source = request.check_source;
  config.headers = HeadersOf(request);
  config.tfc_length = request.inbound ? 0 : request.tfc;
  config.limits = LimitsOf(request.lifetime);
  config.initial_sequence = request.initial_sequence;
  const bool completes = request.inbound && request.update;
  const bool inbound = request.inbound;
  const Status added = sas_.Add(std::move(config), *tunnel, Origin::kIke, completes);
  if (added) {
    policies_.Rebind(request.reqid);
    if (inbound) {
      negotiated_.erase(request.id.spi);
    } else {
      acquires_.ForgetTunnel(*tunnel);
    }
  } else {
    policies_.DropUnused(request.reqid);
  }
  return added;
}

Status IkeSink::UpdateSa(const ike::UpdateSa& request) {
  const Result<SaName> name = NameOf(request.id);
  if (!name) {
    return tl::unexpected(name.error());
  }
  SaMove move;
  move.source = request.new_source;
  move.destination = request.new_destination;
  move.udp_encapsulation = request.udp_encapsulation;
  move.source_port = request.new_source_port;
  move.destination_port = request.new_destination_port;
  return sas_.Move(*name, move);
}

Result<ike::Usage> IkeSink::QuerySa(const ike::SaId& id) {
  const Result<SaName> name = NameOf(id);
  if (!name) {
    return tl::unexpected(name.error());
  }
  const uint32_t slot = name->inbound ? sas_.FindInbound(name->spi)->slot
                                      : sas_.FindOutbound(name->spi, name->destination)->sa->slot;
  const SaUsage usage = sas_.UsageOf(slot);
  return ike::Usage{usage.bytes, usage.packets, MonotonicOf(usage.last_used)};
}

Status IkeSink::DeleteSa(const ike::SaId& id) {
  const Result<SaName> name = NameOf(id);
  if (!name) {
    const Status released = ReleaseSpi(id.spi);
    return released ? released : Status(tl::unexpected(name.error()));
  }
  const uint32_t reqid = name->inbound
                             ? sas_.FindInbound(name->spi)->config.reqid
                             : sas_.FindOutbound(name->spi, name->destination)->sa->config.reqid;
  const Status removed = sas_.Remove(*name);
  policies_.DropUnused(reqid);
  return removed;
}

Status IkeSink::FlushSas() {
  sas_.Flush(Origin::kIke);
  negotiated_.clear();
  acquires_.Clear();
  std::vector<uint32_t> reqids;
  for (const auto& [id, record] : tunnels_.records()) {
    reqids.push_back(record.spec.config.reqid);
  }
  for (const uint32_t reqid : reqids) {
    policies_.DropUnused(reqid);
  }
  return {};
}

Status IkeSink::AddPolicy(const ike::Policy& request) {
  PolicyConfig policy = PolicyOf(request.id);
  policy.action = request.action == ike::PolicyAction::kProtect  ? PolicyAction::kProtect
                  : request.action == ike::PolicyAction::kBypass ? PolicyAction::kBypass
                                                                 : PolicyAction::kDiscard;
  policy.reqid = request.reqid;
  const bool out = policy.direction == PolicyDirection::kOut;
  policy.local = out ? request.source : request.destination;
  policy.remote = out ? request.destination : request.source;
  const Status added = policies_.Add(policy);
  acquires_.ForgetTunnel(policies_.TunnelOf(policy));
  return added;
}

Status IkeSink::DeletePolicy(const ike::PolicyId& id) { return policies_.Remove(PolicyOf(id)); }

Result<Nanoseconds> IkeSink::QueryPolicy(const ike::PolicyId& id) {
  const PolicyConfig* policy = policies_.Find(PolicyOf(id));
  if (policy == nullptr) {
    return Fail(Errc::kNotFound, "there is no such policy from {} to {}",
                id.source.prefix.ToString(), id.destination.prefix.ToString());
  }
  return MonotonicOf(policies_.LastUsed(*policy));
}

Status IkeSink::FlushPolicies() { return policies_.Flush(); }

}  // namespace penstock
