#include "dataplane/stages/from_host.h"

#include "dataplane/stages/capture_hook.h"
#include "dataplane/stages/classify.h"

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

// Where the gateway's own routes send an IP packet of Linux; kNoRoute if it is none, or malformed:
// what cannot be read is the link's business.
NextHopKind RouteOf(StageContext& context, Packet* packet, uint32_t& tunnel) {
  PacketNotes& notes = NotesOf(packet);
  const uint16_t port = notes.output_port;
  if (!IsUnicastIp(packet)) {
    return NextHopKind::kNoRoute;
  }
  const IpClass ip =
      ClassifyIp(context.tables.settings, packet, sizeof(EthernetHeader), kPacketFromHost);
  notes.output_port = port;
  if (ip >= IpClass::kMalformed) {
    return NextHopKind::kNoRoute;
  }
  const NextHopTable& next_hops = context.tables.next_hops;
  const uint32_t index =
      next_hops.Resolve(context.tables.fib.Lookup(DestinationOf(packet)), notes.flow_hash);
  tunnel = next_hops[index].tunnel;
  return next_hops[index].kind;
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
  uint32_t tunnel = kNoTunnel;
  const NextHopKind kind = RouteOf(context, packet, tunnel);
  if (kind == NextHopKind::kProtected) {
    return DropPacket(context, packet, DropReason::kProtectedPrefix);
  }
  if (kind == NextHopKind::kTunnel) {
    notes.input_port = kNoPort;
    notes.input_tunnel = kNoTunnel;
    notes.next_hop = tunnel;
    return context.tunnel.Push(packet);
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
