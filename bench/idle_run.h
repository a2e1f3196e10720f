// What an idle worker costs under adaptive polling, and how late the first packet after a pause is
// seen.
#pragma once

#include <string>

#include "bench/options.h"
#include "bench/site.h"

namespace penstock {

struct IdleCost {
  double share = 0;      // of a core
  double delay_p50 = 0;  // microseconds until the first packet is fetched
  double delay_p99 = 0;
  double delay_largest = 0;
  uint64_t packets = 0;
};

Result<IdleCost> MeasureIdle(const BenchOptions& options, rte_mempool* pool);

std::string TextOf(const IdleCost& cost);

}  // namespace penstock
