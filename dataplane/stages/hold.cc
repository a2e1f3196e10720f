// Packets that wait for a link address.
//
// What waits is routed anew when it leaves: a next hop's index may have been given to something
// else in the meantime, and a route that has moved into a tunnel must not be overtaken by a packet
// in clear.
#include <algorithm>
#include <vector>

#include "dataplane/stages/slow_path.h"

namespace penstock {
namespace {

constexpr uint64_t kScansPerSecond = 1000;
constexpr uint64_t kAsksPerSecond = 10;  // for one neighbour

struct Held {
  Packet* packet;
  uint64_t deadline;
};

// A neighbour that the control thread was asked for.
struct Ask {
  IpAddress address;
  uint16_t port;
  uint64_t time;
};

enum class Verdict : uint8_t { kGo, kWait, kGiveUp };

}  // namespace

struct HoldQueue {
  explicit HoldQueue(const GatewaySettings& settings)
      : limit(settings.hold_packets), milliseconds(settings.hold_milliseconds) {
    held.reserve(limit);
    asks.reserve(limit);
  }
  size_t limit;
  uint32_t milliseconds;
  uint64_t next_scan = 0;
  std::vector<Held> held;  // in order of arrival; never grows past its reservation
  std::vector<Ask> asks;
};

namespace {

IpAddress DestinationOf(Packet* packet) {
  return NotesOf(packet).version == 4 ? IpAddress::V4(&Ipv4Of(packet).destination)
                                      : IpAddress::V6(Ipv6Of(packet).destination);
}

IpAddress NeighborOf(const NextHop& next_hop, Packet* packet) {
  if (next_hop.kind == NextHopKind::kGlean) {
    return DestinationOf(packet);
  }
  return next_hop.gateway_version == 4 ? IpAddress::V4(next_hop.gateway)
                                       : IpAddress::V6(next_hop.gateway);
}

// Whether it is time to ask for the neighbour (again), and if so, notes that it was done.
bool MayAsk(HoldQueue& queue, const IpAddress& address, uint16_t port,
            const WorkerContext& worker) {
  const uint64_t now = worker.now;
  const uint64_t interval = worker.hertz / kAsksPerSecond;
  Ask* free = nullptr;
  for (Ask& ask : queue.asks) {
    const bool old = now - ask.time >= interval;
    if (ask.port == port && ask.address == address) {
      if (old) {
        ask.time = now;
      }
      return old;
    }
    free = old ? &ask : free;
  }
  if (free != nullptr) {
    *free = {address, port, now};
    return true;
  }
  if (queue.asks.size() == queue.limit) {
    return false;
  }
  queue.asks.push_back({address, port, now});
  return true;
}

void AskForNeighbor(StageContext& context, Packet* packet) {
  const uint32_t index = NotesOf(packet).next_hop;
  const NextHop& next_hop = context.tables.next_hops[index];
  const IpAddress address = NeighborOf(next_hop, packet);
  if (!MayAsk(*context.hold, address, next_hop.port, context.worker)) {
    return;
  }
  WorkerEvent event{};
  event.kind = WorkerEvent::Kind::kResolveNeighbor;
  event.next_hop = index;
  event.port = next_hop.port;
  event.address = address;
  context.worker.PushEvent(event);
}

Verdict Judge(StageContext& context, Packet* packet) {
  PacketNotes& notes = NotesOf(packet);
  const uint32_t index = context.tables.next_hops.Resolve(
      context.tables.fib.Lookup(DestinationOf(packet)), notes.flow_hash);
  const NextHop& next_hop = context.tables.next_hops[index];
  if (next_hop.kind == NextHopKind::kGlean) {
    return Verdict::kWait;
  }
  if (next_hop.kind != NextHopKind::kForward) {
    return Verdict::kGiveUp;
  }
  if (LoadLink(next_hop).resolved == 0) {
    return Verdict::kWait;
  }
  notes.next_hop = index;
  return Verdict::kGo;
}

void CountReleased(StageContext& context, size_t count) {
  context.worker.counters.held.Add(uint64_t{0} - count);
}

}  // namespace

void HoldForNeighbor(StageContext& context, Packet* packet) {
  HoldQueue& queue = *context.hold;
  if (queue.held.size() == queue.limit) {
    DropPacket(context, packet, DropReason::kHoldQueueFull);
    return;
  }
  AskForNeighbor(context, packet);
  const WorkerContext& worker = context.worker;
  queue.held.push_back({packet, worker.now + worker.hertz / 1000 * queue.milliseconds});
  context.worker.counters.held.Add(1);
}

void ReleaseHeld(StageContext& context) {
  HoldQueue& queue = *context.hold;
  const WorkerContext& worker = context.worker;
  if (queue.held.empty() || worker.now < queue.next_scan) {
    return;
  }
  queue.next_scan = worker.now + worker.hertz / kScansPerSecond;
  size_t kept = 0;
  for (const Held& held : queue.held) {
    Verdict verdict = Judge(context, held.packet);
    if (verdict == Verdict::kGo && context.forward.count == kBurst) {
      queue.next_scan = worker.now;  // the rest goes with the next poll
      verdict = Verdict::kWait;
    } else if (verdict == Verdict::kWait && worker.now >= held.deadline) {
      verdict = Verdict::kGiveUp;
    }
    if (verdict == Verdict::kWait) {
      queue.held[kept++] = held;
    } else if (verdict == Verdict::kGo) {
      context.forward.Push(held.packet);
    } else {
      DropPacket(context, held.packet, DropReason::kNeighborUnresolved);
    }
  }
  CountReleased(context, queue.held.size() - kept);
  queue.held.resize(kept);
}

void DropHeld(StageContext& context) {
  for (const Held& held : context.hold->held) {
    DropPacket(context, held.packet, DropReason::kShutdown);
  }
  CountReleased(context, context.hold->held.size());
  context.hold->held.clear();
  DropFragments(context);
}

std::unique_ptr<HoldQueue, void (*)(HoldQueue*)> MakeHoldQueue(const GatewaySettings& settings) {
  return {new HoldQueue(settings), [](HoldQueue* queue) { delete queue; }};
}

}  // namespace penstock
