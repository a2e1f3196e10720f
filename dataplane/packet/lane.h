// Up to 64 packets that wait on one edge between two stages.
#pragma once

#include <cassert>

#include "dataplane/packet/packet.h"

namespace penstock {

// Belongs to one worker. A stage takes a lane and empties it: every packet goes to exactly one
// other lane, a queue, or Drop with a reason.
struct Lane {
  unsigned count = 0;
  Packet* packets[kBurst];

  bool empty() const { return count == 0; }
  void Clear() { count = 0; }
  void Push(Packet* packet) {
    assert(count < kBurst);
    packets[count++] = packet;
  }
  Packet** begin() { return packets; }
  Packet** end() { return packets + count; }
};

}  // namespace penstock
