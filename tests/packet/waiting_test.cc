// Packets that wait for an SA: one that was asked for, or one that is being negotiated.
#include "tests/packet/sites.h"

namespace penstock {
namespace {

using Drops = std::map<std::string, uint64_t>;

std::vector<Bytes> Flows(unsigned count, unsigned of_each = 1) {
  std::vector<Bytes> packets;
  for (unsigned i = 0; i < count; ++i) {
    Ip ip = ToRight();
    ip.source_port = static_cast<uint16_t>(1000 + i / of_each);
    ip.identification = static_cast<uint16_t>(i);
    packets.push_back(MakeIp(ip));
  }
  return packets;
}

class WaitingTest : public ::testing::Test {
 protected:
  WaitingTest() : tunnel_(sites_.left.tables().tunnels[sites_.left_tunnel]) {
    tunnel_.outbound = nullptr;
    tunnel_.hold = 1;
  }
  ~WaitingTest() override {  // nobody keeps buffers when the pools are looked at
    Pass(11'000);
    sites_.left.TakeSent();
  }
  std::vector<Bytes> Pass(uint64_t milliseconds) {
    sites_.left.AdvanceMilliseconds(milliseconds);
    sites_.left.Poll();
    return sites_.left.TakeSentIp(Gateway::kWan);
  }
  uint64_t held() { return sites_.left.worker().counters.held.Read(); }

  Sites sites_;
  Tunnel& tunnel_;
};

TEST_F(WaitingTest, FirstPacketsLeaveInOrderWhenTheSaComes) {
  const std::vector<Bytes> packets = Flows(5);
  EXPECT_TRUE(sites_.Encrypt(packets).empty());
  EXPECT_EQ(held(), 5u);
  EXPECT_TRUE(Pass(100).empty());
  sites_.Install(0x1002);
  const std::vector<Bytes> outer = Pass(1);
  ASSERT_EQ(outer.size(), 5u);
  EXPECT_EQ(held(), 0u);
  const std::vector<Bytes> inner = sites_.Decrypt(outer);
  ASSERT_EQ(inner.size(), 5u);
  EXPECT_EQ(inner[4], WithTtl(packets[4], 62));
  EXPECT_EQ(sites_.left.Drops(), Drops{});
}

TEST_F(WaitingTest, AnExpiredSaIsNotWaitedFor) {
  sites_.Encrypt(Flows(1));
  sites_.Install(0x1002);
  sites_.outbound->dead = 1;
  EXPECT_TRUE(Pass(100).empty());
  EXPECT_EQ(held(), 1u);
}

TEST_F(WaitingTest, WhatWaitsInVainIsDroppedUnderAReasonOfItsOwn) {
  sites_.Encrypt(Flows(3));
  EXPECT_TRUE(Pass(9'999).empty());
  EXPECT_EQ(held(), 3u);
  EXPECT_TRUE(Pass(1).empty());
  EXPECT_EQ(sites_.left.Drops(), (Drops{{"acquire_timeout", 3}}));
  EXPECT_EQ(sites_.left.worker().counters.tunnels[sites_.left_tunnel].out_dropped.Read(), 3u);
}

TEST_F(WaitingTest, ATunnelHasItsShareOfTheRoomAndNoMore) {
  sites_.Encrypt(Flows(100));
  EXPECT_EQ(held(), 64u);
  EXPECT_EQ(sites_.left.Drops(), (Drops{{"hold_queue_full", 36}}));
}

TEST_F(WaitingTest, WhatWaitedForATunnelGoesByNoOtherOfTheSameId) {
  sites_.Encrypt(Flows(2));
  tunnel_.generation.fetch_add(1);  // removed, and the id given to another
  sites_.Install(0x1002);
  EXPECT_TRUE(Pass(1).empty());
  EXPECT_EQ(sites_.left.Drops(), (Drops{{"acquire_timeout", 2}}));
}

TEST_F(WaitingTest, EachFlowAsksOnceInAWhileAndAllOfThemABoundedNumberOfTimes) {
  sites_.Encrypt(Flows(60, 60));
  const auto events = sites_.left.TakeEvents();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, WorkerEvent::Kind::kAcquire);
  EXPECT_EQ(events[0].tunnel, sites_.left_tunnel);
  EXPECT_EQ(events[0].address.ToString(), "10.1.0.10");
  EXPECT_EQ(events[0].destination.ToString(), "10.2.0.20");
  EXPECT_EQ(events[0].source_port, 1000);
  EXPECT_EQ(events[0].has_ports, 1);
  Ip other = ToRight();
  other.source_port = 2;
  sites_.Encrypt({MakeIp(other)});
  EXPECT_EQ(sites_.left.TakeEvents().size(), 1u);
  sites_.Encrypt(Flows(1000));
  EXPECT_LE(sites_.left.TakeEvents().size(), 64u);
  sites_.left.AdvanceMilliseconds(3001);
  sites_.Encrypt(Flows(1));
  EXPECT_EQ(sites_.left.TakeEvents().size(), 1u);
}

TEST_F(WaitingTest, EachChildSaTakesWhatItsSelectorsSay) {
  OutboundSa* web =
      sites_.left.InstallOutbound(sites_.left_tunnel, sites_.LeftToRight(0x1002), sites_.left_wan);
  sites_.right.InstallInbound(sites_.right_tunnel, sites_.LeftToRight(0x1002));
  OutboundSa* rest = sites_.outbound;
  Selector everything{*Prefix::Parse("10.1.0.0/16"), *Prefix::Parse("10.2.0.0/16")};
  Selector port = everything, secret = everything;
  port.protocol = 17;
  port.destination_port_first = port.destination_port_last = 80;
  secret.source = *Prefix::Parse("10.1.9.0/24");
  TunnelPolicies policies;
  policies.entries = {{port, PolicyAction::kProtect, web},
                      {secret, PolicyAction::kDiscard, nullptr},
                      {everything, PolicyAction::kProtect, rest}};
  tunnel_.policies = &policies;
  Ip ip = ToRight(), discarded = ToRight(), foreign = ToRight();
  ip.destination_port = 80;
  discarded.source = "10.1.9.1";
  foreign.source = "10.3.0.1";
  const std::vector<Bytes> outer = sites_.Encrypt(
      {MakeIp(ip), MakeIp(ToRight()), MakeIp(discarded), MakeIp(foreign), MakeIp(ip)});
  ASSERT_EQ(outer.size(), 3u);
  EXPECT_EQ(Word(outer[0], 22), 0x1002);
  EXPECT_EQ(Word(outer[1], 22), 0x1001);
  EXPECT_EQ(Word(outer[2], 22), 0x1002);
  EXPECT_EQ(sites_.left.Drops(), (Drops{{"no_policy", 1}, {"policy_discard", 1}}));
  policies.entries[0].outbound = nullptr;  // of two child SAs one is missing
  EXPECT_EQ(sites_.Encrypt({MakeIp(ip), MakeIp(ToRight())}).size(), 1u);
  EXPECT_EQ(held(), 1u);
  policies.entries[0].outbound = web;
  EXPECT_EQ(Pass(1).size(), 1u);
  tunnel_.policies = nullptr;
}

// ESP may come before our own IKE daemon has told of its SA.
class AwaitedTest : public ::testing::Test {
 protected:
  AwaitedTest() : spi_(sites_.right.tables().sad.ReserveSpi().value()) {
    outbound_ =
        sites_.left.InstallOutbound(sites_.left_tunnel, sites_.LeftToRight(spi_), sites_.left_wan);
  }
  ~AwaitedTest() override {
    Pass(6000);
    sites_.right.TakeSent();
  }
  std::vector<Bytes> Pass(uint64_t milliseconds) {
    sites_.right.AdvanceMilliseconds(milliseconds);
    sites_.right.Poll();
    return sites_.right.TakeSentIp(Gateway::kLan);
  }
  void Complete() {
    SaConfig config = sites_.LeftToRight(spi_);
    config.replay_window = 64;
    inbound_ = sites_.right.InstallInbound(sites_.right_tunnel, std::move(config));
  }
  uint64_t held() { return sites_.right.worker().counters.held.Read(); }

  Sites sites_;
  uint32_t spi_;
  OutboundSa* outbound_ = nullptr;
  InboundSa* inbound_ = nullptr;
};

TEST_F(AwaitedTest, EspForANegotiatedSpiIsDeliveredWhenItsSaComes) {
  EXPECT_TRUE(sites_.Decrypt(sites_.Encrypt(Flows(10))).empty());
  EXPECT_EQ(held(), 10u);
  EXPECT_TRUE(Pass(50).empty());
  Complete();
  EXPECT_EQ(Pass(1).size(), 10u);
  EXPECT_EQ(held(), 0u);
  EXPECT_EQ(sites_.right.counters(*inbound_).packets.Read(), 10u);
  EXPECT_EQ(sites_.Decrypt(sites_.Encrypt(Flows(1))).size(), 1u);
  EXPECT_EQ(sites_.right.Drops(), Drops{});
}

TEST_F(AwaitedTest, WhatIsForgedMeanwhileIsCountedAsSuch) {
  std::vector<Bytes> outer = sites_.Encrypt(Flows(2));
  outer[1].back() ^= 1;
  outer.push_back(outer[0]);
  sites_.Decrypt(outer);
  Complete();
  EXPECT_EQ(Pass(1).size(), 1u);
  EXPECT_EQ(sites_.right.Drops(), (Drops{{"integrity_failed", 1}, {"replay_duplicate", 1}}));
}

TEST_F(AwaitedTest, WhatWaitsInVainHasAReasonOfItsOwn) {
  sites_.Decrypt(sites_.Encrypt(Flows(3)));
  EXPECT_TRUE(Pass(4999).empty());
  EXPECT_EQ(held(), 3u);
  EXPECT_TRUE(Pass(1).empty());
  EXPECT_EQ(sites_.right.Drops(), (Drops{{"sa_never_came", 3}}));
}

TEST_F(AwaitedTest, AnSpiThatIsGivenBackIsWaitedForNoLonger) {
  sites_.Decrypt(sites_.Encrypt(Flows(3)));
  sites_.right.tables().sad.ReleaseSpi(spi_);
  EXPECT_TRUE(Pass(1).empty());
  sites_.Decrypt(sites_.Encrypt(Flows(1)));
  EXPECT_EQ(sites_.right.Drops(), (Drops{{"no_sa", 1}, {"sa_never_came", 3}}));
}

TEST_F(AwaitedTest, TheRoomIsBounded) {
  std::vector<Bytes> outer = sites_.Encrypt(Flows(300));
  sites_.Decrypt(outer);
  EXPECT_EQ(held(), 256u);
  EXPECT_EQ(sites_.right.Drops(), (Drops{{"hold_queue_full", 44}}));
  Complete();
  size_t delivered = 0;
  for (int poll = 0; poll < 5; ++poll) {
    delivered += Pass(1).size();
  }
  EXPECT_EQ(delivered, 256u);
}

}  // namespace
}  // namespace penstock
