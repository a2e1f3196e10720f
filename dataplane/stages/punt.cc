// The worker's end of the way to Linux.
//
// Two buckets of the same rate: one for what keeps tunnels and routes alive (IKE, BGP, BFD, ARP,
// neighbour discovery), one for the rest. The rest also leaves a quarter of the queue free. So a
// flood of pings or of packets to closed ports costs Linux a bounded share and never a session.
#include "dataplane/stages/slow_path.h"

namespace penstock {
namespace {

constexpr uint16_t kPortBgp = 179;
constexpr uint16_t kPortBfdSingleHop = 3784;
constexpr uint16_t kPortBfdEcho = 3785;
constexpr uint16_t kPortBfdMultiHop = 4784;
constexpr uint64_t kControlBurst = 1024;

bool IsArp(Packet* packet) {
  unsigned at = 12;
  if (packet->data_len >= at + 6 && DataAt<Be16>(packet, at)->ToHost() == kEtherTypeVlan) {
    at += 4;
  }
  return packet->data_len >= at + 2 && DataAt<Be16>(packet, at)->ToHost() == kEtherTypeArp;
}

bool IsControlUdp(uint16_t destination) {
  return destination == kPortIke || destination == kPortNatT || destination == kPortBfdSingleHop ||
         destination == kPortBfdEcho || destination == kPortBfdMultiHop;
}

// Router and neighbour solicitation and advertisement, redirect (RFC 4861); they never pass a
// router.
bool IsNeighborDiscovery(Packet* packet, const PacketNotes& notes) {
  const uint8_t type = *DataAt(packet, notes.l4_offset);
  return notes.version == 6 && type >= 133 && type <= 137 && Ipv6Of(packet).hop_limit == 255;
}

bool IsControl(Packet* packet) {
  const PacketNotes& notes = NotesOf(packet);
  if (notes.version != 4 && notes.version != 6) {
    return notes.input_tunnel == kNoTunnel && IsArp(packet);
  }
  if ((notes.flags & kPacketFragment) != 0 || notes.l4_offset + 4u > packet->data_len) {
    return false;
  }
  const uint16_t source = DataAt<Be16>(packet, notes.l4_offset)->ToHost();
  const uint16_t destination = DataAt<Be16>(packet, notes.l4_offset + 2u)->ToHost();
  switch (notes.protocol) {
    case kProtocolUdp:
      return IsControlUdp(destination);
    case kProtocolTcp:
      return source == kPortBgp || destination == kPortBgp;
    case kProtocolIcmpv6:
      return IsNeighborDiscovery(packet, notes);
    default:
      return false;
  }
}

// Whether the packet may go on; else it has been dropped.
bool Admit(StageContext& context, Packet* packet, unsigned room, unsigned reserve) {
  WorkerContext& worker = context.worker;
  const PacketNotes& notes = NotesOf(packet);
  if (notes.input_tunnel == kNoTunnel && notes.input_port >= kMaxPorts) {
    DropPacket(context, packet, DropReason::kHostWriteFailed);  // no device to give it to
    return false;
  }
  const bool control = IsControl(packet);
  TokenBucket& bucket = control ? *context.punt_control_bucket : worker.punt_bucket;
  if (!bucket.Take(worker.now)) {
    DropPacket(context, packet, DropReason::kPuntPoliced);
    return false;
  }
  if (!control && room <= reserve) {
    DropPacket(context, packet, DropReason::kPuntQueueFull);
    return false;
  }
  return true;
}

// Once queued a packet is the host path's, so its input is remembered before.
struct Input {
  uint16_t port;
  uint32_t tunnel;
};

void CountPunted(WorkerCounters& counters, const Input& input) {
  if (input.tunnel != kNoTunnel) {
    counters.tunnels[input.tunnel].punted_packets.Add(1);
  } else {
    counters.ports[input.port].punted_packets.Add(1);
  }
}

}  // namespace

void RunPunt(StageContext& context) {
  if (context.punt.empty()) {
    return;
  }
  WorkerContext& worker = context.worker;
  if (!context.punt_control_bucket.has_value()) {
    context.punt_control_bucket.emplace(context.tables.settings.punt_packets_per_second,
                                        kControlBurst, worker.hertz);
  }
  const unsigned room = rte_ring_free_count(worker.to_host);
  const unsigned reserve = rte_ring_get_capacity(worker.to_host) / 4;
  void* packets[kBurst];
  Input inputs[kBurst];
  unsigned count = 0;
  for (Packet* packet : context.punt) {
    if (Admit(context, packet, room > count ? room - count : 0, reserve)) {
      inputs[count] = {NotesOf(packet).input_port, NotesOf(packet).input_tunnel};
      packets[count++] = packet;
    }
  }
  context.punt.Clear();
  const unsigned queued = rte_ring_enqueue_burst(worker.to_host, packets, count, nullptr);
  for (unsigned i = 0; i < queued; ++i) {
    CountPunted(worker.counters, inputs[i]);
  }
  for (unsigned i = queued; i < count; ++i) {
    DropPacket(context, static_cast<Packet*>(packets[i]), DropReason::kPuntQueueFull);
  }
  worker.counters.to_host.Add(queued);
  context.wake_host = context.wake_host || queued != 0;
}

}  // namespace penstock
