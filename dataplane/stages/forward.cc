#include <cstring>

#include "dataplane/stages/capture_hook.h"
#include "dataplane/stages/slow_path.h"
#include "dataplane/stages/stages.h"

namespace penstock {
namespace {

// The next hop that a run of packets shares, read once.
struct Way {
  uint32_t index = UINT32_MAX;
  bool resolved = false;
  uint16_t port = kNoPort;
  LinkHeader link{};
  OutputQueue* output = nullptr;
  Capture* capture = nullptr;
};

void FollowNextHop(StageContext& context, uint32_t index, Way& way) {
  const NextHop& next_hop = context.tables.next_hops[index];
  way.index = index;
  way.link = LoadLink(next_hop);
  way.resolved = next_hop.kind == NextHopKind::kForward && way.link.resolved != 0;
  way.port = next_hop.port;
  way.output = &context.worker.outputs[next_hop.port];
  way.capture = CaptureFor(context.worker, CapturePoint::kPort, next_hop.port);
}

// Makes the frame start 14 bytes before the IP header, whatever stood there, and writes the link
// header. False if there is no room.
inline bool WriteLinkHeader(Packet* packet, const PacketNotes& notes, const LinkHeader& link) {
  constexpr unsigned kEthernet = sizeof(EthernetHeader);
  const unsigned l3_start = packet->data_off + notes.l3_offset;
  if (l3_start < kEthernet) [[unlikely]] {
    return false;
  }
  if (notes.l3_offset != kEthernet) {
    const int grow = static_cast<int>(kEthernet) - notes.l3_offset;
    packet->data_off = static_cast<uint16_t>(l3_start - kEthernet);
    packet->data_len = static_cast<uint16_t>(packet->data_len + grow);
    packet->pkt_len = static_cast<uint32_t>(static_cast<int>(packet->pkt_len) + grow);
  }
  uint8_t* frame = DataAt(packet);
  memcpy(frame, &link, 12);
  const Be16 type = Be16::FromHost(notes.version == 4 ? kEtherTypeIpv4 : kEtherTypeIpv6);
  memcpy(frame + 12, &type, sizeof(type));
  return true;
}

void ForwardOne(StageContext& context, Packet* packet, const Way& way) {
  PacketNotes& notes = NotesOf(packet);
  if (!way.resolved) [[unlikely]] {
    return HoldForNeighbor(context, packet);
  }
  if (!WriteLinkHeader(packet, notes, way.link)) [[unlikely]] {
    return DropPacket(context, packet, DropReason::kNoHeadroom);
  }
  notes.output_port = way.port;
  if (way.capture != nullptr) [[unlikely]] {
    OfferFrame(*way.capture, context.worker, packet, true, way.port);
  }
  Transmit(context.worker, *way.output, packet);
}

}  // namespace

void RunForward(StageContext& context) {
  Way way;
  for (Packet* packet : context.forward) {
    if (const uint32_t next_hop = NotesOf(packet).next_hop; next_hop != way.index) {
      FollowNextHop(context, next_hop, way);
    }
    ForwardOne(context, packet, way);
  }
  context.forward.Clear();
}

}  // namespace penstock
