// A histogram of times: 32 buckets for each power of two, so that every quantile is right within
// 3 % and recording costs a few instructions and no memory.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace penstock {

class Histogram {
 public:
  void Record(uint64_t value) {
    ++counts_[BucketOf(value)];
    ++total_;
    largest_ = std::max(largest_, value);
  }

  void Add(const Histogram& other) {
    for (size_t i = 0; i < counts_.size(); ++i) {
      counts_[i] += other.counts_[i];
    }
    total_ += other.total_;
    largest_ = std::max(largest_, other.largest_);
  }

  uint64_t total() const { return total_; }
  uint64_t largest() const { return largest_; }

  // The upper end of the bucket below which `share` of the values lie; 0 without any.
  uint64_t Quantile(double share) const {
    const auto wanted = static_cast<uint64_t>(share * static_cast<double>(total_));
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen != 0 && seen >= wanted) {
        return std::min(UpperEnd(i), largest_);
      }
    }
    return largest_;
  }

 private:
  static constexpr unsigned kLinearBits = 5;
  static constexpr uint64_t kLinear = 1u << kLinearBits;

  // Values below 32 have a bucket each; above, the five bits behind the leading one choose it.
  static size_t BucketOf(uint64_t value) {
    if (value < kLinear) {
      return value;
    }
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kLinearBits;
    return (shift + 1) * kLinear + ((value >> shift) - kLinear);
  }

  static uint64_t UpperEnd(size_t bucket) {
    if (bucket < kLinear) {
      return bucket;
    }
    const size_t shift = bucket / kLinear - 1;
    return ((kLinear + bucket % kLinear + 1) << shift) - 1;
  }

  std::array<uint64_t, (64 - kLinearBits + 1)* kLinear> counts_ = {};
  uint64_t total_ = 0;
  uint64_t largest_ = 0;
};

}  // namespace penstock
