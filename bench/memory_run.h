// Measures pipelines in memory: no port driver, only what the stages do.
//
// A worker takes a batch of buffers through the encrypting gateway and, for decapsulation, on
// through the decrypting one, so that its ESP packets are always valid and fresh, window and ESN
// included. Only the polls of the gateways are timed; putting the headers back into the buffers is
// not.
#pragma once

#include "bench/result.h"
#include "bench/site.h"
#include "bench/traffic.h"

namespace penstock {

Result<Measurement> MeasureInMemory(BenchMode mode, const BenchOptions& options, const Suite& suite,
                                    unsigned frame, rte_mempool* pool);

// The ESP frames that the traffic becomes, one for each flow; for files.
Result<std::vector<std::vector<uint8_t>>> EncryptedFrames(const BenchOptions& options,
                                                          const Suite& suite, unsigned frame,
                                                          rte_mempool* pool);

}  // namespace penstock
