// What `show fpm` tells of the connection to zebra and of what came by it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "dataplane/base/clock.h"

namespace penstock::fpm {

// Since the daemon's start, over all connections, unless a comment says else.
struct FpmStatus {
  std::string listen;           // as configured
  std::string peer;             // of the connection that lives; empty: none
  Nanoseconds connected_at{0};  // by the system's monotonic clock; of the last connection
  uint64_t connections = 0;
  uint64_t frames = 0;
  uint64_t bytes = 0;
  uint64_t routes_added = 0;  // messages
  uint64_t routes_withdrawn = 0;
  uint64_t next_hops_added = 0;
  uint64_t next_hops_removed = 0;
  uint64_t ignored = 0;  // well-formed and not for us
  uint64_t malformed = 0;
  uint64_t acknowledged = 0;  // told zebra: offloaded
  uint64_t failed = 0;        // told zebra: offload failed
  // Now.
  size_t routes = 0;
  size_t stale = 0;   // of an earlier connection, not repeated yet
  size_t parked = 0;  // wait for a next hop that has not come
  size_t held = 0;    // withdrawn, and forwarding until the hold ends
  size_t next_hops = 0;
  size_t groups = 0;
  size_t paths = 0;
  bool acknowledge = false;
  // The last thing that was wrong: a sentence, and when it was.
  std::string last_error;
  Nanoseconds last_error_at{0};
};

}  // namespace penstock::fpm
