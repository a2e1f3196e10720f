// The worker's end of the way to Linux.
//
// Three buckets of the same rate: one for what keeps routes and links alive (BGP, BFD, ARP,
// neighbour discovery), one for IKE, one for the rest. IKE leaves an eighth of the queue free and
// the rest a quarter. So a flood of pings or of packets to closed ports costs Linux a bounded share
// and never a session, and one of forged IKE costs no route.
#include <cstring>

#include "dataplane/stages/ike_ports.h"
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

enum class Kind : uint8_t { kRouting, kIke, kOther };

Kind KindOfUdp(const GatewaySettings& settings, uint16_t destination) {
  if (destination == kPortBfdSingleHop || destination == kPortBfdEcho ||
      destination == kPortBfdMultiHop) {
    return Kind::kRouting;
  }
  return IsIkePort(settings, destination) ? Kind::kIke : Kind::kOther;
}

// Router and neighbour solicitation and advertisement, redirect (RFC 4861); they never pass a
// router.
bool IsNeighborDiscovery(Packet* packet, const PacketNotes& notes) {
  const uint8_t type = *DataAt(packet, notes.l4_offset);
  return notes.version == 6 && type >= 133 && type <= 137 && Ipv6Of(packet).hop_limit == 255;
}

Kind KindOf(const GatewaySettings& settings, Packet* packet) {
  const PacketNotes& notes = NotesOf(packet);
  if (notes.version != 4 && notes.version != 6) {
    return notes.input_tunnel == kNoTunnel && IsArp(packet) ? Kind::kRouting : Kind::kOther;
  }
  if ((notes.flags & kPacketFragment) != 0 || notes.l4_offset + 4u > packet->data_len) {
    return Kind::kOther;
  }
  const uint16_t source = DataAt<Be16>(packet, notes.l4_offset)->ToHost();
  const uint16_t destination = DataAt<Be16>(packet, notes.l4_offset + 2u)->ToHost();
  switch (notes.protocol) {
    case kProtocolUdp:
      return KindOfUdp(settings, destination);
    case kProtocolTcp:
      return source == kPortBgp || destination == kPortBgp ? Kind::kRouting : Kind::kOther;
    case kProtocolIcmpv6:
      return IsNeighborDiscovery(packet, notes) ? Kind::kRouting : Kind::kOther;
    default:
      return Kind::kOther;
  }
}

// What of a kind is let through: at which rate, and how much of the queue it must leave free.
struct Share {
  TokenBucket& bucket;
  unsigned reserve;
};

Share ShareOf(StageContext& context, Kind kind) {
  const unsigned capacity = rte_ring_get_capacity(context.worker.to_host);
  switch (kind) {
    case Kind::kRouting:
      return {*context.punt_control_bucket, 0};
    case Kind::kIke:
      return {*context.punt_ike_bucket, capacity / 8};
    default:
      return {context.worker.punt_bucket, capacity / 4};
  }
}

// What came through a tunnel that Linux has no device for is given to it as if it had come by the
// port in clear: a frame with a link header of our own making.
void ShowByPort(StageContext& context, Packet* packet) {
  PacketNotes& notes = NotesOf(packet);
  if (notes.input_tunnel == kNoTunnel || notes.input_port >= kMaxPorts ||
      context.tables.tunnels[notes.input_tunnel].has_device.load(std::memory_order_relaxed) != 0 ||
      notes.l3_offset < sizeof(EthernetHeader)) {
    return;
  }
  const auto cut = static_cast<uint16_t>(notes.l3_offset - sizeof(EthernetHeader));
  rte_pktmbuf_adj(packet, cut);
  notes.l3_offset = sizeof(EthernetHeader);
  notes.l4_offset = static_cast<uint16_t>(notes.l4_offset - cut);
  notes.input_tunnel = kNoTunnel;
  auto& ethernet = *DataAt<EthernetHeader>(packet);
  std::memcpy(ethernet.destination, context.tables.ports[notes.input_port].mac, 6);
  std::memcpy(ethernet.source, ethernet.destination, 6);
  ethernet.type = Be16::FromHost(notes.version == 4 ? kEtherTypeIpv4 : kEtherTypeIpv6);
}

// Whether the packet may go on; else it has been dropped.
bool Admit(StageContext& context, Packet* packet, unsigned room) {
  WorkerContext& worker = context.worker;
  const PacketNotes& notes = NotesOf(packet);
  if (notes.input_tunnel == kNoTunnel && notes.input_port >= kMaxPorts) {
    DropPacket(context, packet, DropReason::kHostWriteFailed);  // no device to give it to
    return false;
  }
  const Share share = ShareOf(context, KindOf(context.tables.settings, packet));
  if (!share.bucket.Take(worker.now)) {
    DropPacket(context, packet, DropReason::kPuntPoliced);
    return false;
  }
  if (share.reserve != 0 && room <= share.reserve) {
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
    const uint64_t rate = context.tables.settings.punt_packets_per_second;
    context.punt_control_bucket.emplace(rate, kControlBurst, worker.hertz);
    context.punt_ike_bucket.emplace(rate, kControlBurst, worker.hertz);
  }
  const unsigned room = rte_ring_free_count(worker.to_host);
  void* packets[kBurst];
  Input inputs[kBurst];
  unsigned count = 0;
  for (Packet* packet : context.punt) {
    ShowByPort(context, packet);
    if (Admit(context, packet, room > count ? room - count : 0)) {
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
