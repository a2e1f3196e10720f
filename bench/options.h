// What penstock-bench was asked to do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/crypto/engine.h"
#include "dataplane/crypto/suite.h"

namespace penstock {

enum class BenchMode : uint8_t {
  kEncap,
  kDecap,
  kBoth,  // a packet's cost through both gateways
  kIo,    // frames from port to port, untouched: what the ports alone cost
};
const char* BenchModeName(BenchMode mode);

struct BenchOptions {
  std::vector<BenchMode> modes;
  std::vector<const Suite*> suites;
  std::vector<unsigned> frames;  // bytes of the clear frame from Ethernet header to payload, no FCS
  uint32_t sas = 1;              // pairs of SAs, each below a tunnel of its own
  uint32_t routes = 1;           // at least one for each tunnel, unless ecmp spreads over them
  uint32_t flows = 256;
  uint32_t ecmp = 1;  // members of each route's group; 1: no groups
  unsigned workers = 1;
  std::vector<unsigned> cpus;  // of the workers; empty: the last ones of the process
  uint32_t replay_window = 1024;
  bool esn = false;
  bool udp = false;
  bool inner_v6 = false;
  bool outer_v6 = false;
  EngineChoice engine = EngineChoice::kAuto;
  unsigned burst = 0;        // frames a receive call hands out; 0: as many as the stages take
  unsigned batch = 512;      // packets in flight in memory
  double seconds = 2;        // of each measurement
  double rekeys = 0;         // SAs replaced each second while the workers forward
  double lose = 0;           // share of ESP packets lost between the gateways
  unsigned reorder = 0;      // ESP packets between the gateways are shuffled in blocks of so many
  bool search = false;       // NDR, PDR and latencies, too
  double tolerance = 0.005;  // the share of packets that PDR may lose
  bool idle = false;         // what an idle worker costs, nothing else
  bool stages = true;        // a further pass that counts cycles of each stage
  bool ports = false;        // DPDK ports instead of memory
  std::string input;         // pcap file for the ports; empty: made for the run
  std::string write_input;   // write that pcap file and measure nothing
  std::string json;          // file, or "-" for standard output; empty: none
  std::vector<std::string> eal;  // further EAL arguments
};

// Everything before "--" is the EAL's, everything behind it ours; without "--" all is ours. On
// --help and the like the text is printed and the process ends.
Result<BenchOptions> ParseBenchOptions(int argc, char** argv);

}  // namespace penstock
