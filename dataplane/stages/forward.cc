#include <cstring>
#include <span>

#include "dataplane/stages/capture_hook.h"
#include "dataplane/stages/slow_path.h"
#include "dataplane/stages/stages.h"

namespace penstock {
namespace {

// The next hop that a run of packets shares, read once.
struct Way {
  bool resolved;
  uint16_t port;
  LinkHeader link;
  OutputQueue* output;
  Capture* capture;
};

Way FollowNextHop(StageContext& context, uint32_t index) {
  const NextHop& next_hop = context.tables.next_hops[index];
  const LinkHeader link = LoadLink(next_hop);
  return {.resolved = next_hop.kind == NextHopKind::kForward && link.resolved != 0,
          .port = next_hop.port,
          .link = link,
          .output = &context.worker.outputs[next_hop.port],
          .capture = CaptureFor(context.worker, CapturePoint::kPort, next_hop.port)};
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

// The run's packets onto the port's output. The count is kept here and written back at the end: as
// a counter in memory it would be the slowest thing in the loop.
void SendRun(StageContext& context, const Way& way, std::span<Packet*> packets) {
  OutputQueue& output = *way.output;
  unsigned count = output.count;
  for (Packet* packet : packets) {
    PacketNotes& notes = NotesOf(packet);
    if (!WriteLinkHeader(packet, notes, way.link)) [[unlikely]] {
      DropPacket(context, packet, DropReason::kNoHeadroom);
      continue;
    }
    notes.output_port = way.port;
    if (way.capture != nullptr) [[unlikely]] {
      OfferFrame(*way.capture, context.worker, packet, true, way.port);
    }
    output.packets[count++] = packet;
    if (count == kBurst) [[unlikely]] {
      output.count = kBurst;
      FlushOutput(context.worker, output);
      count = output.count;
    }
  }
  output.count = static_cast<uint16_t>(count);
  context.filled_outputs |= 1u << way.port;
}

void ForwardRun(StageContext& context, uint32_t next_hop, std::span<Packet*> packets) {
  const Way way = FollowNextHop(context, next_hop);
  if (way.resolved) [[likely]] {
    return SendRun(context, way, packets);
  }
  for (Packet* packet : packets) {
    HoldForNeighbor(context, packet);
  }
}

}  // namespace

void RunForward(StageContext& context) {
  Lane& lane = context.forward;
  for (unsigned first = 0; first < lane.count;) {
    const uint32_t next_hop = NotesOf(lane.packets[first]).next_hop;
    unsigned end = first + 1;
    while (end < lane.count && NotesOf(lane.packets[end]).next_hop == next_hop) {
      ++end;
    }
    ForwardRun(context, next_hop, {lane.packets + first, end - first});
    first = end;
  }
  lane.Clear();
}

}  // namespace penstock
