// Any bytes as a frame of the SA socket: a request, or an error with a text; never a crash.
#include <cstdint>
#include <string_view>

#include "ike_bridge/sa_messages.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto request = penstock::ParseSaRequest({reinterpret_cast<const char*>(data), size});
  if (!request && request.error().message.empty()) {
    __builtin_trap();
  }
  return 0;
}
