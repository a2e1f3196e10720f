#include <algorithm>
#include <span>

#include "dataplane/stages/capture_hook.h"
#include "dataplane/stages/encapsulate.h"
#include "dataplane/stages/flow_hash.h"
#include "dataplane/stages/lane_writer.h"
#include "dataplane/stages/sa_events.h"
#include "dataplane/stages/slow_path.h"
#include "dataplane/stages/stages.h"
#include "dataplane/stages/tcp_syn.h"
#include "dataplane/stages/tunnel_drop.h"

namespace penstock {
namespace {

// What is left to do for a run once its jobs are encrypted.
struct SealedRun {
  const OutboundSa* sa;
  unsigned count;
};

// A packet that has to be cut before it is encrypted.
struct Oversized {
  Packet* packet;
  uint32_t tunnel;
  uint16_t mtu;
};

struct EncryptBurst {
  unsigned jobs = 0;
  unsigned runs = 0;
  unsigned oversized = 0;
  Packet* packets[kBurst];  // packets[i] is job i's
  SealedRun run[kBurst];
  Oversized over[kBurst];
};

uint16_t InnerMtuInForce(const OutboundSa& sa, const Tunnel& tunnel) {
  const uint16_t of_sa = sa.inner_mtu.load(std::memory_order_relaxed);
  const uint16_t of_tunnel = tunnel.mtu.load(std::memory_order_relaxed);
  return of_tunnel == 0 ? of_sa : std::min(of_sa, of_tunnel);
}

bool MayFragment(Packet* packet, const PacketNotes& notes) {
  return notes.version == 4 && (Ipv4Of(packet).fragment.ToHost() & kIpv4DontFragment) == 0;
}

// One tunnel's packets on their way into its SA.
class Admission {
 public:
  Admission(StageContext& context, EncryptBurst& burst, uint32_t tunnel_id, OutboundSa& sa)
      : context_(context),
        burst_(burst),
        tunnel_(context.tables.tunnels[tunnel_id]),
        tunnel_id_(tunnel_id),
        mtu_(InnerMtuInForce(sa, tunnel_)),
        front_(FrontRoom(sa)),
        tfc_((sa.flags & kSaTfc) != 0 ? std::min<uint32_t>(sa.tfc_length, mtu_) : 0) {}

  // The packet, perhaps in another buffer, ready to have its ESP frame put around; null if it went
  // another way. `payload` is how many of its bytes are to be encrypted.
  Packet* Admit(Packet* packet, uint32_t& payload) {
    PacketNotes* notes = &NotesOf(packet);
    if (notes->l3_length > mtu_ && (notes->flags & kPacketFragmented) == 0) [[unlikely]] {
      return TooBig(packet, *notes);
    }
    payload = std::max<uint32_t>(notes->l3_length, tfc_);
    if (!HasRoom(packet, *notes, payload)) [[unlikely]] {
      packet = MakeLinear(context_, packet, front_ + kWideHeaders,
                          payload - notes->l3_length + kEspTailRoom);
      if (packet == nullptr) {
        context_.worker.counters.tunnels[tunnel_id_].out_dropped.Add(1);
        return nullptr;
      }
      notes = &NotesOf(packet);
    }
    if (IsTcpSyn(packet, *notes)) [[unlikely]] {
      if (const uint16_t mss = MssOf(tunnel_, notes->version); mss != 0) {
        ClampMss(packet, mss);
      }
    }
    if (payload != notes->l3_length) [[unlikely]] {
      AddTfcPadding(packet, *notes, payload);
    }
    return packet;
  }

 private:
  static constexpr unsigned kWideHeaders = 64;  // room to spare for whoever comes after

  bool HasRoom(const Packet* packet, const PacketNotes& notes, uint32_t payload) const {
    const unsigned front = packet->data_off + notes.l3_offset;
    return packet->nb_segs == 1 && front >= front_ &&
           front + payload + kEspTailRoom <= packet->buf_len;
  }

  // RFC 4303 2.7: between the inner packet, whose own header tells its length, and the padding.
  static void AddTfcPadding(Packet* packet, const PacketNotes& notes, uint32_t payload) {
    memset(DataAt(packet, notes.l3_offset + notes.l3_length), 0, payload - notes.l3_length);
  }

  Packet* TooBig(Packet* packet, const PacketNotes& notes) {
    if (MayFragment(packet, notes)) {
      burst_.over[burst_.oversized++] = {packet, tunnel_id_, mtu_};
    } else {
      context_.worker.counters.tunnels[tunnel_id_].out_dropped.Add(1);
      DropWithIcmp(context_, packet, DropReason::kTooBig, IcmpError::kTooBig, mtu_);
    }
    return nullptr;
  }

  StageContext& context_;
  EncryptBurst& burst_;
  Tunnel& tunnel_;
  uint32_t tunnel_id_;
  uint16_t mtu_;
  unsigned front_;
  uint32_t tfc_;
};

void DropRun(StageContext& context, std::span<Packet*> packets, uint32_t tunnel,
             DropReason reason) {
  for (Packet* packet : packets) {
    DropOutbound(context, packet, reason, tunnel);
  }
}

// Fail closed: without an SA nothing leaves. Where somebody is there who makes one, they wait.
void StopWithoutSa(StageContext& context, std::span<Packet*> packets, uint32_t tunnel) {
  if (context.tables.tunnels[tunnel].hold.load(std::memory_order_relaxed) == 0) {
    return DropRun(context, packets, tunnel, DropReason::kNoOutboundSa);
  }
  for (Packet* packet : packets) {
    RaiseAcquire(context, packet, tunnel, 0);
  }
  HoldForOutboundSa(context, packets, tunnel);
}

// Where the SA's packets go: always the same member of an ECMP group, so that the peer sees them in
// order. Only a neighbour on a port will do, never a tunnel again.
bool OuterNextHop(const NextHopTable& next_hops, const OutboundSa& sa, uint32_t& next_hop) {
  next_hop = next_hops.Resolve(sa.outer_next_hop.load(std::memory_order_relaxed),
                               FlowHashOf(sa.spi.raw()));
  const NextHopKind kind = next_hops[next_hop].kind;
  return kind == NextHopKind::kForward || kind == NextHopKind::kGlean;
}

// Stops the SA for good; true for whoever stopped it.
bool Kill(OutboundSa& sa) { return sa.dead.exchange(1, std::memory_order_relaxed) == 0; }

// How many of the run the lifetime allows; the rest is dropped.
unsigned LimitByLifetime(StageContext& context, OutboundSa& sa, std::span<Packet*> packets) {
  uint32_t lengths[kBurst];
  for (size_t i = 0; i < packets.size(); ++i) {
    lengths[i] = NotesOf(packets[i]).l3_length;
  }
  const Lifetime::RunVerdict verdict = sa.lifetime.CountRun({lengths, packets.size()});
  if (verdict.hard) {
    Kill(sa);
  }
  RaiseLifetime(context.worker, verdict, sa.slot, sa.tunnel);
  DropRun(context, packets.subspan(verdict.allowed), sa.tunnel, DropReason::kLifetimeExpired);
  return verdict.allowed;
}

// Sequence numbers for the run; at the end of the number space there are fewer than packets.
SequenceBlock ClaimSequences(StageContext& context, OutboundSa& sa, std::span<Packet*> packets) {
  const SequenceBlock block = sa.sequence.Claim(static_cast<uint32_t>(packets.size()));
  if (block.count < packets.size()) [[unlikely]] {
    if (Kill(sa)) {
      context.worker.PushEvent(
          {.kind = WorkerEvent::Kind::kSequenceExhausted, .slot = sa.slot, .tunnel = sa.tunnel});
    }
    DropRun(context, packets.subspan(block.count), sa.tunnel, DropReason::kSequenceExhausted);
  }
  return block;
}

// Counts once for the run.
void CountRun(StageContext& context, const OutboundSa& sa, uint32_t tunnel_id,
              std::span<Packet*> packets) {
  uint64_t bytes = 0;
  for (const Packet* packet : packets) {
    bytes += NotesOf(packet).l3_length;
  }
  SaCounters& counters = context.worker.counters.sas[sa.slot];
  counters.packets.Add(packets.size());
  counters.bytes.Add(bytes);
  counters.last_used.Set(context.worker.now);
  TunnelCounters& tunnel = context.worker.counters.tunnels[tunnel_id];
  tunnel.out_packets.Add(packets.size());
  tunnel.out_bytes.Add(bytes);
}

void OfferRun(StageContext& context, std::span<Packet*> packets, uint32_t tunnel) {
  if (Capture* capture = CaptureFor(context.worker, CapturePoint::kTunnel, tunnel)) [[unlikely]] {
    for (const Packet* packet : packets) {
      OfferInner(*capture, context.worker, packet, true, tunnel);
    }
  }
}

// Admits the packets of one SA, numbers them and builds their frames and jobs.
void AddRunOf(StageContext& context, EncryptBurst& burst, uint32_t tunnel_id, OutboundSa* sa,
              std::span<Packet*> packets) {
  if (sa == nullptr) [[unlikely]] {
    return StopWithoutSa(context, packets, tunnel_id);
  }
  OutboundRun run(*sa, burst.packets + burst.jobs);
  if (!OuterNextHop(context.tables.next_hops, *sa, run.next_hop)) [[unlikely]] {
    return DropRun(context, packets, tunnel_id, DropReason::kOuterUnroutable);
  }
  if (sa->dead.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    return DropRun(
        context, packets, tunnel_id,
        sa->sequence.exhausted() ? DropReason::kSequenceExhausted : DropReason::kLifetimeExpired);
  }
  Admission admission(context, burst, tunnel_id, *sa);
  for (Packet* packet : packets) {
    Packet* admitted = admission.Admit(packet, run.payload[run.count]);
    if (admitted != nullptr) [[likely]] {
      run.packets[run.count++] = admitted;
    }
  }
  if ((sa->flags & kSaCountsLifetime) != 0) {
    run.count = LimitByLifetime(context, *sa, {run.packets, run.count});
  }
  if (run.count == 0) [[unlikely]] {
    return;
  }
  const SequenceBlock block = ClaimSequences(context, *sa, {run.packets, run.count});
  run.count = block.count;
  if (run.count == 0) [[unlikely]] {
    return;
  }
  OfferRun(context, {run.packets, run.count}, tunnel_id);
  CountRun(context, *sa, tunnel_id, {run.packets, run.count});
  Encapsulate(run, block.first, context.jobs + burst.jobs);
  burst.run[burst.runs++] = {sa, run.count};
  burst.jobs += run.count;
}

// Packets of a tunnel whose child SAs have selectors of their own; neighbours that take the same SA
// stay together.
void AddRunByPolicy(StageContext& context, EncryptBurst& burst, uint32_t tunnel_id,
                    const TunnelPolicies& policies, std::span<Packet*> packets) {
  const TunnelPolicies::Entry* entries[kBurst];
  for (size_t i = 0; i < packets.size(); ++i) {
    entries[i] = policies.Find(packets[i]);
  }
  for (size_t first = 0; first < packets.size();) {
    const TunnelPolicies::Entry* entry = entries[first];
    size_t end = first + 1;
    while (end < packets.size() && entries[end] == entry) {
      ++end;
    }
    const std::span<Packet*> run = packets.subspan(first, end - first);
    if (entry == nullptr) {
      DropRun(context, run, tunnel_id, DropReason::kNoPolicy);
    } else if (entry->action != PolicyAction::kProtect) {
      // Out of a tunnel there is no way in clear, so that a bypass ends here too.
      DropRun(context, run, tunnel_id, DropReason::kPolicyDiscard);
    } else {
      AddRunOf(context, burst, tunnel_id, entry->outbound, run);
    }
    first = end;
  }
}

void AddRun(StageContext& context, EncryptBurst& burst, uint32_t tunnel_id,
            std::span<Packet*> packets) {
  const Tunnel& tunnel = context.tables.tunnels[tunnel_id];
  const TunnelPolicies* policies = tunnel.policies.load(std::memory_order_acquire);
  if (policies != nullptr) [[unlikely]] {
    return AddRunByPolicy(context, burst, tunnel_id, *policies, packets);
  }
  AddRunOf(context, burst, tunnel_id, tunnel.outbound.load(std::memory_order_acquire), packets);
}

void PassOn(StageContext& context, EncryptBurst& burst) {
  LaneWriter forward(context.forward, burst.jobs);
  unsigned index = 0;
  for (const SealedRun& run : std::span(burst.run, burst.runs)) {
    constexpr uint16_t kUdpOverV6 = kSaOuterV6 | kSaUdp;
    const bool checksum = (run.sa->flags & kUdpOverV6) == kUdpOverV6;
    for (const unsigned end = index + run.count; index < end; ++index) {
      Packet* packet = burst.packets[index];
      if (!context.jobs[index].ok) [[unlikely]] {
        DropOutbound(context, packet, DropReason::kCryptoFailed, run.sa->tunnel);
        continue;
      }
      if (checksum) {
        WriteUdpChecksumV6(packet);
      }
      forward.Push(packet);
    }
  }
}

// Calls add(tunnel id, packets) for each stretch of packets of one tunnel.
template <typename Add>
void ForEachRun(Lane& lane, Add add) {
  for (unsigned first = 0; first < lane.count;) {
    const uint32_t tunnel = NotesOf(lane.packets[first]).next_hop;
    unsigned end = first + 1;
    while (end < lane.count && NotesOf(lane.packets[end]).next_hop == tunnel) {
      ++end;
    }
    add(tunnel, std::span<Packet*>(lane.packets + first, end - first));
    first = end;
  }
}

// The SAs' lines, while there is still something else to do.
void PrefetchSas(const TunnelTable& tunnels, Lane& lane) {
  ForEachRun(lane, [&](uint32_t tunnel, std::span<Packet*>) {
    const OutboundSa* sa = tunnels[tunnel].outbound.load(std::memory_order_acquire);
    if (sa == nullptr) [[unlikely]] {
      return;
    }
    const auto* bytes = reinterpret_cast<const uint8_t*>(sa);
    rte_prefetch0(bytes);
    rte_prefetch0(bytes + kCacheLine);
    rte_prefetch0(bytes + 2 * kCacheLine);
  });
}

// A piece of a packet that was cut: it waits in the tunnel lane, which is empty but for such
// pieces.
void EncryptPiece(StageContext& context, Packet* piece, void* tunnel) {
  NotesOf(piece).next_hop = *static_cast<const uint32_t*>(tunnel);
  context.tunnel.Push(piece);
  if (context.tunnel.count == kBurst) {
    RunForward(context);
    RunEspEncrypt(context);
  }
}

void FragmentAndEncrypt(StageContext& context, Oversized& oversized) {
  FragmentIpv4(context, oversized.packet, oversized.mtu, EncryptPiece, &oversized.tunnel);
  RunForward(context);  // makes room: pieces can be many
  RunEspEncrypt(context);
}

}  // namespace

void RunEspEncrypt(StageContext& context) {
  EncryptBurst burst;
  PrefetchSas(context.tables.tunnels, context.tunnel);
  ForEachRun(context.tunnel, [&](uint32_t tunnel, std::span<Packet*> packets) {
    AddRun(context, burst, tunnel, packets);
  });
  context.tunnel.Clear();
  context.engine.Encrypt({context.jobs, burst.jobs});
  PassOn(context, burst);
  for (Oversized& oversized : std::span(burst.over, burst.oversized)) [[unlikely]] {
      FragmentAndEncrypt(context, oversized);
    }
}

}  // namespace penstock
