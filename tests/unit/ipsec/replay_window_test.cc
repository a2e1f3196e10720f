#include "dataplane/ipsec/replay_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <thread>
#include <vector>

namespace penstock {
namespace {

using Verdict = ReplayVerdict;
constexpr uint64_t k4G = uint64_t{1} << 32;

// The window as the RFC describes it, without any bitmap.
class Model {
 public:
  Model(uint32_t size, uint64_t top) : size_(size), top_(top), floor_(top) {}
  Verdict Check(uint64_t sequence) const {
    if (sequence == 0) {
      return Verdict::kLate;
    }
    if (sequence > top_) {
      return Verdict::kFresh;
    }
    if (top_ - sequence >= size_) {
      return Verdict::kLate;
    }
    return sequence <= floor_ || seen_.count(sequence) != 0 ? Verdict::kDuplicate : Verdict::kFresh;
  }
  Verdict Commit(uint64_t sequence) {
    const Verdict verdict = Check(sequence);
    if (verdict == Verdict::kFresh) {
      seen_.insert(sequence);
      top_ = std::max(top_, sequence);
      while (!seen_.empty() && top_ - *seen_.begin() >= size_) {
        seen_.erase(seen_.begin());
      }
    }
    return verdict;
  }
  uint64_t top() const { return top_; }

 private:
  uint32_t size_;
  uint64_t top_;
  uint64_t floor_;  // numbers up to here count as seen
  std::set<uint64_t> seen_;
};

class ReplaySizes : public testing::TestWithParam<uint32_t> {};

// Walks about the top, below the window, and in jumps of all sizes.
void CompareWithModel(uint32_t size, uint64_t top, unsigned steps) {
  ReplayWindow window;
  window.Configure(size, true, top);
  Model model(size, top);
  std::mt19937_64 random(size + top);
  for (unsigned step = 0; step < steps; ++step) {
    const uint64_t kind = random() % 1000;
    const uint64_t spread = kind == 0 ? 5ull * size : kind < 50 ? size / 4 : kind < 200 ? 8 : 1;
    const uint64_t behind = kind % 3 == 0 ? random() % (size + size / 8 + 2) : random() % 16;
    uint64_t sequence = model.top() + random() % (spread + 1);
    sequence = kind < 600 && sequence >= behind ? sequence - behind : sequence;
    ASSERT_EQ(window.Check(sequence), model.Check(sequence))
        << "size " << size << " step " << step << " number " << sequence;
    if (random() % 8 != 0) {
      ASSERT_EQ(window.Commit(sequence), model.Commit(sequence))
          << "size " << size << " step " << step << " number " << sequence;
      ASSERT_EQ(window.top(), model.top());
    }
  }
}

// Runs of all lengths, ahead of the top or not, mixed with single numbers.
TEST_P(ReplaySizes, CommitsRunsAheadLikeOneByOne) {
  const uint32_t size = GetParam();
  ReplayWindow window;
  window.Configure(size, true);
  Model model(size, 0);
  std::mt19937_64 random(size);
  for (unsigned step = 0; step < 2000; ++step) {
    const uint64_t around = model.top() + random() % (step % 5 == 0 ? 3 * size : 8);
    const uint64_t back = random() % 4 == 0 ? random() % (size + 10) : 0;
    const uint64_t first = around > back ? around - back : 1;
    const auto count = static_cast<unsigned>(1 + random() % 64);
    const bool ahead = first > model.top();
    window.Lock();
    ASSERT_EQ(window.CommitAheadLocked(first, count), ahead) << first << ' ' << model.top();
    window.Unlock();
    for (unsigned i = 0; ahead && i < count; ++i) {
      ASSERT_EQ(model.Commit(first + i), Verdict::kFresh);
    }
    ASSERT_EQ(window.top(), model.top());
    for (unsigned i = 0; i < 20; ++i) {
      const uint64_t behind = random() % (size + 70);
      const uint64_t probe = model.top() + 3 > behind ? model.top() + 3 - behind : 1;
      ASSERT_EQ(window.Check(probe), model.Check(probe)) << probe << ' ' << model.top();
    }
  }
}

TEST_P(ReplaySizes, AgreesWithAModelFromTheStart) { CompareWithModel(GetParam(), 0, 60'000); }

TEST_P(ReplaySizes, AgreesWithAModelAcross32Bits) {
  CompareWithModel(GetParam(), k4G - 1000, 60'000);
}

TEST_P(ReplaySizes, IsExactAtBothEdges) {
  const uint32_t size = GetParam();
  for (const uint64_t top :
       {uint64_t{size}, uint64_t{size} + 1, uint64_t{size} * 7 + 63, k4G + 5}) {
    ReplayWindow window;
    window.Configure(size, true);
    ASSERT_EQ(window.Commit(top), Verdict::kFresh);
    EXPECT_EQ(window.Check(top + 1), Verdict::kFresh);
    EXPECT_EQ(window.Check(top), Verdict::kDuplicate);
    EXPECT_EQ(window.Check(top - size + 1), Verdict::kFresh);
    EXPECT_EQ(window.Check(top - size), Verdict::kLate);
    EXPECT_EQ(window.Commit(top - size + 1), Verdict::kFresh);
    EXPECT_EQ(window.Commit(top - size + 1), Verdict::kDuplicate);
  }
}

TEST_P(ReplaySizes, WholeWindowComesInBackwardsAndEachNumberOnce) {
  const uint32_t size = GetParam();
  ReplayWindow window;
  window.Configure(size, false);
  const uint64_t top = 3ull * size + 17;
  for (uint64_t sequence = top; sequence > top - size; --sequence) {
    ASSERT_EQ(window.Commit(sequence), Verdict::kFresh) << sequence;
  }
  for (uint64_t sequence = top; sequence > top - size; --sequence) {
    ASSERT_EQ(window.Commit(sequence), Verdict::kDuplicate) << sequence;
  }
  EXPECT_EQ(window.Commit(top - size), Verdict::kLate);
}

INSTANTIATE_TEST_SUITE_P(Sizes, ReplaySizes,
                         testing::Values(32u, 33u, 63u, 64u, 65u, 100u, 127u, 128u, 129u, 1000u,
                                         1024u, 4096u, 50'001u, 65'535u, 65'536u));

TEST(ReplayWindow, NumberZeroIsNeverValid) {
  for (const bool esn : {false, true}) {
    ReplayWindow window;
    window.Configure(64, esn);
    EXPECT_NE(window.Check(0), Verdict::kFresh);
    EXPECT_NE(window.Commit(0), Verdict::kFresh);
    EXPECT_EQ(window.Commit(1), Verdict::kFresh);
    EXPECT_NE(window.Commit(0), Verdict::kFresh);
  }
}

TEST(ReplayWindow, CheckAloneMovesNothing) {
  ReplayWindow window;
  window.Configure(64, false);
  ASSERT_EQ(window.Commit(10), Verdict::kFresh);
  EXPECT_EQ(window.Check(1000), Verdict::kFresh);
  EXPECT_EQ(window.Check(1000), Verdict::kFresh);
  EXPECT_EQ(window.Check(5), Verdict::kFresh);
  EXPECT_EQ(window.top(), 10u);
  EXPECT_EQ(window.Commit(5), Verdict::kFresh);
}

TEST(ReplayWindow, TakenOverTopCountsAllBelowAsSeen) {
  for (const uint32_t size : {32u, 100u, 1024u}) {
    ReplayWindow window;
    window.Configure(size, true, k4G + 77);
    EXPECT_EQ(window.Check(k4G + 77), Verdict::kDuplicate);
    EXPECT_EQ(window.Check(k4G + 78 - size), Verdict::kDuplicate);
    EXPECT_EQ(window.Check(k4G + 77 - size), Verdict::kLate);
    EXPECT_EQ(window.Commit(k4G + 80), Verdict::kFresh);
    EXPECT_EQ(window.Commit(k4G + 79), Verdict::kFresh);
    EXPECT_EQ(window.Commit(k4G + 78), Verdict::kFresh);
    EXPECT_EQ(window.Commit(k4G + 77), Verdict::kDuplicate);
  }
}

TEST(ReplayWindow, OffTakesEverythingAndFollowsTheTop) {
  ReplayWindow window;
  window.Configure(0, false);
  EXPECT_EQ(window.Commit(500), Verdict::kFresh);
  EXPECT_EQ(window.Commit(500), Verdict::kFresh);
  EXPECT_EQ(window.Commit(1), Verdict::kFresh);
  EXPECT_EQ(window.top(), 500u);
  // A sender that knows anti-replay to be off may roll over (RFC 4303 3.3.3).
  EXPECT_EQ(window.Commit(0), Verdict::kFresh);
}

TEST(ReplayWindow, TellsHowFarBehindANumberIs) {
  ReplayWindow window;
  window.Configure(64, false);
  ASSERT_EQ(window.Commit(1000), Verdict::kFresh);
  EXPECT_EQ(window.Behind(1000), 0u);
  EXPECT_EQ(window.Behind(2000), 0u);
  EXPECT_EQ(window.Behind(900), 100u);
}

uint64_t InferAt(uint64_t top, uint32_t size, uint32_t low) {
  ReplayWindow window;
  window.Configure(size, true, top);
  return window.Infer(low);
}

TEST(ReplayEsn, WithoutEsnTheNumberIsItsLowBits) {
  ReplayWindow window;
  window.Configure(64, false, 0xfffffff0u);
  EXPECT_EQ(window.Infer(5), 5u);
  EXPECT_EQ(window.Infer(UINT32_MAX), UINT32_MAX);
}

// RFC 4303 A2.2, case A: the window lies within one subspace.
TEST(ReplayEsn, CaseAKeepsTheHighHalfFromTheWindowsBottomUp) {
  const uint64_t top = 3 * k4G + 5000;
  EXPECT_EQ(InferAt(top, 1024, 5001), 3 * k4G + 5001);
  EXPECT_EQ(InferAt(top, 1024, 5000), top);
  EXPECT_EQ(InferAt(top, 1024, 5000 - 1023), 3 * k4G + 5000 - 1023);
  EXPECT_EQ(InferAt(top, 1024, UINT32_MAX), 3 * k4G + UINT32_MAX);
}

TEST(ReplayEsn, CaseATakesWhatIsBelowTheWindowForTheNextSubspace) {
  const uint64_t top = 3 * k4G + 5000;
  EXPECT_EQ(InferAt(top, 1024, 5000 - 1024), 4 * k4G + 5000 - 1024);
  EXPECT_EQ(InferAt(top, 1024, 0), 4 * k4G);
  EXPECT_EQ(InferAt(3 * k4G + UINT32_MAX, 64, 0), 4 * k4G);
}

// RFC 4303 A2.2, case B: the window spans two subspaces.
TEST(ReplayEsn, CaseBTakesTheUpperEndForThePreviousSubspace) {
  const uint64_t top = 3 * k4G + 10;
  EXPECT_EQ(InferAt(top, 64, 10), top);
  EXPECT_EQ(InferAt(top, 64, 11), top + 1);
  EXPECT_EQ(InferAt(top, 64, 0), 3 * k4G);
  EXPECT_EQ(InferAt(top, 64, UINT32_MAX), 3 * k4G - 1);
  EXPECT_EQ(InferAt(top, 64, UINT32_MAX - 52), 3 * k4G - 53);  // the window's bottom
  EXPECT_EQ(InferAt(top, 64, UINT32_MAX - 53), 3 * k4G + UINT32_MAX - 53);
}

TEST(ReplayEsn, BoundaryBetweenTheCases) {
  // Tl = W - 1 is case A with a bottom of 0: nothing lies below it.
  EXPECT_EQ(InferAt(2 * k4G + 63, 64, 0), 2 * k4G);
  EXPECT_EQ(InferAt(2 * k4G + 63, 64, UINT32_MAX), 2 * k4G + UINT32_MAX);
  // Tl = W - 2 is case B with one number of the previous subspace.
  EXPECT_EQ(InferAt(2 * k4G + 62, 64, UINT32_MAX), 2 * k4G - 1);
  EXPECT_EQ(InferAt(2 * k4G + 62, 64, UINT32_MAX - 1), 2 * k4G + UINT32_MAX - 1);
}

TEST(ReplayEsn, BeforeTheFirstSubspaceThereIsNone) {
  EXPECT_EQ(InferAt(0, 64, 1), 1u);
  EXPECT_EQ(InferAt(0, 64, UINT32_MAX), UINT32_MAX);
  EXPECT_EQ(InferAt(10, 0, UINT32_MAX), UINT32_MAX);
}

TEST(ReplayEsn, InferredNumberIsTheOneOf2To32FromTheWindowsBottom) {
  std::mt19937_64 random(1);
  for (const uint32_t size : {0u, 32u, 33u, 64u, 1024u, 65'536u}) {
    const uint64_t width = size != 0 ? size : k4G / 2;
    for (unsigned round = 0; round < 20'000; ++round) {
      uint64_t top = (1 + random() % 1000) * k4G + (random() % 3 == 0 ? random() % k4G : 0);
      top += random() % (3 * size + 2);
      const uint32_t low = random() % 2 == 0
                               ? static_cast<uint32_t>(random())
                               : static_cast<uint32_t>(top - random() % (2 * size + 2) + size / 2);
      const uint64_t bottom = top - width + 1;
      const uint64_t expected = bottom + static_cast<uint32_t>(low - static_cast<uint32_t>(bottom));
      ReplayWindow window;
      window.Configure(size != 0 ? size : 0, true, top);
      ASSERT_EQ(window.Infer(low), expected) << "size " << size << " top " << top << " low " << low;
    }
  }
}

TEST(ReplayEsn, FollowsASenderAcrossTheBoundaryOutOfOrder) {
  for (const uint32_t size : {0u, 64u}) {
    ReplayWindow window;
    window.Configure(size, true, k4G - 20);
    for (uint64_t sequence = k4G - 19; sequence < k4G + 40; sequence += 2) {
      for (const uint64_t swapped : {sequence + 1, sequence}) {
        ASSERT_EQ(window.Infer(static_cast<uint32_t>(swapped)), swapped);
        ASSERT_EQ(window.Commit(swapped), Verdict::kFresh);
      }
    }
    EXPECT_EQ(window.top(), k4G + 40);
  }
}

// Every thread offers every number, in an order of its own that stays within the window.
unsigned AcceptedTwice(uint32_t size, uint32_t numbers, unsigned& accepted_once) {
  ReplayWindow window;
  window.Configure(size, true, k4G - numbers / 2);
  std::vector<std::atomic<uint8_t>> accepted(numbers);
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 2; ++seed) {
    threads.emplace_back([&, seed] {
      std::vector<uint32_t> order(numbers);
      for (uint32_t i = 0; i < numbers; ++i) {
        order[i] = i;
      }
      std::mt19937 random(seed);
      for (uint32_t i = 0; i < numbers; i += 16) {
        std::shuffle(order.begin() + i, order.begin() + std::min(i + 16, numbers), random);
      }
      for (const uint32_t index : order) {
        const uint64_t sequence = k4G - numbers / 2 + 1 + index;
        if (window.Check(sequence) == Verdict::kFresh &&
            window.Commit(sequence) == Verdict::kFresh) {
          accepted[index].fetch_add(1);
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  accepted_once = static_cast<unsigned>(std::count(accepted.begin(), accepted.end(), 1));
  return static_cast<unsigned>(numbers - accepted_once -
                               std::count(accepted.begin(), accepted.end(), 0));
}

TEST(ReplayThreads, AcceptEachNumberExactlyOnceWithinTheWindow) {
  for (unsigned round = 0; round < 10; ++round) {
    unsigned once = 0;
    ASSERT_EQ(AcceptedTwice(65'536, 60'000, once), 0u);
    ASSERT_EQ(once, 60'000u);
  }
}

TEST(ReplayThreads, NeverAcceptANumberTwiceWhenTheWindowRunsAway) {
  unsigned once = 0;
  EXPECT_EQ(AcceptedTwice(100, 500'000, once), 0u);
  EXPECT_GT(once, 0u);
}

}  // namespace
}  // namespace penstock
