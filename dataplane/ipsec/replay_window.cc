#include "dataplane/ipsec/replay_window.h"

#include <algorithm>
#include <bit>

namespace penstock {
namespace {

constexpr unsigned kWordBits = 64;

uint64_t BitOf(uint64_t sequence) { return uint64_t{1} << (sequence % kWordBits); }

}  // namespace

void ReplayWindow::Configure(uint32_t size, bool esn, uint64_t top) {
  size_ = size;
  esn_ = esn;
  bitmap_.reset();
  word_mask_ = 0;
  if (size != 0) {
    // A window of n numbers lies across at most n / 64 rounded up, plus one words.
    const uint32_t words = std::bit_ceil((size + kWordBits - 1) / kWordBits + 1);
    word_mask_ = words - 1;
    bitmap_ = std::make_unique<std::atomic<uint64_t>[]>(words);
    // Of an SA that is taken over it is not known which numbers below the top were seen: take none
    // of them again.
    if (top != 0) {
      for (uint32_t word = 0; word < words; ++word) {
        bitmap_[word].store(UINT64_MAX, std::memory_order_relaxed);
      }
      const uint64_t bit = BitOf(top);
      bitmap_[top / kWordBits & word_mask_].store(bit | (bit - 1), std::memory_order_relaxed);
    }
  }
  top_.store(top, std::memory_order_release);
}

uint64_t ReplayWindow::Infer(uint32_t low) const {
  if (!esn_) {
    return low;
  }
  const uint64_t top = top_.load(std::memory_order_relaxed);
  const uint32_t top_low = static_cast<uint32_t>(top);
  uint32_t high = static_cast<uint32_t>(top >> 32);
  // With the window off half the number space on either side of the top does its work.
  const uint32_t width = size_ != 0 ? size_ : uint32_t{1} << 31;
  const uint32_t bottom_low = top_low - width + 1;  // modulo 2^32, as RFC 4303 A2.2 has it
  if (top_low >= width - 1) {
    // Case A: the window lies within one subspace; what is below it belongs to the next one.
    if (low < bottom_low) {
      ++high;
    }
  } else if (low >= bottom_low && high != 0) {
    // Case B: the window spans two subspaces. Before the first one there is none.
    --high;
  }
  return uint64_t{high} << 32 | low;
}

ReplayVerdict ReplayWindow::Check(uint64_t sequence) const {
  // The first packet has number 1 (RFC 4303 3.3.3). Only a sender that knows anti-replay to be off
  // may let its 32 bits roll over to zero.
  if (sequence == 0 && (size_ != 0 || esn_)) [[unlikely]] {
    return ReplayVerdict::kLate;
  }
  if (size_ == 0) {
    return ReplayVerdict::kFresh;
  }
  // Words are cleared before the top moves over them, so whoever sees this top sees clean words.
  const uint64_t top = top_.load(std::memory_order_acquire);
  if (sequence > top) [[likely]] {
    return ReplayVerdict::kFresh;
  }
  if (top - sequence >= size_) {
    return ReplayVerdict::kLate;
  }
  const uint64_t word = bitmap_[sequence / kWordBits & word_mask_].load(std::memory_order_relaxed);
  return (word & BitOf(sequence)) != 0 ? ReplayVerdict::kDuplicate : ReplayVerdict::kFresh;
}

ReplayVerdict ReplayWindow::CommitLocked(uint64_t sequence) {
  const ReplayVerdict verdict = Check(sequence);
  if (verdict != ReplayVerdict::kFresh) {
    return verdict;
  }
  const uint64_t top = top_.load(std::memory_order_relaxed);
  if (size_ != 0) {
    const uint64_t index = sequence / kWordBits;
    if (sequence > top) {
      const uint64_t last = top / kWordBits;
      const uint64_t fresh_words = std::min<uint64_t>(index - last, uint64_t{word_mask_} + 1);
      for (uint64_t step = 0; step < fresh_words; ++step) {
        bitmap_[(index - step) & word_mask_].store(0, std::memory_order_relaxed);
      }
    }
    // The lock makes this the only writer; readers need no more than untorn words.
    std::atomic<uint64_t>& word = bitmap_[index & word_mask_];
    word.store(word.load(std::memory_order_relaxed) | BitOf(sequence), std::memory_order_relaxed);
  }
  if (sequence > top) {
    top_.store(sequence, std::memory_order_release);
  }
  return ReplayVerdict::kFresh;
}

ReplayVerdict ReplayWindow::Commit(uint64_t sequence) {
  Lock();
  const ReplayVerdict verdict = CommitLocked(sequence);
  Unlock();
  return verdict;
}

}  // namespace penstock
