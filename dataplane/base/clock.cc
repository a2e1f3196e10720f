#include "dataplane/base/clock.h"

#include <ctime>

namespace penstock {
namespace {

timespec Read(clockid_t id) {
  timespec time{};
  clock_gettime(id, &time);
  return time;
}

class KernelClock : public Clock {
 public:
  Nanoseconds Now() const override {
    const timespec time = Read(CLOCK_MONOTONIC);
    return std::chrono::seconds(time.tv_sec) + Nanoseconds(time.tv_nsec);
  }
  int64_t WallSeconds() const override { return Read(CLOCK_REALTIME).tv_sec; }
};

}  // namespace

Clock& SystemClock() {
  static KernelClock clock;
  return clock;
}

}  // namespace penstock
