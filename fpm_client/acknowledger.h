// Answers to zebra: which of its routes are offloaded, that is, have a live way behind them, and
// for which that failed. zebra reads them with `--asic-offload=notify_on_offload` from FRR 8.5 on;
// `bgp suppress-fib-pending` then announces only what is protected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "fpm_client/route_sink.h"

namespace penstock::fpm {

// Control thread only.
class Acknowledger {
 public:
  explicit Acknowledger(RouteSink& sink) : sink_(sink) {}

  // Routes that have taken effect.
  void Announced(std::span<const RouteUpdate> updates, uint8_t protocol);
  // All routes of a path live, or have ended to.
  void Changed(PathId path, bool alive);
  // Appends frames until `out` holds `limit` bytes or nothing waits.
  void Fill(std::vector<uint8_t>& out, size_t limit);
  void Clear() { waiting_.clear(); }  // the connection has ended
  bool empty() const { return waiting_.empty(); }

  uint64_t offloaded() const { return offloaded_; }
  uint64_t failed() const { return failed_; }

 private:
  struct Answer {
    Prefix prefix;
    uint8_t protocol;
    bool offloaded;
  };
  void Push(const Answer& answer);

  RouteSink& sink_;
  std::deque<Answer> waiting_;
  uint64_t offloaded_ = 0;
  uint64_t failed_ = 0;
};

}  // namespace penstock::fpm
