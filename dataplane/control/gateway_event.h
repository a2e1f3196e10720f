// What happened in the gateway, for people and programs that watch it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace penstock {

struct GatewayEvent {
  std::string kind;  // as control.proto lists them: "sa_added", "tunnel_up", ...
  std::string tunnel;
  std::string port;
  uint32_t spi = 0;       // host order
  std::string direction;  // "in", "out" or empty
  std::string text;       // one sentence
};

using EventSink = std::function<void(const GatewayEvent&)>;

}  // namespace penstock
