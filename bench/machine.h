// What a measurement was taken on: figures of different machines cannot be compared.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/crypto/engine.h"

namespace penstock {

// Names and values in a fixed order. After InitEal.
std::vector<std::pair<std::string, std::string>> DescribeMachine(const Engine& engine);

// What this process has in memory, huge pages too.
uint64_t ResidentBytes();

}  // namespace penstock
