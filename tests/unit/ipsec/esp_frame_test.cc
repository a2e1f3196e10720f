#include "dataplane/ipsec/esp_frame.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace penstock {
namespace {

struct MtuRow {
  Cipher cipher;
  Integrity integrity;
  uint8_t key_length;
  std::array<uint32_t, 4> inner;  // v4, v4 + UDP, v6, v6 + UDP at an outer MTU of 1500
};

const MtuRow kMtuTable[] = {
    {Cipher::kAesGcm, Integrity::kNone, 16, {1446, 1438, 1426, 1418}},
    {Cipher::kAesGcm, Integrity::kNone, 32, {1446, 1438, 1426, 1418}},
    {Cipher::kChaCha20Poly1305, Integrity::kNone, 32, {1446, 1438, 1426, 1418}},
    {Cipher::kAesCbc, Integrity::kHmacSha1_96, 32, {1438, 1422, 1422, 1406}},
    {Cipher::kAesCbc, Integrity::kHmacSha256_128, 16, {1438, 1422, 1406, 1406}},
    {Cipher::kAesCbc, Integrity::kHmacSha384_192, 32, {1422, 1422, 1406, 1390}},
    {Cipher::kAesCbc, Integrity::kHmacSha512_256, 32, {1422, 1406, 1390, 1390}},
};

TEST(EspFrame, GivesTheInnerMtuOfEverySuiteFamilyAndEncapsulation) {
  for (const MtuRow& row : kMtuTable) {
    const Suite* suite = FindSuite(row.cipher, row.integrity, row.key_length);
    ASSERT_NE(suite, nullptr);
    unsigned column = 0;
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      for (const bool udp : {false, true}) {
        EXPECT_EQ(InnerMtu(1500, OverheadOf(*suite, family, udp)), row.inner[column])
            << suite->name << " column " << column;
        ++column;
      }
    }
  }
}

TEST(EspFrame, FillsWholeBlocksWithTheLeastPadding) {
  for (const uint32_t block : {4u, 16u}) {
    for (uint32_t length = 0; length < 10000; ++length) {
      const uint32_t padding = EspPadding(length, block);
      ASSERT_LT(padding, block) << length;
      ASSERT_EQ((length + padding + 2) % block, 0u) << length;
    }
  }
}

TEST(EspFrame, LargestInnerPacketFitsAndTheNextDoesNot) {
  for (const Suite& suite : AllSuites()) {
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      for (const bool udp : {false, true}) {
        const EspOverhead overhead = OverheadOf(suite, family, udp);
        for (uint32_t mtu = 0; mtu < 2200; ++mtu) {
          const uint32_t inner = InnerMtu(mtu, overhead);
          if (inner == 0) {
            ASSERT_GT(OuterLength(1, overhead), mtu) << suite.name << " " << mtu;
          } else {
            ASSERT_LE(OuterLength(inner, overhead), mtu) << suite.name << " " << mtu;
            ASSERT_GT(OuterLength(inner + 1, overhead), mtu) << suite.name << " " << mtu;
          }
        }
      }
    }
  }
}

TEST(EspFrame, CountsEachPartOfTheOuterPacket) {
  const Suite* gcm = FindSuite(Cipher::kAesGcm, Integrity::kNone, 16);
  ASSERT_NE(gcm, nullptr);
  const EspOverhead overhead = OverheadOf(*gcm, Family::kIpv6, true);
  EXPECT_EQ(overhead.outer, 48u);
  EXPECT_EQ(overhead.header, 16u);
  EXPECT_EQ(overhead.icv, 16u);
  EXPECT_EQ(overhead.block, 4u);
  // 100 + 2 bytes of padding + 2 of trailer.
  EXPECT_EQ(OuterLength(100, overhead), 48u + 16 + 104 + 16);
}

}  // namespace
}  // namespace penstock
