#include "dataplane/ipsec/sequence.h"

#include <algorithm>

namespace penstock {

uint64_t SequenceCounter::last() const {
  return std::min(next_.load(std::memory_order_relaxed) - 1, limit_);
}

SequenceBlock SequenceCounter::ClaimAtTheEnd(uint64_t first, uint32_t count) {
  if (count == 0) {
    return {};
  }
  // Whoever comes here has moved the counter behind the limit, and nobody ever stores less than
  // limit + 1: no number is handed out again, and the counter stays within reach of the limit.
  next_.store(limit_ + 1, std::memory_order_relaxed);
  if (first > limit_) {
    return {};
  }
  const uint64_t left = limit_ - first + 1;
  return {first, static_cast<uint32_t>(std::min<uint64_t>(left, count))};
}

}  // namespace penstock
