#include "dataplane/stages/flow_hash.h"
#include "dataplane/stages/stages.h"

namespace penstock {
namespace {

// The packets of one family, with their destinations gathered for a bulk lookup.
template <typename Destination>
struct Gathered {
  unsigned count = 0;
  uint8_t index[kBurst];
  Destination destinations[kBurst];
  uint32_t next_hops[kBurst];
};

struct Ipv6Destination {
  uint8_t bytes[16];
};

// Notes each packet's next hop, groups resolved by the packet's flow.
template <typename Destination>
void NoteNextHops(const NextHopTable& table, const Gathered<Destination>& gathered, Lane& lane) {
  for (unsigned i = 0; i < gathered.count; ++i) {
    rte_prefetch0(&table[gathered.next_hops[i]]);
  }
  for (unsigned i = 0; i < gathered.count; ++i) {
    PacketNotes& notes = NotesOf(lane.packets[gathered.index[i]]);
    notes.next_hop = table.Resolve(gathered.next_hops[i], notes.flow_hash);
  }
}

}  // namespace

void RunRoute(StageContext& context) {
  const Fib& fib = context.tables.fib;
  Gathered<uint32_t> v4;
  Gathered<Ipv6Destination> v6;
  Lane& lane = context.ip;
  for (unsigned i = 0; i < lane.count; ++i) {
    Packet* packet = lane.packets[i];
    if (NotesOf(packet).version == 4) {
      v4.index[v4.count] = static_cast<uint8_t>(i);
      v4.destinations[v4.count++] = Ipv4Of(packet).destination.raw();
    } else {
      v6.index[v6.count] = static_cast<uint8_t>(i);
      memcpy(v6.destinations[v6.count++].bytes, Ipv6Of(packet).destination, 16);
    }
  }
  if (v4.count != 0) {
    fib.LookupV4(v4.destinations, v4.next_hops, v4.count);
    NoteNextHops(context.tables.next_hops, v4, lane);
  }
  if (v6.count != 0) {
    fib.LookupV6(reinterpret_cast<const uint8_t(*)[16]>(v6.destinations), v6.next_hops, v6.count);
    NoteNextHops(context.tables.next_hops, v6, lane);
  }
}

}  // namespace penstock
