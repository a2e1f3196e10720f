#include "dataplane/stages/sa_events.h"

#include <iterator>

namespace penstock {
namespace {

// True once a second for each tunnel or policy. Two that share a place in the table may be told
// more often than that; the bound on all of them is the event ring.
bool MayAcquire(StageContext& context, uint64_t key) {
  AcquireSeen& seen = context.acquires[key % std::size(context.acquires)];
  const uint64_t now = context.worker.now;
  if (seen.key == key && now - seen.tsc < context.worker.hertz) {
    return false;
  }
  seen = {key, now};
  return true;
}

bool HasPorts(Packet* packet, const PacketNotes& notes) {
  return (notes.protocol == kProtocolTcp || notes.protocol == kProtocolUdp) &&
         (notes.flags & kPacketFragment) == 0 && notes.l4_offset + 4u <= packet->data_len;
}

}  // namespace

void RaiseAcquire(StageContext& context, Packet* packet, uint32_t tunnel, uint32_t policy) {
  if (!MayAcquire(context, uint64_t{policy} << 32 | tunnel)) {
    return;
  }
  const PacketNotes& notes = NotesOf(packet);
  const bool v4 = notes.version == 4;
  WorkerEvent event{
      .kind = WorkerEvent::Kind::kAcquire,
      .protocol = notes.protocol,
      .tunnel = tunnel,
      .policy = policy,
      .address = v4 ? IpAddress::V4(&Ipv4Of(packet).source) : IpAddress::V6(Ipv6Of(packet).source),
      .destination = v4 ? IpAddress::V4(&Ipv4Of(packet).destination)
                        : IpAddress::V6(Ipv6Of(packet).destination)};
  if (HasPorts(packet, notes)) {
    const auto* ports = DataAt<Be16>(packet, notes.l4_offset);
    event.source_port = ports[0].ToHost();
    event.destination_port = ports[1].ToHost();
  }
  context.worker.PushEvent(event);
}

}  // namespace penstock
