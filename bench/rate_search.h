// The highest rate at which no more than a share of the packets is lost: NDR with a share of 0, PDR
// with a small one (RFC 2544 26.1, and in the manner of MLRsearch: short trials narrow the
// interval, long ones decide).
#pragma once

#include <functional>

namespace penstock {

struct SearchGoal {
  double loss = 0;           // share of the packets that may be lost
  double precision = 0.005;  // how near to each other the bounds must come
  double seconds = 1;        // of the trials that decide
};

// The share of packets lost at a rate (packets a second), in a trial of some seconds.
using RateTrial = std::function<double(double rate, double seconds)>;

// `highest` is a rate that is known not to be exceeded. 0 if even a hundredth of it loses too much.
double SearchRate(double highest, const SearchGoal& goal, const RateTrial& trial);

}  // namespace penstock
