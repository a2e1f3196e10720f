// Any bytes as a configuration: problems with a place and a text, or a gateway; never a crash.
#include <cstdint>
#include <string>

#include "config/load.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto loaded =
      penstock::config::LoadText(std::string(reinterpret_cast<const char*>(data), size));
  for (const auto& problem : loaded.problems) {
    if (problem.message.empty() || problem.line < 0) {
      __builtin_trap();
    }
  }
  return 0;
}
