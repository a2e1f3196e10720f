// Netlink messages about routes and next hops, as zebra puts them into FPM frames, made into
// values. Pure: nothing is kept. Attributes that we do not know are skipped; one that is too short
// or says something impossible makes its message malformed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/ip_address.h"
#include "dataplane/base/result.h"
#include "fpm_client/route_sink.h"

namespace penstock::fpm {

// One route, added or replaced, or withdrawn. Its next hops are named by a number of zebra's, or
// stand in the message itself.
struct RouteChange {
  Prefix prefix;
  bool withdraw = false;
  uint8_t protocol = 0;      // RTPROT_*: who wants it; zebra's numbers for its daemons
  uint32_t table = 0;        // 254 is the main table
  uint32_t priority = 0;     // RTA_PRIORITY, the metric
  uint32_t next_hop_id = 0;  // RTA_NH_ID; 0: `path` has the next hops
  Path path;
};

struct GroupMemberId {
  uint32_t id = 0;
  uint32_t weight = 1;
};

// A next hop or a group of next hops, added or replaced, or removed.
struct NextHopChange {
  uint32_t id = 0;
  bool remove = false;
  std::vector<GroupMemberId> group;  // a group has members and nothing else
  PathAction action = PathAction::kForward;
  Hop hop;
};

enum class MessageKind : uint8_t {
  kRoute,    // `route` is filled in
  kNextHop,  // `next_hop` is filled in
  kIgnored,  // well-formed and not for us: another type or family, a local or multicast route, ...
};

// The next message of a frame's payload, which is cut off in front; nothing when none is left. An
// error (the rest is shorter than the message says) ends the frame.
Result<std::optional<std::span<const uint8_t>>> NextMessage(std::span<const uint8_t>& payload);

// `message` is one whole netlink message, aligned to 4 bytes. The values are overwritten as far as
// the kind tells; their vectors keep their memory. Errors say which attribute of which message.
Result<MessageKind> ParseMessage(std::span<const uint8_t> message, RouteChange& route,
                                 NextHopChange& next_hop);

// "bgp", "static", ...; the number for those that we do not know.
std::string ProtocolName(uint8_t protocol);

// RTM_NEWROUTE that answers zebra: the route is offloaded, or offloading failed (RTM_F_OFFLOAD,
// RTM_F_OFFLOAD_FAILED), as a whole FPM frame. `out` is appended to.
void AppendAcknowledgement(const Prefix& prefix, uint8_t protocol, uint32_t table,
                           uint32_t priority, bool offloaded, std::vector<uint8_t>& out);

}  // namespace penstock::fpm
