#include <algorithm>
#include <random>

#include "tests/unit/stages/slow_path_fixture.h"

namespace penstock {
namespace {

const Ip kV6{"2001:db8::1", "2001:db8::2", kProtocolEsp};

class ReassembleTest : public SlowPathTest {
 protected:
  struct Part {
    size_t offset, length;
  };
  // Cuts at random multiples of 8 bytes.
  static std::vector<Part> Split(size_t length, unsigned pieces, std::mt19937& random) {
    std::vector<size_t> cuts{0, length};
    while (cuts.size() < pieces + 1) {
      cuts.push_back(random() % (length / 8) * 8);
      std::sort(cuts.begin(), cuts.end());
      cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    }
    std::vector<Part> parts;
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      parts.push_back({cuts[i], cuts[i + 1] - cuts[i]});
    }
    return parts;
  }
  // The fragment of a datagram that has this payload.
  static Bytes Fragment(const Ip& ip, const Bytes& payload, Part part) {
    const bool more = part.offset + part.length < payload.size();
    return Raw(ip, Slice(payload, part.offset, part.length), part.offset, more);
  }
  static Bytes Raw(Ip ip, const Bytes& data, size_t offset, bool more) {
    if (ip.source.find(':') == std::string::npos) {
      ip.fragment = static_cast<uint16_t>(offset / 8 | (more ? 0x2000 : 0));
      return MakeIp(ip, data);
    }
    const auto protocol = static_cast<unsigned>(ip.protocol << 8);
    ip.protocol = kProtocolFragment;
    return MakeIp(ip, Words({protocol, static_cast<unsigned>(offset | (more ? 1 : 0)), 0,
                             ip.identification}) +
                          data);
  }
  void ExpectWhole(Packet* packet, const Ip& ip, const Bytes& payload) {
    ASSERT_NE(packet, nullptr);
    EXPECT_EQ(packet->nb_segs, 1);
    EXPECT_EQ(IpOf(packet), MakeIp(ip, payload));
    const PacketNotes& notes = NotesOf(packet);
    EXPECT_EQ(notes.l3_length, IpOf(packet).size());
    EXPECT_EQ(notes.protocol, ip.protocol);
    EXPECT_EQ(BytesOf(packet, notes.l4_offset), payload);
    EXPECT_EQ(notes.flags & kPacketFragment, 0);
    Release(packet);
  }
  Packet* Give(const Bytes& ip) { return Reassemble(*context_, Frame(ip)); }
};

TEST_F(ReassembleTest, RandomFragmentsInAnyOrderGiveTheOriginal) {
  std::mt19937 random(7);
  for (unsigned round = 0; round < 300; ++round) {
    Ip ip = round % 2 == 0 ? Ip{.protocol = kProtocolEsp} : kV6;
    ip.identification = static_cast<uint16_t>(round);
    const size_t length = 64 + random() % 9000;
    const Bytes payload = Random(length, round);
    auto parts = Split(
        length, static_cast<unsigned>(2 + random() % std::min<size_t>(7, length / 16)), random);
    std::shuffle(parts.begin(), parts.end(), random);
    for (size_t i = 0; i < parts.size(); ++i) {
      // Every third is a chain of small segments, and some come twice.
      Packet* packet = Frame(Fragment(ip, payload, parts[i]), i % 3 == 2 ? 1000 : 0);
      Packet* whole = Reassemble(*context_, packet);
      ExpectBalance(whole == nullptr ? 0 : 1);
      if (i + 1 < parts.size()) {
        ASSERT_EQ(whole, nullptr);
        EXPECT_EQ(held(), i + 1);
        if (random() % 4 == 0) {
          EXPECT_EQ(Give(Fragment(ip, payload, parts[i])), nullptr);
        }
      } else {
        ExpectWhole(whole, ip, payload);
      }
    }
    EXPECT_EQ(held(), 0u);
    ExpectBalance();
  }
}

TEST_F(ReassembleTest, AFrameKeepsItsLinkHeaderAndAnInnerPacketItsTunnel) {
  const Bytes payload = Random(3000, 1);
  EXPECT_EQ(Give(Fragment({}, payload, {0, 1480})), nullptr);
  Packet* frame = Give(Fragment({}, payload, {1480, 1520}));
  ASSERT_NE(frame, nullptr);
  EXPECT_EQ(NotesOf(frame).l3_offset, 14);
  EXPECT_EQ(Word(BytesOf(frame), 12), 0x0800);
  EXPECT_EQ(NotesOf(frame).input_port, 0);
  ExpectWhole(frame, {}, payload);

  EXPECT_EQ(Reassemble(*context_, Inner(Fragment({}, payload, {0, 1480}), 7)), nullptr);
  Packet* inner = Reassemble(*context_, Inner(Fragment({}, payload, {1480, 1520}), 7));
  ASSERT_NE(inner, nullptr);
  EXPECT_EQ(NotesOf(inner).l3_offset, 0);
  EXPECT_EQ(NotesOf(inner).input_tunnel, 7u);
  ExpectWhole(inner, {}, payload);
}

TEST_F(ReassembleTest, AnInnerPacketStartsAtItsIpHeaderWhateverStoodInFront) {
  const Bytes payload = Random(64, 1);
  for (const Ip& ip : {Ip{}, kV6}) {
    Packet* whole = nullptr;
    for (const Part& part : {Part{0, 32}, Part{32, 32}}) {
      Packet* packet = FromBytes(Bytes(36, 0xaa) + Fragment(ip, payload, part), 0);
      Describe(packet, 36);
      NotesOf(packet).input_tunnel = 7;
      ASSERT_EQ(whole, nullptr);
      whole = Reassemble(*context_, packet);
    }
    ASSERT_NE(whole, nullptr);
    EXPECT_EQ(NotesOf(whole).l3_offset, 0);
    ExpectWhole(whole, ip, payload);
  }
}

TEST_F(ReassembleTest, FragmentsOfDifferentDatagramsDoNotMix) {
  const Bytes payload = Random(64, 1);
  EXPECT_EQ(Give(Fragment({}, payload, {0, 32})), nullptr);
  EXPECT_EQ(Give(Fragment({.identification = 9}, payload, {32, 32})), nullptr);
  EXPECT_EQ(Give(Fragment({.protocol = kProtocolEsp}, payload, {32, 32})), nullptr);
  EXPECT_EQ(Give(Fragment({.source = "192.0.2.9"}, payload, {32, 32})), nullptr);
  EXPECT_EQ(Give(Fragment({.destination = "192.0.2.9"}, payload, {32, 32})), nullptr);
  EXPECT_EQ(Reassemble(*context_, Inner(Fragment({}, payload, {32, 32}), 3)), nullptr);
  EXPECT_EQ(held(), 6u);
  ExpectWhole(Give(Fragment({}, payload, {32, 32})), {}, payload);
  EXPECT_EQ(held(), 5u);
  ExpectBalance();
}

TEST_F(ReassembleTest, OverlapsDropTheDatagramAndWhatIsStillToComeOfIt) {
  for (const Ip& base : {Ip{}, kV6}) {
    const Bytes payload = Random(96, 1);
    unsigned identification = 0;
    for (const Part& bad : {Part{8, 32}, Part{24, 16}, Part{0, 48}, Part{0, 24}, Part{16, 8}}) {
      Ip ip = base;
      ip.identification = static_cast<uint16_t>(++identification);
      const uint64_t before = drops(DropReason::kFragmentMalformed);
      EXPECT_EQ(Give(Fragment(ip, payload, {0, 32})), nullptr);
      EXPECT_EQ(Give(Fragment(ip, payload, bad)), nullptr);
      EXPECT_EQ(drops(DropReason::kFragmentMalformed), before + 2);
      EXPECT_EQ(Give(Fragment(ip, payload, {0, 32})), nullptr);
      EXPECT_EQ(Give(Fragment(ip, payload, {32, 64})), nullptr);
      EXPECT_EQ(drops(DropReason::kFragmentMalformed), before + 4);
      EXPECT_EQ(held(), 0u);
      ExpectBalance();
    }
  }
}

TEST_F(ReassembleTest, TheEndIsWhereTheLastFragmentSays) {
  const Bytes data = Random(32, 1);
  EXPECT_EQ(Give(Raw({}, data, 64, false)), nullptr);
  EXPECT_EQ(Give(Raw({}, data, 96, true)), nullptr);  // behind the end
  EXPECT_EQ(drops(DropReason::kFragmentMalformed), 2u);
  EXPECT_EQ(Give(Raw({.identification = 2}, data, 64, true)), nullptr);
  EXPECT_EQ(Give(Raw({.identification = 2}, data, 32, false)), nullptr);  // an end before others
  EXPECT_EQ(drops(DropReason::kFragmentMalformed), 4u);
  EXPECT_EQ(Give(Raw({.identification = 3}, data, 64, false)), nullptr);
  EXPECT_EQ(Give(Raw({.identification = 3}, Random(16, 1), 64, false)), nullptr);  // two ends
  EXPECT_EQ(drops(DropReason::kFragmentMalformed), 6u);
  EXPECT_EQ(held(), 0u);
  ExpectBalance();
}

TEST_F(ReassembleTest, MalformedFragmentsAreDroppedAndHurtNobody) {
  const Bytes payload = Random(64, 1);
  EXPECT_EQ(Give(Fragment({}, payload, {0, 32})), nullptr);
  EXPECT_EQ(Give(Raw({}, Random(31, 1), 32, true)), nullptr);      // not whole units
  EXPECT_EQ(Give(Raw({}, {}, 32, false)), nullptr);                // empty
  EXPECT_EQ(Give(Raw({}, Random(64, 1), 65528, false)), nullptr);  // ends beyond 65535
  EXPECT_EQ(Give(Raw(kV6, Random(31, 1), 32, true)), nullptr);
  EXPECT_EQ(Give(Raw(kV6, {}, 32, true)), nullptr);
  Packet* truncated = Frame(Fragment({}, payload, {32, 32}));
  rte_pktmbuf_trim(truncated, 1);
  EXPECT_EQ(Reassemble(*context_, truncated), nullptr);
  Packet* split = Frame(Raw(kV6, Random(32, 1), 32, false), 14 + 44);  // header over two segments
  EXPECT_EQ(Reassemble(*context_, split), nullptr);
  EXPECT_EQ(drops(DropReason::kFragmentMalformed), 7u);
  ExpectWhole(Give(Fragment({}, payload, {32, 32})), {}, payload);
  ExpectBalance();
}

TEST_F(ReassembleTest, AnIpv6PacketWholeInItsFragmentHeaderPassesAtOnce) {
  const Bytes payload = Random(64, 1);
  EXPECT_EQ(Give(Fragment(kV6, payload, {0, 32})), nullptr);
  ExpectWhole(Give(Raw(kV6, payload, 0, false)), kV6, payload);
  ExpectWhole(Give(Fragment(kV6, payload, {32, 32})), kV6, payload);
  ExpectBalance();
}

TEST_F(ReassembleTest, HeadersInFrontOfTheFragmentHeaderStay) {
  const Bytes payload = Random(64, 1);
  const Bytes hop_by_hop = {kProtocolFragment, 0, 1, 4, 0, 0, 0, 0};
  const auto fragment = [&](size_t offset, bool more) {
    Ip ip = kV6;
    ip.protocol = 0;
    ip.options = hop_by_hop;
    return MakeIp(ip,
                  Words({kProtocolEsp << 8, static_cast<unsigned>(offset | (more ? 1 : 0)), 0, 5}) +
                      Slice(payload, offset, 32));
  };
  EXPECT_EQ(Give(fragment(32, false)), nullptr);
  Packet* whole = Give(fragment(0, true));
  ASSERT_NE(whole, nullptr);
  Ip expected = kV6;
  expected.protocol = 0;
  expected.options = hop_by_hop;
  expected.options[0] = kProtocolEsp;
  EXPECT_EQ(IpOf(whole), MakeIp(expected, payload));
  EXPECT_EQ(NotesOf(whole).protocol, kProtocolEsp);
  Release(whole);
}

TEST_F(ReassembleTest, CongestionIsCarriedOver) {
  const Bytes payload = Random(64, 1);
  EXPECT_EQ(Give(Fragment({.tos = 2}, payload, {0, 32})), nullptr);
  ExpectWhole(Give(Fragment({.tos = 3}, payload, {32, 32})), {.tos = 3}, payload);
  EXPECT_EQ(Give(Fragment({.tos = 0}, payload, {0, 32})), nullptr);
  EXPECT_EQ(Give(Fragment({.tos = 3}, payload, {32, 32})), nullptr);  // RFC 3168 5.3
  EXPECT_EQ(drops(DropReason::kFragmentMalformed), 2u);
  ExpectBalance();
}

TEST_F(ReassembleTest, WhatWaitsTooLongIsDroppedOnceAndItsSenderTold) {
  const Bytes payload = Random(96, 1);
  EXPECT_EQ(Give(Fragment({}, payload, {0, 32})), nullptr);
  EXPECT_EQ(Give(Fragment({}, payload, {64, 32})), nullptr);
  EXPECT_EQ(Give(Fragment({.identification = 2}, payload, {32, 32})), nullptr);
  AdvanceMilliseconds(1999);
  ExpireFragments(*context_);
  EXPECT_EQ(held(), 3u);
  AdvanceMilliseconds(1);
  ExpireFragments(*context_);
  EXPECT_EQ(held(), 0u);
  EXPECT_EQ(drops(DropReason::kFragmentTimeout), 3u);
  ASSERT_EQ(context_->generated.count, 1u);  // only where the first fragment came
  EXPECT_EQ(Slice(IpOf(context_->generated.packets[0]), 20, 2), (Bytes{11, 1}));
  ExpectBalance(1);
  EXPECT_EQ(Give(Fragment({}, payload, {32, 32})), nullptr);  // a new start
  EXPECT_EQ(held(), 1u);
}

TEST_F(ReassembleTest, AFullTableRefusesNewDatagramsOnly) {
  const Bytes payload = Random(64, 1);
  for (unsigned i = 0; i < 1024; ++i) {
    EXPECT_EQ(Give(Fragment({.identification = static_cast<uint16_t>(i)}, payload, {0, 32})),
              nullptr);
  }
  EXPECT_EQ(Give(Fragment({.identification = 5000}, payload, {0, 32})), nullptr);
  EXPECT_EQ(drops(DropReason::kFragmentTable), 1u);
  EXPECT_EQ(held(), 1024u);
  ExpectWhole(Give(Fragment({.identification = 500}, payload, {32, 32})), {.identification = 500},
              payload);
  EXPECT_EQ(Give(Fragment({.identification = 5000}, payload, {0, 32})), nullptr);
  EXPECT_EQ(held(), 1024u);
  ExpectBalance();
  AdvanceMilliseconds(2000);
  for (unsigned i = 0; i < 1024 / kBurst; ++i) {
    ExpireFragments(*context_);
    rte_pktmbuf_free_bulk(context_->generated.packets, context_->generated.count);
    worker_.counters.sent.Add(context_->generated.count);
    context_->generated.Clear();
  }
  EXPECT_EQ(held(), 0u);
  EXPECT_EQ(drops(DropReason::kFragmentTimeout), 1024u);
  ExpectBalance();
}

TEST_F(ReassembleTest, TooManyOrTooLongFragmentsDropTheDatagram) {
  for (unsigned i = 0; i < 33; ++i) {
    EXPECT_EQ(Give(Raw({}, Random(8, 1), i * 8, true)), nullptr);
  }
  EXPECT_EQ(drops(DropReason::kFragmentTable), 33u);
  EXPECT_EQ(Give(Raw({.identification = 2}, Random(800, 1), 0, true)), nullptr);
  EXPECT_EQ(Give(Raw({.identification = 2}, Random(800, 1), 16000, false)), nullptr);
  EXPECT_EQ(drops(DropReason::kFragmentTable), 35u);
  EXPECT_EQ(held(), 0u);
  ExpectBalance();
}

TEST_F(ReassembleTest, HeldBuffersAreBounded) {
  for (unsigned i = 0; i < 6000; ++i) {
    const Ip ip{.identification = static_cast<uint16_t>(i / 6)};
    EXPECT_EQ(Give(Raw(ip, Random(8, 1), i % 6 * 8, true)), nullptr);
  }
  EXPECT_LE(held(), 4096u);
  EXPECT_GT(drops(DropReason::kFragmentTable), 0u);
  ExpectBalance();
}

TEST_F(ReassembleTest, NoBufferForTheWholeDropsItsPieces) {
  const Bytes payload = Random(64, 1);
  EXPECT_EQ(Give(Fragment({}, payload, {0, 32})), nullptr);
  Packet* last = Frame(Fragment({}, payload, {32, 32}));
  std::vector<Packet*> all;
  while (Packet* packet = rte_pktmbuf_alloc(worker_.pool)) {
    all.push_back(packet);
  }
  EXPECT_EQ(Reassemble(*context_, last), nullptr);
  EXPECT_EQ(drops(DropReason::kNoBuffer), 2u);
  EXPECT_EQ(held(), 0u);
  rte_pktmbuf_free_bulk(all.data(), static_cast<unsigned>(all.size()));
  ExpectBalance();
}

TEST_F(ReassembleTest, StoppingDropsWhatIsHeld) {
  EXPECT_EQ(Give(Raw({}, Random(8, 1), 0, true)), nullptr);
  DropHeld(*context_);
  EXPECT_EQ(drops(DropReason::kShutdown), 1u);
  EXPECT_EQ(held(), 0u);
  ExpectBalance();
}

}  // namespace
}  // namespace penstock
