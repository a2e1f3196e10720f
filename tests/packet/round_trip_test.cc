// Every suite, both families inside and out, with and without ESN and UDP: what goes in comes out.
#include "tests/packet/sites.h"

namespace penstock {
namespace {

struct Case {
  bool outer_v6;
  bool esn;
  bool udp;
};

std::string NameOf(const testing::TestParamInfo<Case>& info) {
  const Case& c = info.param;
  return std::string(c.outer_v6 ? "In6" : "In4") + (c.esn ? "Esn" : "") + (c.udp ? "Udp" : "");
}

class RoundTrip : public testing::TestWithParam<Case> {};

void ExpectValidOuter(const Bytes& outer, const Case& c) {
  EXPECT_EQ(outer.at(0) >> 4, c.outer_v6 ? 6 : 4);
  if (c.outer_v6) {
    EXPECT_EQ(Word(outer, 4), outer.size() - 40);
    EXPECT_EQ(outer.at(6), c.udp ? 17 : 50);
    if (c.udp) {
      EXPECT_TRUE(TransportChecksumIsRight(outer));
    }
  } else {
    EXPECT_EQ(Word(outer, 2), outer.size());
    EXPECT_TRUE(Ipv4ChecksumIsRight(outer));
    EXPECT_EQ(outer.at(9), c.udp ? 17 : 50);
  }
  const size_t udp = c.outer_v6 ? 40 : 20;
  if (c.udp) {
    EXPECT_EQ(Word(outer, udp + 4), outer.size() - udp);
  }
}

// Both families, every length up to where paddings have repeated, then samples.
std::vector<Bytes> PacketsOfAllLengths() {
  std::vector<Bytes> packets;
  for (const bool inner_v6 : {false, true}) {
    for (size_t length = inner_v6 ? 40 : 20; length <= 1380; length += length < 120 ? 1 : 37) {
      Ip ip = ToRight(inner_v6);
      ip.length = length;
      ip.seed = static_cast<unsigned>(length);
      packets.push_back(MakeIp(ip));
    }
  }
  return packets;
}

TEST_P(RoundTrip, GivesBackEveryLengthInEverySuite) {
  const Case& c = GetParam();
  Sites sites({.outer_v6 = c.outer_v6, .udp = c.udp, .esn = c.esn, .mtu = 1400});
  const std::vector<Bytes> packets = PacketsOfAllLengths();
  uint32_t spi = 0x4000;
  for (const Suite& suite : AllSuites()) {
    SCOPED_TRACE(suite.name);
    sites.options.suite = suite.name;
    sites.Install(++spi);
    const std::vector<Bytes> outer = sites.Encrypt(packets);
    ASSERT_EQ(outer.size(), packets.size());
    for (const Bytes& packet : outer) {
      ExpectValidOuter(packet, c);
    }
    const std::vector<Bytes> inner = sites.Decrypt(outer);
    ASSERT_EQ(inner.size(), packets.size());
    for (size_t i = 0; i < packets.size(); ++i) {
      ASSERT_EQ(inner[i], WithTtl(packets[i], 62)) << "length " << packets[i].size();
    }
  }
  EXPECT_TRUE(sites.left.Drops().empty());
  EXPECT_TRUE(sites.right.Drops().empty());
}

INSTANTIATE_TEST_SUITE_P(Outer, RoundTrip,
                         testing::Values(Case{false, false, false}, Case{false, false, true},
                                         Case{false, true, false}, Case{false, true, true},
                                         Case{true, false, false}, Case{true, false, true},
                                         Case{true, true, false}, Case{true, true, true}),
                         NameOf);

class ChainedRoundTrip : public testing::TestWithParam<unsigned> {};

TEST_P(ChainedRoundTrip, TakesJumboFramesInSegments) {
  Sites sites({.mtu = 9000});
  sites.outbound->inner_mtu = 8900;
  sites.right.worker().outputs[Gateway::kLan].mtu = 9000;
  std::vector<Bytes> packets;
  for (const size_t length : {20, 64, 257, 1500, 2048, 4000, 8900}) {
    Ip ip = ToRight();
    ip.length = length;
    packets.push_back(MakeIp(ip));
  }
  const std::vector<Bytes> outer = sites.Encrypt(packets, GetParam());
  ASSERT_EQ(outer.size(), packets.size());
  const std::vector<Bytes> inner = sites.Decrypt(outer, GetParam());
  ASSERT_EQ(inner.size(), packets.size());
  for (size_t i = 0; i < packets.size(); ++i) {
    EXPECT_EQ(inner[i], WithTtl(packets[i], 62)) << "length " << packets[i].size();
  }
}

INSTANTIATE_TEST_SUITE_P(Segments, ChainedRoundTrip, testing::Values(64, 100, 300, 1000, 2048));

TEST(RoundTripEngines, EachReadsWhatTheOtherWrote) {
  for (const Suite& suite : AllSuites()) {
    SiteOptions options{.suite = std::string(suite.name), .engine = EngineChoice::kAuto};
    SiteOptions other = options;
    other.engine = EngineChoice::kOpenssl;
    std::vector<Bytes> outer;
    const Bytes packet = MakeIp(ToRight());
    {
      Sites sites(options);
      outer = sites.Encrypt({packet});
    }
    Sites sites(other);
    const std::vector<Bytes> inner = sites.Decrypt(outer);
    ASSERT_EQ(inner.size(), 1u) << suite.name;
    EXPECT_EQ(inner[0], WithTtl(packet, 62)) << suite.name;
  }
}

}  // namespace
}  // namespace penstock
