// Device strings of the configuration, turned into what DPDK probes.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/base/result.h"

namespace penstock {

// "af_packet,iface=eth1" or "0000:3b:00.0" taken apart.
struct PortDevice {
  std::string driver;     // "af_packet", "tap", ...; "pci" for addresses
  std::string options;    // behind the first comma
  std::string interface;  // value of iface=, if it has one
  bool takes_interface() const { return driver == "af_packet" || driver == "af_xdp"; }
};

// Errors: an unknown driver (those that exist are listed), a missing iface=.
Result<PortDevice> ParsePortDevice(const std::string& text);

// Frame ring of an af_packet port. Linux puts 66 bytes in front of each frame, DPDK wants all
// frames of the ring back to back (so a block is a whole number of frames) and no frame larger than
// a packet buffer.
struct FrameRing {
  unsigned frame_size;
  unsigned block_size;
  unsigned frame_count;
};
// `buffer_size` is the room of one packet buffer behind its headroom. Error: the MTU does not fit
// it.
Result<FrameRing> PlanFrameRing(uint16_t mtu, unsigned buffer_size, unsigned frames);

}  // namespace penstock
