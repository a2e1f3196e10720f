#include "dataplane/packet/reader.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/unit/runtime/fixtures.h"

namespace penstock {
namespace {

std::vector<uint8_t> Counting(size_t size) {
  std::vector<uint8_t> bytes(size);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  return bytes;
}

class ReaderTest : public ::testing::TestWithParam<size_t> {
 protected:
  Pool pool_{255};
};

TEST_P(ReaderTest, ReadsTheSameHoweverThePacketIsCut) {
  Packet* packet = pool_.Make(Counting(60), GetParam());
  PacketReader reader(packet);
  UdpHeader udp;
  for (uint32_t offset = 0; offset <= 52; ++offset) {
    const UdpHeader* header = reader.PeekAt(offset, udp);
    ASSERT_NE(header, nullptr) << offset;
    EXPECT_EQ(header->source.ToHost(), offset << 8 | (offset + 1));
    EXPECT_EQ(header->checksum.ToHost(), (offset + 6) << 8 | (offset + 7));
  }
  for (uint32_t offset = 53; offset < 70; ++offset) {
    EXPECT_EQ(reader.PeekAt(offset, udp), nullptr) << offset;
  }
  rte_pktmbuf_free(packet);
}

TEST_P(ReaderTest, StepsToTheEndAndNotBeyond) {
  Packet* packet = pool_.Make(Counting(30), GetParam());
  PacketReader reader(packet);
  Ipv4Header ip;
  UdpHeader udp;
  ASSERT_NE(reader.Read(ip), nullptr);
  EXPECT_EQ(reader.remaining(), 10u);
  ASSERT_NE(reader.Read(udp), nullptr);
  EXPECT_EQ(reader.Read(udp), nullptr);
  EXPECT_EQ(reader.offset(), 28u) << "a failed read does not move";
  EXPECT_FALSE(reader.Skip(3));
  EXPECT_TRUE(reader.Skip(2));
  EXPECT_EQ(reader.remaining(), 0u);
  EXPECT_FALSE(reader.Skip(1));
  rte_pktmbuf_free(packet);
}

TEST_P(ReaderTest, CopiesAnyRange) {
  Packet* packet = pool_.Make(Counting(50), GetParam());
  PacketReader reader(packet);
  std::vector<uint8_t> target(30);
  ASSERT_TRUE(reader.Copy(20, 30, target.data()));
  EXPECT_EQ(target.front(), 20);
  EXPECT_EQ(target.back(), 49);
  EXPECT_FALSE(reader.Copy(21, 30, target.data()));
  rte_pktmbuf_free(packet);
}

INSTANTIATE_TEST_SUITE_P(SegmentSizes, ReaderTest, ::testing::Values(1, 3, 7, 8, 20, 59, 100));

TEST(ReaderBoundsTest, OffsetsThatWrapAreOutside) {
  Pool pool(255);
  Packet* packet = pool.Make(Counting(40), 10);
  UdpHeader udp;
  EXPECT_EQ(PacketReader(packet, UINT32_MAX).Peek(udp), nullptr);
  EXPECT_EQ(PacketReader(packet, UINT32_MAX - 3).Peek(udp), nullptr);
  EXPECT_EQ(PacketReader(packet, UINT32_MAX).remaining(), 0u);
  EXPECT_FALSE(PacketReader(packet, 4).Skip(UINT32_MAX));
  rte_pktmbuf_free(packet);
}

TEST(ReaderBoundsTest, OnlyTheFirstSegmentIsContiguous) {
  Pool pool(255);
  Packet* packet = pool.Make(Counting(40), 10);
  EXPECT_TRUE(PacketReader(packet, 2).Contiguous(8));
  EXPECT_FALSE(PacketReader(packet, 2).Contiguous(9));
  EXPECT_FALSE(PacketReader(packet, 12).Contiguous(0));
  rte_pktmbuf_free(packet);
}

}  // namespace
}  // namespace penstock
