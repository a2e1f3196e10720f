// What a measurement found.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/options.h"

namespace penstock {

struct StageCost {
  std::string name;
  double cycles = 0;  // TSC cycles per packet of the run
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
  std::vector<StageCost> stages;  // in the packet's order; empty if not measured

  double gigabits_per_second() const { return packets_per_second * frame * 8 / 1e9; }
};

// The value below which `share` of the samples lie; sorts them partly.
double Quantile(std::vector<double>& samples, double share);

}  // namespace penstock
