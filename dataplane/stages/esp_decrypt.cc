#include <algorithm>
#include <span>

#include "dataplane/stages/capture_hook.h"
#include "dataplane/stages/decapsulate.h"
#include "dataplane/stages/flow_hash.h"
#include "dataplane/stages/lane_writer.h"
#include "dataplane/stages/sa_events.h"
#include "dataplane/stages/stages.h"
#include "dataplane/stages/tunnel_drop.h"

namespace penstock {
namespace {

// Packets of one SA, side by side in the lane. `fates` is kCount for those that go on.
struct InboundRun {
  InboundSa& sa;
  std::span<Packet*> packets;
  std::span<const Job> jobs;
  DropReason fates[kBurst];
};

// All authentic, with consecutive numbers: what a single sender's packets look like.
bool IsInOrder(const InboundRun& run) {
  const uint64_t first = NotesOf(run.packets.front()).sequence;
  uint64_t odd = 0;
  for (size_t i = 0; i < run.packets.size(); ++i) {
    odd |= NotesOf(run.packets[i]).sequence ^ (first + i);
    odd |= run.jobs[i].ok ? 0u : 1u;
  }
  return odd == 0;
}

// The window moves only now, for packets whose ICV was right (RFC 4303 3.4.3), and once for the
// run: another worker may have committed the same number meanwhile, so Commit checks again.
void CommitSequences(InboundRun& run, SaCounters& counters) {
  ReplayWindow& replay = run.sa.replay;
  if (IsInOrder(run)) [[likely]] {
    const uint64_t first = NotesOf(run.packets.front()).sequence;
    replay.Lock();
    const bool committed =
        replay.CommitAheadLocked(first, static_cast<unsigned>(run.packets.size()));
    replay.Unlock();
    if (committed) [[likely]] {
      std::fill_n(run.fates, run.packets.size(), DropReason::kCount);
      return;
    }
  }
  uint64_t furthest = 0;
  replay.Lock();
  for (size_t i = 0; i < run.packets.size(); ++i) {
    if (!run.jobs[i].ok) [[unlikely]] {
      run.fates[i] = DropReason::kIntegrityFailed;
      continue;
    }
    const uint64_t sequence = NotesOf(run.packets[i]).sequence;
    furthest = std::max(furthest, replay.Behind(sequence));
    const ReplayVerdict verdict = replay.CommitLocked(sequence);
    run.fates[i] = verdict == ReplayVerdict::kFresh       ? DropReason::kCount
                   : verdict == ReplayVerdict::kDuplicate ? DropReason::kReplayDuplicate
                                                          : DropReason::kReplayLate;
  }
  replay.Unlock();
  if (furthest > counters.max_late.Read()) [[unlikely]] {
    counters.max_late.Set(furthest);
  }
}

void CountRefused(SaCounters& counters, DropReason reason) {
  if (reason == DropReason::kIntegrityFailed) {
    counters.integrity_failed.Add(1);
  } else if (reason == DropReason::kReplayDuplicate) {
    counters.replay_duplicate.Add(1);
  } else if (reason == DropReason::kReplayLate) {
    counters.replay_late.Add(1);
  }
}

// Where an authentic packet really came from: the address and port that a NAT shows us (RFC
// 7296 2.23).
struct OuterSource {
  IpAddress address;
  uint16_t port;
};

OuterSource OuterSourceOf(Packet* packet, const PacketNotes& notes) {
  const IpAddress address = notes.version == 4 ? IpAddress::V4(&Ipv4Of(packet).source)
                                               : IpAddress::V6(Ipv6Of(packet).source);
  return {address, notes.source_port};
}

inline bool MappingChanged(const InboundSa& sa, Packet* packet, const PacketNotes& notes) {
  const bool same_address = notes.version == 4
                                ? Ipv4Of(packet).source.raw() == LoadAs<uint32_t>(sa.peer)
                                : memcmp(Ipv6Of(packet).source, sa.peer, sizeof(sa.peer)) == 0;
  return !same_address || notes.source_port != sa.udp_source.ToHost();
}

// Tells the control thread of a new mapping once.
void ReportMapping(StageContext& context, InboundSa& sa, Packet* packet, const PacketNotes& notes) {
  const OuterSource source = OuterSourceOf(packet, notes);
  uint64_t hash = uint64_t{source.port} << 48 | 1;
  for (size_t i = 0; i < source.address.size(); ++i) {
    hash = hash * 0x100000001b3 + source.address.data()[i];
  }
  if (sa.reported_mapping.exchange(hash, std::memory_order_relaxed) != hash) {
    context.worker.PushEvent({.kind = WorkerEvent::Kind::kMappingChanged,
                              .port = source.port,
                              .slot = sa.slot,
                              .tunnel = sa.tunnel,
                              .address = source.address});
  }
}

// Hands the packets beyond a hard limit to Drop; how many may go on. Inner bytes count, as charon
// counts them.
unsigned LimitByLifetime(StageContext& context, InboundSa& sa, std::span<Packet*> packets) {
  uint32_t lengths[kBurst];
  for (size_t i = 0; i < packets.size(); ++i) {
    lengths[i] = NotesOf(packets[i]).l3_length;
  }
  const Lifetime::RunVerdict verdict = sa.lifetime.CountRun({lengths, packets.size()});
  if (verdict.hard) {
    sa.dead.store(1, std::memory_order_relaxed);
  }
  RaiseLifetime(context.worker, verdict, sa.slot, sa.tunnel);
  for (Packet* packet : packets.subspan(verdict.allowed)) {
    DropInbound(context, packet, DropReason::kLifetimeExpired, sa.tunnel);
  }
  return verdict.allowed;
}

// Decapsulates what is authentic, side by side at the front of `packets`; bit i of `nested` says
// that packet i carries ESP again. The rest is dropped.
struct Decapsulated {
  unsigned count = 0;
  uint64_t nested = 0;
  uint64_t bytes = 0;
};

Decapsulated DecapsulateRun(StageContext& context, InboundRun& run) {
  InboundSa& sa = run.sa;
  const bool udp = (sa.flags & kSaUdp) != 0;
  Decapsulated result;
  for (size_t i = 0; i < run.packets.size(); ++i) {
    Packet* packet = run.packets[i];
    DropReason reason = run.fates[i];
    bool nested = false;
    if (reason == DropReason::kCount) [[likely]] {
      // A straggler from the old mapping is no news: only the newest packet tells.
      if (udp && MappingChanged(sa, packet, NotesOf(packet)) &&
          sa.replay.Behind(NotesOf(packet).sequence) == 0) [[unlikely]] {
        ReportMapping(context, sa, packet, NotesOf(packet));
      }
      reason = Decapsulate(context, packet, sa, run.jobs[i], nested);
    } else {
      CountRefused(context.worker.counters.sas[sa.slot], reason);
    }
    if (reason != DropReason::kCount) [[unlikely]] {
      DropInbound(context, packet, reason, sa.tunnel);
      continue;
    }
    result.nested |= uint64_t{nested} << result.count;
    result.bytes += NotesOf(packet).l3_length;
    run.packets[result.count++] = packet;
  }
  return result;
}

void CountRun(StageContext& context, const InboundSa& sa, const Decapsulated& run) {
  SaCounters& counters = context.worker.counters.sas[sa.slot];
  counters.packets.Add(run.count);
  counters.bytes.Add(run.bytes);
  counters.last_used.Set(context.worker.now);
  TunnelCounters& tunnel = context.worker.counters.tunnels[sa.tunnel];
  tunnel.in_packets.Add(run.count);
  tunnel.in_bytes.Add(run.bytes);
}

void PassOn(StageContext& context, std::span<Packet*> packets, uint64_t nested) {
  const auto room = static_cast<unsigned>(packets.size());
  LaneWriter ip(context.ip, room);
  LaneWriter again(context.again, room);
  for (size_t i = 0; i < packets.size(); ++i) {
    if ((nested >> i & 1) != 0) [[unlikely]] {
      again.Push(packets[i]);
    } else {
      ip.Push(packets[i]);
    }
  }
}

void FinishRun(StageContext& context, InboundRun& run) {
  InboundSa& sa = run.sa;
  CommitSequences(run, context.worker.counters.sas[sa.slot]);
  Decapsulated result = DecapsulateRun(context, run);
  if ((sa.flags & kSaCountsLifetime) != 0) {
    const unsigned allowed = LimitByLifetime(context, sa, run.packets.first(result.count));
    if (allowed != result.count) [[unlikely]] {
      result.count = allowed;
      result.bytes = 0;
      for (const Packet* packet : run.packets.first(allowed)) {
        result.bytes += NotesOf(packet).l3_length;
      }
    }
  }
  CountRun(context, sa, result);
  const std::span<Packet*> inner = run.packets.first(result.count);
  if (Capture* capture = CaptureFor(context.worker, CapturePoint::kTunnel, sa.tunnel))
      [[unlikely]] {
    for (const Packet* packet : inner) {
      OfferInner(*capture, context.worker, packet, false, sa.tunnel);
    }
  }
  PassOn(context, inner, result.nested);
}

}  // namespace

void RunEspDecrypt(StageContext& context) {
  Lane& lane = context.esp;
  const unsigned count = lane.count;
  context.engine.Decrypt({context.jobs, count});
  for (unsigned first = 0; first < count;) {
    InboundSa* sa = NotesOf(lane.packets[first]).inbound;
    unsigned end = first + 1;
    while (end < count && NotesOf(lane.packets[end]).inbound == sa) {
      ++end;
    }
    InboundRun run{
        *sa, {lane.packets + first, end - first}, {context.jobs + first, end - first}, {}};
    FinishRun(context, run);
    first = end;
  }
  lane.Clear();
}

}  // namespace penstock
