#include "dataplane/route/next_hop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace penstock {
namespace {

IpAddress A(const char* text) { return *IpAddress::Parse(text); }

class NextHopTest : public ::testing::Test {
 protected:
  std::vector<GroupMember> Tunnels(unsigned count) {
    std::vector<GroupMember> members;
    for (unsigned i = 0; i < count; ++i) {
      members.push_back({*table_.AddTunnel(i + 1), 1});
    }
    return members;
  }
  std::vector<uint32_t> Answers(uint32_t group, uint32_t buckets = kDefaultBuckets) {
    std::vector<uint32_t> answers;
    for (uint32_t hash = 0; hash < buckets; ++hash) {
      answers.push_back(table_.Resolve(group, hash));
    }
    return answers;
  }

  Epoch epoch_;
  NextHopTable table_{epoch_};
};

TEST_F(NextHopTest, FixedIndicesHaveTheirKinds) {
  EXPECT_EQ(table_[kNextHopNoRoute].kind, NextHopKind::kNoRoute);
  EXPECT_EQ(table_[kNextHopBlackhole].kind, NextHopKind::kBlackhole);
  EXPECT_EQ(table_[kNextHopUnreachable].kind, NextHopKind::kUnreachable);
  EXPECT_EQ(table_[kNextHopProhibit].kind, NextHopKind::kProhibit);
  EXPECT_EQ(table_[kNextHopLocal].kind, NextHopKind::kLocal);
  EXPECT_EQ(table_[kNextHopProtected].kind, NextHopKind::kProtected);
  table_.Release(kNextHopLocal);
  EXPECT_EQ(table_[kNextHopLocal].kind, NextHopKind::kLocal);
}

TEST_F(NextHopTest, EqualRequestsShareAnIndex) {
  const uint32_t first = *table_.AddForward(1, A("10.0.0.1"));
  EXPECT_EQ(*table_.AddForward(1, A("10.0.0.1")), first);
  EXPECT_NE(*table_.AddForward(2, A("10.0.0.1")), first);
  EXPECT_NE(*table_.AddForward(1, A("10.0.0.2")), first);
  EXPECT_EQ(table_.references(first), 2u);
  EXPECT_EQ(table_.FindForwards(1, A("10.0.0.1")), std::vector<uint32_t>{first});
  EXPECT_EQ(table_.ToString(first), "via 10.0.0.1 port 1");
}

TEST_F(NextHopTest, AReleasedIndexIsReusedOnlyAfterTheGracePeriod) {
  epoch_.Register(0);
  epoch_.Online(0);
  const uint32_t first = *table_.AddTunnel(1);
  table_.Release(first);
  epoch_.Reclaim();
  EXPECT_NE(*table_.AddTunnel(2), first);
  EXPECT_EQ(table_[first].tunnel, 1u) << "a worker may still follow it";
  epoch_.Quiet(0);
  epoch_.Reclaim();
  EXPECT_EQ(*table_.AddTunnel(3), first);
  epoch_.Unregister(0);
}

TEST_F(NextHopTest, AskedForAgainDuringItsGracePeriodItIsAnotherIndex) {
  epoch_.Register(0);
  epoch_.Online(0);
  const uint32_t first = *table_.AddTunnel(1);
  table_.Release(first);
  const uint32_t second = *table_.AddTunnel(1);
  EXPECT_NE(second, first);
  epoch_.Quiet(0);
  epoch_.Reclaim();
  EXPECT_EQ(table_.FindTunnels(1), std::vector<uint32_t>{second});
  epoch_.Unregister(0);
}

TEST_F(NextHopTest, LinksComeAndGoWhole) {
  const uint32_t index = *table_.AddForward(0, A("fe80::1"));
  EXPECT_EQ(LoadLink(table_[index]).resolved, 0);
  LinkHeader link{};
  std::fill_n(link.destination, 6, uint8_t{0xaa});
  table_.SetLink(index, link);
  EXPECT_EQ(LoadLink(table_[index]).resolved, 1);
  EXPECT_EQ(LoadLink(table_[index]).destination[5], 0xaa);
  table_.SetLink(index, std::nullopt);
  EXPECT_EQ(LoadLink(table_[index]).resolved, 0);
}

TEST_F(NextHopTest, FlowsSpreadOverAGroupByWeight) {
  std::vector<GroupMember> members = Tunnels(3);
  members[2].weight = 2;
  const uint32_t group = *table_.AddGroup(members);
  // Hashes as flows have them.
  std::vector<unsigned> counts(table_.indices().back() + 1);
  constexpr unsigned kFlows = 100'000;
  for (unsigned i = 0; i < kFlows; ++i) {
    ++counts[table_.Resolve(group, i * 0x9e3779b1u >> 8)];
  }
  EXPECT_NEAR(counts[members[0].next_hop], kFlows / 4.0, kFlows * 0.02);
  EXPECT_NEAR(counts[members[1].next_hop], kFlows / 4.0, kFlows * 0.02);
  EXPECT_NEAR(counts[members[2].next_hop], kFlows / 2.0, kFlows * 0.02);
}

TEST_F(NextHopTest, ADeadMemberLeavesAllItsGroupsAtOnceAndComesBackToItsOwn) {
  const std::vector<GroupMember> members = Tunnels(4);
  const uint32_t one = *table_.AddGroup(members);
  const uint32_t two = *table_.AddGroup(std::span(members).first(2));
  const std::vector<uint32_t> before_one = Answers(one);
  const std::vector<uint32_t> before_two = Answers(two);
  table_.SetAlive(members[0].next_hop, false);
  for (uint32_t hash = 0; hash < kDefaultBuckets; ++hash) {
    EXPECT_NE(table_.Resolve(one, hash), members[0].next_hop);
    EXPECT_EQ(table_.Resolve(two, hash), members[1].next_hop);
    if (before_one[hash] != members[0].next_hop) {
      EXPECT_EQ(table_.Resolve(one, hash), before_one[hash]);
    }
  }
  EXPECT_EQ(table_.group(two).bucket_counts, (std::vector<uint32_t>{0, 256}));
  EXPECT_EQ(table_.group(two).alive, (std::vector<bool>{false, true}));
  table_.SetAlive(members[0].next_hop, true);
  EXPECT_EQ(Answers(one), before_one);
  EXPECT_EQ(Answers(two), before_two);
}

TEST_F(NextHopTest, AGroupHoldsItsMembersUntilItGoes) {
  const std::vector<GroupMember> members = Tunnels(2);
  const uint32_t group = *table_.AddGroup(members);
  for (const GroupMember& member : members) {
    table_.Release(member.next_hop);
    EXPECT_EQ(table_.references(member.next_hop), 1u);
  }
  table_.Release(group);
  EXPECT_TRUE(table_.indices().empty());
}

TEST_F(NextHopTest, ADeadGroupsBucketsStayReadableForAGracePeriod) {
  epoch_.Register(0);
  epoch_.Online(0);
  const std::vector<GroupMember> members = Tunnels(2);
  const uint32_t group = *table_.AddGroup(members);
  const std::vector<uint32_t> before = Answers(group);
  table_.Release(group);
  epoch_.Reclaim();
  EXPECT_EQ(Answers(group), before);
  epoch_.Unregister(0);
}

TEST_F(NextHopTest, AnUpdateMovesAsFewBucketsAsTheWeightsAllow) {
  const std::vector<GroupMember> members = Tunnels(4);
  const uint32_t group = *table_.AddGroup(std::span(members).first(3));
  const std::vector<uint32_t> before = Answers(group);
  ASSERT_TRUE(table_.UpdateGroup(group, members));
  const std::vector<uint32_t> after = Answers(group);
  unsigned moved = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    moved += before[i] != after[i] ? 1 : 0;
  }
  EXPECT_EQ(moved, 64u);
  ASSERT_TRUE(table_.UpdateGroup(group, std::span(members).first(1)));
  EXPECT_EQ(table_.group(group).bucket_counts, std::vector<uint32_t>{256});
  EXPECT_EQ(table_.references(members[3].next_hop), 1u) << "the group let go of it";
}

TEST_F(NextHopTest, SixtyFourMembersShareEvenly) {
  const uint32_t group = *table_.AddGroup(Tunnels(64));
  EXPECT_EQ(table_.group(group).bucket_counts, std::vector<uint32_t>(64, 4));
}

TEST_F(NextHopTest, SharedGroupsAreOneWhateverTheOrderOfMembers) {
  std::vector<GroupMember> members = Tunnels(3);
  const uint32_t group = *table_.AddSharedGroup(members);
  std::reverse(members.begin(), members.end());
  EXPECT_EQ(*table_.AddSharedGroup(members), group);
  EXPECT_NE(*table_.AddGroup(members), group);
  EXPECT_EQ(table_.UpdateGroup(group, members).error().code, Errc::kUnsupported);
}

TEST_F(NextHopTest, RefusesGroupsThatCannotWork) {
  const std::vector<GroupMember> members = Tunnels(65);
  const uint32_t group = *table_.AddGroup(std::span(members).first(2));
  const auto code = [&](std::vector<GroupMember> list, uint32_t buckets = kDefaultBuckets) {
    return table_.AddGroup(list, buckets).error().code;
  };
  EXPECT_EQ(code({}), Errc::kInvalidArgument);
  EXPECT_EQ(code(members), Errc::kInvalidArgument);
  EXPECT_EQ(code({{group, 1}}), Errc::kInvalidArgument);
  EXPECT_EQ(code({{members[0].next_hop, 0}}), Errc::kInvalidArgument);
  EXPECT_EQ(code({{999'999, 1}}), Errc::kNotFound);
  EXPECT_EQ(code({members[0], members[1]}, 1), Errc::kInvalidArgument);
  EXPECT_EQ(code({members[0]}, 100), Errc::kInvalidArgument);
  EXPECT_EQ(table_.UpdateGroup(members[0].next_hop, members).error().code, Errc::kNotFound);
}

TEST_F(NextHopTest, AMemberNamedTwiceCountsTwice) {
  const std::vector<GroupMember> members = Tunnels(2);
  const uint32_t group =
      *table_.AddGroup(std::vector{members[0], members[0], members[0], members[1]});
  EXPECT_EQ(table_.group(group).bucket_counts, (std::vector<uint32_t>{192, 64}));
}

}  // namespace
}  // namespace penstock
