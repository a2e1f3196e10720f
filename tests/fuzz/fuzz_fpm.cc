// Any bytes as the stream of an FPM connection, read in pieces: frames, messages and values come
// out or errors with a text; never a crash, and what comes out holds what the headers promise.
#include <algorithm>
#include <cstdint>

#include "fpm_client/frame.h"
#include "fpm_client/route_message.h"

namespace {

using penstock::fpm::Hop;
using penstock::fpm::MessageKind;

void Require(bool holds) {
  if (!holds) {
    __builtin_trap();
  }
}

void CheckFrame(std::span<const uint8_t> payload) {
  penstock::fpm::RouteChange route;
  penstock::fpm::NextHopChange next_hop;
  for (;;) {
    const size_t before = payload.size();
    const auto message = penstock::fpm::NextMessage(payload);
    if (!message || !*message) {
      Require(message.has_value() || !message.error().message.empty());
      return;
    }
    Require(payload.size() < before);
    const auto kind = penstock::fpm::ParseMessage(**message, route, next_hop);
    if (!kind) {
      Require(!kind.error().message.empty());
    } else if (*kind == MessageKind::kRoute) {
      Require(route.prefix == penstock::Prefix(route.prefix.address(), route.prefix.length()));
      Require(std::all_of(route.path.hops.begin(), route.path.hops.end(),
                          [](const Hop& hop) { return hop.weight >= 1; }));
      std::vector<uint8_t> answer;
      penstock::fpm::AppendAcknowledgement(route.prefix, route.protocol, route.table,
                                           route.priority, true, answer);
      Require(answer.size() > penstock::fpm::kFrameHeaderLength);
    } else if (*kind == MessageKind::kNextHop) {
      Require(next_hop.id != 0);
    }
  }
}

}  // namespace

// The first byte says how large the pieces are.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  const size_t piece = size_t{data[0]} + 1;
  std::span<const uint8_t> rest(data + 1, size - 1);
  penstock::fpm::FrameReader reader;
  while (!rest.empty()) {
    const std::span<uint8_t> space = reader.Space();
    const size_t some = std::min({piece, rest.size(), space.size()});
    Require(some > 0);
    std::copy_n(rest.begin(), some, space.begin());
    reader.Wrote(some);
    rest = rest.subspan(some);
    for (;;) {
      const auto frame = reader.Next();
      if (!frame) {
        Require(!frame.error().message.empty());
        return 0;  // the connection ends
      }
      if (!*frame) {
        break;
      }
      CheckFrame(**frame);
    }
  }
  return 0;
}
