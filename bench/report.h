// Results for people and for programs.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bench/idle_run.h"
#include "bench/result.h"
#include "dataplane/runtime/counters.h"

namespace penstock {

using MachineFacts = std::vector<std::pair<std::string, std::string>>;

// An aligned table; then, where they were measured, the stages' shares.
std::string TableOf(const std::vector<Measurement>& measurements);
std::string JsonOf(const MachineFacts& machine, const BenchOptions& options,
                   const std::vector<Measurement>& measurements);

std::string JsonOf(const MachineFacts& machine, const BenchOptions& options, const IdleCost& idle);

}  // namespace penstock
