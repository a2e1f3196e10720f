#include "dataplane/runtime/counters.h"

#include <gtest/gtest.h>

#include <thread>

#include "dataplane/runtime/worker.h"

namespace penstock {
namespace {

TEST(LastDropTest, IsNothingBeforeTheFirstDrop) {
  EXPECT_FALSE(ReadLastDrop(LastDrop{}).has_value());
}

TEST(LastDropTest, ReaderNeverSeesHalfAnUpdate) {
  LastDrop slot;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (uint32_t i = 1; !stop.load(); ++i) {
      LastDrop value;
      value.spi = i;
      value.sequence = i;
      value.tunnel = i;
      WriteLastDrop(slot, value);
    }
  });
  unsigned seen = 0;
  while (seen < 10000) {
    if (const std::optional<LastDrop> copy = ReadLastDrop(slot)) {
      ++seen;
      ASSERT_EQ(copy->spi, copy->tunnel);
      ASSERT_EQ(copy->spi, copy->sequence);
    }
  }
  stop = true;
  writer.join();
}

TEST(CountersTest, LazyArraysStartAtZeroAndHaveTheirFullSize) {
  const auto counters = std::make_unique<WorkerCounters>();
  EXPECT_EQ(counters->sas[kMaxSas - 1].packets.Read(), 0u);
  counters->sas[kMaxSas - 1].packets.Add(3);
  EXPECT_EQ(counters->sas[kMaxSas - 1].packets.Read(), 3u);
  EXPECT_EQ(counters->tunnels.size(), kMaxTunnels);
}

TEST(CountersTest, BalanceIsWhatIsNeitherSentNorDropped) {
  const auto counters = std::make_unique<WorkerCounters>();
  counters->received.Add(10);
  counters->fragments.Add(2);
  counters->sent.Add(5);
  counters->to_host.Add(1);
  counters->drops[3].Add(4);
  EXPECT_EQ(PacketBalance(*counters), 2);
  counters->merged.Add(1);
  counters->held.Set(1);
  EXPECT_EQ(PacketBalance(*counters), 0);
}

TEST(TokenBucketTest, GivesTheBurstAndThenTheRate) {
  constexpr uint64_t kHertz = 1'000'000;
  TokenBucket bucket(1000, 5, kHertz);
  const uint64_t start = 100 * kHertz;
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(bucket.Take(start)) << i;
  }
  EXPECT_FALSE(bucket.Take(start));
  EXPECT_FALSE(bucket.Take(start + 999));
  EXPECT_TRUE(bucket.Take(start + 1000));
  EXPECT_FALSE(bucket.Take(start + 1001));
}

TEST(TokenBucketTest, SavesNoMoreThanItsBurst) {
  constexpr uint64_t kHertz = 1'000'000;
  TokenBucket bucket(1000, 3, kHertz);
  unsigned taken = 0;
  while (bucket.Take(3600 * kHertz)) {
    ++taken;
  }
  EXPECT_EQ(taken, 3u);
}

}  // namespace
}  // namespace penstock
