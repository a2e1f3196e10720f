#include "dataplane/route/neighbor.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

IpAddress A(const char* text) { return *IpAddress::Parse(text); }
Prefix P(const char* text) { return *Prefix::Parse(text); }
MacAddress M(const char* text) { return *MacAddress::Parse(text); }

class NeighborTest : public ::testing::Test {
 protected:
  NeighborTest() {
    neighbors_.SetPortMac(0, M("02:00:00:00:00:01"));
    neighbors_.AddConnected(0, P("10.0.0.0/24"));
  }
  // The next hop of a destination, if it is a resolved neighbour: its link address.
  std::optional<MacAddress> LinkOf(const char* destination) {
    const NextHop& next_hop = next_hops_[fib_.Lookup(A(destination))];
    const LinkHeader link = LoadLink(next_hop);
    if (next_hop.kind != NextHopKind::kForward || link.resolved == 0) {
      return std::nullopt;
    }
    MacAddress mac;
    std::copy_n(link.destination, 6, mac.bytes.begin());
    return mac;
  }

  Epoch epoch_;
  Fib fib_{epoch_, {.max_routes_v4 = 10'000, .max_routes_v6 = 100, .max_chunks = 1024}};
  NextHopTable next_hops_{epoch_};
  FakeClock clock_;
  std::vector<std::string> asked_;
  NeighborTable neighbors_{fib_, next_hops_, clock_,
                           [this](uint16_t port, const IpAddress& address) {
                             asked_.push_back(fmt::format("{}@{}", address.ToString(), port));
                           }};
};

TEST_F(NeighborTest, AnOnLinkNeighborGetsAHostRouteWithItsLinkHeader) {
  neighbors_.Update(0, A("10.0.0.9"), M("02:00:00:00:00:09"), false);
  EXPECT_EQ(LinkOf("10.0.0.9"), M("02:00:00:00:00:09"));
  const LinkHeader link = LoadLink(next_hops_[fib_.Lookup(A("10.0.0.9"))]);
  EXPECT_EQ(link.source[5], 1) << "the port's own MAC";
  EXPECT_EQ(fib_.Lookup(A("10.0.0.8")), kNextHopNoRoute);
}

TEST_F(NeighborTest, ANeighborThatGoesTakesItsHostRouteAlong) {
  neighbors_.Update(0, A("10.0.0.9"), M("02:00:00:00:00:09"), false);
  neighbors_.Update(0, A("10.0.0.9"), std::nullopt, false);
  EXPECT_EQ(fib_.Lookup(A("10.0.0.9")), kNextHopNoRoute);
  EXPECT_TRUE(next_hops_.indices().empty());
  EXPECT_TRUE(neighbors_.neighbors().empty());
}

TEST_F(NeighborTest, AMovedNeighborGetsItsNewLinkAddress) {
  neighbors_.Update(0, A("10.0.0.9"), M("02:00:00:00:00:09"), false);
  neighbors_.Update(0, A("10.0.0.9"), M("02:00:00:00:00:0a"), false);
  EXPECT_EQ(LinkOf("10.0.0.9"), M("02:00:00:00:00:0a"));
}

TEST_F(NeighborTest, AnAttachedGatewayIsResolvedOrAskedFor) {
  const uint32_t known = *next_hops_.AddForward(0, A("10.0.0.9"));
  neighbors_.Attach(known);
  EXPECT_EQ(asked_, std::vector<std::string>{"10.0.0.9@0"});
  EXPECT_EQ(LoadLink(next_hops_[known]).resolved, 0);
  neighbors_.Update(0, A("10.0.0.9"), M("02:00:00:00:00:09"), false);
  EXPECT_EQ(LoadLink(next_hops_[known]).resolved, 1);
  const uint32_t again = *next_hops_.AddForward(0, A("10.0.0.9"));
  neighbors_.Attach(again);
  EXPECT_EQ(asked_.size(), 1u);
}

TEST_F(NeighborTest, AGatewayOutsideOfConnectedPrefixesGetsNoHostRoute) {
  const uint32_t gateway = *next_hops_.AddForward(0, A("192.0.2.1"));
  neighbors_.Attach(gateway);
  neighbors_.Update(0, A("192.0.2.1"), M("02:00:00:00:00:09"), false);
  EXPECT_EQ(LoadLink(next_hops_[gateway]).resolved, 1);
  EXPECT_FALSE(fib_.Find(P("192.0.2.1/32")));
}

TEST_F(NeighborTest, LinkLocalNeighborsGetNoHostRoute) {
  neighbors_.AddConnected(0, P("fe80::/64"));
  neighbors_.Update(0, A("fe80::9"), M("02:00:00:00:00:09"), false);
  EXPECT_FALSE(fib_.Find(P("fe80::9/128")));
}

TEST_F(NeighborTest, AsksAtMostOnceASecondForAnAddress) {
  for (int i = 0; i < 100; ++i) {
    neighbors_.Want(0, A("10.0.0.9"));
    neighbors_.Want(0, A("10.0.0.8"));
  }
  EXPECT_EQ(asked_.size(), 2u);
  clock_.Advance(milliseconds(999));
  neighbors_.Want(0, A("10.0.0.9"));
  EXPECT_EQ(asked_.size(), 2u);
  clock_.Advance(milliseconds(1));
  neighbors_.Want(0, A("10.0.0.9"));
  EXPECT_EQ(asked_.size(), 3u);
}

TEST_F(NeighborTest, ALostGatewayIsAskedForAgain) {
  neighbors_.Attach(*next_hops_.AddForward(0, A("10.0.0.9")));
  neighbors_.Update(0, A("10.0.0.9"), M("02:00:00:00:00:09"), false);
  clock_.Advance(seconds(5));
  neighbors_.Update(0, A("10.0.0.9"), std::nullopt, false);
  EXPECT_EQ(asked_.size(), 2u);
}

TEST_F(NeighborTest, RefreshAsksForThoseInUseOnly) {
  neighbors_.Update(0, A("10.0.0.9"), M("02:00:00:00:00:09"), false);
  neighbors_.Update(0, A("10.0.0.7"), M("02:00:00:00:00:07"), true);
  neighbors_.Update(0, A("192.0.2.1"), M("02:00:00:00:00:05"), false);  // nobody's next hop
  neighbors_.Want(0, A("10.0.0.6"));
  asked_.clear();
  clock_.Advance(seconds(2));
  neighbors_.Refresh();
  EXPECT_EQ(asked_, std::vector<std::string>{"10.0.0.9@0"});
  EXPECT_EQ(neighbors_.neighbors().size(), 3u) << "the one that never answered is forgotten";
}

TEST_F(NeighborTest, LeavesOthersRoutesToTheAddressAlone) {
  ASSERT_TRUE(fib_.Set(P("10.0.0.1/32"), kNextHopLocal));
  neighbors_.Update(0, A("10.0.0.1"), M("02:00:00:00:00:09"), false);
  EXPECT_EQ(fib_.Lookup(A("10.0.0.1")), kNextHopLocal);
  neighbors_.Update(0, A("10.0.0.1"), std::nullopt, false);
  EXPECT_EQ(fib_.Lookup(A("10.0.0.1")), kNextHopLocal);
}

TEST_F(NeighborTest, AHostRouteThatSomebodyTookAwayComesBackWhenWanted) {
  neighbors_.Update(0, A("10.0.0.9"), M("02:00:00:00:00:09"), false);
  ASSERT_TRUE(fib_.Set(P("10.0.0.9/32"), kNextHopBlackhole));
  ASSERT_TRUE(fib_.Remove(P("10.0.0.9/32")));
  neighbors_.Want(0, A("10.0.0.9"));
  EXPECT_EQ(LinkOf("10.0.0.9"), M("02:00:00:00:00:09"));
}

TEST_F(NeighborTest, HostRoutesFollowTheConnectedPrefixes) {
  neighbors_.Update(0, A("10.9.0.9"), M("02:00:00:00:00:09"), false);
  EXPECT_FALSE(LinkOf("10.9.0.9"));
  neighbors_.AddConnected(0, P("10.9.0.0/16"));
  EXPECT_TRUE(LinkOf("10.9.0.9"));
  neighbors_.RemoveConnected(0, P("10.9.0.0/16"));
  EXPECT_FALSE(LinkOf("10.9.0.9"));
}

TEST_F(NeighborTest, AChangedPortMacReachesAllLinkHeaders) {
  neighbors_.Update(0, A("10.0.0.9"), M("02:00:00:00:00:09"), false);
  neighbors_.SetPortMac(0, M("02:00:00:00:00:02"));
  EXPECT_EQ(LoadLink(next_hops_[fib_.Lookup(A("10.0.0.9"))]).source[5], 2);
}

TEST_F(NeighborTest, AScanOfAnEmptyNetworkDoesNotGrowItWithoutEnd) {
  for (uint32_t i = 0; i < 20'000; ++i) {
    neighbors_.Want(0, IpAddress::V4(0x0a000000 + i));
  }
  EXPECT_LE(neighbors_.neighbors().size(), 4096u);
  clock_.Advance(seconds(2));
  asked_.clear();
  neighbors_.Want(0, A("10.0.0.254"));
  EXPECT_EQ(asked_.size(), 1u) << "room is made of those that never answered";
}

TEST_F(NeighborTest, ViewsTellTheAge) {
  neighbors_.Update(0, A("10.0.0.9"), M("02:00:00:00:00:09"), true);
  clock_.Advance(seconds(3));
  const std::vector<NeighborView> views = neighbors_.neighbors();
  ASSERT_EQ(views.size(), 1u);
  EXPECT_EQ(views[0].age_nanoseconds, 3'000'000'000);
  EXPECT_TRUE(views[0].permanent);
}

}  // namespace
}  // namespace penstock
