#include "dataplane/packet/checksum.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace penstock {
namespace {

// RFC 1071 word by word, in host order.
uint16_t Naive(const std::vector<uint8_t>& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    sum += static_cast<uint32_t>(bytes[i] << 8) | (i + 1 < bytes.size() ? bytes[i + 1] : 0);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}

std::vector<uint8_t> Random(std::mt19937& random, size_t size) {
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(random());
  }
  return bytes;
}

TEST(ChecksumTest, AgreesWithWordByWordAdditionAtEveryLength) {
  std::mt19937 random(1);
  for (size_t size = 0; size < 200; ++size) {
    const std::vector<uint8_t> bytes = Random(random, size);
    EXPECT_EQ(ChecksumOf(AddToSum(0, bytes.data(), size)).ToHost(), Naive(bytes)) << size;
  }
}

TEST(ChecksumTest, TakesTheLargestPacketOfOnes) {
  const std::vector<uint8_t> bytes(65535, 0xff);
  EXPECT_EQ(ChecksumOf(AddToSum(0, bytes.data(), bytes.size())).ToHost(), Naive(bytes));
  EXPECT_EQ(FoldSum(UINT64_MAX), 0xffff);
  EXPECT_EQ(FoldSum(0), 0);
}

TEST(ChecksumTest, UdpNeverSendsZero) {
  EXPECT_EQ(ChecksumOf(0xffff).ToHost(), 0);
  EXPECT_EQ(UdpChecksumOf(0xffff).ToHost(), 0xffff);
  EXPECT_EQ(UdpChecksumOf(0x1234), ChecksumOf(0x1234));
}

TEST(ChecksumTest, UpdateEqualsComputingAnew) {
  std::mt19937 random(2);
  constexpr uint16_t kEdges[] = {0x0000, 0x0001, 0x7fff, 0x8000, 0xfffe, 0xffff};
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint8_t> bytes = Random(random, 20);
    bytes[0] = 0x45;  // as in a header: not all zero
    const Be16 checksum = ChecksumOf(AddToSum(0, bytes.data(), bytes.size()));
    Be16 before;
    memcpy(&before, &bytes[8], 2);
    for (const uint16_t edge : kEdges) {
      const Be16 after = Be16::FromHost(edge);
      memcpy(&bytes[8], &after, 2);
      EXPECT_EQ(UpdateChecksum(checksum, before, after).ToHost(), Naive(bytes));
    }
  }
}

TEST(ChecksumTest, Rfc1624ExampleComesOutAsZero) {
  // Section 4: header checksum 0xdd2f, a field changes from 0x5555 to 0x3285; RFC 1141's way gave
  // 0xffff.
  EXPECT_EQ(UpdateChecksum(Be16::FromHost(0xdd2f), Be16::FromHost(0x5555), Be16::FromHost(0x3285))
                .ToHost(),
            0x0000);
}

TEST(ChecksumTest, UpdateOfAnAddressEqualsComputingAnew) {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint8_t> bytes = Random(random, 20);
    bytes[0] = 0x45;
    const Be16 checksum = ChecksumOf(AddToSum(0, bytes.data(), bytes.size()));
    Be32 before;
    memcpy(&before, &bytes[12], 4);
    const Be32 after = Be32::FromRaw(round == 0 ? 0 : static_cast<uint32_t>(random()));
    memcpy(&bytes[12], &after, 4);
    EXPECT_EQ(UpdateChecksum(checksum, before, after).ToHost(), Naive(bytes));
  }
}

TEST(ChecksumTest, Ipv4HeaderIsComputedWithItsFieldAsZero) {
  std::mt19937 random(4);
  for (int round = 0; round < 1000; ++round) {
    std::vector<uint8_t> bytes = Random(random, 24);
    bytes[0] = 0x46;
    auto* header = reinterpret_cast<Ipv4Header*>(bytes.data());
    const Be16 checksum = Ipv4HeaderChecksum(*header);
    header->checksum = Be16::FromHost(0);
    EXPECT_EQ(checksum.ToHost(), Naive(bytes));
    header->checksum = checksum;
    EXPECT_TRUE(Ipv4ChecksumIsGood(*header));
    bytes[5] ^= 0x10;
    EXPECT_FALSE(Ipv4ChecksumIsGood(*header));
  }
}

TEST(ChecksumTest, PseudoHeadersAreThoseOfTheRfcs) {
  std::mt19937 random(5);
  const std::vector<uint8_t> v4 = Random(random, 20);
  std::vector<uint8_t> pseudo(v4.begin() + 12, v4.end());
  pseudo.insert(pseudo.end(), {0, 17, 0x12, 0x34});
  EXPECT_EQ(ChecksumOf(PseudoHeaderSum(*reinterpret_cast<const Ipv4Header*>(v4.data()), 17, 0x1234))
                .ToHost(),
            Naive(pseudo));
  const std::vector<uint8_t> v6 = Random(random, 40);
  pseudo.assign(v6.begin() + 8, v6.end());
  pseudo.insert(pseudo.end(), {0, 1, 0x23, 0x45, 0, 0, 0, 58});
  EXPECT_EQ(
      ChecksumOf(PseudoHeaderSum(*reinterpret_cast<const Ipv6Header*>(v6.data()), 58, 0x12345))
          .ToHost(),
      Naive(pseudo));
}

}  // namespace
}  // namespace penstock
