#include "dataplane/ipsec/lifetime.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace penstock {
namespace {

using Crossing = Lifetime::Crossing;

TEST(Lifetime, AllowsEverythingWithoutLimits) {
  Lifetime lifetime;
  lifetime.Configure({});
  const Lifetime::Verdict verdict = lifetime.Count(1u << 30);
  EXPECT_TRUE(verdict.allowed);
  EXPECT_EQ(verdict.crossing, Crossing::kNone);
  EXPECT_EQ(lifetime.packets.load(), 1u);
  EXPECT_EQ(lifetime.bytes.load(), 1u << 30);
}

TEST(Lifetime, RaisesSoftWhenTheLimitIsReached) {
  Lifetime lifetime;
  lifetime.Configure({.soft_bytes = 300, .hard_bytes = 1000});
  EXPECT_EQ(lifetime.Count(299).crossing, Crossing::kNone);
  EXPECT_EQ(lifetime.Count(1).crossing, Crossing::kSoft);
  EXPECT_EQ(lifetime.Count(1).crossing, Crossing::kNone);
}

TEST(Lifetime, RefusesThePacketBeyondTheHardLimitAndAllAfterIt) {
  Lifetime lifetime;
  lifetime.Configure({.hard_bytes = 1000});
  EXPECT_TRUE(lifetime.Count(900).allowed);
  const Lifetime::Verdict beyond = lifetime.Count(101);
  EXPECT_FALSE(beyond.allowed);
  EXPECT_EQ(beyond.crossing, Crossing::kHard);
  const Lifetime::Verdict small = lifetime.Count(1);
  EXPECT_FALSE(small.allowed);
  EXPECT_EQ(small.crossing, Crossing::kNone);
  EXPECT_EQ(lifetime.bytes.load(), 900u);
  EXPECT_EQ(lifetime.packets.load(), 1u);
}

TEST(Lifetime, LetsTheHardLimitBeUsedUpToTheLastByte) {
  Lifetime lifetime;
  lifetime.Configure({.hard_bytes = 1000});
  EXPECT_TRUE(lifetime.Count(1000).allowed);
  EXPECT_FALSE(lifetime.Count(0).allowed && lifetime.Count(1).allowed);
}

TEST(Lifetime, CountsPacketsToo) {
  Lifetime lifetime;
  lifetime.Configure({.soft_packets = 2, .hard_packets = 3});
  EXPECT_EQ(lifetime.Count(64).crossing, Crossing::kNone);
  EXPECT_EQ(lifetime.Count(64).crossing, Crossing::kSoft);
  EXPECT_EQ(lifetime.Count(64).crossing, Crossing::kNone);
  EXPECT_EQ(lifetime.Count(64).crossing, Crossing::kHard);
  EXPECT_EQ(lifetime.packets.load(), 3u);
}

TEST(Lifetime, OnePacketPastBothLimitsRaisesHardOnly) {
  Lifetime lifetime;
  lifetime.Configure({.soft_bytes = 50, .hard_bytes = 100});
  EXPECT_EQ(lifetime.Count(200).crossing, Crossing::kHard);
}

TEST(Lifetime, RunStopsAtTheHardLimit) {
  Lifetime lifetime;
  lifetime.Configure({.soft_packets = 5, .hard_packets = 10});
  const std::vector<uint32_t> four(4, 100);
  Lifetime::RunVerdict verdict = lifetime.CountRun(four);
  EXPECT_EQ(verdict.allowed, 4u);
  EXPECT_FALSE(verdict.soft || verdict.hard);
  verdict = lifetime.CountRun(four);
  EXPECT_EQ(verdict.allowed, 4u);
  EXPECT_TRUE(verdict.soft);
  EXPECT_FALSE(verdict.hard);
  verdict = lifetime.CountRun(four);
  EXPECT_EQ(verdict.allowed, 2u);
  EXPECT_FALSE(verdict.soft);
  EXPECT_TRUE(verdict.hard);
  verdict = lifetime.CountRun(four);
  EXPECT_EQ(verdict.allowed, 0u);
  EXPECT_FALSE(verdict.soft || verdict.hard);
  EXPECT_EQ(lifetime.packets.load(), 10u);
  EXPECT_EQ(lifetime.bytes.load(), 1000u);
}

TEST(Lifetime, RunGivesBackPacketsThatTheByteLimitRefuses) {
  Lifetime lifetime;
  lifetime.Configure({.hard_bytes = 250, .hard_packets = 100});
  const std::vector<uint32_t> four(4, 100);
  const Lifetime::RunVerdict verdict = lifetime.CountRun(four);
  EXPECT_EQ(verdict.allowed, 2u);
  EXPECT_TRUE(verdict.hard);
  EXPECT_EQ(lifetime.packets.load(), 2u);
  EXPECT_EQ(lifetime.bytes.load(), 200u);
}

TEST(Lifetime, RunAndSinglePacketsAgree) {
  for (uint64_t soft = 0; soft < 40; soft += 7) {
    for (uint64_t hard = 40; hard < 90; hard += 3) {
      const LifetimeLimits limits = {.soft_bytes = soft * 10,
                                     .hard_bytes = hard * 10,
                                     .soft_packets = soft / 2,
                                     .hard_packets = hard / 2};
      Lifetime single;
      Lifetime run;
      single.Configure(limits);
      run.Configure(limits);
      for (uint32_t length = 1; length < 60; length += 5) {
        const std::vector<uint32_t> lengths = {length, 7, length, 3};
        Lifetime::RunVerdict expected;
        for (const uint32_t one : lengths) {
          const Lifetime::Verdict verdict = single.Count(one);
          expected.allowed += verdict.allowed;
          expected.soft |= verdict.crossing == Crossing::kSoft;
          expected.hard |= verdict.crossing == Crossing::kHard;
        }
        const Lifetime::RunVerdict actual = run.CountRun(lengths);
        ASSERT_EQ(actual.allowed, expected.allowed) << soft << " " << hard << " " << length;
        ASSERT_EQ(actual.soft, expected.soft);
        ASSERT_EQ(actual.hard, expected.hard);
        ASSERT_EQ(single.bytes.load(), run.bytes.load());
        ASSERT_EQ(single.packets.load(), run.packets.load());
      }
    }
  }
}

struct Totals {
  uint64_t packets = 0;
  unsigned soft = 0;
  unsigned hard = 0;
};

// Threads that count until they are refused: half of them packet by packet, half in runs.
Totals CountFromThreads(Lifetime& lifetime, uint32_t length) {
  constexpr unsigned kThreads = 4;
  std::vector<Totals> totals(kThreads);
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&lifetime, &own = totals[thread], thread, length] {
      const std::vector<uint32_t> lengths(thread % 2 == 0 ? 1 : 13, length);
      for (unsigned refused = 0; refused < 100;) {
        Lifetime::RunVerdict verdict;
        if (lengths.size() == 1) {
          const Lifetime::Verdict one = lifetime.Count(length);
          verdict = {one.allowed, one.crossing == Crossing::kSoft, one.crossing == Crossing::kHard};
        } else {
          verdict = lifetime.CountRun(lengths);
        }
        own.packets += verdict.allowed;
        own.soft += verdict.soft;
        own.hard += verdict.hard;
        refused += verdict.allowed == 0;
      }
    });
  }
  Totals sum;
  for (unsigned thread = 0; thread < kThreads; ++thread) {
    threads[thread].join();
    sum.packets += totals[thread].packets;
    sum.soft += totals[thread].soft;
    sum.hard += totals[thread].hard;
  }
  return sum;
}

TEST(Lifetime, ThreadsReachPacketLimitsExactlyAndEachCrossingIsSeenOnce) {
  for (unsigned round = 0; round < 20; ++round) {
    Lifetime lifetime;
    lifetime.Configure({.soft_packets = 9'000 + round, .hard_packets = 10'007});
    const Totals totals = CountFromThreads(lifetime, 100);
    ASSERT_EQ(totals.packets, 10'007u);
    ASSERT_EQ(totals.soft, 1u);
    ASSERT_EQ(totals.hard, 1u);
    ASSERT_EQ(lifetime.packets.load(), 10'007u);
    ASSERT_EQ(lifetime.bytes.load(), 1'000'700u);
  }
}

TEST(Lifetime, ThreadsReachByteLimitsExactlyAndEachCrossingIsSeenOnce) {
  for (unsigned round = 0; round < 20; ++round) {
    Lifetime lifetime;
    lifetime.Configure({.soft_bytes = 700'000, .hard_bytes = 1'000'099, .hard_packets = 20'000});
    const Totals totals = CountFromThreads(lifetime, 100);
    ASSERT_EQ(totals.packets, 10'000u);
    ASSERT_EQ(totals.soft, 1u);
    ASSERT_EQ(totals.hard, 1u);
    ASSERT_EQ(lifetime.packets.load(), 10'000u);
    ASSERT_EQ(lifetime.bytes.load(), 1'000'000u);
  }
}

}  // namespace
}  // namespace penstock
