#include "dataplane/stages/from_host.h"

#include "dataplane/stages/capture_hook.h"
#include "dataplane/stages/classify.h"
#include "dataplane/stages/ike_ports.h"
#include "dataplane/stages/sa_events.h"

namespace penstock {
namespace {

bool IsUnicastIp(Packet* packet) {
  const auto& ethernet = *DataAt<EthernetHeader>(packet);
  const uint16_t type = ethernet.type.ToHost();
  return (ethernet.destination[0] & 1) == 0 && (type == kEtherTypeIpv4 || type == kEtherTypeIpv6);
}

IpAddress DestinationOf(Packet* packet) {
  return NotesOf(packet).version == 4 ? IpAddress::V4(&Ipv4Of(packet).destination)
                                      : IpAddress::V6(Ipv6Of(packet).destination);
}

// Fills the notes; false if it is no IP packet to one station, or malformed: what cannot be read is
// the link's business.
bool ReadIp(StageContext& context, Packet* packet) {
  if (!IsUnicastIp(packet)) {
    return false;
  }
  PacketNotes& notes = NotesOf(packet);
  const uint16_t port = notes.output_port;
  const IpClass ip =
      ClassifyIp(context.tables.settings, packet, sizeof(EthernetHeader), kPacketFromHost);
  notes.output_port = port;
  notes.input_port = kNoPort;
  notes.input_tunnel = kNoTunnel;
  return ip < IpClass::kMalformed;
}

// Where the gateway's own routes send an IP packet of Linux.
NextHopKind RouteOf(StageContext& context, Packet* packet, uint32_t& tunnel) {
  const PacketNotes& notes = NotesOf(packet);
  const NextHopTable& next_hops = context.tables.next_hops;
  const uint32_t index =
      next_hops.Resolve(context.tables.fib.Lookup(DestinationOf(packet)), notes.flow_hash);
  tunnel = next_hops[index].tunnel;
  return next_hops[index].kind;
}

// IKE makes the SAs, and neighbour discovery finds the peer: they go in clear, whatever policies
// say (RFC 4301 4.4.1).
bool IsNeededInClear(const GatewaySettings& settings, Packet* packet, const PacketNotes& notes) {
  if (notes.protocol == kProtocolIcmpv6) {
    const uint8_t type = notes.l4_offset < packet->data_len ? *DataAt(packet, notes.l4_offset) : 0;
    return type >= 133 && type <= 137;
  }
  return notes.protocol == kProtocolUdp && (notes.flags & kPacketFragment) == 0 &&
         notes.l4_offset + sizeof(UdpHeader) <= packet->data_len &&
         IsIkePort(settings, DataAt<UdpHeader>(packet, notes.l4_offset)->source.ToHost());
}

// True if a policy has taken the packet: into its tunnel, or to its end.
bool EndsByPolicy(StageContext& context, Packet* packet) {
  PacketNotes& notes = NotesOf(packet);
  if (IsNeededInClear(context.tables.settings, packet, notes)) {
    return false;
  }
  PolicyVerdict verdict;
  context.tables.spd.ClassifyOutbound(&packet, &verdict, 1);
  if (verdict.policy == 0 || verdict.action == PolicyAction::kBypass) {
    return false;
  }
  if (verdict.action == PolicyAction::kDiscard) {
    DropPacket(context, packet, DropReason::kPolicyDiscard);
  } else if (verdict.tunnel == kNoTunnel) {
    RaiseAcquire(context, packet, kNoTunnel, verdict.policy);
    DropPacket(context, packet, DropReason::kNoOutboundSa);
  } else {
    notes.next_hop = verdict.tunnel;
    context.tunnel.Push(packet);
  }
  return true;
}

}  // namespace

void SendHostFrame(StageContext& context, Packet* packet) {
  WorkerContext& worker = context.worker;
  PacketNotes& notes = NotesOf(packet);
  const uint16_t port = notes.output_port;
  if (port >= kMaxPorts || packet->data_len < sizeof(EthernetHeader)) [[unlikely]] {
    return DropPacket(context, packet, DropReason::kHostMalformed);
  }
  worker.counters.ports[port].host_packets.Add(1);
  if (ReadIp(context, packet)) {
    if (context.tables.spd.HasOutbound() && EndsByPolicy(context, packet)) [[unlikely]] {
      return;
    }
    uint32_t tunnel = kNoTunnel;
    const NextHopKind kind = RouteOf(context, packet, tunnel);
    if (kind == NextHopKind::kProtected) {
      return DropPacket(context, packet, DropReason::kProtectedPrefix);
    }
    if (kind == NextHopKind::kTunnel) {
      notes.next_hop = tunnel;
      return context.tunnel.Push(packet);
    }
  }
  if (Capture* capture = CaptureFor(worker, CapturePoint::kPort, port)) [[unlikely]] {
    OfferFrame(*capture, worker, packet, true, port);
  }
  Transmit(worker, worker.outputs[port], packet);
  context.filled_outputs |= 1u << port;
}

void AcceptInner(StageContext& context, Packet* packet) {
  PacketNotes& notes = NotesOf(packet);
  const uint32_t tunnel = notes.input_tunnel;
  notes.input_port = kNoPort;
  notes.l3_offset = 0;
  if (tunnel == kNoTunnel || tunnel >= kMaxTunnels) [[unlikely]] {
    return DropPacket(context, packet, DropReason::kHostMalformed);
  }
  context.worker.counters.tunnels[tunnel].host_packets.Add(1);
  const IpClass ip = ClassifyIp(context.tables.settings, packet, 0, kPacketFromHost);
  if (ip == IpClass::kMalformed || ip == IpClass::kBadChecksum) [[unlikely]] {
    return DropPacket(context, packet, DropReason::kHostMalformed);
  }
  notes.next_hop = tunnel;
  context.tunnel.Push(packet);
}

}  // namespace penstock
