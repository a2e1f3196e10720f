// What becomes of packets on their way into a tunnel.
#include <gmock/gmock.h>

#include <set>

#include "dataplane/ipsec/esp_frame.h"
#include "tests/packet/sites.h"

namespace penstock {
namespace {

using Drops = std::map<std::string, uint64_t>;

Bytes Inner(bool v6 = false, size_t length = 100, uint16_t source_port = 1234) {
  Ip ip = ToRight(v6);
  ip.length = length;
  ip.source_port = source_port;
  return MakeIp(ip);
}

std::vector<Bytes> Flows(unsigned count) {
  std::vector<Bytes> packets;
  for (unsigned i = 0; i < count; ++i) {
    packets.push_back(Inner(false, 80, static_cast<uint16_t>(1000 + i)));
  }
  return packets;
}

uint32_t SequenceOf(const Bytes& outer) {
  return static_cast<uint32_t>(Word(outer, 24)) << 16 | Word(outer, 26);
}

TEST(Encapsulation, NumbersPacketsFromOneWithoutGaps) {
  Sites sites;
  const auto outer = sites.Encrypt(Flows(150));
  for (uint32_t i = 0; i < outer.size(); ++i) {
    EXPECT_EQ(SequenceOf(outer[i]), i + 1);
  }
}

TEST(Encapsulation, NeverRepeatsAnIv) {
  Sites sites;
  std::set<std::string> seen;
  for (const Bytes& outer : sites.Encrypt(Flows(300))) {
    seen.insert(std::string(outer.begin() + 28, outer.begin() + 36));
  }
  EXPECT_EQ(seen.size(), 300u);
}

TEST(Encapsulation, DropsWithoutAnSa) {
  Sites sites;
  sites.left.tables().tunnels[sites.left_tunnel].outbound = nullptr;
  EXPECT_TRUE(sites.Encrypt(Flows(100)).empty());
  EXPECT_EQ(sites.left.Drops(), (Drops{{"no_outbound_sa", 100}}));
  EXPECT_TRUE(sites.left.TakeEvents().empty());
}

TEST(Encapsulation, LosesNothingWhenTheSaIsSwapped) {
  Sites sites;
  std::vector<Bytes> outer = sites.Encrypt(Flows(64));
  sites.Install(0x1002);
  const auto more = sites.Encrypt(Flows(64));
  outer.insert(outer.end(), more.begin(), more.end());
  EXPECT_EQ(sites.Decrypt(outer).size(), 128u);
  EXPECT_EQ(Word(more[0], 22), 0x1002);
  EXPECT_EQ(SequenceOf(more[0]), 1u);
}

TEST(Encapsulation, StopsAtTheEndOfTheNumberSpace) {
  Sites sites;
  SaConfig config = sites.LeftToRight(0x1003);
  config.initial_sequence = 0xffffffffu - 10;
  sites.Install(std::move(config), sites.LeftToRight(0x1003));
  EXPECT_EQ(sites.Encrypt(Flows(64)).size(), 10u);
  EXPECT_TRUE(sites.Encrypt(Flows(64)).empty());
  EXPECT_EQ(sites.left.Drops(), (Drops{{"sequence_exhausted", 118}}));
  const auto events = sites.left.TakeEvents();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, WorkerEvent::Kind::kSequenceExhausted);
}

TEST(Encapsulation, GoesOverTheWrapWithEsn) {
  Sites sites({.esn = true});
  SaConfig config = sites.LeftToRight(0x1003);
  config.initial_sequence = 0xffffffffu - 10;
  SaConfig inbound = sites.LeftToRight(0x1003);
  inbound.initial_sequence = config.initial_sequence;
  sites.Install(std::move(config), std::move(inbound));
  EXPECT_EQ(sites.Decrypt(sites.Encrypt(Flows(64))).size(), 64u);
}

TEST(Encapsulation, EndsAtTheHardByteLimitExactly) {
  Sites sites;
  SaConfig config = sites.LeftToRight(0x1004);
  config.limits.soft_bytes = 4000;
  config.limits.hard_bytes = 8000;
  sites.Install(std::move(config), sites.LeftToRight(0x1004));
  EXPECT_EQ(sites.Encrypt(Flows(60)).size(), 60u);  // 4,800 bytes
  auto events = sites.left.TakeEvents();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, WorkerEvent::Kind::kSoftLifetime);
  EXPECT_EQ(sites.Encrypt(Flows(60)).size(), 40u);
  events = sites.left.TakeEvents();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, WorkerEvent::Kind::kHardLifetime);
  EXPECT_TRUE(sites.Encrypt(Flows(1)).empty());
  EXPECT_EQ(sites.left.Drops(), (Drops{{"lifetime_expired", 21}}));
}

TEST(Encapsulation, CopiesDscpAndEcn) {
  Sites sites;
  for (const bool v6 : {false, true}) {
    const Bytes outer = sites.Encrypt({WithTos(Inner(v6), 0xb9)}).at(0);
    EXPECT_EQ(TosOf(outer), 0xb9);
    EXPECT_TRUE(Ipv4ChecksumIsRight(outer));
  }
}

TEST(Encapsulation, FixesDscpAndHidesEcnWhereAsked) {
  Sites sites;
  SaConfig config = sites.LeftToRight(0x1005);
  config.headers.copy_dscp = false;
  config.headers.dscp = 10;
  config.headers.ecn = false;
  sites.Install(std::move(config), sites.LeftToRight(0x1005));
  EXPECT_EQ(TosOf(sites.Encrypt({WithTos(Inner(), 0xbb)}).at(0)), 10 << 2);
}

TEST(Encapsulation, TreatsDfAsTheSaSays) {
  struct Case {
    DfMode mode;
    bool inner_df;
    bool inner_v6;
    bool outer_df;
  };
  for (const Case& c : {Case{DfMode::kCopy, true, false, true},
                        {DfMode::kCopy, false, false, false},
                        {DfMode::kCopy, false, true, true},
                        {DfMode::kSet, false, false, true},
                        {DfMode::kClear, true, false, false},
                        {DfMode::kClear, false, true, false}}) {
    Sites sites;
    SaConfig config = sites.LeftToRight(0x1006);
    config.headers.df = c.mode;
    sites.Install(std::move(config), sites.LeftToRight(0x1006));
    Ip ip = ToRight(c.inner_v6);
    ip.fragment = c.inner_df ? kIpv4DontFragment : 0;
    const Bytes outer = sites.Encrypt({MakeIp(ip)}).at(0);
    EXPECT_EQ(Word(outer, 6) == kIpv4DontFragment, c.outer_df);
    EXPECT_TRUE(Ipv4ChecksumIsRight(outer));
  }
}

TEST(Encapsulation, EndsThePacketWhoseTtlIsUp) {
  Sites sites;
  sites.left.ReceiveIp(Gateway::kLan, {WithTtl(Inner(), 1)});
  const auto sent = sites.left.TakeSentIp(Gateway::kLan);  // the answer goes back
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0][9], kProtocolIcmp);
  EXPECT_EQ(sent[0][20], 11);
  EXPECT_EQ(sites.left.Drops(), (Drops{{"ttl_exceeded", 1}}));
}

TEST(Encapsulation, SaysHowLargeAPacketMayBe) {
  Sites sites;
  Ip ip = ToRight();
  ip.length = 1500;
  ip.fragment = kIpv4DontFragment;
  sites.left.ReceiveIp(Gateway::kLan, {MakeIp(ip), Inner(true, 1500)});
  const auto sent = sites.left.TakeSentIp(Gateway::kLan);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0][20], 3);  // unreachable
  EXPECT_EQ(sent[0][21], 4);  // fragmentation needed
  EXPECT_EQ(Word(sent[0], 26), 1446);
  EXPECT_EQ(sent[1][40], 2);  // packet too big
  EXPECT_EQ(Word(sent[1], 46), 1446);
  EXPECT_EQ(sites.left.Drops(), (Drops{{"too_big", 2}}));
}

TEST(Encapsulation, FillsThePathMtuExactly) {
  for (const Suite& suite : AllSuites()) {
    Sites sites({.suite = std::string(suite.name)});
    const uint16_t mtu = sites.outbound->inner_mtu;
    const auto outer = sites.Encrypt({Inner(true, mtu)});
    ASSERT_EQ(outer.size(), 1u) << suite.name;
    EXPECT_LE(outer[0].size(), 1500u) << suite.name;
    EXPECT_GT(outer[0].size() + suite.block, 1500u) << suite.name;
  }
}

TEST(Encapsulation, FragmentsBeforeEncryptionWhereDfAllows) {
  Sites sites;
  std::vector<Bytes> packets = Flows(10);
  for (unsigned i = 0; i < 50; ++i) {
    packets.push_back(Inner(false, 1500));
  }
  const auto outer = sites.Encrypt(packets);
  EXPECT_EQ(outer.size(), 110u);
  for (const Bytes& packet : outer) {
    EXPECT_LE(packet.size(), 1500u);
  }
  const auto inner = sites.Decrypt(outer);
  ASSERT_EQ(inner.size(), 110u);
  size_t first = 0;
  size_t second = 0;
  for (const Bytes& packet : inner) {
    EXPECT_TRUE(Ipv4ChecksumIsRight(packet));
    first += (Word(packet, 6) & 0x3fff) == 0x2000;
    second += (Word(packet, 6) & 0x1fff) != 0;
  }
  EXPECT_EQ(first, 50u);
  EXPECT_EQ(second, 50u);
}

TEST(Encapsulation, ClampsTheMssOfSyns) {
  Sites sites;
  sites.left.tables().tunnels[sites.left_tunnel].mss_v4 = 1350;
  sites.right.tables().tunnels[sites.right_tunnel].mss_v4 = 1300;
  const Bytes syn = MakeSyn(ToRight(), 1460);
  const Bytes small = MakeSyn(ToRight(), 900);
  const auto inner = sites.Decrypt(sites.Encrypt({syn, small}));
  ASSERT_EQ(inner.size(), 2u);
  EXPECT_EQ(MssOf(inner[0]), 1300);
  EXPECT_EQ(MssOf(inner[1]), 900);
  EXPECT_TRUE(TransportChecksumIsRight(inner[0]));
}

TEST(Encapsulation, HidesLengthsByTfcPadding) {
  Sites sites;
  SaConfig config = sites.LeftToRight(0x1007);
  config.tfc_length = 1000;
  sites.Install(std::move(config), sites.LeftToRight(0x1007));
  const std::vector<Bytes> packets = {Inner(false, 20), Inner(false, 777), Inner(true, 64),
                                      Inner(false, 1000), Inner(false, 1200)};
  const auto outer = sites.Encrypt(packets);
  ASSERT_EQ(outer.size(), packets.size());
  EXPECT_EQ(outer[1].size(), outer[0].size());
  EXPECT_EQ(outer[2].size(), outer[0].size());
  EXPECT_EQ(outer[3].size(), outer[0].size());
  EXPECT_GT(outer[4].size(), outer[0].size());
  const auto inner = sites.Decrypt(outer);
  ASSERT_EQ(inner.size(), packets.size());
  for (size_t i = 0; i < packets.size(); ++i) {
    EXPECT_EQ(inner[i], WithTtl(packets[i], 62));
  }
}

TEST(Encapsulation, NeedsAClearRouteForTheOuterPacket) {
  Sites sites;
  for (const uint32_t bad :
       {kNextHopNoRoute, kNextHopBlackhole, sites.left.TunnelNextHop(sites.left_tunnel)}) {
    sites.outbound->outer_next_hop = bad;
    EXPECT_TRUE(sites.Encrypt(Flows(5)).empty());
  }
  EXPECT_EQ(sites.left.Drops(), (Drops{{"outer_unroutable", 15}}));
  EXPECT_EQ(sites.outbound->sequence.last(), 0u);
}

TEST(Encapsulation, CountsPacketsAndInnerBytes) {
  Sites sites;
  sites.Decrypt(sites.Encrypt(Flows(100)));
  EXPECT_EQ(sites.left.counters(*sites.outbound).packets.Read(), 100u);
  EXPECT_EQ(sites.left.counters(*sites.outbound).bytes.Read(), 8000u);
  EXPECT_EQ(sites.right.counters(*sites.inbound).bytes.Read(), 8000u);
  EXPECT_EQ(sites.left.worker().counters.tunnels[sites.left_tunnel].out_packets.Read(), 100u);
  EXPECT_EQ(sites.right.worker().counters.tunnels[sites.right_tunnel].in_bytes.Read(), 8000u);
  EXPECT_EQ(sites.left.counters(*sites.outbound).last_used.Read(), sites.left.worker().now);
}

// Four tunnels under one route.
class EcmpTest : public testing::Test {
 protected:
  EcmpTest() {
    std::vector<GroupMember> members;
    for (uint32_t i = 0; i < 4; ++i) {
      TunnelConfig config;
      config.name = "ecmp" + std::to_string(i);
      config.if_id = 10 + i;
      const uint32_t tunnel = sites_.left.AddTunnel(config);
      sites_.left.InstallOutbound(tunnel, sites_.LeftToRight(0x3000 + i), sites_.left_wan);
      members_.push_back(sites_.left.TunnelNextHop(tunnel));
      members.push_back({members_.back(), 1});
    }
    const auto group = sites_.left.tables().next_hops.AddGroup(members);
    sites_.left.Route("10.2.0.0/16", *group);
  }

  // How many packets each SPI got.
  std::map<uint16_t, size_t> Spread(unsigned flows) {
    std::map<uint16_t, size_t> spread;
    for (const Bytes& outer : sites_.Encrypt(Flows(flows))) {
      ++spread[Word(outer, 22)];
    }
    return spread;
  }

  Sites sites_;
  std::vector<uint32_t> members_;
};

TEST_F(EcmpTest, SpreadsFlowsEvenly) {
  const auto spread = Spread(4000);
  ASSERT_EQ(spread.size(), 4u);
  for (const auto& [spi, count] : spread) {
    EXPECT_NEAR(static_cast<double>(count), 1000, 120) << spi;
  }
}

TEST_F(EcmpTest, KeepsAFlowOnOneTunnel) {
  std::set<uint16_t> spis;
  for (const Bytes& outer : sites_.Encrypt(std::vector<Bytes>(200, Inner()))) {
    spis.insert(Word(outer, 22));
  }
  EXPECT_EQ(spis.size(), 1u);
}

TEST_F(EcmpTest, MovesADeadMembersFlowsOnly) {
  const auto before = Spread(1000);
  sites_.left.tables().next_hops.SetAlive(members_[1], false);
  const auto after = Spread(1000);
  EXPECT_EQ(after.size(), 3u);
  EXPECT_FALSE(after.contains(0x3001));
  size_t total = 0;
  for (const auto& [spi, count] : after) {
    EXPECT_GE(count, before.at(spi));
    total += count;
  }
  EXPECT_EQ(total, 1000u);
}

}  // namespace
}  // namespace penstock
