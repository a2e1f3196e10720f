// Packets that arrive at a given rate, as on a wire: a receive ring of bounded length loses what
// the worker does not fetch in time. The clock stands still between the timed runs.
#pragma once

#include <rte_cycles.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "bench/histogram.h"

namespace penstock {

class Pace {
 public:
  static constexpr uint64_t kRing = 1024;  // descriptors, as the daemon's ports have them

  explicit Pace(double packets_per_second)
      : interval_(static_cast<double>(rte_get_tsc_hz()) / packets_per_second) {}

  void Resume(uint64_t now) { resumed_ = now; }
  void Halt(uint64_t now) {
    elapsed_ += now - resumed_;
    resumed_ = now;
  }

  // How many of `wanted` packets are there by now; what no longer fits into the ring is lost.
  unsigned Take(unsigned wanted) {
    const auto arrived = static_cast<uint64_t>(static_cast<double>(Now()) / interval_);
    uint64_t waiting = arrived - taken_ - lost_;
    if (waiting > kRing) {
      lost_ += waiting - kRing;
      waiting = kRing;
    }
    const auto count = static_cast<unsigned>(std::min<uint64_t>(wanted, waiting));
    for (unsigned i = 0; i < count; ++i) {
      in_flight_.push_back(static_cast<double>(taken_ + lost_ + 1) * interval_);
      ++taken_;
    }
    return count;
  }

  // The oldest `count` packets in flight have left.
  void Sent(unsigned count) {
    const auto now = static_cast<double>(Now());
    for (unsigned i = 0; i < count; ++i) {
      latency_.Record(static_cast<uint64_t>(std::max(0.0, now - in_flight_[first_ + i])));
    }
    first_ += count;
    if (first_ == in_flight_.size()) {
      in_flight_.clear();
      first_ = 0;
    }
  }

  uint64_t taken() const { return taken_; }
  uint64_t lost() const { return lost_; }
  const Histogram& latency() const { return latency_; }  // TSC cycles from arrival to sending

 private:
  uint64_t Now() const { return elapsed_ + (rte_rdtsc() - resumed_); }

  double interval_;  // TSC cycles
  uint64_t elapsed_ = 0;
  uint64_t resumed_ = 0;
  uint64_t taken_ = 0;
  uint64_t lost_ = 0;
  std::vector<double> in_flight_;  // arrival times, oldest first from first_ on
  size_t first_ = 0;
  Histogram latency_;
};

}  // namespace penstock
