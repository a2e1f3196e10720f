// Soft and hard limits of an SA in bytes and packets: counted where the traffic is, exact over
// workers.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "dataplane/packet/packet.h"

namespace penstock {

struct LifetimeLimits {
  uint64_t soft_bytes = 0;  // 0: no limit; bytes are those of inner packets, as charon counts them
  uint64_t hard_bytes = 0;
  uint64_t soft_packets = 0;
  uint64_t hard_packets = 0;
  uint32_t soft_seconds = 0;  // by the control thread's timers, not by workers
  uint32_t hard_seconds = 0;
  bool counts_traffic() const {
    return (soft_bytes | hard_bytes | soft_packets | hard_packets) != 0;
  }
};

// Shared by all workers that use the SA. Counters hold what was allowed, never more than the hard
// limit. Once a packet was refused the SA has ended: all later packets are refused, however small.
struct alignas(kCacheLine) Lifetime {
  std::atomic<uint64_t> bytes{0};
  std::atomic<uint64_t> packets{0};
  std::atomic<bool> soft_raised{false};
  std::atomic<bool> hard_raised{false};
  uint64_t soft_bytes = UINT64_MAX;
  uint64_t hard_bytes = UINT64_MAX;
  uint64_t soft_packets = UINT64_MAX;
  uint64_t hard_packets = UINT64_MAX;

  void Configure(const LifetimeLimits& limits);

  enum class Crossing : uint8_t { kNone, kSoft, kHard };
  // Counts one packet. `allowed` says whether it may still pass: the packet that would go beyond a
  // hard limit may not. `crossing` is kSoft or kHard for exactly one caller each.
  struct Verdict {
    bool allowed;
    Crossing crossing;
  };
  Verdict Count(uint64_t packet_bytes);

  // Counts a run of packets of one SA: one atomic operation per counter while no limit is near,
  // packet by packet where one is.  The first `allowed` packets may pass, the rest may not; `soft`
  // and `hard` are true for exactly one caller each.
  struct RunVerdict {
    unsigned allowed = 0;
    bool soft = false;
    bool hard = false;
  };
  RunVerdict CountRun(std::span<const uint32_t> packet_bytes);

 private:
  bool RaiseSoft(bool reached);
  bool RaiseHard();
  RunVerdict CountOneByOne(std::span<const uint32_t> packet_bytes);
  RunVerdict CountBytesOneByOne(std::span<const uint32_t> packet_bytes);
};
static_assert(sizeof(Lifetime) == kCacheLine);

}  // namespace penstock
