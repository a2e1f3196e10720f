// Routes of a routing protocol: many prefixes over few paths that change under them.
#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "tests/unit/control/model_fixture.h"

namespace penstock {
namespace {

uint32_t Draw(std::mt19937& random, uint32_t below) {
  return std::uniform_int_distribution<uint32_t>(0, below - 1)(random);
}

class LearnedRoutesTest : public ModelTest {
 protected:
  static RouteVia Tunnel(const std::string& name, uint32_t weight = 1) {
    RouteVia via;
    via.tunnel = name;
    via.weight = weight;
    return via;
  }
  static RouteVia Gateway(const std::string& address) {
    RouteVia via;
    via.address = Address(address);
    return via;
  }
  RouteTable::PathId Path(const std::vector<RouteVia>& via) {
    const RouteTable::PathId id = model_->routes.AddPath();
    EXPECT_TRUE(model_->routes.SetPath(id, {RouteAction::kForward, via}));
    return id;
  }
  RouteTable& routes() { return model_->routes; }
};

TEST_F(LearnedRoutesTest, APathThatChangesTakesItsRoutesAlongWithoutTouchingThem) {
  const RouteTable::PathId path = Path({Tunnel("red")});
  ASSERT_TRUE(routes().SetLearned(Net("10.9.0.0/16"), path));
  ASSERT_TRUE(routes().SetLearned(Net("10.10.0.0/16"), path));
  const uint32_t installed = tables_.fib.Lookup(Address("10.9.1.1"));
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kTunnel);
  ASSERT_TRUE(routes().SetPath(path, {RouteAction::kForward, {Gateway("192.0.2.9")}}));
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kForward);
  ASSERT_TRUE(routes().SetPath(path, {RouteAction::kProhibit, {}}));
  EXPECT_EQ(KindOf("10.10.1.1"), NextHopKind::kProhibit);
  EXPECT_EQ(tables_.fib.Lookup(Address("10.9.1.1")), installed);
}

TEST_F(LearnedRoutesTest, TooManyNextHopsMakeThePathUnreachable) {
  const RouteTable::PathId path = Path({Tunnel("red")});
  ASSERT_TRUE(routes().SetLearned(Net("10.9.0.0/16"), path));
  const std::vector<RouteVia> many(kMaxGroupMembers + 1, Tunnel("red"));
  const Status set = routes().SetPath(path, {RouteAction::kForward, many});
  ASSERT_FALSE(set);
  EXPECT_NE(set.error().message.find("65"), std::string::npos);
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kUnreachable);
}

TEST_F(LearnedRoutesTest, OwnSourcesGoBeforeLearnedOnesAndComeBackWithThem) {
  const RouteTable::PathId path = Path({Tunnel("red")});
  ASSERT_TRUE(routes().SetLearned(Net("192.0.2.0/24"), path));
  ASSERT_TRUE(routes().SetLearned(Net("10.9.0.0/16"), path));
  EXPECT_EQ(KindOf("192.0.2.7"), NextHopKind::kGlean);
  ASSERT_TRUE(Route("10.9.0.0/16", RouteSource::kStatic, "", "192.0.2.9"));
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kForward);
  EXPECT_EQ(routes().ViewsOf(Net("10.9.0.0/16")).size(), 2u);
  ASSERT_TRUE(routes().Remove(Net("10.9.0.0/16"), RouteSource::kStatic));
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kTunnel);
  ASSERT_TRUE(routes().Remove(Net("192.0.2.0/24"), RouteSource::kBgp));
  EXPECT_EQ(KindOf("192.0.2.7"), NextHopKind::kGlean);
  EXPECT_EQ(routes().learned(), 1u);
}

TEST_F(LearnedRoutesTest, APathOfAPortNeverCarriesWhatIsProtected) {
  const RouteTable::PathId path = Path({Tunnel("red")});
  model_->SetProtected({Net("10.2.0.0/16")});
  ASSERT_TRUE(routes().SetLearned(Net("10.0.0.0/8"), path));
  ASSERT_TRUE(routes().SetLearned(Net("10.2.3.0/24"), path));
  EXPECT_EQ(KindOf("10.2.1.1"), NextHopKind::kTunnel);
  EXPECT_EQ(KindOf("10.2.3.1"), NextHopKind::kTunnel);
  ASSERT_TRUE(
      routes().SetPath(path, {RouteAction::kForward, {Tunnel("red"), Gateway("192.0.2.9")}}));
  EXPECT_EQ(KindOf("10.2.1.1"), NextHopKind::kProtected);
  EXPECT_EQ(KindOf("10.2.3.1"), NextHopKind::kProtected);
  ASSERT_TRUE(routes().SetPath(path, {RouteAction::kForward, {Tunnel("blue")}}));
  EXPECT_EQ(KindOf("10.2.1.1"), NextHopKind::kTunnel);
  EXPECT_EQ(KindOf("10.2.3.1"), NextHopKind::kTunnel);
}

TEST_F(LearnedRoutesTest, APathFollowsTunnelsAndNetworksThatComeAndGo) {
  const RouteTable::PathId path = Path({Gateway("198.51.100.1")});
  ASSERT_TRUE(routes().SetLearned(Net("10.9.0.0/16"), path));
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kUnreachable);
  EXPECT_NE(routes().problem(path).find("198.51.100.1"), std::string::npos);
  const auto address = InterfaceAddress::Parse("198.51.100.2/24").value();
  model_->addresses.Add({1, kNoTunnel}, address);
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kForward);
  EXPECT_EQ(routes().problem(path), "");
  model_->addresses.Remove({1, kNoTunnel}, address);
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kUnreachable);
}

TEST_F(LearnedRoutesTest, APathGoesWithItsLastRoute) {
  const size_t hops = tables_.next_hops.indices().size();
  const RouteTable::PathId path = Path({Tunnel("red"), Tunnel("blue")});
  ASSERT_TRUE(routes().SetLearned(Net("10.9.0.0/16"), path));
  routes().RemovePath(path);
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kTunnel);
  ASSERT_TRUE(routes().Remove(Net("10.9.0.0/16"), RouteSource::kBgp));
  EXPECT_EQ(tables_.next_hops.indices().size(), hops);
  EXPECT_EQ(KindOf("10.9.1.1"), NextHopKind::kNoRoute);
}

TEST_F(LearnedRoutesTest, TheSweepRemovesWhatWasNotHeardAgainAndNothingElse) {
  std::mt19937 random(1);
  const RouteTable::PathId paths[] = {Path({Tunnel("red")}), Path({Tunnel("blue")})};
  const auto net = [](uint32_t i) {
    return Prefix(IpAddress::V4(0x0b000000u + (i << 8)), static_cast<uint8_t>(24 + i % 3));
  };
  ASSERT_TRUE(Route("11.0.1.0/25", RouteSource::kStatic, "red"));  // net(1) has two sources
  for (uint32_t i = 0; i < 20'000; ++i) {
    ASSERT_TRUE(routes().SetLearned(net(i), paths[i % 2]));
  }
  for (unsigned round = 0; round < 3; ++round) {
    routes().MarkLearned();
    std::set<uint32_t> heard;
    for (unsigned i = 0; i < 10'000; ++i) {
      const uint32_t number = Draw(random, 20'000);
      heard.insert(number);
      ASSERT_TRUE(routes().SetLearned(net(number), paths[Draw(random, 2)]));
    }
    EXPECT_EQ(routes().stale(), routes().learned() - heard.size());
    EXPECT_EQ(routes().SweepLearned(100), 100u);
    while (routes().SweepLearned(1000) > 0) {
    }
    ASSERT_EQ(routes().stale(), 0u);
    ASSERT_EQ(routes().learned(), heard.size());
    for (uint32_t i = 0; i < 20'000; ++i) {
      ASSERT_EQ(routes().Find(net(i), RouteSource::kBgp) != nullptr, heard.contains(i)) << i;
    }
  }
  EXPECT_EQ(KindOf("11.0.1.1"), NextHopKind::kTunnel);
  size_t visited = 0;
  for (const RouteTable::PathId path : paths) {
    routes().VisitLearned(path, [&](const Prefix&) { ++visited; });
  }
  EXPECT_EQ(visited, routes().learned());
}

TEST_F(LearnedRoutesTest, PagesHaveEveryRouteOnceInOrder) {
  const RouteTable::PathId path = Path({Tunnel("red")});
  std::mt19937 random(2);
  for (unsigned i = 0; i < 3000; ++i) {
    ASSERT_TRUE(routes().SetLearned(
        Prefix(IpAddress::V4(Draw(random, UINT32_MAX)), static_cast<uint8_t>(8 + Draw(random, 25))),
        path));
    uint8_t bytes[16] = {0x20, 0x01, static_cast<uint8_t>(Draw(random, 256)),
                         static_cast<uint8_t>(Draw(random, 256))};
    ASSERT_TRUE(routes().SetLearned(
        Prefix(IpAddress::V6(bytes), static_cast<uint8_t>(16 + Draw(random, 40))), path));
  }
  std::vector<Prefix> seen;
  std::optional<Prefix> from;
  for (bool more = true; more;) {
    size_t page = 0;
    more = false;
    routes().Visit(from, [&](const std::vector<RouteTable::View>& views) {
      if (page++ == 100) {
        more = true;
        return false;
      }
      from = views.front().prefix;
      if (views.front().source == RouteSource::kBgp) {
        seen.push_back(*from);
      }
      return true;
    });
  }
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(std::set<Prefix>(seen.begin(), seen.end()).size(), seen.size());
  EXPECT_EQ(seen.size(), routes().learned());
}

// Against the obvious container, through growth, erasure and prefixes that hash alike.
TEST(WantedRoutesTest, HoldsWhatAMapHolds) {
  std::mt19937 random(3);
  WantedRoutes table;
  std::map<Prefix, uint32_t> expected;
  const auto pick = [&random] {
    const uint32_t number = Draw(random, 30'000);
    if (number % 2 == 0) {
      return Prefix(IpAddress::V4(number << 12), static_cast<uint8_t>(20 + number % 13));
    }
    uint8_t bytes[16] = {0xfd, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
    return Prefix(IpAddress::V6(bytes), static_cast<uint8_t>(24 + number % 100));
  };
  for (unsigned step = 0; step < 200'000; ++step) {
    const Prefix prefix = pick();
    if (Draw(random, 5) < 2) {
      table.Erase(prefix);
      expected.erase(prefix);
    } else {
      table.FindOrInsert(prefix)->path = step;
      expected[prefix] = step;
    }
    const Prefix asked = pick();
    const RouteEntry* found = table.Find(asked);
    const auto known = expected.find(asked);
    ASSERT_EQ(found != nullptr, known != expected.end()) << asked.ToString();
    if (found != nullptr) {
      ASSERT_EQ(found->path, known->second);
    }
  }
  ASSERT_EQ(table.size(), expected.size());
  size_t met = 0;
  table.ForEach([&](const Prefix& prefix, const RouteEntry& entry) {
    ASSERT_EQ(expected.at(prefix), entry.path);
    ++met;
  });
  EXPECT_EQ(met, expected.size());
}

}  // namespace
}  // namespace penstock
