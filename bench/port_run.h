// Measures pipelines between DPDK ports: net_pcap, which repeats a file without end, in; net_null
// out. The same harness can be put around other programs.
#pragma once

#include "bench/result.h"
#include "bench/site.h"

namespace penstock {

Result<Measurement> MeasureOnPorts(BenchMode mode, const BenchOptions& options, const Suite& suite,
                                   unsigned frame, rte_mempool* pool);

// The file that the input port repeats: the clear frames of the mode, or encrypted ones for
// esp-decap.
Status WriteInputFile(BenchMode mode, const BenchOptions& options, const Suite& suite,
                      unsigned frame, rte_mempool* pool, const std::string& path);

}  // namespace penstock
