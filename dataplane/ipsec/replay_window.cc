#include "dataplane/ipsec/replay_window.h"

#include <algorithm>
#include <bit>

namespace penstock {

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

ReplayVerdict ReplayWindow::Commit(uint64_t sequence) {
  Lock();
  const ReplayVerdict verdict = CommitLocked(sequence);
  Unlock();
  return verdict;
}

}  // namespace penstock
