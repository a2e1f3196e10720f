// What comes out of an ESP packet, and what does not.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/packet/sealed.h"

namespace penstock {
namespace {

using Drops = std::map<std::string, uint64_t>;

Bytes Inner(bool v6 = false, size_t length = 100) {
  Ip ip = ToRight(v6);
  ip.length = length;
  return MakeIp(ip);
}

TEST(Decapsulation, DropsDuplicatesOnce) {
  Sites sites;
  const std::vector<Bytes> outer = sites.Encrypt({Inner(), Inner(), Inner()});
  EXPECT_EQ(sites.Decrypt(outer).size(), 3u);
  EXPECT_TRUE(sites.Decrypt(outer).empty());
  EXPECT_EQ(sites.right.Drops(), (Drops{{"replay_duplicate", 3}}));
  EXPECT_EQ(sites.right.counters(*sites.inbound).replay_duplicate.Read(), 3u);
}

TEST(Decapsulation, DeliversADuplicateWithinOneBurstOnce) {
  Sites sites;
  const std::vector<Bytes> outer = sites.Encrypt({Inner()});
  EXPECT_EQ(sites.Decrypt({outer[0], outer[0], outer[0]}).size(), 1u);
  EXPECT_EQ(sites.right.Drops(), (Drops{{"replay_duplicate", 2}}));
}

TEST(Decapsulation, TellsLatePacketsAndHowLateTheyWere) {
  Sites sites({.window = 64});
  const std::vector<Bytes> outer = sites.Encrypt(std::vector<Bytes>(200, Inner()));
  sites.Decrypt({outer.begin() + 1, outer.end()});
  EXPECT_TRUE(sites.Decrypt({outer[0]}).empty());  // number 1, behind 200
  EXPECT_EQ(sites.right.Drops(), (Drops{{"replay_late", 1}}));
  const SaCounters& counters = sites.right.counters(*sites.inbound);
  EXPECT_EQ(counters.replay_late.Read(), 1u);
  EXPECT_EQ(counters.max_late.Read(), 199u);
  ASSERT_NE(counters.late_histogram_index.Read(), 0u);
  const auto& histogram = sites.right.worker().counters.late_histograms;
  EXPECT_EQ(histogram[counters.late_histogram_index.Read() - 1].bins[7].Read(), 1u);  // 128 to 255
}

TEST(Decapsulation, TakesReorderedPacketsWithinTheWindow) {
  Sites sites({.window = 128});
  std::vector<Bytes> outer = sites.Encrypt(std::vector<Bytes>(100, Inner()));
  std::ranges::reverse(outer);
  EXPECT_EQ(sites.Decrypt(outer).size(), 100u);
}

TEST(Decapsulation, DropsEveryCorruptedByte) {
  Sites sites({.window = 0});
  const std::vector<Bytes> outer = sites.Encrypt({Inner(false, 60)});
  for (size_t at = 20; at < outer[0].size(); ++at) {
    Bytes corrupted = outer[0];
    corrupted[at] ^= 0x10;
    EXPECT_TRUE(sites.Decrypt({corrupted}).empty()) << "byte " << at;
  }
  const Drops drops = sites.right.Drops();
  EXPECT_EQ(drops.at("integrity_failed"), outer[0].size() - 24);
  EXPECT_EQ(drops.at("no_sa"), 4u);
  EXPECT_EQ(sites.right.counters(*sites.inbound).packets.Read(), 0u);
}

TEST(Decapsulation, ForgedNumbersDoNotMoveTheWindow) {
  Sites sites;
  const std::vector<Bytes> outer = sites.Encrypt({Inner()});
  Bytes forged = outer[0];
  PutWord(forged, 24, 0x7fff);
  EXPECT_TRUE(sites.Decrypt({forged}).empty());
  EXPECT_EQ(sites.Decrypt(outer).size(), 1u);
}

TEST(Decapsulation, SurvivesTruncationAtEveryByte) {
  for (const std::string suite : {"aes-gcm-16-256", "aes-cbc-256-hmac-sha1-96"}) {
    Sites sites({.suite = suite, .window = 0});
    const Bytes outer = sites.Encrypt({Inner(false, 80)}).at(0);
    for (size_t length = 0; length < outer.size(); ++length) {
      Bytes cut(outer.begin(), outer.begin() + static_cast<long>(length));
      EXPECT_TRUE(sites.Decrypt({cut}).empty());  // the header promises more than there is
      if (length >= 20) {
        PutWord(cut, 2, static_cast<unsigned>(length));
        FixIpv4Checksum(cut);
        EXPECT_TRUE(sites.Decrypt({cut}).empty());
      }
    }
    sites.right.ExpectBalance();
  }
}

TEST(Decapsulation, ChecksPaddingAndItsLength) {
  Sites sites;
  const Bytes inner = Inner(false, 41);
  Bytes wrong_content = WithTrailer(inner, 4);
  wrong_content[41] = 9;
  Bytes too_long = WithTrailer(inner, 4);
  too_long[too_long.size() - 2] = 200;
  Bytes longest = inner;
  for (unsigned i = 1; i <= 253; ++i) {
    longest.push_back(static_cast<uint8_t>(i));
  }
  longest.insert(longest.end(), {253, 4});
  Bytes wrong_long = longest;
  wrong_long[45] = 0;
  const std::vector<Bytes> out =
      sites.Decrypt({Seal(sites, wrong_content, 1), Seal(sites, too_long, 2),
                     Seal(sites, longest, 3), Seal(sites, wrong_long, 4)});
  EXPECT_EQ(sites.right.Drops(), (Drops{{"bad_padding", 3}}));
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0], WithTtl(inner, 63));
}

TEST(Decapsulation, DropsDummiesQuietly) {
  Sites sites;
  EXPECT_TRUE(sites.Decrypt({Seal(sites, WithTrailer(Bytes(90, 0xcc), 59), 1)}).empty());
  EXPECT_EQ(sites.right.Drops(), (Drops{{"dummy_packet", 1}}));
  EXPECT_EQ(sites.right.worker().counters.tunnels[sites.right_tunnel].in_dropped.Read(), 0u);
}

TEST(Decapsulation, DropsUnknownNextHeaders) {
  Sites sites;
  sites.Decrypt({Seal(sites, WithTrailer(Inner(), 6), 1), Seal(sites, WithTrailer(Inner(), 0), 2)});
  EXPECT_EQ(sites.right.Drops(), (Drops{{"bad_next_header", 2}}));
}

TEST(Decapsulation, ComparesInnerVersionAndLength) {
  Sites sites;
  Bytes too_long = Inner();
  PutWord(too_long, 2, 101);
  FixIpv4Checksum(too_long);
  Bytes bad_checksum = Inner();
  bad_checksum[10] ^= 1;
  sites.Decrypt({Seal(sites, WithTrailer(Inner(), 41), 1),     // IPv4 called IPv6
                 Seal(sites, WithTrailer(Inner(true), 4), 2),  // and the other way round
                 Seal(sites, WithTrailer(too_long, 4), 3),
                 Seal(sites, WithTrailer(bad_checksum, 4), 4),
                 Seal(sites, WithTrailer({}, 4, 4), 5)});
  EXPECT_EQ(sites.right.Drops(), (Drops{{"bad_inner_packet", 5}}));
}

TEST(Decapsulation, TrimsTfcPadding) {
  Sites sites;
  for (const bool v6 : {false, true}) {
    Bytes payload = Inner(v6);
    payload.resize(700, 0);
    const auto out = sites.Decrypt({Seal(sites, WithTrailer(payload, v6 ? 41 : 4), v6 ? 2 : 1)});
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0], WithTtl(Inner(v6), 63));
  }
}

// RFC 6040 figure 4, written out anew: rows are inner, columns outer, both in the order not-ECT,
// ECT(0), ECT(1), CE; 9 stands for a drop.
TEST(Decapsulation, CombinesEcnAsRfc6040Says) {
  constexpr uint8_t kCodepoints[4] = {0, 2, 1, 3};
  constexpr uint8_t kExpected[4][4] = {{0, 0, 0, 9}, {2, 2, 1, 3}, {1, 1, 1, 3}, {3, 3, 3, 3}};
  Sites sites;
  uint64_t sequence = 0;
  uint64_t drops = 0;
  for (const bool v6 : {false, true}) {
    for (unsigned row = 0; row < 4; ++row) {
      for (unsigned column = 0; column < 4; ++column) {
        const auto inner_tos = static_cast<uint8_t>(0xb8 | kCodepoints[row]);
        const Bytes inner = WithTos(Inner(v6), inner_tos);
        const auto out = sites.Decrypt({Seal(sites, WithTrailer(inner, v6 ? 41 : 4), ++sequence,
                                             static_cast<uint8_t>(0x28 | kCodepoints[column]))});
        if (kExpected[row][column] == 9) {
          EXPECT_TRUE(out.empty());
          EXPECT_EQ(sites.right.Drops(), (Drops{{"ecn_illegal", ++drops}}));
          continue;
        }
        ASSERT_EQ(out.size(), 1u) << row << ' ' << column;
        const auto expected = static_cast<uint8_t>(0xb8 | kExpected[row][column]);
        EXPECT_EQ(out[0], WithTtl(WithTos(inner, expected), 63)) << row << ' ' << column;
      }
    }
  }
}

TEST(Decapsulation, TakesTheOuterDscpWhereAsked) {
  Sites sites;
  SaConfig config = sites.LeftToRight(0x1003);
  config.headers.decapsulate_dscp = true;
  config.headers.ecn = false;
  sites.Install(sites.LeftToRight(0x1003), std::move(config));
  const auto out =
      sites.Decrypt({Seal(sites, WithTrailer(WithTos(Inner(), 0x01), 4), 1, 0xb8 | 3)});
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(TosOf(out[0]), 0xb8 | 0x01);
  EXPECT_TRUE(Ipv4ChecksumIsRight(out[0]));
}

TEST(Decapsulation, KeepsToTheSelectors) {
  Sites sites;
  SaConfig config = sites.LeftToRight(0x1004);
  Selector selector{.source = *Prefix::Parse("10.1.0.0/24"),
                    .destination = *Prefix::Parse("10.2.0.0/16")};
  selector.protocol = 17;
  selector.destination_port_first = selector.destination_port_last = 53;
  config.selectors = {selector};
  sites.Install(sites.LeftToRight(0x1004), std::move(config));
  Ip ip = ToRight();
  ip.destination_port = 53;
  const Bytes right = MakeIp(ip);
  ip.destination_port = 54;
  const Bytes other_port = MakeIp(ip);
  ip.destination_port = 53;
  ip.source = "10.1.1.1";
  const Bytes other_source = MakeIp(ip);
  const auto out = sites.Decrypt(sites.Encrypt({right, other_port, other_source, Inner(true)}));
  EXPECT_EQ(out.size(), 1u);
  EXPECT_EQ(sites.right.Drops(), (Drops{{"selector_mismatch", 3}}));
}

TEST(Decapsulation, KnowsNoUnknownSpi) {
  Sites sites;
  Bytes outer = sites.Encrypt({Inner()}).at(0);
  outer[21] ^= 0x40;
  EXPECT_TRUE(sites.Decrypt({outer}).empty());
  EXPECT_EQ(sites.right.Drops(), (Drops{{"no_sa", 1}}));
}

TEST(Decapsulation, ForwardsEspOfOthers) {
  Sites sites;
  Bytes outer = sites.Encrypt({Inner()}).at(0);
  outer[16] = 10;  // the SA's SPI, but on its way to 10.2.0.20
  outer[17] = 2;
  outer[18] = 0;
  outer[19] = 20;
  FixIpv4Checksum(outer);
  const auto out = sites.Decrypt({outer});
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0], WithTtl(outer, 63));
}

TEST(Decapsulation, WantsTheEncapsulationOfTheSa) {
  Sites plain;
  Bytes udp;
  {
    Sites encapsulated({.udp = true});
    udp = encapsulated.Encrypt({Inner()}).at(0);
    const Bytes bare = plain.Encrypt({Inner()}).at(0);
    EXPECT_TRUE(encapsulated.Decrypt({bare}).empty());
    EXPECT_EQ(encapsulated.right.Drops(), (Drops{{"encapsulation_mismatch", 1}}));
  }
  EXPECT_TRUE(plain.Decrypt({udp}).empty());
  EXPECT_EQ(plain.right.Drops(), (Drops{{"encapsulation_mismatch", 1}}));
}

TEST(Decapsulation, ChecksTheSourceWhereAsked) {
  Sites sites;
  SaConfig config = sites.LeftToRight(0x1005);
  config.check_source = true;
  sites.Install(sites.LeftToRight(0x1005), std::move(config));
  Bytes outer = sites.Encrypt({Inner()}).at(0);
  Bytes moved = outer;
  moved[15] = 77;
  FixIpv4Checksum(moved);
  EXPECT_TRUE(sites.Decrypt({moved}).empty());
  EXPECT_EQ(sites.right.Drops(), (Drops{{"source_mismatch", 1}}));
  EXPECT_EQ(sites.Decrypt({outer}).size(), 1u);
}

TEST(Decapsulation, TellsANewMappingOnceAndOnlyWhenAuthentic) {
  Sites sites({.udp = true});
  std::vector<Bytes> outer = sites.Encrypt(std::vector<Bytes>(4, Inner()));
  for (Bytes& packet : outer) {
    PutWord(packet, 20, 31234);
  }
  outer[0].back() ^= 1;
  sites.Decrypt({outer[0]});
  EXPECT_TRUE(sites.right.TakeEvents().empty());
  EXPECT_EQ(sites.Decrypt({outer[1], outer[2], outer[3]}).size(), 3u);
  const auto events = sites.right.TakeEvents();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, WorkerEvent::Kind::kMappingChanged);
  EXPECT_EQ(events[0].port, 31234);
  EXPECT_EQ(events[0].slot, sites.inbound->slot);
  EXPECT_EQ(events[0].address.ToString(), "203.0.113.1");
}

TEST(Decapsulation, AStragglerFromTheOldMappingIsNoNews) {
  Sites sites({.udp = true});
  std::vector<Bytes> outer = sites.Encrypt(std::vector<Bytes>(3, Inner()));
  PutWord(outer[2], 20, 31234);
  sites.inbound->udp_source = Be16::FromHost(31234);  // as it was updated to
  EXPECT_EQ(sites.Decrypt({outer[2]}).size(), 1u);
  EXPECT_EQ(sites.Decrypt({outer[0], outer[1]}).size(), 2u);
  EXPECT_TRUE(sites.right.TakeEvents().empty());
}

TEST(Decapsulation, EndsAtTheHardLimitExactly) {
  Sites sites;
  SaConfig config = sites.LeftToRight(0x1006);
  config.limits.soft_packets = 10;
  config.limits.hard_packets = 25;
  sites.Install(sites.LeftToRight(0x1006), std::move(config));
  const auto outer = sites.Encrypt(std::vector<Bytes>(100, Inner()));
  EXPECT_EQ(sites.Decrypt(outer).size(), 25u);
  EXPECT_EQ(sites.right.Drops(), (Drops{{"lifetime_expired", 75}}));
  EXPECT_EQ(sites.right.counters(*sites.inbound).packets.Read(), 25u);
  EXPECT_EQ(sites.right.counters(*sites.inbound).bytes.Read(), 2500u);
  unsigned hard = 0;
  for (const WorkerEvent& event : sites.right.TakeEvents()) {
    hard += event.kind == WorkerEvent::Kind::kHardLifetime;
  }
  EXPECT_EQ(hard, 1u);
}

TEST(Decapsulation, TakesEspInsideEsp) {
  Sites sites;
  sites.right.InstallInbound(sites.right_tunnel, sites.LeftToRight(0x1010));
  const auto once = sites.Encrypt({Inner()});
  const Bytes twice = Seal(sites, WithTrailer(once[0], 4), 900);
  EXPECT_EQ(sites.Decrypt({twice}).size(), 1u);
}

// Bytes [at, end) of an IPv4 packet's data as a fragment of their own.
Bytes Fragment(const Bytes& packet, size_t at, size_t end) {
  Bytes piece = packet;
  piece.resize(end);
  piece.erase(piece.begin() + 20, piece.begin() + static_cast<long>(at));
  PutWord(piece, 2, static_cast<unsigned>(piece.size()));
  PutWord(piece, 6, static_cast<unsigned>((at - 20) / 8) | (end < packet.size() ? 0x2000u : 0));
  FixIpv4Checksum(piece);
  return piece;
}

TEST(Decapsulation, ReassemblesOuterFragments) {
  for (const bool udp : {false, true}) {
    Sites sites({.udp = udp});
    const Bytes outer = sites.Encrypt({Inner(false, 1200)}).at(0);
    std::vector<Bytes> pieces;
    for (size_t at = 20; at < outer.size(); at += 400) {
      pieces.insert(pieces.begin(), Fragment(outer, at, std::min(at + 400, outer.size())));
    }
    const auto out = sites.Decrypt(pieces);
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0], WithTtl(Inner(false, 1200), 62));
  }
}

TEST(Decapsulation, FollowsEsnOverTheWrap) {
  for (const uint32_t window : {0u, 1024u}) {
    Sites sites({.esn = true, .window = window});
    SaConfig outbound = sites.LeftToRight(0x1007);
    SaConfig inbound = sites.LeftToRight(0x1007);
    outbound.initial_sequence = 0xffffffffu - 50;
    inbound.initial_sequence = 0xffffffffu - 60;
    sites.Install(std::move(outbound), std::move(inbound));
    EXPECT_EQ(sites.Decrypt(sites.Encrypt(std::vector<Bytes>(200, Inner()))).size(), 200u);
    EXPECT_EQ(sites.inbound->replay.top(), 0xffffffffull - 50 + 200);
  }
}

}  // namespace
}  // namespace penstock
