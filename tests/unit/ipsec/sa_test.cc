#include "dataplane/ipsec/sa.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "dataplane/ipsec/esp_frame.h"

namespace penstock {
namespace {

class SaTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<Engine>> engine = MakeEngine(EngineChoice::kOpenssl);
    ASSERT_TRUE(engine.has_value());
    engine_ = std::move(*engine);
    clock_.Advance(std::chrono::seconds(1234));
  }
  SaConfig Config(bool inbound, const char* source = "192.0.2.1",
                  const char* destination = "198.51.100.1") {
    SaConfig config;
    config.spi = 0x12345678;
    config.inbound = inbound;
    config.suite = FindSuite(Cipher::kAesGcm, Integrity::kNone, 16);
    config.cipher_key = Secret(std::vector<uint8_t>(20, 0x5a));
    config.source = *IpAddress::Parse(source);
    config.destination = *IpAddress::Parse(destination);
    return config;
  }
  std::unique_ptr<OutboundSa> Outbound(SaConfig config) {
    auto sa = MakeOutboundSa(std::move(config), 7, 3, *engine_, clock_);
    EXPECT_TRUE(sa.has_value());
    return std::move(*sa);
  }
  std::unique_ptr<InboundSa> Inbound(SaConfig config) {
    auto sa = MakeInboundSa(std::move(config), 7, 3, *engine_, clock_);
    EXPECT_TRUE(sa.has_value());
    return std::move(*sa);
  }
  std::unique_ptr<Engine> engine_;
  FakeClock clock_;
};

std::vector<uint8_t> TemplateOf(const OutboundSa& sa) {
  return {sa.header, sa.header + sa.header_length};
}

TEST_F(SaTest, TemplateOverIpv4) {
  const auto sa = Outbound(Config(false));
  EXPECT_EQ(TemplateOf(*sa),
            (std::vector<uint8_t>{0x45, 0, 0,   0,  0,   0, 0,    0,    64,   50,   0, 0, 192, 0,
                                  2,    1, 198, 51, 100, 1, 0x12, 0x34, 0x56, 0x78, 0, 0, 0,   0}));
  EXPECT_EQ(sa->esp_offset, 20);
  EXPECT_EQ(sa->spi.ToHost(), 0x12345678u);
  EXPECT_EQ(sa->slot, 7u);
  EXPECT_EQ(sa->tunnel, 3u);
  EXPECT_EQ(sa->iv_length, 8);
  EXPECT_EQ(sa->icv_length, 16);
  EXPECT_EQ(sa->block, 4);
  EXPECT_EQ(sa->inner_mtu.load(), 1446);
  EXPECT_EQ(sa->dead.load(), 0);
  EXPECT_EQ(sa->installed_wall_seconds, 1234);
}

TEST_F(SaTest, TemplateOverIpv6AndUdp) {
  SaConfig config = Config(false, "2001:db8::1", "2001:db8::2");
  config.udp_encapsulation = true;
  config.source_port = 4500;
  config.destination_port = 40000;
  config.headers.hop_limit = 255;
  const auto sa = Outbound(std::move(config));
  const std::vector<uint8_t> expected = {
      0x60, 0,    0, 0, 0, 0, 17,   255,  0x20, 0x01, 0x0d, 0xb8, 0,    0,
      0,    0,    0, 0, 0, 0, 0,    0,    0,    1,    0x20, 0x01, 0x0d, 0xb8,
      0,    0,    0, 0, 0, 0, 0,    0,    0,    0,    0,    2,    0x11, 0x94,
      0x9c, 0x40, 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78, 0,    0,    0,    0};
  EXPECT_EQ(TemplateOf(*sa), expected);
  EXPECT_EQ(sa->esp_offset, 48);
  EXPECT_EQ(sa->ipv4_checksum_base, 0u);
  EXPECT_EQ(sa->inner_mtu.load(), 1418);
  EXPECT_TRUE(sa->flags & kSaUdp);
  EXPECT_TRUE(sa->flags & kSaOuterV6);
}

TEST_F(SaTest, BytesBehindTheTemplateAreZero) {
  const auto sa = Outbound(Config(false));
  for (unsigned i = sa->header_length; i < kMaxHeaderTemplate; ++i) {
    ASSERT_EQ(sa->header[i], 0) << i;
  }
}

TEST_F(SaTest, ChecksumBaseCompletesToAValidHeader) {
  const auto sa = Outbound(Config(false));
  Ipv4Header header;
  std::memcpy(&header, sa->header, sizeof(header));
  header.tos = 0xb9;
  header.total_length = Be16::FromHost(1500);
  header.identification = Be16::FromHost(0x9876);
  header.fragment = Be16::FromHost(kIpv4DontFragment);
  uint32_t sum = sa->ipv4_checksum_base + (uint32_t{header.tos} << 8) + header.total_length.raw() +
                 header.identification.raw() + header.fragment.raw();
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  header.checksum = Be16::FromRaw(static_cast<uint16_t>(~sum));
  uint16_t words[10];
  std::memcpy(words, &header, sizeof(words));
  uint32_t check = 0;
  for (const uint16_t word : words) {
    check += word;
  }
  check = (check & 0xffff) + (check >> 16);
  check = (check & 0xffff) + (check >> 16);
  EXPECT_EQ(check, 0xffffu);
}

TEST_F(SaTest, StandsOnItsCacheLines) {
  const auto out = Outbound(Config(false));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(out.get()) % kCacheLine, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(&out->header) % kCacheLine, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(&out->sequence) % kCacheLine, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(&out->lifetime) % kCacheLine, 0u);
  const auto in = Inbound(Config(true));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(in.get()) % kCacheLine, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(&in->replay) % kCacheLine, 0u);
}

TEST_F(SaTest, KeysAreGoneFromTheConfiguration) {
  const auto out = Outbound(Config(false));
  EXPECT_TRUE(out->config.cipher_key.empty());
  EXPECT_TRUE(out->config.integrity_key.empty());
  EXPECT_NE(out->crypto_key, nullptr);
  EXPECT_EQ(out->crypto_key, out->owned_key.get());
  EXPECT_TRUE(Inbound(Config(true))->config.cipher_key.empty());
}

TEST_F(SaTest, EveryAeadSaStartsItsIvsElsewhere) {
  const auto first = Outbound(Config(false));
  const auto second = Outbound(Config(false));
  EXPECT_TRUE(first->flags & kSaAead);
  EXPECT_NE(first->iv_base, second->iv_base);
  SaConfig cbc = Config(false);
  cbc.suite = FindSuite(Cipher::kAesCbc, Integrity::kHmacSha256_128, 16);
  cbc.cipher_key = Secret(std::vector<uint8_t>(16, 1));
  cbc.integrity_key = Secret(std::vector<uint8_t>(32, 2));
  const auto sa = Outbound(std::move(cbc));
  EXPECT_FALSE(sa->flags & kSaAead);
  EXPECT_EQ(sa->block, 16);
}

TEST_F(SaTest, SequenceGoesOnWhereItWasLeft) {
  SaConfig config = Config(false);
  config.esn = true;
  config.initial_sequence = 1ull << 33;
  const auto sa = Outbound(std::move(config));
  EXPECT_TRUE(sa->flags & kSaEsn);
  EXPECT_EQ(sa->sequence.Claim(1).first, (1ull << 33) + 1);
}

TEST_F(SaTest, FlagsSayWhatTheConfigurationAsksFor) {
  SaConfig config = Config(false);
  config.headers = {.df = DfMode::kSet, .copy_dscp = false, .dscp = 46, .ecn = false};
  config.tfc_length = 1000;
  config.limits.hard_bytes = 5;
  const auto sa = Outbound(std::move(config));
  EXPECT_EQ(sa->flags, kSaAead | kSaDfSet | kSaTfc | kSaCountsLifetime);
  EXPECT_EQ(sa->fixed_dscp, 46 << 2);
  EXPECT_EQ(sa->tfc_length, 1000u);
  EXPECT_FALSE(sa->lifetime.Count(6).allowed);
  EXPECT_EQ(Outbound(Config(false))->flags, kSaAead | kSaDfCopy | kSaCopyDscp | kSaEcn);
}

TEST_F(SaTest, InboundKnowsItsAddressesAndWindow) {
  SaConfig config = Config(true);
  config.replay_window = 100;
  config.udp_encapsulation = true;
  config.source_port = 4501;
  config.destination_port = 4500;
  config.check_source = true;
  config.headers.decapsulate_dscp = true;
  const auto sa = Inbound(std::move(config));
  EXPECT_EQ(sa->outer_version, 4);
  EXPECT_EQ(sa->udp_source.ToHost(), 4501);
  EXPECT_EQ(std::memcmp(sa->peer, "\xc0\x00\x02\x01\0\0\0\0\0\0\0\0\0\0\0\0", 16), 0);
  EXPECT_EQ(std::memcmp(sa->local, "\xc6\x33\x64\x01\0\0\0\0\0\0\0\0\0\0\0\0", 16), 0);
  EXPECT_EQ(sa->replay.size(), 100u);
  EXPECT_TRUE(sa->flags & kSaCheckSource);
  EXPECT_TRUE(sa->flags & kSaDecapDscp);
  EXPECT_FALSE(sa->flags & kSaSelectors);
}

TEST_F(SaTest, SelectorsRestrictUnlessTheyAllowBothFamiliesWhole) {
  SaConfig config = Config(true);
  config.selectors.resize(1);  // all of IPv4, and so nothing of IPv6
  EXPECT_TRUE(Inbound(std::move(config))->flags & kSaSelectors);
  config = Config(true);
  config.selectors.resize(2);
  config.selectors[1].source = config.selectors[1].destination = Prefix::Default(Family::kIpv6);
  EXPECT_FALSE(Inbound(std::move(config))->flags & kSaSelectors);
}

TEST_F(SaTest, RefusesWhatDoesNotValidate) {
  SaConfig config = Config(false);
  config.spi = 1;
  const auto sa = MakeOutboundSa(std::move(config), 7, 3, *engine_, clock_);
  ASSERT_FALSE(sa.has_value());
  EXPECT_EQ(sa.error().message, "spi 1 is reserved (RFC 4303 2.1), use 256 or more");
}

TEST_F(SaTest, RefusesTheOtherDirection) {
  const auto sa = MakeInboundSa(Config(false), 7, 3, *engine_, clock_);
  ASSERT_FALSE(sa.has_value());
  EXPECT_EQ(sa.error().message, "the SA is outbound, an inbound one was asked for");
}

}  // namespace
}  // namespace penstock
