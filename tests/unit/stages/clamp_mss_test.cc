#include "tests/unit/stages/slow_path_fixture.h"

namespace penstock {
namespace {

constexpr uint8_t kSyn = 0x02;
constexpr uint8_t kAck = 0x10;
const Bytes kMss1460 = {2, 4, 0x05, 0xb4};

class ClampMssTest : public SlowPathTest {
 protected:
  // A TCP segment with a correct checksum; options are padded to whole words with zeros.
  Bytes Tcp(const Ip& base, uint8_t flags, Bytes options, const Bytes& data = {}) {
    while (options.size() % 4 != 0) {
      options.push_back(0);
    }
    const auto words = static_cast<unsigned>(5 + options.size() / 4);
    Bytes tcp = Words({40000, 443, 1, 2, 3, 4, words << 12 | flags, 0xffff, 0, 0}) + options + data;
    Ip ip = base;
    ip.protocol = kProtocolTcp;
    const Bytes packet = MakeIp(ip, tcp);
    const uint16_t sum = PlainChecksum(PseudoHeader(packet, kProtocolTcp, tcp.size()) + tcp);
    tcp[16] = static_cast<uint8_t>(sum >> 8);
    tcp[17] = static_cast<uint8_t>(sum);
    return MakeIp(ip, tcp);
  }
  // What becomes of it.
  Bytes Clamped(const Bytes& ip, uint16_t mss, uint8_t flags = 0) {
    Packet* packet = Frame(ip);
    NotesOf(packet).flags |= flags;
    ClampMss(packet, mss);
    const Bytes result = IpOf(packet);
    Release(packet);
    return result;
  }
  static bool ChecksumIsRight(const Bytes& ip) {
    const size_t header = ip[0] >> 4 == 4 ? 20 : 40;
    const Bytes tcp = Slice(ip, header, ip.size());
    return PlainChecksum(PseudoHeader(ip, kProtocolTcp, tcp.size()) + tcp) == 0;
  }
};

TEST_F(ClampMssTest, LowersTheOptionOfSynAndSynAck) {
  for (const uint8_t flags : Bytes{kSyn, kSyn | kAck}) {
    const Bytes before = Tcp({}, flags, kMss1460);
    ASSERT_TRUE(ChecksumIsRight(before));
    const Bytes after = Clamped(before, 1350);
    EXPECT_EQ(Word(after, 42), 1350);
    EXPECT_TRUE(ChecksumIsRight(after));
  }
}

TEST_F(ClampMssTest, WorksOnIpv6) {
  const Bytes after = Clamped(Tcp({"2001:db8::1", "2001:db8::2"}, kSyn, kMss1460), 1300);
  EXPECT_EQ(Word(after, 62), 1300);
  EXPECT_TRUE(ChecksumIsRight(after));
}

TEST_F(ClampMssTest, CorrectsTheChecksumAtEveryAlignment) {
  for (unsigned nops = 0; nops < 8; ++nops) {
    for (const unsigned mss : {1u, 255u, 256u, 536u, 1220u, 1459u}) {
      for (unsigned seed = 0; seed < 20; ++seed) {
        const Bytes options = Bytes(nops, 1) + kMss1460;
        const Bytes after =
            Clamped(Tcp({}, kSyn, options, Random(seed, seed)), static_cast<uint16_t>(mss));
        EXPECT_EQ(Word(after, 42 + nops), mss);
        EXPECT_TRUE(ChecksumIsRight(after)) << nops << " " << mss;
      }
    }
  }
}

TEST_F(ClampMssTest, FindsTheOptionBehindOthers) {
  const Bytes options = Bytes{3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0} + kMss1460;
  const Bytes after = Clamped(Tcp({}, kSyn, options), 1000);
  EXPECT_EQ(Word(after, 40 + 15 + 2), 1000);
  EXPECT_TRUE(ChecksumIsRight(after));
}

TEST_F(ClampMssTest, LeavesOtherPacketsAlone) {
  const Bytes smaller = Tcp({}, kSyn, {2, 4, 0x02, 0x18});
  EXPECT_EQ(Clamped(smaller, 1350), smaller);
  const Bytes acknowledgment = Tcp({}, kAck, kMss1460);
  EXPECT_EQ(Clamped(acknowledgment, 1350), acknowledgment);
  const Bytes syn = Tcp({}, kSyn, kMss1460);
  EXPECT_EQ(Clamped(syn, 0), syn);
  EXPECT_EQ(Clamped(syn, 1350, kPacketFragment), syn);
  const Bytes udp = MakeIp({}, Slice(syn, 20, 100));
  EXPECT_EQ(Clamped(udp, 1350), udp);
}

TEST_F(ClampMssTest, StopsAtMalformedOptions) {
  for (const Bytes& options :
       {Bytes{0, 2, 4, 5, 0xb4}, Bytes{3, 0, 2, 4, 5, 0xb4}, Bytes{3, 1, 2, 4, 5, 0xb4},
        Bytes{2, 3, 5, 0xb4}, Bytes{1, 1, 1, 2}, Bytes{1, 1, 2, 4}, Bytes{8, 200, 2, 4, 5, 0xb4}}) {
    const Bytes packet = Tcp({}, kSyn, options);
    EXPECT_EQ(Clamped(packet, 500), packet);
  }
}

TEST_F(ClampMssTest, LeavesTruncatedHeadersAlone) {
  const Bytes whole = Tcp({}, kSyn, kMss1460);
  for (size_t length = 20; length < whole.size(); ++length) {
    Bytes cut = Slice(whole, 0, length);
    cut[2] = 0;
    cut[3] = static_cast<uint8_t>(length);
    EXPECT_EQ(Clamped(cut, 500), cut) << length;
  }
}

TEST_F(ClampMssTest, LooksAtNothingBeyondTheFirstSegment) {
  const Bytes syn = Tcp({}, kSyn, kMss1460);
  Packet* packet = Frame(syn, 14 + 20 + 22);
  ASSERT_EQ(packet->nb_segs, 2);
  ClampMss(packet, 500);
  EXPECT_EQ(IpOf(packet), syn);
  Release(packet);
}

}  // namespace
}  // namespace penstock
