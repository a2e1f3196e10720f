#include "tests/unit/stages/slow_path_fixture.h"

namespace penstock {
namespace {

void Collect(StageContext& /*context*/, Packet* packet, void* argument) {
  static_cast<std::vector<Packet*>*>(argument)->push_back(packet);
}

class FragmentTest : public SlowPathTest {
 protected:
  std::vector<Packet*> Cut(Packet* packet, uint16_t mtu) {
    std::vector<Packet*> pieces;
    FragmentIpv4(*context_, packet, mtu, Collect, &pieces);
    return pieces;
  }
  void ReleaseAll(const std::vector<Packet*>& pieces) {
    for (Packet* piece : pieces) {
      Release(piece);
    }
  }
};

TEST_F(FragmentTest, PiecesCarryTheWholePayloadInOrder) {
  for (const unsigned length : {1481u, 2960u, 2961u, 9000u, 65000u}) {
    for (const uint16_t mtu : {uint16_t{576}, uint16_t{1399}, uint16_t{1500}}) {
      const Bytes payload = Random(length, length);
      const auto pieces = Cut(Frame(MakeIp({.ttl = 9}, payload), 1800), mtu);
      ASSERT_GT(pieces.size(), 1u);
      Bytes joined;
      for (Packet* piece : pieces) {
        const Bytes ip = IpOf(piece);
        ASSERT_LE(ip.size(), mtu);
        EXPECT_EQ(Word(ip, 2), ip.size());
        EXPECT_EQ(Word(ip, 4), 0x1234);
        EXPECT_EQ((Word(ip, 6) & 0x1fff) * 8u, joined.size());
        EXPECT_EQ((Word(ip, 6) & 0x2000) != 0, piece != pieces.back());
        EXPECT_EQ(ip[8], 9);
        EXPECT_EQ(PlainChecksum(Slice(ip, 0, 20)), 0);
        joined = joined + Slice(ip, 20, ip.size());
      }
      EXPECT_EQ(joined, payload);
      ReleaseAll(pieces);
      ExpectBalance();
    }
  }
}

TEST_F(FragmentTest, PiecesAreReadyForTheNextStage) {
  Packet* packet = Frame(MakeIp({}, Random(3000, 1)), 1000);
  NotesOf(packet).next_hop = 77;
  const auto pieces = Cut(packet, 1500);
  ASSERT_EQ(pieces.size(), 3u);
  for (Packet* piece : pieces) {
    const PacketNotes& notes = NotesOf(piece);
    EXPECT_EQ(piece->nb_segs, 1);
    EXPECT_GE(rte_pktmbuf_headroom(piece), 128);
    EXPECT_GE(rte_pktmbuf_tailroom(piece), 64);
    EXPECT_EQ(notes.l3_offset, 0);
    EXPECT_EQ(notes.l4_offset, 20);
    EXPECT_EQ(notes.l3_length, piece->pkt_len);
    EXPECT_EQ(notes.next_hop, 77u);
    EXPECT_EQ(notes.flow_hash, 0x5eedu);
    EXPECT_EQ(notes.flags & kPacketFragmented, kPacketFragmented);
  }
  EXPECT_EQ(worker_.counters.fragments.Read(), 2u);
  ReleaseAll(pieces);
}

TEST_F(FragmentTest, OnlyOptionsWithTheCopiedBitGoIntoLaterPieces) {
  // Router alert (copied), record route (not copied), end.
  const Bytes options = {0x94, 4, 0, 0, 7, 7, 4, 1, 2, 3, 4, 0};
  const auto pieces = Cut(Frame(MakeIp({.options = options}, Random(3000, 2)), 1000), 1000);
  ASSERT_GE(pieces.size(), 2u);
  EXPECT_EQ(Slice(IpOf(pieces[0]), 20, 12), options);
  for (size_t i = 1; i < pieces.size(); ++i) {
    const Bytes ip = IpOf(pieces[i]);
    EXPECT_EQ(ip[0], 0x46);
    EXPECT_EQ(Slice(ip, 20, 4), (Bytes{0x94, 4, 0, 0}));
    EXPECT_EQ(PlainChecksum(Slice(ip, 0, 24)), 0);
  }
  ReleaseAll(pieces);
}

TEST_F(FragmentTest, AFragmentIsCutIntoFragmentsOfTheSameDatagram) {
  const uint16_t more_at_800 = 0x2000 | 100;
  const auto pieces = Cut(Frame(MakeIp({.fragment = more_at_800}, Random(1200, 3))), 700);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(Word(IpOf(pieces[0]), 6), 0x2000 | 100);
  EXPECT_EQ(Word(IpOf(pieces[1]), 6), 0x2000 | (100 + 680 / 8));
  ReleaseAll(pieces);
}

TEST_F(FragmentTest, LinkPaddingIsNotSent) {
  Packet* packet = Frame(MakeIp({}, Random(1000, 4)) + Bytes(18, 0xff));
  const auto pieces = Cut(packet, 600);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[1]->pkt_len, 20u + 1000u - 576u);
  ReleaseAll(pieces);
}

TEST_F(FragmentTest, Ipv6PacketsOfOurOwnGetAFragmentHeader) {
  const Bytes payload = Random(3000, 5);
  const auto pieces =
      Cut(Frame(MakeIp({"2001:db8::1", "2001:db8::2", kProtocolEsp}, payload), 1500), 1280);
  ASSERT_EQ(pieces.size(), 3u);
  Bytes joined;
  const Bytes identification = Slice(IpOf(pieces[0]), 44, 4);
  for (Packet* piece : pieces) {
    const Bytes ip = IpOf(piece);
    ASSERT_LE(ip.size(), 1280u);
    EXPECT_EQ(Word(ip, 4), ip.size() - 40);
    EXPECT_EQ(ip[6], kProtocolFragment);
    EXPECT_EQ(ip[40], kProtocolEsp);
    EXPECT_EQ(Word(ip, 42) & 0xfff8u, joined.size());
    EXPECT_EQ(Word(ip, 42) & 7u, piece == pieces.back() ? 0u : 1u);
    EXPECT_EQ(Slice(ip, 44, 4), identification);
    joined = joined + Slice(ip, 48, ip.size());
  }
  EXPECT_EQ(joined, payload);
  ReleaseAll(pieces);
  ExpectBalance();
}

TEST_F(FragmentTest, RefusesWhatCannotBeCut) {
  const Bytes payload = Random(1400, 6);
  EXPECT_TRUE(Cut(Frame(MakeIp({.fragment = 0x4000}, payload)), 600).empty());
  EXPECT_TRUE(Cut(Frame(MakeIp({}, payload)), 27).empty());
  EXPECT_TRUE(Cut(Frame(MakeIp({.options = {0x83, 1, 0, 0}}, payload)), 600).empty());
  EXPECT_TRUE(Cut(Frame(MakeIp({.options = {0x83, 40, 0, 0}}, payload)), 600).empty());
  EXPECT_TRUE(Cut(Frame(MakeIp({}, Random(30000, 7)), 2000), 68).empty());  // far too many pieces
  Packet* truncated = Frame(MakeIp({}, payload));
  NotesOf(truncated).l3_length = 1600;
  EXPECT_TRUE(Cut(truncated, 600).empty());
  EXPECT_EQ(drops(DropReason::kFragmentFailed), 6u);
  ExpectBalance();
}

TEST_F(FragmentTest, AnEmptyPoolCostsTheWholePacketAndNothingElse) {
  Packet* packet = Frame(MakeIp({}, Random(9000, 8)), 2000);
  std::vector<Packet*> all;
  while (Packet* free = rte_pktmbuf_alloc(worker_.pool)) {
    all.push_back(free);
  }
  rte_pktmbuf_free(all.back());
  all.pop_back();
  EXPECT_TRUE(Cut(packet, 1500).empty());
  EXPECT_EQ(drops(DropReason::kNoBuffer), 1u);
  EXPECT_EQ(worker_.counters.fragments.Read(), 0u);
  rte_pktmbuf_free_bulk(all.data(), static_cast<unsigned>(all.size()));
  ExpectBalance();
}

}  // namespace
}  // namespace penstock
