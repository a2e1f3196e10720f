// What zebra says, made into what the gateway does: routes that wait for their next hops,
// withdrawals that wait for a replacement, and frames that take effect as a whole.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/event_loop.h"
#include "fpm_client/next_hop_table.h"
#include "fpm_client/route_message.h"
#include "fpm_client/route_sink.h"
#include "fpm_client/status.h"

namespace penstock::fpm {

// Control thread only. Outlives connections: the routes stay when one ends.
class RouteReceiver {
 public:
  // A withdrawn route forwards on for `hold`, unless it is announced again before: FRR 8.4's zebra
  // withdraws the routes of a bgpd that has come back a moment before it announces them again.
  RouteReceiver(EventLoop& loop, RouteSink& sink, std::chrono::milliseconds hold);

  // Routes that have taken effect: announcements with the protocol of the route. For
  // acknowledgements.
  using Announced = std::function<void(std::span<const RouteUpdate>, uint8_t protocol)>;
  void OnAnnounced(Announced callback) { on_announced_ = std::move(callback); }

  // Whatever came before has to be told again. Drops what waits for next hops.
  void Begin();
  // The payload of one frame. All its changes take effect before this returns, but for withdrawals.
  void Frame(std::span<const uint8_t> payload);
  // What Begin marked and nobody repeated goes; true when nothing is left of it. Bounded work.
  bool SweepSome();

  // When the last route was announced since Begin; 0: none was.
  Nanoseconds last_route() const { return last_route_; }
  // Counts and remembers, and logs at most once a second.
  void Complain(const Error& error);
  // Fills in what is known here.
  void FillStatus(FpmStatus& status) const;
  FpmStatus& counters() { return counters_; }

 private:
  struct Held {
    Prefix prefix;
    uint64_t sequence;
    Nanoseconds until;
  };
  struct Parked {
    uint32_t next_hop_id;
    uint8_t protocol;
  };

  void TakeRoute(const RouteChange& change);
  void TakeNextHop(const NextHopChange& change);
  void Announce(const Prefix& prefix, PathId path, uint8_t protocol);
  void Withdraw(const Prefix& prefix);
  void Park(const RouteChange& change);
  void DropParked(const Prefix& prefix);
  void Unpark(uint32_t next_hop_id);
  void Flush();
  void ReleaseHeld(Nanoseconds now);
  void ArmRelease();

  EventLoop& loop_;
  RouteSink& sink_;
  NextHopTable next_hops_;
  std::chrono::milliseconds hold_;
  Announced on_announced_;
  FpmStatus counters_;
  Nanoseconds last_route_{0};
  Nanoseconds last_log_{0};
  RouteChange route_;  // these two keep their memory from message to message
  NextHopChange next_hop_;
  std::vector<RouteUpdate> batch_;
  uint8_t batch_protocol_ = 0;
  // In the order of their withdrawal. One whose sequence is not that of `held_now_` any more was
  // announced again.
  std::deque<Held> held_;
  std::unordered_map<Prefix, uint64_t> held_now_;
  uint64_t held_sequence_ = 0;
  EventLoop::Handle release_;
  std::unordered_map<Prefix, Parked> parked_;
  std::unordered_map<uint32_t, std::unordered_set<Prefix>> parked_by_next_hop_;  // the same routes
};

}  // namespace penstock::fpm
