#include <algorithm>
#include <bit>

#include "dataplane/stages/flow_hash.h"
#include "dataplane/stages/lane_writer.h"
#include "dataplane/stages/slow_path.h"
#include "dataplane/stages/stages.h"
#include "dataplane/stages/tunnel_drop.h"

namespace penstock {
namespace {

constexpr unsigned kEspHeader = sizeof(EspHeader);
constexpr int kLastBin = static_cast<int>(std::size(LateHistogram{}.bins)) - 1;

// The SPI alone finds the SA; the outer destination then decides whether the packet is ours or in
// transit to somebody who happens to use the same SPI (RFC 4301 4.1).
inline bool IsForUs(const InboundSa& sa, Packet* packet, const PacketNotes& notes) {
  if (sa.outer_version != notes.version) [[unlikely]] {
    return false;
  }
  if (notes.version == 4) [[likely]] {
    return Ipv4Of(packet).destination.raw() == LoadAs<uint32_t>(sa.local);
  }
  return memcmp(Ipv6Of(packet).destination, sa.local, sizeof(sa.local)) == 0;
}

inline bool SourceIsPeer(const InboundSa& sa, Packet* packet, const PacketNotes& notes) {
  const bool address = notes.version == 4
                           ? Ipv4Of(packet).source.raw() == LoadAs<uint32_t>(sa.peer)
                           : memcmp(Ipv6Of(packet).source, sa.peer, sizeof(sa.peer)) == 0;
  return address && ((sa.flags & kSaUdp) == 0 || notes.source_port == sa.udp_source.ToHost());
}

// Late packets by how late they were, in powers of two: what window would have been enough.
void CountLate(WorkerCounters& counters, SaCounters& sa, uint64_t behind) {
  sa.replay_late.Add(1);
  sa.max_late.Set(std::max(sa.max_late.Read(), behind));
  if (sa.late_histogram_index.Read() == 0) {
    if (counters.late_histograms_used == counters.late_histograms.size()) {
      return;
    }
    sa.late_histogram_index.Set(++counters.late_histograms_used);
  }
  LateHistogram& histogram = counters.late_histograms[sa.late_histogram_index.Read() - 1];
  const int bin = static_cast<int>(std::bit_width(std::max<uint64_t>(behind, 1))) - 1;
  histogram.bins[std::min(bin, kLastBin)].Add(1);
}

DropReason CountReplay(StageContext& context, const InboundSa& sa, ReplayVerdict verdict,
                       uint64_t sequence) {
  SaCounters& counters = context.worker.counters.sas[sa.slot];
  if (verdict == ReplayVerdict::kDuplicate) {
    counters.replay_duplicate.Add(1);
    return DropReason::kReplayDuplicate;
  }
  CountLate(context.worker.counters, counters, sa.replay.Behind(sequence));
  return DropReason::kReplayLate;
}

// Everything that can be known before the ICV is checked; kCount: nothing speaks against it. Lays
// the packet's job out.
inline DropReason PrepareJob(StageContext& context, const InboundSa& sa, Packet* packet,
                             PacketNotes& notes, Job& job) {
  if (((sa.flags & kSaUdp) != 0) != ((notes.flags & kPacketUdpEncap) != 0)) [[unlikely]] {
    return DropReason::kEncapsulationMismatch;
  }
  if ((sa.flags & kSaCheckSource) != 0 && !SourceIsPeer(sa, packet, notes)) [[unlikely]] {
    return DropReason::kSourceMismatch;
  }
  if (sa.dead.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    return DropReason::kLifetimeExpired;
  }
  const unsigned esp_length = notes.l3_offset + notes.l3_length - notes.esp_offset;
  const unsigned around = kEspHeader + sa.iv_length + sa.icv_length;
  const unsigned text_length = esp_length - around;
  if (esp_length <= around || (text_length & (sa.block - 1u)) != 0) [[unlikely]] {
    return DropReason::kMalformedEsp;
  }
  const auto* esp = DataAt<EspHeader>(packet, notes.esp_offset);
  const uint64_t sequence = sa.replay.Infer(esp->sequence.ToHost());
  notes.sequence = sequence;
  const ReplayVerdict verdict = sa.replay.Check(sequence);
  if (verdict != ReplayVerdict::kFresh) [[unlikely]] {
    return CountReplay(context, sa, verdict, sequence);
  }
  job.key = sa.crypto_key;
  job.esp = DataAt(packet, notes.esp_offset);
  job.text_length = text_length;
  job.sequence_high = static_cast<uint32_t>(sequence >> 32);
  job.esn = (sa.flags & kSaEsn) != 0;
  return DropReason::kCount;
}

InboundSa* FindSa(const Sad& sad, Be32 spi) {
  InboundSa* sa = sad.Find(spi);
  if (sa != nullptr) {
    rte_prefetch0(sa);
    rte_prefetch0(&sa->replay);
  }
  return sa;
}

// The SA of each packet, or null. Neighbours with the same SPI share one lookup.
void FindSas(const Sad& sad, const Lane& lane, InboundSa** sas) {
  Be32 spis[kBurst];
  for (unsigned i = 0; i < lane.count; ++i) {
    Packet* packet = lane.packets[i];
    spis[i] = DataAt<EspHeader>(packet, NotesOf(packet).esp_offset)->spi;
    sad.Prefetch(spis[i]);
  }
  Be32 spi = Be32::FromRaw(0);  // no candidate has it
  InboundSa* sa = nullptr;
  for (unsigned i = 0; i < lane.count; ++i) {
    if (spis[i] != spi) {
      spi = spis[i];
      sa = FindSa(sad, spi);
    }
    sas[i] = sa;
  }
}

}  // namespace

void RunInboundSa(StageContext& context) {
  Lane& lane = context.esp;
  InboundSa* sas[kBurst];
  FindSas(context.tables.sad, lane, sas);
  unsigned kept = 0;
  LaneWriter ip(context.ip, lane.count);
  for (unsigned i = 0; i < lane.count; ++i) {
    Packet* packet = lane.packets[i];
    InboundSa* sa = sas[i];
    if (sa == nullptr || !IsForUs(*sa, packet, NotesOf(packet))) [[unlikely]] {
      ip.Push(packet);  // in transit, or no_sa once routing says that it is ours
      continue;
    }
    if (packet->nb_segs > 1) [[unlikely]] {
      packet = MakeLinear(context, packet, kHeadroom, 0);
      if (packet == nullptr) {
        continue;
      }
    }
    const DropReason reason = PrepareJob(context, *sa, packet, NotesOf(packet), context.jobs[kept]);
    if (reason != DropReason::kCount) [[unlikely]] {
      DropInbound(context, packet, reason, sa->tunnel);
      continue;
    }
    NotesOf(packet).inbound = sa;
    lane.packets[kept++] = packet;
  }
  lane.count = kept;
}

}  // namespace penstock
