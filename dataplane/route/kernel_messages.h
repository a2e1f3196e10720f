// rtnetlink messages about links, addresses and neighbours, turned into values: pure, nothing
// trusted.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "dataplane/route/kernel_links.h"

namespace penstock {

struct KernelLink {
  int interface = 0;
  std::string name;
  bool up = false;
  uint32_t mtu = 0;
  bool gone = false;
  friend bool operator==(const KernelLink&, const KernelLink&) = default;
};

struct KernelAddressChange {
  KernelAddress address;
  bool added = false;
};

// Understood, but none of our business (bridge tables, proxy entries, other message types).
struct Irrelevant {};

using KernelEvent = std::variant<Irrelevant, KernelLink, KernelAddressChange, KernelNeighbor>;

// Empty when the message is malformed: too short, an attribute that overruns it or has a wrong
// size.
std::optional<KernelEvent> ParseKernelMessage(const nlmsghdr& message);

}  // namespace penstock
