#include "dataplane/ipsec/lifetime.h"

#include <algorithm>
#include <numeric>

namespace penstock {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

uint64_t LimitOrNone(uint64_t limit) { return limit == 0 ? UINT64_MAX : limit; }

// Adds `amount` unless the sum would exceed `limit`; the sum, or nothing added and false.
bool AddWithin(std::atomic<uint64_t>& counter, uint64_t amount, uint64_t limit, uint64_t& sum) {
  uint64_t value = counter.load(kRelaxed);
  do {
    if (amount > limit || value > limit - amount) {
      return false;
    }
    sum = value + amount;
  } while (!counter.compare_exchange_weak(value, sum, kRelaxed));
  return true;
}

}  // namespace

void Lifetime::Configure(const LifetimeLimits& limits) {
  soft_bytes = LimitOrNone(limits.soft_bytes);
  hard_bytes = LimitOrNone(limits.hard_bytes);
  soft_packets = LimitOrNone(limits.soft_packets);
  hard_packets = LimitOrNone(limits.hard_packets);
}

bool Lifetime::RaiseSoft(bool reached) {
  return reached && !soft_raised.load(kRelaxed) && !soft_raised.exchange(true, kRelaxed);
}

bool Lifetime::RaiseHard() {
  soft_raised.store(true, kRelaxed);  // an SA that has ended needs no warning
  return !hard_raised.exchange(true, kRelaxed);
}

Lifetime::Verdict Lifetime::Count(uint64_t packet_bytes) {
  if (hard_raised.load(kRelaxed)) {
    return {false, Crossing::kNone};
  }
  uint64_t packets_now = 0;
  uint64_t bytes_now = 0;
  bool allowed = AddWithin(packets, 1, hard_packets, packets_now);
  if (allowed && !AddWithin(bytes, packet_bytes, hard_bytes, bytes_now)) {
    packets.fetch_sub(1, kRelaxed);
    allowed = false;
  }
  if (!allowed) {
    return {false, RaiseHard() ? Crossing::kHard : Crossing::kNone};
  }
  const bool soft = RaiseSoft(packets_now >= soft_packets || bytes_now >= soft_bytes);
  return {true, soft ? Crossing::kSoft : Crossing::kNone};
}

Lifetime::RunVerdict Lifetime::CountRun(std::span<const uint32_t> packet_bytes) {
  RunVerdict verdict;
  if (hard_raised.load(kRelaxed)) {
    return verdict;
  }
  // Far from all limits: a soft limit ends the easy part one short of itself, until it was raised.
  const bool soft_passed = soft_raised.load(kRelaxed);
  const uint64_t most_packets =
      soft_passed ? hard_packets : std::min(hard_packets, soft_packets - 1);
  const uint64_t most_bytes = soft_passed ? hard_bytes : std::min(hard_bytes, soft_bytes - 1);
  const uint64_t run_bytes = std::accumulate(packet_bytes.begin(), packet_bytes.end(), uint64_t{0});
  uint64_t sum = 0;
  if (!AddWithin(packets, packet_bytes.size(), most_packets, sum)) {
    return CountOneByOne(packet_bytes);
  }
  if (AddWithin(bytes, run_bytes, most_bytes, sum)) {
    verdict.allowed = static_cast<unsigned>(packet_bytes.size());
    return verdict;
  }
  return CountBytesOneByOne(packet_bytes);
}

Lifetime::RunVerdict Lifetime::CountOneByOne(std::span<const uint32_t> packet_bytes) {
  RunVerdict verdict;
  for (const uint32_t length : packet_bytes) {
    const Verdict one = Count(length);
    verdict.soft |= one.crossing == Crossing::kSoft;
    verdict.hard |= one.crossing == Crossing::kHard;
    if (!one.allowed) {
      break;
    }
    ++verdict.allowed;
  }
  return verdict;
}

// The run's packets are counted already. They are given back only where the SA has ended: a counter
// that goes up and down in between could refuse another worker's packets too early.
Lifetime::RunVerdict Lifetime::CountBytesOneByOne(std::span<const uint32_t> packet_bytes) {
  RunVerdict verdict;
  for (const uint32_t length : packet_bytes) {
    uint64_t bytes_now = 0;
    if (!AddWithin(bytes, length, hard_bytes, bytes_now)) {
      verdict.hard = RaiseHard();
      packets.fetch_sub(packet_bytes.size() - verdict.allowed, kRelaxed);
      break;
    }
    verdict.soft |= RaiseSoft(bytes_now >= soft_bytes);
    ++verdict.allowed;
  }
  return verdict;
}

}  // namespace penstock
