// The second half of SaSet: usage, lifetimes and what workers notice of SAs.
#include <algorithm>

#include "dataplane/base/log.h"
#include "dataplane/control/sas.h"

namespace penstock {

const InboundSa* SaSet::FindInbound(uint32_t spi) const { return tables_.sad.FindForControl(spi); }

const OutboundRecord* SaSet::FindOutbound(uint32_t spi, const IpAddress& destination) const {
  const auto found = outbound_.find({false, spi, destination});
  return found == outbound_.end() ? nullptr : &found->second;
}

std::vector<const OutboundRecord*> SaSet::outbound() const {
  std::vector<const OutboundRecord*> records;
  records.reserve(outbound_.size());
  for (const auto& [name, record] : outbound_) {
    records.push_back(&record);
  }
  return records;
}

Origin SaSet::OriginOfInbound(uint32_t spi) const {
  const auto found = inbound_.find(spi);
  return found == inbound_.end() ? Origin::kIke : found->second;
}

const SaConfig* SaSet::ConfigOf(const SaName& name) const {
  if (name.inbound) {
    const InboundSa* sa = FindInbound(name.spi);
    return sa == nullptr ? nullptr : &sa->config;
  }
  const OutboundRecord* record = FindOutbound(name.spi, name.destination);
  return record == nullptr ? nullptr : &record->sa->config;
}

SaUsage SaSet::UsageOf(uint32_t slot) const {
  SaUsage usage;
  for (const WorkerContext* worker : workers_) {
    const SaCounters& counters = worker->counters.sas[slot];
    usage.packets += counters.packets.Read();
    usage.bytes += counters.bytes.Read();
    usage.last_used = std::max(usage.last_used, counters.last_used.Read());
    usage.replay_duplicate += counters.replay_duplicate.Read();
    usage.replay_late += counters.replay_late.Read();
    usage.integrity_failed += counters.integrity_failed.Read();
    usage.max_late = std::max(usage.max_late, counters.max_late.Read());
    if (const uint64_t histogram = counters.late_histogram_index.Read(); histogram != 0) {
      for (unsigned bin = 0; bin < 32; ++bin) {
        usage.late_histogram[bin] +=
            worker->counters.late_histograms[histogram - 1].bins[bin].Read();
      }
    }
  }
  return usage;
}

void SaSet::KeepLastUse(uint32_t tunnel, uint32_t reqid, uint32_t slot, bool inbound) {
  LastUse& last = tunnels_.Find(tunnel)->last_use[reqid];
  uint64_t& kept = inbound ? last.in : last.out;
  kept = std::max(kept, UsageOf(slot).last_used);
}

// No SA has the slot any more, so no worker writes here. The histogram stays the slot's.
void SaSet::ClearCounters(uint32_t slot) {
  for (WorkerContext* worker : workers_) {
    SaCounters& counters = worker->counters.sas[slot];
    for (Counter* counter :
         {&counters.packets, &counters.bytes, &counters.last_used, &counters.replay_duplicate,
          &counters.replay_late, &counters.integrity_failed, &counters.max_late}) {
      if (counter->Read() != 0) {
        counter->Set(0);
      }
    }
    if (const uint64_t histogram = counters.late_histogram_index.Read(); histogram != 0) {
      for (Counter& bin : worker->counters.late_histograms[histogram - 1].bins) {
        bin.Set(0);
      }
    }
  }
}

void SaSet::Tick() {
  for (const SaExpiryQueue::Due& due : expiries_.Take(clock_.Now())) {
    Expire(due.slot, due.hard, ike::ExpireReason::kTime);
  }
}

void SaSet::OnLifetime(uint32_t slot, bool hard) {
  const auto found = by_slot_.find(slot);
  if (found == by_slot_.end()) {
    return;  // removed meanwhile
  }
  const SaConfig* config = ConfigOf(found->second);
  const SaUsage usage = UsageOf(slot);
  const uint64_t limit = hard ? config->limits.hard_packets : config->limits.soft_packets;
  const bool by_packets = limit != 0 && usage.packets >= limit;
  Expire(slot, hard, by_packets ? ike::ExpireReason::kPackets : ike::ExpireReason::kBytes);
}

void SaSet::OnExhausted(uint32_t slot) { Expire(slot, true, ike::ExpireReason::kSequence); }

void SaSet::Expire(uint32_t slot, bool hard, ike::ExpireReason reason) {
  const auto found = by_slot_.find(slot);
  if (found == by_slot_.end()) {
    return;
  }
  const SaName name = found->second;
  const SaConfig* config = ConfigOf(name);
  // A worker may have stopped it before it told us, so the flag itself does not say that it was
  // told.
  if (hard && !expired_.insert(slot).second) {
    return;
  }
  uint32_t tunnel = kNoTunnel;
  if (name.inbound) {
    InboundSa* sa = tables_.sad.FindForControl(name.spi);
    tunnel = sa->tunnel;
    sa->dead.store(hard ? 1 : sa->dead.load(std::memory_order_relaxed), std::memory_order_relaxed);
  } else {
    OutboundSa& sa = *outbound_.at(name).sa;
    tunnel = sa.tunnel;
    sa.dead.store(hard ? 1 : sa.dead.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
  if (hard) {
    tunnels_.Refresh(tunnel);
  }
  constexpr const char* kReasons[] = {"time", "bytes", "packets", "sequence numbers"};
  const char* kind = hard ? "sa_expired_hard" : "sa_expired_soft";
  if (reason == ike::ExpireReason::kSequence) {
    kind = "sa_exhausted";
  }
  Tell(name, tunnel, kind,
       fmt::format("{} SA 0x{:08x} reached its {} limit of {}",
                   name.inbound ? "inbound" : "outbound", name.spi, hard ? "hard" : "soft",
                   kReasons[static_cast<unsigned>(reason)]));
  if (listener_ != nullptr) {
    ike::Expire event;
    event.id = {config->source, config->destination, config->spi, config->if_id};
    event.reqid = config->reqid;
    event.hard = hard;
    event.reason = reason;
    listener_->OnExpire(event);
  }
}

void SaSet::OnMapping(uint32_t slot, const IpAddress& address, uint16_t port) {
  const auto found = by_slot_.find(slot);
  if (found == by_slot_.end() || !found->second.inbound) {
    return;
  }
  const SaConfig* config = ConfigOf(found->second);
  const InboundSa* sa = FindInbound(found->second.spi);
  Tell(found->second, sa->tunnel, "mapping_changed",
       fmt::format("inbound SA 0x{:08x}: the peer now sends from {} port {}", config->spi,
                   address.ToString(), port));
  if (listener_ != nullptr) {
    ike::MappingChanged event;
    event.id = {config->source, config->destination, config->spi, config->if_id};
    event.reqid = config->reqid;
    event.new_address = address;
    event.new_port = port;
    listener_->OnMappingChanged(event);
  }
}

}  // namespace penstock
