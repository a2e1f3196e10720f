// What a measurement found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/options.h"

namespace penstock {

struct StageCost {
  std::string name;
  double cycles = 0;  // TSC cycles per packet of the run
};

// What a paced search found; rates in packets a second.
struct SearchResult {
  double ndr = 0;
  double pdr = 0;
  struct Latency {
    double load;                          // share of the PDR that was offered
    double p50, p90, p99, p999, largest;  // microseconds from arrival to sending
  };
  std::vector<Latency> latencies;
};

struct Measurement {
  BenchMode mode = BenchMode::kEncap;
  const Suite* suite = nullptr;
  unsigned frame = 0;
  uint64_t packets = 0;   // that the figures rest on
  double cycles = 0;      // TSC cycles per packet and worker: median over batches or windows
  double cycles_low = 0;  // 10th and 90th percentile
  double cycles_high = 0;
  double packets_per_second = 0;  // all workers
  uint64_t site_bytes = 0;        // memory that the gateways took
  double rekeys_per_second = 0;   // SAs replaced meanwhile
  std::optional<SearchResult> search;
  std::vector<StageCost> stages;  // in the packet's order; empty if not measured

  double gigabits_per_second() const { return packets_per_second * frame * 8 / 1e9; }
};

// The value below which `share` of the samples lie; sorts them partly.
double Quantile(std::vector<double>& samples, double share);

}  // namespace penstock
