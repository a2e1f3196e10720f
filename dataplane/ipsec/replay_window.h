// The anti-replay window of RFC 4303 3.4.3 and appendix A: check first, commit after authentication.
#pragma once

#include <rte_spinlock.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "dataplane/packet/packet.h"

namespace penstock {

enum class ReplayVerdict : uint8_t { kFresh, kDuplicate, kLate };

// Shared by all workers. Size 0 (off) or 32 to 65,536 packets, exact for any size. With the window off
// it still follows the highest authenticated number, which ESN needs to infer the high half.
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
  // After the ICV was right: checks again and marks as seen. Callers hold the lock; one lock serves a
  // run of packets.
  ReplayVerdict CommitLocked(uint64_t sequence);
  ReplayVerdict Commit(uint64_t sequence);
  void Lock() { rte_spinlock_lock(&lock_); }
  void Unlock() { rte_spinlock_unlock(&lock_); }

  uint32_t size() const { return size_; }
  uint64_t top() const { return top_.load(std::memory_order_relaxed); }
  // How far behind the right edge the number is; 0 if not behind.
  uint64_t Behind(uint64_t sequence) const { return top() > sequence ? top() - sequence : 0; }

 private:
  std::atomic<uint64_t> top_{0};  // highest authenticated number
  uint32_t size_ = 0;
  uint32_t word_mask_ = 0;        // the bitmap is a ring of 2^n words, one more than the window needs
  bool esn_ = false;
  rte_spinlock_t lock_ = RTE_SPINLOCK_INITIALIZER;
  std::unique_ptr<std::atomic<uint64_t>[]> bitmap_;
};

}  // namespace penstock
