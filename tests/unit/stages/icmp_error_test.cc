#include "tests/unit/stages/slow_path_fixture.h"

namespace penstock {
namespace {

const Ip kV6{"2001:db8::1", "2001:db8:1::7"};

class IcmpErrorTest : public SlowPathTest {
 protected:
  IcmpErrorTest() {
    Tunnel& tunnel = tables_.tunnels[5];
    memcpy(tunnel.icmp_source_v4, IpAddress::Parse("10.99.0.1")->data(), 4);
  }
  // Drops the packet and returns the one ICMP packet that came of it, empty if none did.
  Bytes Answer(Packet* packet, IcmpError error = IcmpError::kTtlExceeded, uint16_t mtu = 0,
               DropReason reason = DropReason::kTtlExceeded) {
    const uint64_t before = drops(reason);
    DropWithIcmp(*context_, packet, reason, error, mtu);
    EXPECT_EQ(drops(reason), before + 1);
    ExpectBalance(context_->generated.count);
    if (context_->generated.empty()) {
      return {};
    }
    Packet* message = context_->generated.packets[0];
    last_notes_ = NotesOf(message);
    EXPECT_EQ(last_notes_.l3_length, message->pkt_len);
    EXPECT_EQ(last_notes_.l3_offset, 0);
    EXPECT_NE(last_notes_.flow_hash, 0u);
    EXPECT_EQ(last_notes_.flags & kPacketFromHost, kPacketFromHost);
    const Bytes bytes = IpOf(message);
    context_->generated.Clear();
    Release(message);
    return bytes;
  }
  Bytes Answer(const Bytes& ip) { return Answer(Frame(ip)); }
  PacketNotes last_notes_ = {};
};

TEST_F(IcmpErrorTest, QuotesAsMuchOfAnIpv4PacketAsFitsIn576Bytes) {
  for (const unsigned payload : {8u, 300u, 527u, 528u, 529u, 1400u}) {
    const Bytes ip = MakeIp({}, Random(payload, payload));
    const Bytes answer = Answer(ip);
    ASSERT_EQ(answer.size(), std::min<size_t>(576, 28 + ip.size()));
    EXPECT_EQ(Slice(answer, 28, answer.size()), Slice(ip, 0, 548));
    EXPECT_EQ(Word(answer, 2), answer.size());
    EXPECT_EQ(answer[0], 0x45);
    EXPECT_EQ(answer[8], 64);
    EXPECT_EQ(answer[9], 1);
    EXPECT_EQ(PlainChecksum(Slice(answer, 0, 20)), 0);
    EXPECT_EQ(PlainChecksum(Slice(answer, 20, answer.size())), 0);
    EXPECT_EQ(Slice(answer, 12, 4), (Bytes{192, 0, 2, 254}));
    EXPECT_EQ(Slice(answer, 16, 4), (Bytes{192, 0, 2, 1}));
  }
}

TEST_F(IcmpErrorTest, QuotesAsMuchOfAnIpv6PacketAsFitsIn1280Bytes) {
  for (const unsigned payload : {8u, 1191u, 1192u, 1193u, 1400u}) {
    const Bytes ip = MakeIp(kV6, Random(payload, payload));
    const Bytes answer = Answer(ip);
    ASSERT_EQ(answer.size(), std::min<size_t>(1280, 48 + ip.size()));
    EXPECT_EQ(Slice(answer, 48, answer.size()), Slice(ip, 0, 1232));
    EXPECT_EQ(Word(answer, 4), answer.size() - 40);
    EXPECT_EQ(answer[6], 58);
    EXPECT_EQ(answer[7], 64);
    const Bytes icmp = Slice(answer, 40, answer.size());
    EXPECT_EQ(PlainChecksum(PseudoHeader(answer, 58, icmp.size()) + icmp), 0);
    EXPECT_EQ(Slice(answer, 8, 16), Slice(MakeIp({"2001:db8::fe", "::"}, {}), 8, 16));
    EXPECT_EQ(Slice(answer, 24, 16), Slice(ip, 8, 16));
  }
}

TEST_F(IcmpErrorTest, TypesAndCodesAreThoseOfTheStandards) {
  struct Case {
    IcmpError error;
    DropReason reason;
    uint8_t v4_type, v4_code, v6_type, v6_code;
  };
  for (const Case& c :
       {Case{IcmpError::kTtlExceeded, DropReason::kTtlExceeded, 11, 0, 3, 0},
        Case{IcmpError::kTooBig, DropReason::kTooBig, 3, 4, 2, 0},
        Case{IcmpError::kHostUnreachable, DropReason::kUnreachable, 3, 1, 1, 3},
        Case{IcmpError::kHostUnreachable, DropReason::kNoRoute, 3, 0, 1, 0},
        Case{IcmpError::kProhibited, DropReason::kProhibited, 3, 13, 1, 1},
        Case{IcmpError::kReassemblyTimeout, DropReason::kFragmentTimeout, 11, 1, 3, 1}}) {
    const Bytes v4 = Answer(Frame(MakeIp({}, Random(64, 1))), c.error, 1400, c.reason);
    ASSERT_FALSE(v4.empty());
    EXPECT_EQ(v4[20], c.v4_type);
    EXPECT_EQ(v4[21], c.v4_code);
    EXPECT_EQ(Word(v4, 24), 0);
    EXPECT_EQ(Word(v4, 26), c.error == IcmpError::kTooBig ? 1400 : 0);
    const Bytes v6 = Answer(Frame(MakeIp(kV6, Random(64, 1))), c.error, 1400, c.reason);
    ASSERT_FALSE(v6.empty());
    EXPECT_EQ(v6[40], c.v6_type);
    EXPECT_EQ(v6[41], c.v6_code);
    EXPECT_EQ(Word(v6, 44), 0);
    EXPECT_EQ(Word(v6, 46), c.error == IcmpError::kTooBig ? 1400 : 0);
  }
}

TEST_F(IcmpErrorTest, QuotesChainsAndLeavesOutLinkPadding) {
  const Bytes ip = MakeIp({}, Random(900, 2));
  EXPECT_EQ(Slice(Answer(Frame(ip, 100)), 28, 548), Slice(ip, 0, 548));
  const Bytes small = MakeIp({}, Random(8, 3));
  EXPECT_EQ(Answer(small + Bytes(18, 0xee)).size(), 28 + small.size());
}

TEST_F(IcmpErrorTest, ComesFromTheTunnelsAddressWhenTheInputIsATunnel) {
  const Bytes answer = Answer(Inner(MakeIp({}, Random(64, 1)), 5));
  EXPECT_EQ(Slice(answer, 12, 4), (Bytes{10, 99, 0, 1}));
  EXPECT_EQ(last_notes_.input_tunnel, kNoTunnel);
}

TEST_F(IcmpErrorTest, FallsBackToAnyOtherPortsAddress) {
  Packet* packet = Frame(MakeIp({}, Random(64, 1)));
  NotesOf(packet).input_port = 9;
  EXPECT_EQ(Slice(Answer(packet), 12, 4), (Bytes{192, 0, 2, 254}));
  tables_.ports[0].has_v4 = 0;
  EXPECT_TRUE(Answer(MakeIp({}, Random(64, 1))).empty());
}

TEST_F(IcmpErrorTest, LinuxHearsAboutItsOwnPacketByTheTunnelsDevice) {
  ASSERT_TRUE(tables_.fib.Set(*Prefix::Parse("192.0.2.1/32"), kNextHopLocal));
  Packet* packet = Inner(MakeIp({}, Random(1400, 1)), 5);
  NotesOf(packet).input_port = kNoPort;
  NotesOf(packet).flags |= kPacketFromHost;
  const Bytes answer = Answer(packet, IcmpError::kTooBig, 1350, DropReason::kTooBig);
  ASSERT_FALSE(answer.empty());
  EXPECT_EQ(last_notes_.input_tunnel, 5u);
  EXPECT_EQ(Slice(answer, 12, 4), (Bytes{198, 51, 100, 7}));  // not an address that Linux holds
  EXPECT_EQ(Slice(answer, 16, 4), (Bytes{192, 0, 2, 1}));
}

TEST_F(IcmpErrorTest, NothingIsSaidAboutIcmpErrors) {
  for (const uint8_t type : Bytes{3, 4, 5, 11, 12}) {
    EXPECT_TRUE(Answer(MakeIp({.protocol = 1}, Bytes{type, 0} + Random(30, 1))).empty()) << +type;
  }
  for (const uint8_t type : Bytes{0, 8, 13}) {
    EXPECT_FALSE(Answer(MakeIp({.protocol = 1}, Bytes{type, 0} + Random(30, 1))).empty()) << +type;
  }
  Ip v6 = kV6;
  v6.protocol = 58;
  for (const uint8_t type : Bytes{1, 2, 3, 4, 100, 127, 137}) {
    EXPECT_TRUE(Answer(MakeIp(v6, Bytes{type, 0} + Random(30, 1))).empty()) << +type;
  }
  for (const uint8_t type : Bytes{128, 129, 135}) {
    EXPECT_FALSE(Answer(MakeIp(v6, Bytes{type, 0} + Random(30, 1))).empty()) << +type;
  }
  EXPECT_TRUE(Answer(MakeIp(v6, {})).empty());  // its type is not there
}

TEST_F(IcmpErrorTest, NothingIsSaidAboutLaterFragments) {
  const Bytes payload = Random(64, 1);
  EXPECT_FALSE(Answer(MakeIp({.fragment = 0x2000}, payload)).empty());
  EXPECT_TRUE(Answer(MakeIp({.fragment = 0x2008}, payload)).empty());
  EXPECT_TRUE(Answer(MakeIp({.fragment = 8}, payload)).empty());
  Ip v6 = kV6;
  v6.protocol = kProtocolFragment;
  EXPECT_FALSE(Answer(MakeIp(v6, Words({17 << 8, 1, 0, 7}) + payload)).empty());
  EXPECT_TRUE(Answer(MakeIp(v6, Words({17 << 8, 64, 0, 7}) + payload)).empty());
}

TEST_F(IcmpErrorTest, NothingIsSaidToOrAboutGroups) {
  const Bytes payload = Random(64, 1);
  for (const char* source : {"0.0.0.0", "127.0.0.1", "224.0.0.5", "240.0.0.1", "255.255.255.255"}) {
    EXPECT_TRUE(Answer(MakeIp({.source = source}, payload)).empty()) << source;
  }
  for (const char* source : {"::", "::1", "ff02::1", "fe80::1"}) {
    EXPECT_TRUE(Answer(MakeIp({.source = source, .destination = "2001:db8::2"}, payload)).empty())
        << source;
  }
  EXPECT_TRUE(Answer(MakeIp({.destination = "224.0.0.5"}, payload)).empty());
  EXPECT_TRUE(Answer(MakeIp({.destination = "255.255.255.255"}, payload)).empty());
  EXPECT_TRUE(Answer(MakeIp({"2001:db8::1", "ff02::5"}, payload)).empty());
  for (const uint8_t flag : Bytes{kPacketMulticastL2, kPacketNoIcmp}) {
    Packet* packet = Frame(MakeIp({}, payload));
    NotesOf(packet).flags |= flag;
    EXPECT_TRUE(Answer(packet).empty());
  }
}

TEST_F(IcmpErrorTest, NothingIsSaidAboutPacketsOfOurOwn) {
  ASSERT_TRUE(tables_.fib.Set(*Prefix::Parse("192.0.2.1/32"), kNextHopLocal));
  EXPECT_TRUE(Answer(MakeIp({}, Random(64, 1))).empty());
}

TEST_F(IcmpErrorTest, NothingIsSaidAboutWhatIsNoWholeHeader) {
  Packet* packet = Frame(MakeIp({}, Random(64, 1)));
  NotesOf(packet).version = 0;
  EXPECT_TRUE(Answer(packet).empty());
  packet = Frame(MakeIp({}, Random(64, 1)), 14 + 12);
  EXPECT_TRUE(Answer(packet).empty());
  packet = Frame(MakeIp({}, Random(64, 1)));
  NotesOf(packet).l3_length = 12;
  EXPECT_TRUE(Answer(packet).empty());
}

TEST_F(IcmpErrorTest, TheRateIsLimited) {
  worker_.icmp_bucket = TokenBucket(10, 3, worker_.hertz);
  unsigned answers = 0;
  for (unsigned i = 0; i < 20; ++i) {
    answers += Answer(MakeIp({}, Random(64, i))).empty() ? 0u : 1u;
  }
  EXPECT_EQ(answers, 3u);
  AdvanceMilliseconds(100);
  EXPECT_FALSE(Answer(MakeIp({}, Random(64, 1))).empty());
  EXPECT_TRUE(Answer(MakeIp({}, Random(64, 1))).empty());
  EXPECT_EQ(drops(DropReason::kTtlExceeded), 22u);  // with an answer or without
}

TEST_F(IcmpErrorTest, AFullLaneCostsNoPacketAndNoToken) {
  worker_.icmp_bucket = TokenBucket(1000, kBurst + 1, worker_.hertz);
  for (unsigned i = 0; i < kBurst + 30; ++i) {
    DropWithIcmp(*context_, Frame(MakeIp({}, Random(64, i))), DropReason::kTtlExceeded,
                 IcmpError::kTtlExceeded);
  }
  EXPECT_EQ(context_->generated.count, kBurst);
  EXPECT_EQ(worker_.counters.generated.Read(), kBurst);
  EXPECT_EQ(drops(DropReason::kTtlExceeded), kBurst + 30);
  ExpectBalance(kBurst);
  EXPECT_TRUE(worker_.icmp_bucket.Take(worker_.now));
}

}  // namespace
}  // namespace penstock
