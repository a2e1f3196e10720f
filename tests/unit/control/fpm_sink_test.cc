#include "dataplane/control/fpm_sink.h"

#include <gmock/gmock.h>

#include <set>

#include "tests/unit/control/model_fixture.h"

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

// Interfaces as Linux numbers them: 10 and 11 the ports' mirrors, 20 and 21 the tunnels' devices.
class FpmSinkTest : public ModelTest {
 protected:
  FpmSinkTest() : third_(AddTunnel("third", 3)) {
    model_->addresses.Bind(10, {0, kNoTunnel});
    model_->addresses.Bind(11, {1, kNoTunnel});
    model_->addresses.Bind(20, {kNoPort, red_});
    model_->addresses.Bind(21, {kNoPort, blue_});
    model_->addresses.Bind(22, {kNoPort, third_});
    sink_ = std::make_unique<FpmSink>(*model_);
  }
  ~FpmSinkTest() override { sink_.reset(); }

  static fpm::Hop Hop(uint32_t interface, const std::string& gateway = "", uint32_t weight = 1) {
    fpm::Hop hop;
    hop.interface = interface;
    hop.weight = weight;
    if (!gateway.empty()) {
      hop.gateway = Address(gateway);
    }
    return hop;
  }
  void Announce(const std::string& prefix, fpm::PathId path) {
    const fpm::RouteUpdate update{Net(prefix), path, false};
    sink_->Apply({&update, 1});
  }
  void Withdraw(const std::string& prefix) {
    const fpm::RouteUpdate update{Net(prefix), 0, true};
    sink_->Apply({&update, 1});
  }
  void Bring(uint32_t if_id, bool up) {
    if (up) {
      ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1000 + if_id, if_id)));
    } else {
      ASSERT_TRUE(model_->ike.DeleteSa(Id(false, 0x1000 + if_id)));
    }
  }
  // The tunnel of each of many flows to an address.
  std::vector<uint32_t> Flows(const std::string& address) {
    std::vector<uint32_t> tunnels;
    const uint32_t index = tables_.fib.Lookup(Address(address));
    for (uint32_t flow = 0; flow < 10'000; ++flow) {
      const uint32_t member = tables_.next_hops.Resolve(index, flow * 0x9e3779b1u >> 7);
      tunnels.push_back(tables_.next_hops[member].tunnel);
    }
    return tunnels;
  }
  // How many flows moved though the tunnel that had them carries still.
  static size_t MovedFromLiving(const std::vector<uint32_t>& before,
                                const std::vector<uint32_t>& after,
                                const std::set<uint32_t>& living) {
    size_t moved = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      moved += living.contains(before[i]) && before[i] != after[i] ? 1 : 0;
    }
    return moved;
  }

  uint32_t third_;
  std::unique_ptr<FpmSink> sink_;
};

TEST_F(FpmSinkTest, AnInterfaceIsATunnelOrAPort) {
  ASSERT_TRUE(sink_->SetPath(0, {fpm::PathAction::kForward, {Hop(20, "169.254.21.1")}}));
  ASSERT_TRUE(sink_->SetPath(1, {fpm::PathAction::kForward, {Hop(10, "192.0.2.9")}}));
  ASSERT_TRUE(sink_->SetPath(2, {fpm::PathAction::kForward, {Hop(11)}}));
  ASSERT_TRUE(sink_->SetPath(3, {fpm::PathAction::kForward, {Hop(0, "10.1.0.9")}}));
  ASSERT_TRUE(sink_->SetPath(4, {fpm::PathAction::kBlackhole, {}}));
  for (fpm::PathId id = 0; id < 5; ++id) {
    Announce("10." + std::to_string(10 + id) + ".0.0/16", id);
  }
  EXPECT_EQ(KindOf("10.10.0.1"), NextHopKind::kTunnel);
  EXPECT_EQ(KindOf("10.11.0.1"), NextHopKind::kForward);
  EXPECT_EQ(KindOf("10.12.0.1"), NextHopKind::kGlean);
  EXPECT_EQ(KindOf("10.13.0.1"), NextHopKind::kForward);
  EXPECT_EQ(KindOf("10.14.0.1"), NextHopKind::kBlackhole);
  EXPECT_EQ(sink_->size(), 5u);
  Withdraw("10.10.0.0/16");
  Withdraw("10.99.0.0/16");  // never came
  EXPECT_EQ(KindOf("10.10.0.1"), NextHopKind::kNoRoute);
  EXPECT_EQ(sink_->size(), 4u);
}

TEST_F(FpmSinkTest, AnIpv6GatewayCarriesIpv4) {
  ASSERT_TRUE(sink_->SetPath(0, {fpm::PathAction::kForward, {Hop(10, "fe80::1")}}));
  Announce("10.9.0.0/16", 0);
  const uint32_t index = tables_.fib.Lookup(Address("10.9.0.1"));
  EXPECT_EQ(tables_.next_hops[tables_.next_hops.Resolve(index, 1)].gateway_version, 6);
}

TEST_F(FpmSinkTest, AnUnknownInterfaceIsUnreachableUntilItsDeviceComes) {
  const Status set = sink_->SetPath(0, {fpm::PathAction::kForward, {Hop(99, "192.0.2.9")}});
  ASSERT_FALSE(set);
  EXPECT_THAT(set.error().message, HasSubstr("interface 99"));
  Announce("10.9.0.0/16", 0);
  EXPECT_EQ(KindOf("10.9.0.1"), NextHopKind::kUnreachable);
  EXPECT_FALSE(sink_->Alive(0));
  EXPECT_THAT(sink_->Problems(), ElementsAre(HasSubstr("interface 99")));
  model_->addresses.Bind(99, {0, kNoTunnel});
  sink_->Refresh();
  EXPECT_EQ(KindOf("10.9.0.1"), NextHopKind::kForward);
  EXPECT_TRUE(sink_->Problems().empty());
}

TEST_F(FpmSinkTest, ANextHopThatCannotBeTakenLeavesTheOthers) {
  EXPECT_TRUE(sink_->SetPath(0, {fpm::PathAction::kForward, {Hop(20), Hop(99)}}));
  Announce("10.9.0.0/16", 0);
  EXPECT_EQ(KindOf("10.9.0.1"), NextHopKind::kTunnel);
  EXPECT_THAT(sink_->Problems(), ElementsAre(HasSubstr("interface 99")));
}

TEST_F(FpmSinkTest, AliveFollowsTheSasAndIsTold) {
  std::vector<std::pair<fpm::PathId, bool>> told;
  sink_->OnAlive([&](fpm::PathId id, bool alive) { told.emplace_back(id, alive); });
  ASSERT_TRUE(sink_->SetPath(0, {fpm::PathAction::kForward, {Hop(20), Hop(21)}}));
  ASSERT_TRUE(sink_->SetPath(1, {fpm::PathAction::kForward, {Hop(20)}}));
  ASSERT_TRUE(sink_->SetPath(2, {fpm::PathAction::kForward, {Hop(10, "192.0.2.9")}}));
  EXPECT_FALSE(sink_->Alive(0));
  EXPECT_TRUE(sink_->Alive(2));
  Bring(1, true);
  EXPECT_THAT(told, ElementsAre(Pair(0u, true), Pair(1u, true)));
  Bring(2, true);
  Bring(1, false);
  EXPECT_THAT(told, ElementsAre(Pair(0u, true), Pair(1u, true), Pair(1u, false)));
  ASSERT_TRUE(sink_->SetPath(1, {fpm::PathAction::kForward, {Hop(21)}}));
  EXPECT_THAT(told.back(), Pair(1u, true));
}

TEST_F(FpmSinkTest, FlowsOfLivingTunnelsStayThroughADeathAndTheRoutingProtocolsAnswerToIt) {
  for (const uint32_t if_id : {1u, 2u, 3u}) {
    Bring(if_id, true);
  }
  ASSERT_TRUE(sink_->SetPath(0, {fpm::PathAction::kForward, {Hop(20), Hop(21), Hop(22)}}));
  Announce("10.9.0.0/16", 0);
  const std::vector<uint32_t> before = Flows("10.9.0.1");
  EXPECT_EQ(std::set<uint32_t>(before.begin(), before.end()),
            (std::set<uint32_t>{red_, blue_, third_}));
  Bring(3, false);  // the data plane first
  const std::vector<uint32_t> dead = Flows("10.9.0.1");
  EXPECT_EQ(MovedFromLiving(before, dead, {red_, blue_}), 0u);
  EXPECT_EQ(std::set<uint32_t>(dead.begin(), dead.end()), (std::set<uint32_t>{red_, blue_}));
  // Then zebra makes a group of two and moves the route to it.
  ASSERT_TRUE(sink_->SetPath(1, {fpm::PathAction::kForward, {Hop(20), Hop(21)}}));
  Announce("10.9.0.0/16", 1);
  sink_->RemovePath(0);
  EXPECT_EQ(Flows("10.9.0.1"), dead);
  // The third returns with yet another group: it takes its share, nothing else moves.
  Bring(3, true);
  ASSERT_TRUE(sink_->SetPath(2, {fpm::PathAction::kForward, {Hop(20), Hop(21), Hop(22)}}));
  Announce("10.9.0.0/16", 2);
  sink_->RemovePath(1);
  const std::vector<uint32_t> back = Flows("10.9.0.1");
  size_t moved = 0;
  for (size_t i = 0; i < dead.size(); ++i) {
    EXPECT_TRUE(back[i] == dead[i] || back[i] == third_) << i;
    moved += back[i] != dead[i] ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(moved), 10'000.0 / 3, 400.0);
}

TEST_F(FpmSinkTest, APathReplacedInPlaceKeepsTheFlowsOfWhoStays) {
  for (const uint32_t if_id : {1u, 2u, 3u}) {
    Bring(if_id, true);
  }
  ASSERT_TRUE(sink_->SetPath(0, {fpm::PathAction::kForward, {Hop(20), Hop(21), Hop(22)}}));
  Announce("10.9.0.0/16", 0);
  const std::vector<uint32_t> before = Flows("10.9.0.1");
  ASSERT_TRUE(sink_->SetPath(0, {fpm::PathAction::kForward, {Hop(20), Hop(22)}}));
  EXPECT_EQ(MovedFromLiving(before, Flows("10.9.0.1"), {red_, third_}), 0u);
}

TEST_F(FpmSinkTest, NothingIsLeftWhenTheClientGoes) {
  sink_.reset();
  const size_t hops = tables_.next_hops.indices().size();
  const size_t routes = tables_.fib.size(Family::kIpv4);
  sink_ = std::make_unique<FpmSink>(*model_);
  ASSERT_TRUE(sink_->SetPath(5, {fpm::PathAction::kForward, {Hop(20), Hop(10, "192.0.2.9")}}));
  Announce("10.9.0.0/16", 5);
  sink_.reset();
  EXPECT_EQ(tables_.next_hops.indices().size(), hops);
  EXPECT_EQ(tables_.fib.size(Family::kIpv4), routes);
}

}  // namespace
}  // namespace penstock
