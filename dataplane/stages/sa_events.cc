#include "dataplane/stages/sa_events.h"

#include <iterator>

#include "dataplane/ipsec/selector_ports.h"

namespace penstock {
namespace {

// Flows that share a place in the table give way to each other, and there is one event a second and
// place: a scan of a whole network cannot fill the event ring.
bool MayAcquire(StageContext& context, uint64_t key) {
  constexpr uint64_t kRepeatAfterSeconds = 3;
  AcquireSeen& seen = context.acquires[key % std::size(context.acquires)];
  const uint64_t passed = context.worker.now - seen.tsc;
  const uint64_t wait = (seen.key == key ? kRepeatAfterSeconds : 1) * context.worker.hertz;
  if (seen.key != 0 && passed < wait) {
    return false;
  }
  seen = {key, context.worker.now};
  return true;
}

}  // namespace

void RaiseAcquire(StageContext& context, Packet* packet, uint32_t tunnel, uint32_t policy) {
  const PacketNotes& notes = NotesOf(packet);
  constexpr uint64_t kMix = 0x9e3779b97f4a7c15;
  const uint64_t key = (uint64_t{policy} << 32 | tunnel) * kMix + notes.flow_hash;
  if (!MayAcquire(context, key == 0 ? 1 : key)) {
    return;
  }
  const FlowAddresses flow = AddressesOf(packet);
  const SelectorPorts ports = PortsOf(packet);
  context.worker.PushEvent({.kind = WorkerEvent::Kind::kAcquire,
                            .protocol = notes.protocol,
                            .has_ports = ports.known,
                            .source_port = ports.source,
                            .destination_port = ports.destination,
                            .tunnel = tunnel,
                            .policy = policy,
                            .address = flow.source,
                            .destination = flow.destination});
}

}  // namespace penstock
