#include "dataplane/control/routes.h"

#include <random>

#include "tests/unit/control/model_fixture.h"

namespace penstock {
namespace {

using RoutesTest = ModelTest;

TEST_F(RoutesTest, TheSourceOfLowestPreferenceIsInForceAndTheNextTakesOver) {
  ASSERT_TRUE(Route("10.9.0.0/16", RouteSource::kBgp, "red"));
  ASSERT_TRUE(Route("10.9.0.0/16", RouteSource::kStatic, "", "192.0.2.9"));
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kForward);
  ASSERT_TRUE(
      model_->routes.Set(Net("10.9.0.0/16"), RouteSource::kControl, {RouteAction::kBlackhole, {}}));
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kBlackhole);
  ASSERT_TRUE(model_->routes.Remove(Net("10.9.0.0/16"), RouteSource::kControl));
  ASSERT_TRUE(model_->routes.Remove(Net("10.9.0.0/16"), RouteSource::kStatic));
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kTunnel);
}

TEST_F(RoutesTest, OwnAddressesAndBroadcastsAreLocalAndGoWithTheAddress) {
  EXPECT_EQ(KindOf("10.1.0.1"), NextHopKind::kLocal);
  EXPECT_EQ(KindOf("10.1.0.255"), NextHopKind::kLocal);
  EXPECT_EQ(KindOf("10.1.0.7"), NextHopKind::kGlean);
  model_->addresses.Remove({1, kNoTunnel}, InterfaceAddress::Parse("10.1.0.1/24").value());
  EXPECT_EQ(KindOf("10.1.0.1"), NextHopKind::kNoRoute);
  EXPECT_EQ(KindOf("10.1.0.255"), NextHopKind::kNoRoute);
}

TEST_F(RoutesTest, AGatewayWithoutNetworkIsUnreachableUntilTheNetworkComes) {
  ASSERT_TRUE(Route("0.0.0.0/0", RouteSource::kStatic, "", "192.0.2.9"));
  ASSERT_TRUE(Route("10.9.0.0/16", RouteSource::kStatic, "", "198.51.100.1"));
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kUnreachable);
  model_->addresses.Add({1, kNoTunnel}, InterfaceAddress::Parse("198.51.100.2/24").value());
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kForward);
}

TEST_F(RoutesTest, ARouteIntoARemovedTunnelDoesNotFallBackToAClearOne) {
  ASSERT_TRUE(Route("0.0.0.0/0", RouteSource::kStatic, "", "192.0.2.9"));
  ASSERT_TRUE(Route("10.9.0.0/16", RouteSource::kStatic, "red"));
  ASSERT_TRUE(model_->tunnels.Remove(red_));
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kUnreachable);
  red_ = AddTunnel("red", 1);
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kTunnel);
}

TEST_F(RoutesTest, ARouteThroughAnUnknownTunnelIsRefusedByName) {
  const Status set = Route("10.9.0.0/16", RouteSource::kStatic, "green");
  ASSERT_FALSE(set);
  EXPECT_NE(set.error().message.find("green"), std::string::npos);
}

TEST_F(RoutesTest, SeveralNextHopsAreAGroupThatLosesItsDeadMembersAtOnce) {
  RouteVia red, blue;
  red.tunnel = "red";
  blue.tunnel = "blue";
  ASSERT_TRUE(model_->routes.Set(Net("10.9.0.0/16"), RouteSource::kStatic,
                                 {RouteAction::kForward, {red, blue}}));
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1001, 1)));
  const uint32_t group = tables_.fib.Lookup(Address("10.9.1.1"));
  ASSERT_EQ(tables_.next_hops[group].kind, NextHopKind::kGroup);
  for (uint32_t hash = 0; hash < kDefaultBuckets; ++hash) {
    EXPECT_EQ(tables_.next_hops[tables_.next_hops.Resolve(group, hash)].tunnel, red_);
  }
}

TEST_F(RoutesTest, AGroupThatGrowsKeepsMostFlowsWhereTheyAre) {
  const uint32_t third = AddTunnel("third", 3);
  RouteVia red, blue, more;
  red.tunnel = "red";
  blue.tunnel = "blue";
  more.tunnel = "third";
  for (const uint32_t if_id : {1u, 2u, 3u}) {
    ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1000 + if_id, if_id)));
  }
  ASSERT_TRUE(model_->routes.Set(Net("10.9.0.0/16"), RouteSource::kStatic,
                                 {RouteAction::kForward, {red, blue}}));
  const auto owners = [&] {
    std::vector<uint32_t> tunnels;
    const uint32_t group = tables_.fib.Lookup(Address("10.9.1.1"));
    for (uint32_t hash = 0; hash < kDefaultBuckets; ++hash) {
      tunnels.push_back(tables_.next_hops[tables_.next_hops.Resolve(group, hash)].tunnel);
    }
    return tunnels;
  };
  const std::vector<uint32_t> before = owners();
  ASSERT_TRUE(model_->routes.Set(Net("10.9.0.0/16"), RouteSource::kStatic,
                                 {RouteAction::kForward, {red, blue, more}}));
  const std::vector<uint32_t> after = owners();
  unsigned moved = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    moved += before[i] != after[i] ? 1 : 0;
    EXPECT_TRUE(before[i] == after[i] || after[i] == third);
  }
  EXPECT_GT(moved, 60u);
  EXPECT_LT(moved, 110u);
}

TEST_F(RoutesTest, AStandbyTunnelCarriesWhileTheOthersAreDeadAndThenNoMore) {
  RouteVia red, blue;
  red.tunnel = "red";
  blue.tunnel = "blue";
  blue.standby = true;
  ASSERT_TRUE(model_->routes.Set(Net("10.9.0.0/16"), RouteSource::kStatic,
                                 {RouteAction::kForward, {red, blue}}));
  const auto carries = [&](uint32_t tunnel) {
    const uint32_t index = tables_.fib.Lookup(Address("10.9.1.1"));
    for (uint32_t hash = 0; hash < kDefaultBuckets; ++hash) {
      if (tables_.next_hops[tables_.next_hops.Resolve(index, hash)].tunnel != tunnel) {
        return false;
      }
    }
    return true;
  };
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1001, 1)));
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1002, 2)));
  EXPECT_TRUE(carries(red_));
  ASSERT_TRUE(model_->ike.DeleteSa(Id(false, 0x1001)));
  EXPECT_TRUE(carries(blue_));
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1003, 1)));
  EXPECT_TRUE(carries(red_));
  red.standby = true;
  const Status set = model_->routes.Set(Net("10.9.0.0/16"), RouteSource::kStatic,
                                        {RouteAction::kForward, {red, blue}});
  ASSERT_FALSE(set);
  EXPECT_NE(set.error().message.find("standby"), std::string::npos);
}

TEST_F(RoutesTest, AProtectedPrefixDropsUntilATunnelCarriesIt) {
  ASSERT_TRUE(Route("0.0.0.0/0", RouteSource::kStatic, "", "192.0.2.9"));
  model_->SetProtected({Net("10.2.0.0/16")});
  EXPECT_EQ(KindOf("10.2.1.1"), NextHopKind::kProtected);
  ASSERT_TRUE(Route("10.2.0.0/24", RouteSource::kStatic, "red"));
  EXPECT_EQ(KindOf("10.2.0.1"), NextHopKind::kTunnel);
  EXPECT_EQ(KindOf("10.2.1.1"), NextHopKind::kProtected);
  EXPECT_EQ(KindOf("10.3.0.1"), NextHopKind::kForward);
}

TEST_F(RoutesTest, ACoveringRouteIntoATunnelCarriesTheProtectedPrefix) {
  model_->SetProtected({Net("10.2.0.0/16")});
  ASSERT_TRUE(Route("0.0.0.0/0", RouteSource::kStatic, "red"));
  EXPECT_EQ(KindOf("10.2.1.1"), NextHopKind::kTunnel);
  ASSERT_TRUE(Route("0.0.0.0/0", RouteSource::kStatic, "", "192.0.2.9"));
  EXPECT_EQ(KindOf("10.2.1.1"), NextHopKind::kProtected);
}

TEST_F(RoutesTest, AClearRouteInsideIsKeptAsWantedAndInForceWhenProtectionEnds) {
  model_->SetProtected({Net("10.2.0.0/16")});
  ASSERT_TRUE(Route("10.2.3.0/24", RouteSource::kBgp, "", "192.0.2.9"));
  EXPECT_EQ(KindOf("10.2.3.1"), NextHopKind::kProtected);
  const auto views = model_->routes.ViewsOf(Net("10.2.3.0/24"));
  ASSERT_EQ(views.size(), 1u);
  EXPECT_FALSE(views[0].active);
  EXPECT_NE(views[0].note.find("10.2.0.0/16"), std::string::npos);
  model_->SetProtected({});
  EXPECT_EQ(KindOf("10.2.3.1"), NextHopKind::kForward);
  EXPECT_EQ(KindOf("10.2.4.1"), NextHopKind::kNoRoute);
}

TEST_F(RoutesTest, NeighboursInsideAProtectedPartOfALinkGetNoRoute) {
  model_->SetProtected({Net("10.1.0.128/25")});
  model_->neighbors.SetPortMac(1, MacAddress::Parse("02:00:00:00:00:01").value());
  const auto mac = MacAddress::Parse("02:00:00:00:00:02").value();
  model_->neighbors.Update(1, Address("10.1.0.7"), mac, false);
  model_->neighbors.Update(1, Address("10.1.0.200"), mac, false);
  EXPECT_EQ(KindOf("10.1.0.7"), NextHopKind::kForward);
  EXPECT_EQ(KindOf("10.1.0.200"), NextHopKind::kProtected);
}

TEST_F(RoutesTest, ProtectingALinkTakesItsNeighboursRoutesAway) {
  model_->neighbors.SetPortMac(1, MacAddress::Parse("02:00:00:00:00:01").value());
  const auto mac = MacAddress::Parse("02:00:00:00:00:02").value();
  model_->neighbors.Update(1, Address("10.1.0.200"), mac, false);
  EXPECT_EQ(KindOf("10.1.0.200"), NextHopKind::kForward);
  model_->SetProtected({Net("10.1.0.0/24")});
  EXPECT_EQ(KindOf("10.1.0.200"), NextHopKind::kProtected);
}

TEST_F(RoutesTest, NothingIsLeftInTheTablesWhenAllRoutesAreRemoved) {
  const size_t before = tables_.fib.size(Family::kIpv4);
  const size_t hops = tables_.next_hops.indices().size();
  RouteVia red, gateway;
  red.tunnel = "red";
  gateway.address = Address("192.0.2.9");
  ASSERT_TRUE(model_->routes.Set(Net("10.9.0.0/16"), RouteSource::kStatic,
                                 {RouteAction::kForward, {red, gateway}}));
  model_->SetProtected({Net("10.9.1.0/24"), Net("10.8.0.0/16")});
  model_->SetProtected({});
  ASSERT_TRUE(model_->routes.Remove(Net("10.9.0.0/16"), RouteSource::kStatic));
  epoch_.Synchronize();
  EXPECT_EQ(tables_.fib.size(Family::kIpv4), before);
  EXPECT_EQ(tables_.next_hops.indices().size(), hops);
}

// Whatever is done in whatever order: no address inside a protected prefix ever leads to a port.
class ProtectedUnderChurn : public ModelTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  unsigned Pick(unsigned below) {
    return std::uniform_int_distribution<unsigned>(0, below - 1)(random_);
  }
  Prefix RandomPrefix() {
    const uint8_t bytes[4] = {10, static_cast<uint8_t>(Pick(4)),
                              static_cast<uint8_t>(Pick(2) * 128),
                              static_cast<uint8_t>(Pick(2) * 128)};
    constexpr uint8_t kLengths[] = {0, 7, 8, 15, 16, 17, 24, 25, 32};
    return Prefix(IpAddress::V4(bytes), kLengths[Pick(9)]);
  }
  RouteVia RandomVia() {
    RouteVia via;
    switch (Pick(4)) {
      case 0:
        via.tunnel = "red";
        break;
      case 1:
        via.tunnel = "blue";
        break;
      case 2:
        via.address = Address("192.0.2.9");
        break;
      default:
        via.port = 1;
    }
    return via;
  }
  RouteTable::PathId LearnedPath() {
    while (paths_.size() < 3) {
      paths_.push_back(model_->routes.AddPath());
    }
    return paths_[Pick(3)];
  }
  void Step() {
    constexpr RouteSource kSources[] = {RouteSource::kControl, RouteSource::kStatic,
                                        RouteSource::kBgp};
    const Prefix prefix = RandomPrefix();
    const RouteSource source = kSources[Pick(3)];
    switch (Pick(10)) {
      case 0:
        (void)model_->routes.Remove(prefix, source);
        break;
      case 8:
        (void)model_->routes.SetLearned(prefix, LearnedPath());
        break;
      case 9: {
        RoutePath path{RouteAction::kForward, {RandomVia()}};
        if (Pick(2) == 0) {
          path.via.push_back(RandomVia());
        }
        ASSERT_TRUE(model_->routes.SetPath(LearnedPath(), path));
        break;
      }
      case 1: {
        std::vector<Prefix> prefixes;
        for (unsigned i = Pick(4); i > 0; --i) {
          prefixes.push_back(RandomPrefix());
        }
        model_->SetProtected(prefixes);
        break;
      }
      case 2:
        if (model_->tunnels.Find(blue_) != nullptr) {
          (void)model_->tunnels.Remove(blue_);
        } else {
          blue_ = AddTunnel("blue", 2);
        }
        break;
      case 3: {
        const InterfaceAddress address{Address(Pick(2) == 0 ? "10.1.128.1" : "10.2.0.1"), 24};
        if (Pick(2) == 0) {
          model_->addresses.Add({1, kNoTunnel}, address);
        } else {
          model_->addresses.Remove({1, kNoTunnel}, address);
        }
        break;
      }
      default: {
        RoutePath path{RouteAction::kForward, {RandomVia()}};
        if (Pick(3) == 0) {
          path.via.push_back(RandomVia());
        }
        (void)model_->routes.Set(prefix, source, path);  // refused where blue is missing
      }
    }
    model_->Settle();
  }
  void Check() {
    for (unsigned i = 0; i < 40; ++i) {
      const uint8_t bytes[4] = {10, static_cast<uint8_t>(Pick(4)), static_cast<uint8_t>(Pick(256)),
                                static_cast<uint8_t>(Pick(256))};
      const IpAddress address = IpAddress::V4(bytes);
      if (!model_->routes.ProtectedBy(Prefix::Host(address))) {
        continue;
      }
      ++checked_;
      const uint32_t index = tables_.fib.Lookup(address);
      for (uint32_t hash = 0; hash < kDefaultBuckets; hash += 17) {
        const NextHopKind kind = tables_.next_hops[tables_.next_hops.Resolve(index, hash)].kind;
        ASSERT_NE(kind, NextHopKind::kForward) << address.ToString();
        ASSERT_NE(kind, NextHopKind::kGlean) << address.ToString();
      }
    }
  }

  std::mt19937 random_{GetParam()};
  std::vector<RouteTable::PathId> paths_;
  unsigned checked_ = 0;
};

TEST_P(ProtectedUnderChurn, NoAddressInsideLeadsToAPort) {
  for (unsigned step = 0; step < 400; ++step) {
    Step();
    ASSERT_NO_FATAL_FAILURE(Check()) << "step " << step;
  }
  EXPECT_GT(checked_, 100u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ProtectedUnderChurn, ::testing::Range(1u, 13u));

TEST(Without, LeavesTheRestOfAPrefixAsFewPrefixes) {
  EXPECT_EQ(Without(Net("10.0.0.0/8"), {}), std::vector<Prefix>{Net("10.0.0.0/8")});
  EXPECT_TRUE(Without(Net("10.0.0.0/8"), {Net("0.0.0.0/0")}).empty());
  const std::vector<Prefix> expected = {Net("10.0.0.0/25"), Net("10.0.0.192/26")};
  EXPECT_EQ(Without(Net("10.0.0.0/24"), {Net("10.0.0.128/26")}), expected);
}

}  // namespace
}  // namespace penstock
