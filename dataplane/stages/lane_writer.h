// Appends to a lane with the end kept in a register: byte stores to notes would otherwise make the
// compiler reload the lane's count for each packet.
#pragma once

#include "dataplane/packet/lane.h"

namespace penstock {

// While it lives nobody else may touch the lane. At most `room` packets are pushed; that they fit
// is checked once, here.
class LaneWriter {
 public:
  LaneWriter(Lane& lane, unsigned room) : lane_(lane), next_(lane.packets + lane.count) {
    assert(lane.count + room <= kBurst);
  }
  ~LaneWriter() { lane_.count = static_cast<unsigned>(next_ - lane_.packets); }
  LaneWriter(const LaneWriter&) = delete;
  LaneWriter& operator=(const LaneWriter&) = delete;

  void Push(Packet* packet) { *next_++ = packet; }

 private:
  Lane& lane_;
  Packet** next_;
};

}  // namespace penstock
