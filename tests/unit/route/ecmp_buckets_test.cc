#include "dataplane/route/ecmp_buckets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace penstock {
namespace {

TEST(LargestRemainderSharesTest, SharesAreExactAndSumUp) {
  const uint32_t weights[] = {1, 1, 1};
  EXPECT_EQ(LargestRemainderShares(weights, 256), (std::vector<uint32_t>{86, 85, 85}));
  const uint32_t uneven[] = {1, 2, 5};
  EXPECT_EQ(LargestRemainderShares(uneven, 16), (std::vector<uint32_t>{2, 4, 10}));
  const uint32_t zero[] = {0, 3};
  EXPECT_EQ(LargestRemainderShares(zero, 8), (std::vector<uint32_t>{0, 8}));
}

TEST(LargestRemainderSharesTest, LargeWeightsDoNotOverflow) {
  const uint32_t weights[] = {UINT32_MAX, UINT32_MAX};
  EXPECT_EQ(LargestRemainderShares(weights, 1u << 16), (std::vector<uint32_t>{32768, 32768}));
}

class EcmpBucketsTest : public ::testing::Test {
 protected:
  void Kill(uint32_t next_hop) {
    dead_.insert(next_hop);
    buckets_.Rebalance(alive_);
  }
  void Revive(uint32_t next_hop) {
    dead_.erase(next_hop);
    buckets_.Rebalance(alive_);
  }
  static size_t Moved(const std::vector<uint32_t>& before, const std::vector<uint32_t>& after) {
    size_t moved = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      moved += before[i] != after[i] ? 1 : 0;
    }
    return moved;
  }

  std::set<uint32_t> dead_;
  EcmpBuckets::IsAlive alive_ = [this](uint32_t next_hop) { return !dead_.contains(next_hop); };
  EcmpBuckets buckets_{256};
};

TEST_F(EcmpBucketsTest, BucketsFollowTheWeights) {
  buckets_.SetMembers({{1, 1}, {2, 2}, {3, 5}}, alive_);
  EXPECT_EQ(buckets_.CountHeld(), (std::vector<uint32_t>{32, 64, 160}));
}

TEST_F(EcmpBucketsTest, ADeathMovesOnlyTheDeadMembersBucketsAndByWeight) {
  buckets_.SetMembers({{1, 1}, {2, 1}, {3, 2}, {4, 4}}, alive_);
  const std::vector<uint32_t> before = buckets_.holders();
  const uint32_t held = buckets_.CountHeld()[3];
  Kill(4);
  EXPECT_EQ(Moved(before, buckets_.holders()), held);
  EXPECT_EQ(buckets_.CountHeld(), (std::vector<uint32_t>{64, 64, 128, 0}));
}

TEST_F(EcmpBucketsTest, ARevivedMemberTakesBackItsOwnBucketsAndNoOthers) {
  buckets_.SetMembers({{1, 1}, {2, 1}, {3, 1}, {4, 1}}, alive_);
  const std::vector<uint32_t> owners = buckets_.holders();
  Kill(1);
  Kill(2);
  const std::vector<uint32_t> before = buckets_.holders();
  Revive(1);
  for (size_t i = 0; i < owners.size(); ++i) {
    EXPECT_EQ(buckets_.holders()[i], owners[i] == 1 ? 1 : before[i]) << "bucket " << i;
  }
  Revive(2);
  EXPECT_EQ(buckets_.holders(), owners);
}

TEST_F(EcmpBucketsTest, WithNobodyAliveBucketsKeepTheirOwners) {
  buckets_.SetMembers({{1, 1}, {2, 1}}, alive_);
  const std::vector<uint32_t> owners = buckets_.holders();
  Kill(1);
  Kill(2);
  EXPECT_EQ(buckets_.holders(), owners);
  Revive(2);
  EXPECT_EQ(buckets_.CountHeld(), (std::vector<uint32_t>{0, 256}));
}

TEST_F(EcmpBucketsTest, ANewMemberTakesItsShareAndNothingElseMoves) {
  buckets_.SetMembers({{1, 1}, {2, 1}, {3, 1}}, alive_);
  const std::vector<uint32_t> before = buckets_.holders();
  buckets_.SetMembers({{1, 1}, {2, 1}, {3, 1}, {4, 1}}, alive_);
  EXPECT_EQ(buckets_.CountHeld(), (std::vector<uint32_t>{64, 64, 64, 64}));
  EXPECT_EQ(Moved(before, buckets_.holders()), 64u);
}

TEST_F(EcmpBucketsTest, AMemberThatLeavesTakesOnlyItsBucketsWithIt) {
  buckets_.SetMembers({{1, 1}, {2, 1}, {3, 1}, {4, 1}}, alive_);
  const std::vector<uint32_t> before = buckets_.holders();
  buckets_.SetMembers({{1, 1}, {2, 1}, {3, 1}}, alive_);
  EXPECT_EQ(Moved(before, buckets_.holders()), 64u);
  EXPECT_EQ(buckets_.CountHeld(), (std::vector<uint32_t>{86, 85, 85}));
}

TEST_F(EcmpBucketsTest, NoBucketIsEverWithADeadMemberWhileOneLives) {
  std::vector<EcmpBuckets::Member> members;
  for (uint32_t i = 0; i < 64; ++i) {
    members.push_back({100 + i, 1 + i % 5});
  }
  buckets_.SetMembers(members, alive_);
  std::mt19937 random(3);
  for (int step = 0; step < 500; ++step) {
    const uint32_t member = static_cast<uint32_t>(100 + random() % 64);
    const bool was_dead = dead_.contains(member);
    const std::vector<uint32_t> before = buckets_.holders();
    const auto held = static_cast<size_t>(std::count(before.begin(), before.end(), member));
    was_dead ? Revive(member) : Kill(member);
    if (dead_.size() == 64) {
      continue;
    }
    if (!was_dead) {
      ASSERT_EQ(Moved(before, buckets_.holders()), held);
    }
    for (uint32_t holder : buckets_.holders()) {
      ASSERT_FALSE(dead_.contains(holder));
    }
  }
}

TEST_F(EcmpBucketsTest, AStandbyCarriesOnlyWhileNoOrdinaryMemberLives) {
  buckets_.SetMembers({{1, 1}, {2, 1}, {3, 1, true}, {4, 3, true}}, alive_);
  const std::vector<uint32_t> before = buckets_.holders();
  EXPECT_EQ(buckets_.CountHeld(), (std::vector<uint32_t>{128, 128, 0, 0}));
  Kill(1);
  EXPECT_EQ(buckets_.CountHeld(), (std::vector<uint32_t>{0, 256, 0, 0}));
  Kill(2);
  EXPECT_EQ(buckets_.CountHeld(), (std::vector<uint32_t>{0, 0, 64, 192}));
  Kill(4);
  EXPECT_EQ(buckets_.CountHeld(), (std::vector<uint32_t>{0, 0, 256, 0}));
  Kill(3);  // nobody: back to the owners, who drop
  EXPECT_EQ(buckets_.CountHeld(), (std::vector<uint32_t>{128, 128, 0, 0}));
  Revive(3);
  Revive(2);
  EXPECT_EQ(buckets_.CountHeld(), (std::vector<uint32_t>{0, 256, 0, 0}));
  Revive(1);
  EXPECT_EQ(buckets_.holders(), before);
}

TEST_F(EcmpBucketsTest, OnlyStandbyMembersShareAsIfTheyWereOrdinary) {
  buckets_.SetMembers({{1, 1, true}, {2, 1, true}}, alive_);
  EXPECT_EQ(buckets_.CountHeld(), (std::vector<uint32_t>{128, 128}));
}

// What a routing protocol does after a death: it makes a new group without the dead member.
TEST_F(EcmpBucketsTest, AnHeirWithoutTheDeadMemberMovesNothing) {
  buckets_.SetMembers({{1, 1}, {2, 3}, {3, 2}}, alive_);
  Kill(3);
  EcmpBuckets heir{256};
  heir.Inherit(buckets_);
  heir.SetMembers({{1, 1}, {2, 3}}, alive_);
  EXPECT_EQ(Moved(buckets_.holders(), heir.holders()), 0u);
  EcmpBuckets next{256};
  next.Inherit(heir);
  dead_.clear();
  next.SetMembers({{1, 1}, {2, 3}, {3, 2}}, alive_);
  EXPECT_EQ(next.CountHeld(), (std::vector<uint32_t>{43, 128, 85}));
  EXPECT_EQ(Moved(heir.holders(), next.holders()), 85u);
}

}  // namespace
}  // namespace penstock
