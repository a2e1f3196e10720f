// The connection to zebra, as show fpm tells it.
#include <chrono>

#include "dataplane/control/handlers.h"

namespace penstock {
namespace {

uint64_t SecondsBetween(Nanoseconds from, Nanoseconds to) {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(to - from).count());
}

void AddCount(const char* kind, uint64_t count, control::Fpm& out) {
  control::FpmCount& row = *out.add_messages();
  row.set_kind(kind);
  row.set_count(count);
}

void FillStatus(const fpm::FpmStatus& status, Nanoseconds now, control::Fpm& out) {
  out.set_listen(status.listen);
  out.set_connected(!status.peer.empty());
  out.set_peer(status.peer);
  if (out.connected()) {
    out.set_connected_seconds(SecondsBetween(status.connected_at, now));
  }
  out.set_connections(status.connections);
  out.set_frames(status.frames);
  out.set_bytes(status.bytes);
  AddCount("route_new", status.routes_added, out);
  AddCount("route_delete", status.routes_withdrawn, out);
  AddCount("next_hop_new", status.next_hops_added, out);
  AddCount("next_hop_delete", status.next_hops_removed, out);
  out.set_routes(status.routes);
  out.set_stale_routes(status.stale);
  out.set_parked_routes(status.parked);
  out.set_held_withdrawals(status.held);
  out.set_next_hops(status.next_hops);
  out.set_groups(status.groups);
  out.set_paths(status.paths);
  out.set_ignored_messages(status.ignored);
  out.set_malformed_messages(status.malformed);
  out.set_last_error(status.last_error);
  if (!status.last_error.empty()) {
    out.set_last_error_age_seconds(SecondsBetween(status.last_error_at, now));
  }
  out.set_acknowledge(status.acknowledge);
  out.set_acknowledged_routes(status.acknowledged);
  out.set_failed_routes(status.failed);
}

}  // namespace

control::Fpm ShowFpm(Gateway& gateway) {
  control::Fpm out;
  const fpm::Listener* listener = gateway.fpm_listener();
  out.set_enabled(listener != nullptr);
  if (listener != nullptr) {
    FillStatus(listener->GetStatus(), SystemClock().Now(), out);
    for (const std::string& problem : gateway.fpm_sink()->Problems()) {
      out.add_problems(problem);
    }
  }
  return out;
}

}  // namespace penstock
