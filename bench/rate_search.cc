#include "bench/rate_search.h"

#include <algorithm>
#include <cmath>

namespace penstock {
namespace {

constexpr double kFloorShare = 0.01;

// An interval whose lower end passes and whose upper end fails, or is the highest rate.
struct Interval {
  double low;
  double high;
};

class Search {
 public:
  Search(double highest, const SearchGoal& goal, const RateTrial& trial)
      : highest_(highest), floor_(highest * kFloorShare), goal_(goal), trial_(trial) {}

  double Run() {
    Interval interval{floor_, highest_};
    struct Phase {
      double seconds, precision;
    };
    const double coarse = std::max(0.04, goal_.precision);
    for (const Phase phase :
         {Phase{goal_.seconds / 4, coarse}, Phase{goal_.seconds, goal_.precision}}) {
      seconds_ = phase.seconds;
      if (!Bracket(interval, phase.precision)) {
        return 0;
      }
      Bisect(interval, phase.precision);
    }
    return interval.low;
  }

 private:
  bool Passes(double rate) const { return trial_(rate, seconds_) <= goal_.loss; }

  // Longer trials may refute what shorter ones said: moves the ends, in growing steps, until the
  // lower passes and the upper fails.
  bool Bracket(Interval& interval, double precision) const {
    double step = 1 + 2 * precision;
    while (!Passes(interval.low)) {
      if (interval.low <= floor_) {
        return false;
      }
      interval.high = interval.low;
      interval.low = std::max(floor_, interval.low / step);
      step *= step;
    }
    step = 1 + 2 * precision;
    while (interval.high < highest_ && Passes(interval.high)) {
      interval.low = interval.high;
      interval.high = std::min(highest_, interval.high * step);
      step *= step;
    }
    return true;
  }

  void Bisect(Interval& interval, double precision) const {
    while (interval.high > interval.low * (1 + precision)) {
      const double middle = std::sqrt(interval.low * interval.high);
      (Passes(middle) ? interval.low : interval.high) = middle;
    }
  }

  double highest_;
  double floor_;
  const SearchGoal& goal_;
  const RateTrial& trial_;
  double seconds_ = 0;
};

}  // namespace

double SearchRate(double highest, const SearchGoal& goal, const RateTrial& trial) {
  return Search(highest, goal, trial).Run();
}

}  // namespace penstock
