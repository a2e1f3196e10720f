// Time as an interface, so that lifetimes and timers are tested without waiting.
#pragma once

#include <chrono>
#include <cstdint>

namespace penstock {

using Nanoseconds = std::chrono::nanoseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  // Time since an arbitrary start, never going back.
  virtual Nanoseconds Now() const = 0;
  // Seconds since 1970, for what people read.
  virtual int64_t WallSeconds() const = 0;
};

// The system's clocks (CLOCK_MONOTONIC and CLOCK_REALTIME).
Clock& SystemClock();

class FakeClock : public Clock {
 public:
  Nanoseconds Now() const override { return now_; }
  int64_t WallSeconds() const override {
    return std::chrono::duration_cast<std::chrono::seconds>(now_).count();
  }
  void Advance(Nanoseconds by) { now_ += by; }

 private:
  Nanoseconds now_{0};
};

}  // namespace penstock
