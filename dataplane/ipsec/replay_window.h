// The anti-replay window of RFC 4303 3.4.3 and appendix A: check first, commit after
// authentication.
#pragma once

#include <rte_spinlock.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "dataplane/packet/packet.h"

namespace penstock {

enum class ReplayVerdict : uint8_t { kFresh, kDuplicate, kLate };

// Shared by all workers. Size 0 (off) or 32 to 65,536 packets, exact for any size. With the window
// off it still follows the highest authenticated number, which ESN needs to infer the high half.
class ReplayWindow {
 public:
  static constexpr uint32_t kMinimum = 32;
  static constexpr uint32_t kMaximum = 65536;

  // `size` must be valid (see SaConfig). Control thread, before the SA is published. `top` is the
  // highest number received so far (an SA that is taken over), 0 for a new one.
  void Configure(uint32_t size, bool esn, uint64_t top = 0);

  // The 64-bit number of a packet that shows `low` (RFC 4303 A2.2). Without ESN: `low` itself.
  uint64_t Infer(uint32_t low) const;
  // Before crypto; moves nothing. Lock-free; a stale answer is made good by Commit.
  ReplayVerdict Check(uint64_t sequence) const;
  // After the ICV was right: checks again and marks as seen. Callers hold the lock; one lock serves
  // a run of packets.
  ReplayVerdict CommitLocked(uint64_t sequence);
  ReplayVerdict Commit(uint64_t sequence);
  // The usual case of a run: `count` (1 to 64) consecutive numbers from `first` on, all beyond the
  // top. False, and nothing is changed, if they are not.
  bool CommitAheadLocked(uint64_t first, unsigned count);
  void Lock() { rte_spinlock_lock(&lock_); }
  // A store is enough on x86; DPDK's own unlock is a locked exchange, as dear as taking the lock.
  void Unlock() { __atomic_store_n(&lock_.locked, 0, __ATOMIC_RELEASE); }

  uint32_t size() const { return size_; }
  uint64_t top() const { return top_.load(std::memory_order_relaxed); }
  // How far behind the right edge the number is; 0 if not behind.
  uint64_t Behind(uint64_t sequence) const { return top() > sequence ? top() - sequence : 0; }

 private:
  static constexpr unsigned kWordBits = 64;
  static constexpr uint64_t BitOf(uint64_t sequence) {
    return uint64_t{1} << (sequence % kWordBits);
  }

  // The lock makes the caller the only writer; readers need no more than untorn words.
  void SetBits(uint64_t index, uint64_t bits) {
    std::atomic<uint64_t>& word = bitmap_[index & word_mask_];
    word.store(word.load(std::memory_order_relaxed) | bits, std::memory_order_relaxed);
  }
  // Makes the words behind `last` up to `index` fresh.
  void ClearWords(uint64_t last, uint64_t index) {
    const uint64_t fresh_words = std::min<uint64_t>(index - last, uint64_t{word_mask_} + 1);
    for (uint64_t step = 0; step < fresh_words; ++step) {
      bitmap_[(index - step) & word_mask_].store(0, std::memory_order_relaxed);
    }
  }

  std::atomic<uint64_t> top_{0};  // highest authenticated number
  uint32_t size_ = 0;
  uint32_t word_mask_ = 0;  // the bitmap is a ring of 2^n words, one more than the window needs
  bool esn_ = false;
  rte_spinlock_t lock_ = RTE_SPINLOCK_INITIALIZER;
  std::unique_ptr<std::atomic<uint64_t>[]> bitmap_;
};

// --- what every packet goes through, inline ---

inline uint64_t ReplayWindow::Infer(uint32_t low) const {
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

inline ReplayVerdict ReplayWindow::Check(uint64_t sequence) const {
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

inline ReplayVerdict ReplayWindow::CommitLocked(uint64_t sequence) {
  const ReplayVerdict verdict = Check(sequence);
  if (verdict != ReplayVerdict::kFresh) {
    return verdict;
  }
  const uint64_t top = top_.load(std::memory_order_relaxed);
  if (size_ != 0) {
    const uint64_t index = sequence / kWordBits;
    if (sequence > top) {
      ClearWords(top / kWordBits, index);
    }
    SetBits(index, BitOf(sequence));
  }
  if (sequence > top) {
    top_.store(sequence, std::memory_order_release);
  }
  return ReplayVerdict::kFresh;
}

inline bool ReplayWindow::CommitAheadLocked(uint64_t first, unsigned count) {
  const uint64_t top = top_.load(std::memory_order_relaxed);
  if (first <= top || first > UINT64_MAX - count) {
    return false;
  }
  const uint64_t last = first + count - 1;
  if (size_ != 0) {
    ClearWords(top / kWordBits, last / kWordBits);
    const uint64_t bits = UINT64_MAX >> (kWordBits - count);
    const unsigned shift = first % kWordBits;
    SetBits(first / kWordBits, bits << shift);
    if (shift + count > kWordBits) {
      SetBits(last / kWordBits, bits >> (kWordBits - shift));
    }
  }
  top_.store(last, std::memory_order_release);
  return true;
}

}  // namespace penstock
