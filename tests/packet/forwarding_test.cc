// Frames in clear: what is forwarded, what Linux gets, what is refused and why.
#include <gmock/gmock.h>

#include <random>

#include "tests/packet/sites.h"

namespace penstock {
namespace {

using Drops = std::map<std::string, uint64_t>;

class ForwardingTest : public testing::Test {
 protected:
  ForwardingTest() : gateway_(1) {
    lan_ = gateway_.AddNeighbor(Gateway::kLan, "10.1.0.10", {2, 1, 1, 1, 1, 1});
    wan_ = gateway_.AddNeighbor(Gateway::kWan, "203.0.113.9", {2, 9, 9, 9, 9, 9});
    gateway_.Route("10.1.0.0/16", lan_);
    gateway_.Route("10.2.0.0/16", wan_);
    gateway_.Route("2001:db8:2::/48", wan_);
    gateway_.Route("10.1.0.1/32", kNextHopLocal);
    gateway_.Route("2001:db8:1::1/128", kNextHopLocal);
  }

  std::vector<Bytes> Forward(const std::vector<Bytes>& packets) {
    gateway_.ReceiveIp(Gateway::kLan, packets);
    return gateway_.TakeSentIp(Gateway::kWan);
  }
  Bytes ToUs(Ip ip = {}) {
    ip.destination = ip.source.find(':') == std::string::npos ? "10.1.0.1" : "2001:db8:1::1";
    return MakeIp(ip);
  }

  Gateway gateway_;
  uint32_t lan_;
  uint32_t wan_;
};

TEST_F(ForwardingTest, ForwardsBothFamilies) {
  const Bytes v4 = MakeIp(ToRight());
  const Bytes v6 = MakeIp(ToRight(true));
  gateway_.ReceiveIp(Gateway::kLan, {v4, v6});
  const auto sent = gateway_.TakeSent();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(IpOf(sent[0].bytes), WithTtl(v4, 63));
  EXPECT_EQ(IpOf(sent[1].bytes), WithTtl(v6, 63));
  const Bytes header(sent[1].bytes.begin(), sent[1].bytes.begin() + 14);
  EXPECT_EQ(header, (Bytes{2, 9, 9, 9, 9, 9, 2, 0, 0, 0, 1, 1, 0x86, 0xdd}));
}

TEST_F(ForwardingTest, TurnsBackOutOfTheSamePort) {
  gateway_.Route("10.9.0.0/16", lan_);
  Ip ip;
  ip.destination = "10.9.0.1";
  gateway_.ReceiveIp(Gateway::kLan, {MakeIp(ip)});
  EXPECT_EQ(gateway_.TakeSentIp(Gateway::kLan).size(), 1u);
}

TEST_F(ForwardingTest, KeepsTheChecksumRightForEveryTtlAndSum) {
  for (unsigned identification = 0; identification < 65536; identification += 251) {
    for (const unsigned ttl : {2u, 3u, 64u, 255u}) {
      Ip ip = ToRight();
      ip.length = 28;
      ip.ttl = static_cast<uint8_t>(ttl);
      ip.identification = static_cast<uint16_t>(identification);
      const auto sent = Forward({MakeIp(ip)});
      ASSERT_EQ(sent.size(), 1u);
      ASSERT_TRUE(Ipv4ChecksumIsRight(sent[0]));
      ASSERT_EQ(sent[0][8], ttl - 1);
    }
  }
}

TEST_F(ForwardingTest, TrimsEthernetPadding) {
  Ip ip = ToRight();
  ip.length = 29;
  const Bytes packet = MakeIp(ip);
  Bytes frame = MakeFrame(gateway_.Mac(Gateway::kLan), packet);
  frame.resize(60, 0xee);
  gateway_.Receive(Gateway::kLan, {frame});
  EXPECT_EQ(gateway_.TakeSentIp(Gateway::kWan).at(0), WithTtl(packet, 63));
}

TEST_F(ForwardingTest, TakesFramesForItsOwnStationOnly) {
  gateway_.Receive(Gateway::kLan, {MakeFrame({2, 0, 0, 0, 1, 99}, MakeIp(ToRight()))});
  EXPECT_EQ(gateway_.Drops(), (Drops{{"not_for_us", 1}}));
  gateway_.tables().ports[Gateway::kLan].any_mac = 1;
  gateway_.Receive(Gateway::kLan, {MakeFrame({2, 0, 0, 0, 1, 99}, MakeIp(ToRight()))});
  EXPECT_EQ(gateway_.TakeSent().size(), 1u);
}

TEST_F(ForwardingTest, GivesLinuxWhatIsForTheHost) {
  Bytes arp = MakeFrame({0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, Bytes(46, 0));
  PutWord(arp, 12, 0x0806);
  const Bytes ping = MakeFrame(gateway_.Mac(Gateway::kLan), ToUs({.protocol = 1}));
  const Bytes ndp = MakeFrame({0x33, 0x33, 0, 0, 0, 1}, MakeIp(ToRight(true)));
  Ip link_local = ToRight(true);
  link_local.source = "fe80::1";
  link_local.destination = "fe80::2";
  const Bytes unicast_ndp = MakeFrame(gateway_.Mac(Gateway::kLan), MakeIp(link_local));
  gateway_.Receive(Gateway::kLan, {arp, ping, ndp, unicast_ndp});
  EXPECT_THAT(gateway_.TakePunted(), testing::UnorderedElementsAre(arp, ping, ndp, unicast_ndp));
  EXPECT_TRUE(gateway_.Drops().empty());
}

TEST_F(ForwardingTest, TakesPriorityTagsAndLeavesVlansToLinux) {
  const Bytes plain = MakeFrame(gateway_.Mac(Gateway::kLan), MakeIp(ToRight()));
  Bytes priority = plain;
  const Bytes tag = {0x81, 0x00, 0xa0, 0x00};
  priority.insert(priority.begin() + 12, tag.begin(), tag.end());
  Bytes vlan = priority;
  vlan[15] = 7;
  gateway_.Receive(Gateway::kLan, {priority, vlan});
  EXPECT_EQ(gateway_.TakeSentIp(Gateway::kWan).at(0), WithTtl(MakeIp(ToRight()), 63));
  EXPECT_EQ(gateway_.TakePunted(), std::vector<Bytes>{vlan});
}

TEST_F(ForwardingTest, RefusesMalformedHeaders) {
  const Bytes good = MakeIp(ToRight());
  Bytes checksum = good;
  checksum[11] ^= 1;
  Bytes short_header = good;
  short_header[0] = 0x44;
  Bytes too_long = good;
  PutWord(too_long, 2, 101);
  FixIpv4Checksum(too_long);
  Bytes version = good;
  version[0] = 0x65;
  Bytes v6_too_long = MakeIp(ToRight(true));
  PutWord(v6_too_long, 4, 1000);
  gateway_.ReceiveIp(Gateway::kLan, {checksum, short_header, too_long, v6_too_long});
  Bytes wrong_type = MakeFrame(gateway_.Mac(Gateway::kLan), good);
  PutWord(wrong_type, 12, 0x86dd);
  gateway_.Receive(Gateway::kLan, {wrong_type, {1, 2, 3}, {}});
  EXPECT_EQ(gateway_.Drops(),
            (Drops{{"bad_ip_checksum", 1}, {"malformed_ip", 4}, {"malformed_ethernet", 2}}));
  EXPECT_TRUE(gateway_.TakeSent().empty());
}

TEST_F(ForwardingTest, ToleratesIpv4Options) {
  Bytes packet = MakeIp(ToRight());
  packet.insert(packet.begin() + 20, {1, 1, 1, 0});
  packet[0] = 0x46;
  PutWord(packet, 2, static_cast<unsigned>(packet.size()));
  FixIpv4Checksum(packet);
  EXPECT_EQ(Forward({packet}).at(0), WithTtl(packet, 63));
}

TEST_F(ForwardingTest, WalksIpv6ExtensionHeaders) {
  const auto with_headers = [](uint8_t count, uint8_t length) {
    Ip ip = ToRight(true);
    ip.length = 200;
    Bytes packet = MakeIp(ip);
    packet[6] = 60;
    for (unsigned i = 0; i < count; ++i) {
      packet[40 + 8 * i] = i + 1 == count ? 17 : 60;
      packet[41 + 8 * i] = i + 1 == count ? length : 0;
    }
    return packet;
  };
  const auto sent = Forward({with_headers(1, 0), with_headers(7, 0), with_headers(1, 255)});
  EXPECT_EQ(sent.size(), 2u);
  EXPECT_EQ(gateway_.Drops(), (Drops{{"malformed_ip", 1}}));
}

TEST_F(ForwardingTest, DropsByTheKindOfRoute) {
  gateway_.Route("10.3.0.0/24", kNextHopBlackhole);
  gateway_.Route("10.3.1.0/24", kNextHopUnreachable);
  gateway_.Route("10.3.2.0/24", kNextHopProhibit);
  gateway_.Route("10.3.3.0/24", kNextHopProtected);
  std::vector<Bytes> packets;
  for (const char* destination : {"10.3.0.1", "10.3.1.1", "10.3.2.1", "10.3.3.1", "10.4.0.1"}) {
    Ip ip;
    ip.destination = destination;
    packets.push_back(MakeIp(ip));
  }
  gateway_.ReceiveIp(Gateway::kLan, packets);
  EXPECT_EQ(gateway_.Drops(), (Drops{{"blackhole_route", 1},
                                     {"unreachable_route", 1},
                                     {"prohibit_route", 1},
                                     {"protected_prefix", 1},
                                     {"no_route", 1}}));
  EXPECT_EQ(gateway_.TakeSentIp(Gateway::kLan).size(), 3u);  // ICMP errors back to the sender
}

TEST_F(ForwardingTest, ForwardsNoLinkLocalOrMulticastDestination) {
  gateway_.Route("0.0.0.0/0", wan_);
  std::vector<Bytes> packets;
  for (const char* destination :
       {"169.254.1.1", "127.0.0.1", "0.1.2.3", "255.255.255.255", "239.1.1.1"}) {
    Ip ip;
    ip.destination = destination;
    packets.push_back(MakeIp(ip));
  }
  EXPECT_TRUE(Forward(packets).empty());
  EXPECT_EQ(gateway_.Drops(), (Drops{{"multicast_not_forwarded", 1}, {"no_route", 4}}));
}

TEST_F(ForwardingTest, FragmentsInClearWhereItMay) {
  gateway_.worker().outputs[Gateway::kWan].mtu = 600;
  Ip ip = ToRight();
  ip.length = 1400;
  EXPECT_EQ(Forward(std::vector<Bytes>(64, MakeIp(ip))).size(), 192u);
  ip.fragment = kIpv4DontFragment;
  gateway_.ReceiveIp(Gateway::kLan, {MakeIp(ip)});
  const auto errors = gateway_.TakeSentIp(Gateway::kLan);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(Word(errors[0], 26), 600);
}

TEST_F(ForwardingTest, DropsKeepalivesAndEspWithoutSa) {
  Ip ip;
  ip.destination_port = 4500;
  ip.length = 29;
  Bytes keepalive = ToUs(ip);
  keepalive[28] = 0xff;
  ip.length = 60;
  Bytes ike = ToUs(ip);
  std::fill_n(ike.begin() + 28, 4, uint8_t{0});
  Bytes esp_in_udp = ToUs(ip);
  esp_in_udp[28] = 1;
  Bytes esp = ToUs({.protocol = 50});
  Bytes spi_zero = ToUs({.protocol = 50});
  std::fill_n(spi_zero.begin() + 20, 4, uint8_t{0});
  gateway_.ReceiveIp(Gateway::kLan, {keepalive, ike, esp_in_udp, esp, spi_zero});
  EXPECT_EQ(gateway_.Drops(), (Drops{{"nat_keepalive", 1}, {"no_sa", 3}}));
  EXPECT_EQ(gateway_.TakePunted().size(), 1u);
}

TEST_F(ForwardingTest, LeavesOtherFragmentsToLinux) {
  Ip ip{.protocol = 6, .fragment = 0x2000};
  gateway_.ReceiveIp(Gateway::kLan, {ToUs(ip)});
  EXPECT_EQ(gateway_.TakePunted().size(), 1u);
}

TEST_F(ForwardingTest, WaitsForANeighborAndThenSends) {
  gateway_.tables().next_hops.SetLink(wan_, std::nullopt);
  EXPECT_TRUE(Forward({MakeIp(ToRight())}).empty());
  EXPECT_EQ(gateway_.worker().counters.held.Read(), 1u);
  LinkHeader link{};
  link.resolved = 1;
  gateway_.tables().next_hops.SetLink(wan_, link);
  gateway_.AdvanceMilliseconds(10);
  gateway_.Poll();
  EXPECT_EQ(gateway_.TakeSent().size(), 1u);
}

TEST_F(ForwardingTest, CountsAPortThatIsDown) {
  gateway_.worker().outputs[Gateway::kWan].up = false;
  EXPECT_TRUE(Forward({MakeIp(ToRight())}).empty());
  EXPECT_EQ(gateway_.Drops(), (Drops{{"port_down", 1}}));
}

TEST(HostTest, SendsWhatLinuxPutsIntoATunnel) {
  Sites sites;
  const Bytes packet = MakeIp(ToRight());
  sites.left.SendFromTun(sites.left_tunnel, {packet, WithTtl(packet, 1)});
  const auto inner = sites.Decrypt(sites.left.TakeSentIp(Gateway::kWan));
  ASSERT_EQ(inner.size(), 1u);  // right ends the second one's way, left does not
  EXPECT_EQ(inner[0], WithTtl(packet, 63));
  EXPECT_EQ(sites.right.Drops().at("ttl_exceeded"), 1u);
}

TEST(HostTest, RefusesWhatIsNoPacket) {
  Sites sites;
  sites.left.SendFromTun(sites.left_tunnel, {Bytes(10, 0x45), Bytes(60, 0)});
  EXPECT_EQ(sites.left.Drops(), (Drops{{"host_malformed", 2}}));
}

TEST(HostTest, SendsFramesOfTheMirrorDeviceAsTheyAre) {
  Gateway gateway(1);
  const Bytes frame = MakeFrame({1, 2, 3, 4, 5, 6}, MakeIp({}));
  gateway.SendFromTap(Gateway::kWan, frame);
  const auto sent = gateway.TakeSent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].port, Gateway::kWan);
  EXPECT_EQ(sent[0].bytes, frame);
}

TEST(HostTest, EncryptsFramesOfTheMirrorDeviceWhoseRouteIsATunnel) {
  Sites sites;
  const Bytes packet = MakeIp(ToRight());
  sites.left.SendFromTap(Gateway::kWan, MakeFrame({2, 9, 9, 9, 9, 9}, packet));
  const auto inner = sites.Decrypt(sites.left.TakeSentIp(Gateway::kWan));
  ASSERT_EQ(inner.size(), 1u);
  EXPECT_EQ(inner[0], WithTtl(packet, 63));
}

TEST(HostTest, DropsFramesOfTheMirrorDeviceToAProtectedPrefix) {
  Gateway gateway(1);
  gateway.Route("10.2.0.0/16", kNextHopProtected);
  gateway.SendFromTap(Gateway::kWan, MakeFrame({2, 9, 9, 9, 9, 9}, MakeIp(ToRight())));
  EXPECT_TRUE(gateway.TakeSent().empty());
  EXPECT_EQ(gateway.Drops(), (Drops{{"protected_prefix", 1}}));
}

// Random bytes behind plausible beginnings, whole and in segments: nothing crashes, and every
// packet is accounted for.
TEST(GarbageTest, IsAccountedFor) {
  Sites sites({.udp = true});
  std::mt19937 generator(7);
  const auto random = [&generator] { return static_cast<unsigned>(generator()); };
  const std::vector<Bytes> seeds = {sites.Encrypt({MakeIp(ToRight())}).at(0), MakeIp(ToRight()),
                                    MakeIp(ToRight(true)), MakeSyn(ToRight(), 1400)};
  for (unsigned round = 0; round < 400; ++round) {
    std::vector<Bytes> frames;
    for (unsigned i = 0; i < 64; ++i) {
      Bytes frame = MakeFrame(sites.right.Mac(Gateway::kWan), seeds[random() % seeds.size()]);
      for (unsigned flips = random() % 6; flips > 0; --flips) {
        frame[random() % frame.size()] = static_cast<uint8_t>(random());
      }
      frame.resize(random() % 4 == 0 ? random() % (frame.size() + 40) : frame.size());
      if (frame.size() > 34 && random() % 2 == 0 && frame[14] >> 4 == 4 && (frame[14] & 15) == 5) {
        FixIpv4Checksum(frame, 14);
      }
      frames.push_back(frame);
    }
    sites.right.Receive(Gateway::kWan, frames, round % 3 == 0 ? 1 + random() % 80 : 0);
    sites.right.TakeSent();
    sites.right.TakePunted();
    sites.right.TakeEvents();
    sites.right.AdvanceMilliseconds(100);
    sites.right.Poll();
    sites.right.ExpectBalance();
  }
  sites.right.AdvanceMilliseconds(10000);
  sites.right.Poll();
}

}  // namespace
}  // namespace penstock
