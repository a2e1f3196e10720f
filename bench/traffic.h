// The clear frames of a measurement: headers of every flow, ready to be copied into buffers.
#pragma once

#include <array>
#include <vector>

#include "bench/options.h"
#include "dataplane/packet/packet.h"

namespace penstock {

class Traffic {
 public:
  Traffic(const BenchOptions& options, unsigned frame);

  unsigned frame() const { return frame_; }
  // Makes the buffer hold frame `index` of an endless series. Payloads are whatever the buffer
  // held: nobody looks at them. Whatever a gateway did to the packet is undone.
  void Restore(Packet* packet, uint64_t index) const;

 private:
  static constexpr unsigned kHeader = 64;  // Ethernet, IP and UDP fit
  std::vector<std::array<uint8_t, kHeader>> headers_;
  unsigned frame_;
  unsigned header_length_;
};

}  // namespace penstock
