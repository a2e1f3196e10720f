// Which UDP ports are IKE's.
#pragma once

#include <algorithm>
#include <iterator>

#include "dataplane/stages/context.h"

namespace penstock {

// `port` in host order: one of IKE alone, or one that it shares with ESP in UDP.
inline bool IsIkePort(const GatewaySettings& settings, uint16_t port) {
  const auto among = [port](const uint16_t(&ports)[4]) {
    return std::find(std::begin(ports), std::end(ports), port) != std::end(ports);
  };
  return port != 0 && (among(settings.ike_ports) || among(settings.encapsulation_ports));
}

}  // namespace penstock
