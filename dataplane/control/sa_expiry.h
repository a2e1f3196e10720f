// Lifetimes by time: which SA's soft or hard limit is reached when.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/ipsec/lifetime.h"

namespace penstock {

class SaExpiryQueue {
 public:
  struct Due {
    uint32_t slot = 0;
    bool hard = false;
  };

  void Add(uint32_t slot, const LifetimeLimits& limits, Nanoseconds now) {
    if (limits.soft_seconds != 0) {
      queue_.emplace(now + std::chrono::seconds(limits.soft_seconds), Due{slot, false});
    }
    if (limits.hard_seconds != 0) {
      queue_.emplace(now + std::chrono::seconds(limits.hard_seconds), Due{slot, true});
    }
  }
  void Remove(uint32_t slot) {
    std::erase_if(queue_, [slot](const auto& item) { return item.second.slot == slot; });
  }
  // What is due at `now`, earliest first; each is given once.
  std::vector<Due> Take(Nanoseconds now) {
    std::vector<Due> due;
    while (!queue_.empty() && queue_.begin()->first <= now) {
      due.push_back(queue_.begin()->second);
      queue_.erase(queue_.begin());
    }
    return due;
  }

 private:
  std::multimap<Nanoseconds, Due> queue_;
};

}  // namespace penstock
