#include "tests/unit/stages/slow_path_fixture.h"

namespace penstock {
namespace {

class MakeLinearTest : public SlowPathTest {};

TEST_F(MakeLinearTest, LeavesAPacketAloneThatHasTheRoom) {
  Packet* packet = Frame(MakeIp({}, Random(100, 1)));
  EXPECT_EQ(MakeLinear(*context_, packet, 128, 64), packet);
  Release(packet);
}

TEST_F(MakeLinearTest, JoinsAChainAndKeepsBytesAndNotes) {
  const Bytes ip = MakeIp({}, Random(3000, 2));
  Packet* chain = Frame(ip, 700);
  ASSERT_GT(chain->nb_segs, 1);
  Packet* linear = MakeLinear(*context_, chain, 100, 80);
  ASSERT_NE(linear, nullptr);
  EXPECT_EQ(linear->nb_segs, 1);
  EXPECT_GE(rte_pktmbuf_headroom(linear), 100);
  EXPECT_GE(rte_pktmbuf_tailroom(linear), 80);
  EXPECT_EQ(IpOf(linear), ip);
  EXPECT_EQ(NotesOf(linear).flow_hash, 0x5eedu);
  Release(linear);
  ExpectBalance();
}

TEST_F(MakeLinearTest, MovesToALargerBufferWhenTailroomIsMissing) {
  const Bytes ip = MakeIp({}, Random(2000, 3));
  Packet* linear = MakeLinear(*context_, Frame(ip), 128, 200);
  ASSERT_NE(linear, nullptr);
  EXPECT_EQ(linear->pool, worker_.jumbo_pool);
  EXPECT_EQ(IpOf(linear), ip);
  Release(linear);
}

TEST_F(MakeLinearTest, DropsWhatNoBufferHolds) {
  EXPECT_EQ(MakeLinear(*context_, Frame(MakeIp({}, Random(16500, 4)), 2000), 128, 64), nullptr);
  EXPECT_EQ(drops(DropReason::kNoHeadroom), 1u);
  ExpectBalance();
}

TEST_F(MakeLinearTest, DropsWhenThePoolIsEmpty) {
  Packet* chain = Frame(MakeIp({}, Random(3000, 5)), 700);
  std::vector<Packet*> all;
  while (Packet* packet = rte_pktmbuf_alloc(worker_.jumbo_pool)) {
    all.push_back(packet);
  }
  EXPECT_EQ(MakeLinear(*context_, chain, 128, 64), nullptr);
  EXPECT_EQ(drops(DropReason::kNoBuffer), 1u);
  rte_pktmbuf_free_bulk(all.data(), static_cast<unsigned>(all.size()));
  ExpectBalance();
}

}  // namespace
}  // namespace penstock
