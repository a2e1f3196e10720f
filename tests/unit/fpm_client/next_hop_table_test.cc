#include "fpm_client/next_hop_table.h"

#include <gmock/gmock.h>

#include "tests/unit/fpm_client/recording_sink.h"

namespace penstock::fpm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class NextHopTableTest : public ::testing::Test {
 protected:
  NextHopTable::Outcome Single(uint32_t id, uint32_t interface) {
    NextHopChange change;
    change.id = id;
    change.hop.interface = interface;
    return table_.Apply(change);
  }
  NextHopTable::Outcome Group(uint32_t id, const std::vector<GroupMemberId>& members) {
    NextHopChange change;
    change.id = id;
    change.group = members;
    return table_.Apply(change);
  }
  NextHopTable::Outcome Special(uint32_t id, PathAction action) {
    NextHopChange change;
    change.id = id;
    change.action = action;
    return table_.Apply(change);
  }
  void Remove(uint32_t id) {
    NextHopChange change;
    change.id = id;
    change.remove = true;
    (void)table_.Apply(change);
  }
  std::string WayOf(uint32_t id) {
    const std::optional<PathId> path = table_.PathOf(id);
    return path ? sink_.PathText(*path) : "unknown";
  }

  RecordingSink sink_;
  NextHopTable table_{sink_};
};

TEST_F(NextHopTableTest, ANumberHasNoPathUntilItsNextHopComes) {
  EXPECT_EQ(WayOf(7), "unknown");
  EXPECT_THAT(Single(7, 3).completed, ElementsAre(7));
  EXPECT_EQ(WayOf(7), "3");
  EXPECT_EQ(table_.next_hops(), 1u);
  EXPECT_EQ(table_.groups(), 0u);
}

TEST_F(NextHopTableTest, APathIsMadeOnceARouteAsksAndNotBefore) {
  Single(7, 3);
  EXPECT_EQ(sink_.paths(), 0u);
  const PathId first = table_.PathOf(7).value();
  EXPECT_EQ(table_.PathOf(7).value(), first);
  EXPECT_EQ(sink_.paths(), 1u);
  EXPECT_EQ(table_.paths(), 1u);
}

TEST_F(NextHopTableTest, AGroupIsCompleteWithItsLastMember) {
  EXPECT_THAT(Group(100, {{1, 1}, {2, 3}}).completed, IsEmpty());
  EXPECT_THAT(Single(1, 11).completed, ElementsAre(1));
  EXPECT_EQ(WayOf(100), "unknown");
  EXPECT_THAT(Single(2, 12).completed, UnorderedElementsAre(2, 100));
  EXPECT_EQ(WayOf(100), "11 | 12 x3");
  EXPECT_EQ(table_.groups(), 1u);
}

TEST_F(NextHopTableTest, NestedGroupsAreFlattenedAndWeightsMultiplied) {
  Single(1, 11);
  Single(2, 12);
  Single(3, 13);
  Group(100, {{1, 1}, {2, 2}});
  Group(200, {{100, 3}, {3, 4}});
  EXPECT_EQ(WayOf(200), "11 x3 | 12 x6 | 13 x4");
}

TEST_F(NextHopTableTest, AChangedMemberChangesAllPathsAboveIt) {
  Single(1, 11);
  Single(2, 12);
  Group(100, {{1, 1}, {2, 1}});
  Group(200, {{100, 1}});
  const PathId of_single = table_.PathOf(1).value();
  const PathId of_group = table_.PathOf(100).value();
  const PathId of_nested = table_.PathOf(200).value();
  // Paths that exist are replaced in place: no route has to be told again.
  EXPECT_THAT(Single(1, 21).completed, IsEmpty());
  EXPECT_EQ(sink_.PathText(of_single), "21");
  EXPECT_EQ(sink_.PathText(of_group), "21 | 12");
  EXPECT_EQ(sink_.PathText(of_nested), "21 | 12");
  EXPECT_EQ(table_.PathOf(100).value(), of_group);
}

TEST_F(NextHopTableTest, AGroupThatLosesAMemberStaysTheSamePath) {
  Single(1, 11);
  Single(2, 12);
  Group(100, {{1, 1}, {2, 1}});
  const PathId path = table_.PathOf(100).value();
  Group(100, {{2, 5}});
  EXPECT_EQ(sink_.PathText(path), "12 x5");
  Single(1, 99);  // not a member any more
  EXPECT_EQ(sink_.PathText(path), "12 x5");
}

TEST_F(NextHopTableTest, AGroupBecomesASingleNextHopAndBack) {
  Single(1, 11);
  Group(100, {{1, 1}});
  const PathId path = table_.PathOf(100).value();
  Single(100, 5);
  EXPECT_EQ(sink_.PathText(path), "5");
  EXPECT_EQ(table_.groups(), 0u);
  EXPECT_EQ(table_.next_hops(), 2u);
  Group(100, {{1, 1}});
  EXPECT_EQ(sink_.PathText(path), "11");
  EXPECT_EQ(table_.groups(), 1u);
}

TEST_F(NextHopTableTest, ANextHopThatForwardsOutweighsOneThatDrops) {
  Special(1, PathAction::kBlackhole);
  Special(2, PathAction::kProhibit);
  Single(3, 13);
  Group(100, {{1, 1}});
  Group(200, {{1, 1}, {3, 1}});
  EXPECT_EQ(WayOf(1), "blackhole");
  EXPECT_EQ(WayOf(2), "prohibit");
  EXPECT_EQ(WayOf(100), "blackhole");
  EXPECT_EQ(WayOf(200), "13");
}

TEST_F(NextHopTableTest, ARemovedNumberGivesItsPathBackAndAGroupAboveWaitsForIt) {
  Single(1, 11);
  Group(100, {{1, 1}});
  (void)table_.PathOf(1);
  const PathId of_group = table_.PathOf(100).value();
  Remove(1);
  EXPECT_EQ(WayOf(1), "unknown");
  EXPECT_EQ(table_.paths(), 1u);
  // What the group was, it stays until it is told anew.
  EXPECT_EQ(sink_.PathText(of_group), "11");
  Single(1, 31);
  EXPECT_EQ(sink_.PathText(of_group), "31");
}

TEST_F(NextHopTableTest, RemovingWhatWasNeverThereChangesNothing) {
  Remove(9);
  Group(100, {{1, 1}});
  Remove(1);  // only named so far
  EXPECT_EQ(table_.groups(), 1u);
  Single(1, 11);
  EXPECT_EQ(WayOf(100), "11");
}

TEST_F(NextHopTableTest, ACircleOfGroupsIsToldAndEnds) {
  Group(1, {{2, 1}});
  const NextHopTable::Outcome outcome = Group(2, {{1, 1}});
  ASSERT_TRUE(outcome.problem);
  EXPECT_THAT(outcome.problem->message, HasSubstr("leads back to itself"));
  EXPECT_EQ(WayOf(1), "unknown");
  // Once it is straightened out, it is as any other.
  Single(2, 12);
  EXPECT_EQ(WayOf(1), "12");
}

TEST_F(NextHopTableTest, AGroupOfItselfIsToldAndEnds) {
  EXPECT_TRUE(Group(1, {{1, 1}}).problem);
  EXPECT_EQ(WayOf(1), "unknown");
  Remove(1);
  EXPECT_EQ(table_.groups(), 0u);
}

TEST_F(NextHopTableTest, WhatTheGatewayRefusesIsToldWithTheNumber) {
  sink_.RefuseAbove(1);
  Single(1, 11);
  Single(2, 12);
  Group(100, {{1, 1}});
  (void)table_.PathOf(100);
  const NextHopTable::Outcome outcome = Group(100, {{1, 1}, {2, 1}});
  ASSERT_TRUE(outcome.problem);
  EXPECT_EQ(outcome.problem->message, "next hop 100: 2 hops are more than 1");
}

TEST_F(NextHopTableTest, ANumberOfANewConnectionIsANewPath) {
  Single(1, 11);
  const PathId old = table_.PathOf(1).value();
  sink_.Apply(std::vector<RouteUpdate>{{Prefix::Parse("10.1.0.0/16").value(), old, false}});
  table_.MarkAll();
  EXPECT_THAT(Single(1, 77).completed, ElementsAre(1));
  EXPECT_EQ(WayOf(1), "77");
  EXPECT_EQ(sink_.WayOf("10.1.0.0/16"), "11");  // until it is told again
}

TEST_F(NextHopTableTest, ForgetRemovesWhatWasNotToldAgain) {
  Single(1, 11);
  Single(2, 12);
  Group(100, {{1, 1}, {2, 1}});
  (void)table_.PathOf(100);
  table_.MarkAll();
  Single(2, 12);
  table_.Forget();
  EXPECT_EQ(table_.next_hops(), 1u);
  EXPECT_EQ(table_.groups(), 0u);
  EXPECT_EQ(table_.paths(), 0u);
  EXPECT_EQ(WayOf(100), "unknown");
  EXPECT_EQ(WayOf(2), "12");
}

TEST_F(NextHopTableTest, EqualNextHopsInRoutesShareAPath) {
  Path path;
  path.hops.resize(1);
  path.hops[0].interface = 4;
  Path other = path;
  other.hops[0].gateway = IpAddress::Parse("10.0.0.1").value();
  const PathId first = table_.PathOf(path);
  EXPECT_EQ(table_.PathOf(path), first);
  EXPECT_NE(table_.PathOf(other), first);
  EXPECT_EQ(table_.paths(), 2u);
}

TEST_F(NextHopTableTest, PathsOfNextHopsInRoutesAreBounded) {
  Path path;
  path.hops.resize(1);
  for (uint32_t interface = 1; interface <= 10'000; ++interface) {
    path.hops[0].interface = interface;
    (void)table_.PathOf(path);
  }
  EXPECT_LT(table_.paths(), 10'000u);
  EXPECT_EQ(table_.paths(), sink_.paths());
  const PathId last = table_.PathOf(path);
  EXPECT_EQ(sink_.PathText(last), "10000");
}

}  // namespace
}  // namespace penstock::fpm
