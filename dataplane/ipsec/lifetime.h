// Soft and hard limits of an SA in bytes and packets: counted where the traffic is, exact over workers.
#pragma once

#include <atomic>
#include <cstdint>

#include "dataplane/packet/packet.h"

namespace penstock {

struct LifetimeLimits {
  uint64_t soft_bytes = 0;  // 0: no limit; bytes are those of inner packets, as charon counts them
  uint64_t hard_bytes = 0;
  uint64_t soft_packets = 0;
  uint64_t hard_packets = 0;
  uint32_t soft_seconds = 0;  // by the control thread's timers, not by workers
  uint32_t hard_seconds = 0;
  bool counts_traffic() const { return (soft_bytes | hard_bytes | soft_packets | hard_packets) != 0; }
};

// Shared by all workers that use the SA; one atomic add per run of packets and counter, not per packet.
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
  // Counts one packet. `allowed` says whether it may still pass: the packet that would go beyond a hard
  // limit may not. `crossing` is kSoft or kHard for exactly one caller each.
  struct Verdict {
    bool allowed;
    Crossing crossing;
  };
  Verdict Count(uint64_t packet_bytes);
};

}  // namespace penstock
