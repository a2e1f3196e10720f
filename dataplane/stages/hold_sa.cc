// Packets that wait for an SA: those to be encrypted for one that was asked for, and ESP for one
// that is being negotiated.
#include <algorithm>
#include <vector>

#include "dataplane/stages/slow_path.h"
#include "dataplane/stages/tunnel_drop.h"

namespace penstock {
namespace {

constexpr uint64_t kScansPerSecond = 1000;

struct Waiting {
  Packet* packet;
  uint64_t deadline;
  uint32_t tunnel;      // kNoTunnel: ESP
  uint16_t generation;  // of the tunnel: its id may be another tunnel's by now
};

// In order of arrival; never grows past its reservation.
struct WaitingLine {
  std::vector<Waiting> packets;
  uint64_t next_scan = 0;
};

enum class Verdict : uint8_t { kGo, kWait, kGiveUp };

bool IsLive(const OutboundSa* sa) {
  return sa != nullptr && sa->dead.load(std::memory_order_relaxed) == 0;
}

Verdict JudgeOutbound(StageContext& context, const Waiting& waiting) {
  const Tunnel& tunnel = context.tables.tunnels[waiting.tunnel];
  if (tunnel.in_use.load(std::memory_order_acquire) == 0 ||
      tunnel.generation.load(std::memory_order_relaxed) != waiting.generation) {
    return Verdict::kGiveUp;
  }
  const TunnelPolicies* policies = tunnel.policies.load(std::memory_order_acquire);
  if (policies == nullptr) {
    return IsLive(tunnel.outbound.load(std::memory_order_acquire)) ? Verdict::kGo : Verdict::kWait;
  }
  const TunnelPolicies::Entry* entry = policies->Find(waiting.packet);
  // What the policies do not protect any more ends in the tunnel's own stage, with its reason.
  const bool decided = entry == nullptr || entry->action != PolicyAction::kProtect;
  return decided || IsLive(entry->outbound) ? Verdict::kGo : Verdict::kWait;
}

Be32 SpiOf(Packet* packet) { return DataAt<EspHeader>(packet, NotesOf(packet).esp_offset)->spi; }

Verdict JudgeInbound(StageContext& context, const Waiting& waiting) {
  const Be32 spi = SpiOf(waiting.packet);
  if (context.tables.sad.Find(spi) != nullptr) {
    return Verdict::kGo;
  }
  return context.tables.sad.IsAwaited(spi) ? Verdict::kWait : Verdict::kGiveUp;
}

void GiveUp(StageContext& context, const Waiting& waiting) {
  if (waiting.tunnel == kNoTunnel) {
    return DropPacket(context, waiting.packet, DropReason::kSaNeverCame);
  }
  NotesOf(waiting.packet).next_hop = kNoTunnel;
  DropOutbound(context, waiting.packet, DropReason::kAcquireTimeout, waiting.tunnel);
}

uint64_t DeadlineAfter(const WorkerContext& worker, uint32_t milliseconds) {
  return worker.now + worker.hertz / 1000 * milliseconds;
}

bool Release(StageContext& context, WaitingLine& line, Lane& lane,
             Verdict (*judge)(StageContext&, const Waiting&)) {
  const WorkerContext& worker = context.worker;
  if (line.packets.empty() || worker.now < line.next_scan) {
    return false;
  }
  line.next_scan = worker.now + worker.hertz / kScansPerSecond;
  size_t kept = 0;
  for (const Waiting& waiting : line.packets) {
    Verdict verdict = judge(context, waiting);
    if (verdict == Verdict::kGo && lane.count == kBurst) {
      line.next_scan = worker.now;  // the rest goes with the next poll
      verdict = Verdict::kWait;
    } else if (verdict == Verdict::kWait && worker.now >= waiting.deadline) {
      verdict = Verdict::kGiveUp;
    }
    if (verdict == Verdict::kWait) {
      line.packets[kept++] = waiting;
    } else if (verdict == Verdict::kGo) {
      lane.Push(waiting.packet);
    } else {
      GiveUp(context, waiting);
    }
  }
  context.worker.counters.held.Add(uint64_t{0} - (line.packets.size() - kept));
  line.packets.resize(kept);
  return !lane.empty();
}

}  // namespace

struct SaHold {
  explicit SaHold(const GatewaySettings& settings) : limit(settings.sa_hold_packets) {
    outbound.packets.reserve(limit);
    inbound.packets.reserve(limit);
  }
  size_t limit;
  WaitingLine outbound;
  WaitingLine inbound;
};

void HoldForOutboundSa(StageContext& context, std::span<Packet*> packets, uint32_t tunnel) {
  const GatewaySettings& settings = context.tables.settings;
  SaHold& hold = *context.sa_hold;
  std::vector<Waiting>& line = hold.outbound.packets;
  size_t room = hold.limit - line.size();
  if (room != 0) {  // a tunnel without peer leaves room to others
    const auto own = std::count_if(line.begin(), line.end(), [tunnel](const Waiting& waiting) {
      return waiting.tunnel == tunnel;
    });
    const size_t most = settings.sa_hold_packets_of_tunnel;
    room = std::min(room, most - std::min(most, static_cast<size_t>(own)));
  }
  const uint64_t deadline = DeadlineAfter(context.worker, settings.acquire_milliseconds);
  const uint16_t generation =
      context.tables.tunnels[tunnel].generation.load(std::memory_order_relaxed);
  for (Packet* packet : packets) {
    if (room == 0) {
      DropOutbound(context, packet, DropReason::kHoldQueueFull, tunnel);
      continue;
    }
    --room;
    line.push_back({packet, deadline, tunnel, generation});
    context.worker.counters.held.Add(1);
  }
}

void HoldForInboundSa(StageContext& context, Packet* packet) {
  SaHold& hold = *context.sa_hold;
  if (hold.inbound.packets.size() == hold.limit) {
    return DropPacket(context, packet, DropReason::kHoldQueueFull);
  }
  const uint64_t deadline =
      DeadlineAfter(context.worker, context.tables.settings.awaited_milliseconds);
  hold.inbound.packets.push_back({packet, deadline, kNoTunnel, 0});
  context.worker.counters.held.Add(1);
}

bool ReleaseForOutboundSas(StageContext& context) {
  return Release(context, context.sa_hold->outbound, context.tunnel, JudgeOutbound);
}

bool ReleaseForInboundSas(StageContext& context) {
  return Release(context, context.sa_hold->inbound, context.esp, JudgeInbound);
}

std::unique_ptr<SaHold, void (*)(SaHold*)> MakeSaHold(const GatewaySettings& settings) {
  return {new SaHold(settings), [](SaHold* hold) { delete hold; }};
}

void DropHeldForSas(StageContext& context) {
  for (WaitingLine* line : {&context.sa_hold->outbound, &context.sa_hold->inbound}) {
    for (const Waiting& waiting : line->packets) {
      DropPacket(context, waiting.packet, DropReason::kShutdown);
    }
    context.worker.counters.held.Add(uint64_t{0} - line->packets.size());
    line->packets.clear();
  }
}

}  // namespace penstock
