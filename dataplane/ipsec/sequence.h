// Outbound sequence numbers: claimed in blocks by atomic add, never wrapping, 32-bit or ESN.
#pragma once

#include <atomic>
#include <cstdint>

namespace penstock {

struct SequenceBlock {
  uint64_t first = 0;  // 64-bit number of the first packet
  uint32_t count = 0;  // may be less than asked for: the end of the number space
};

// RFC 4303 3.3.3: the first packet has number 1, and the number must never cycle.
class SequenceCounter {
 public:
  // The last number an SA may use. With ESN the counter leaves 2^32 numbers unused at the end of
  // the 64-bit space, so that an atomic add of any worker stays clear of the wrap.
  static constexpr uint64_t Limit(bool esn) {
    return esn ? UINT64_MAX - (uint64_t{1} << 32) : UINT32_MAX;
  }
  // Control thread, before the SA is published. A `last_used` at or behind the limit leaves
  // nothing.
  void Configure(bool esn, uint64_t last_used = 0) {
    limit_ = Limit(esn);
    next_.store(last_used < limit_ ? last_used + 1 : limit_ + 1, std::memory_order_relaxed);
  }
  // Claims up to `count` numbers; fewer, at last none, at the end of the space. Lock-free; any
  // worker.
  SequenceBlock Claim(uint32_t count) {
    const uint64_t first = next_.fetch_add(count, std::memory_order_relaxed);
    // Past the limit the counter is set back to just behind it, so that no number of failing claims
    // can bring it round to the start.
    if (first > limit_ || limit_ - first < count - 1) [[unlikely]] {
      return ClaimAtTheEnd(first, count);
    }
    return {first, count};
  }
  // The last number that was claimed, 0 if none.
  uint64_t last() const;
  bool exhausted() const { return last() >= limit_; }

 private:
  SequenceBlock ClaimAtTheEnd(uint64_t first, uint32_t count);

  std::atomic<uint64_t> next_{1};
  uint64_t limit_ = UINT32_MAX;
};

}  // namespace penstock
