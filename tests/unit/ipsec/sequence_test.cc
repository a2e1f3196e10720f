#include "dataplane/ipsec/sequence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace penstock {
namespace {

TEST(SequenceCounter, StartsAtOne) {
  SequenceCounter counter;
  counter.Configure(false);
  EXPECT_EQ(counter.last(), 0u);
  const SequenceBlock block = counter.Claim(3);
  EXPECT_EQ(block.first, 1u);
  EXPECT_EQ(block.count, 3u);
  EXPECT_EQ(counter.last(), 3u);
}

TEST(SequenceCounter, GoesOnBehindTheLastNumberUsed) {
  SequenceCounter counter;
  counter.Configure(true, 0x1ffffffffull);
  EXPECT_EQ(counter.last(), 0x1ffffffffull);
  EXPECT_EQ(counter.Claim(1).first, 0x200000000ull);
}

TEST(SequenceCounter, ClaimOfNothingTakesNothing) {
  SequenceCounter counter;
  counter.Configure(false, 5);
  EXPECT_EQ(counter.Claim(0).count, 0u);
  EXPECT_EQ(counter.last(), 5u);
  EXPECT_EQ(counter.Claim(1).first, 6u);
}

class SequenceEnd : public testing::TestWithParam<bool> {};

TEST_P(SequenceEnd, GivesWhatIsLeftAndThenNothing) {
  const uint64_t limit = SequenceCounter::Limit(GetParam());
  SequenceCounter counter;
  counter.Configure(GetParam(), limit - 10);
  EXPECT_EQ(counter.Claim(4).count, 4u);
  EXPECT_FALSE(counter.exhausted());
  const SequenceBlock rest = counter.Claim(64);
  EXPECT_EQ(rest.first, limit - 5);
  EXPECT_EQ(rest.count, 6u);
  EXPECT_TRUE(counter.exhausted());
  EXPECT_EQ(counter.Claim(1).count, 0u);
  EXPECT_EQ(counter.last(), limit);
}

TEST_P(SequenceEnd, LastBlockMayEndExactlyAtTheLimit) {
  const uint64_t limit = SequenceCounter::Limit(GetParam());
  SequenceCounter counter;
  counter.Configure(GetParam(), limit - 64);
  const SequenceBlock block = counter.Claim(64);
  EXPECT_EQ(block.count, 64u);
  EXPECT_EQ(block.first + block.count - 1, limit);
  EXPECT_TRUE(counter.exhausted());
  EXPECT_EQ(counter.Claim(64).count, 0u);
}

TEST_P(SequenceEnd, NeverComesRoundHoweverOftenItIsAsked) {
  const uint64_t limit = SequenceCounter::Limit(GetParam());
  SequenceCounter counter;
  counter.Configure(GetParam(), limit - 1);
  EXPECT_EQ(counter.Claim(UINT32_MAX).count, 1u);
  for (unsigned i = 0; i < 1u << 20; ++i) {
    ASSERT_EQ(counter.Claim(UINT32_MAX).count, 0u);
  }
  EXPECT_EQ(counter.last(), limit);
}

TEST_P(SequenceEnd, NothingIsLeftBehindTheLimit) {
  for (const uint64_t last : {SequenceCounter::Limit(GetParam()), UINT64_MAX}) {
    SequenceCounter counter;
    counter.Configure(GetParam(), last);
    EXPECT_TRUE(counter.exhausted());
    EXPECT_EQ(counter.Claim(1).count, 0u);
  }
}

TEST_P(SequenceEnd, ThreadsGetEveryNumberOnce) {
  constexpr unsigned kThreads = 4;
  constexpr uint64_t kNumbers = 400'000;
  const uint64_t limit = SequenceCounter::Limit(GetParam());
  SequenceCounter counter;
  counter.Configure(GetParam(), limit - kNumbers);
  std::vector<std::vector<SequenceBlock>> blocks(kThreads);
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      unsigned failed = 0;
      for (uint32_t want = 1 + thread; failed < 1000; want = want % 64 + 1) {
        const SequenceBlock block = counter.Claim(want);
        if (block.count != 0) {
          blocks[thread].push_back(block);
        } else {
          ++failed;
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::vector<SequenceBlock> all;
  for (const auto& own : blocks) {
    all.insert(all.end(), own.begin(), own.end());
  }
  std::sort(all.begin(), all.end(),
            [](const SequenceBlock& a, const SequenceBlock& b) { return a.first < b.first; });
  uint64_t next = limit - kNumbers + 1;
  for (const SequenceBlock& block : all) {
    ASSERT_EQ(block.first, next);
    next += block.count;
  }
  EXPECT_EQ(next, limit + 1);
}

INSTANTIATE_TEST_SUITE_P(Esn, SequenceEnd, testing::Bool());

}  // namespace
}  // namespace penstock
