#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "dataplane/ipsec/sa.h"

namespace penstock {
namespace {

Secret Bytes(size_t size) { return Secret(std::vector<uint8_t>(size, 0x5a)); }

SaConfig Valid(bool inbound = false) {
  SaConfig config;
  config.spi = 0xc0ffee;
  config.inbound = inbound;
  config.suite = FindSuite(Cipher::kAesGcm, Integrity::kNone, 16);
  config.cipher_key = Bytes(20);
  config.source = *IpAddress::Parse("192.0.2.1");
  config.destination = *IpAddress::Parse("198.51.100.1");
  return config;
}

std::string ErrorAfter(const std::function<void(SaConfig&)>& change, bool inbound = false) {
  SaConfig config = Valid(inbound);
  change(config);
  const Status status = ValidateSaConfig(config);
  return status ? "" : status.error().message;
}

TEST(SaConfig, ValidOnesPass) {
  EXPECT_EQ(ErrorAfter([](SaConfig&) {}), "");
  EXPECT_EQ(ErrorAfter([](SaConfig&) {}, true), "");
}

TEST(SaConfig, RefusesReservedSpis) {
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.spi = 255; }),
            "spi 255 is reserved (RFC 4303 2.1), use 256 or more");
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.spi = 256; }), "");
}

TEST(SaConfig, RefusesAMissingSuite) {
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.suite = nullptr; }),
            "suite is missing, name one such as aes-gcm-16-256");
}

TEST(SaConfig, RefusesKeysOfTheWrongLength) {
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.cipher_key = Bytes(5); }),
            "key has 5 bytes, aes-gcm-16-128 needs 20 (16 key + 4 salt)");
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.integrity_key = Bytes(20); }),
            "integrity key has 20 bytes, aes-gcm-16-128 needs 0");
  const auto cbc = [](SaConfig& c) {
    c.suite = FindSuite(Cipher::kAesCbc, Integrity::kHmacSha1_96, 32);
    c.integrity_key = Bytes(20);
  };
  EXPECT_EQ(ErrorAfter(cbc), "key has 20 bytes, aes-cbc-256-hmac-sha1-96 needs 32");
  EXPECT_EQ(ErrorAfter([&](SaConfig& c) {
              cbc(c);
              c.cipher_key = Bytes(32);
              c.integrity_key = Bytes(19);
            }),
            "integrity key has 19 bytes, aes-cbc-256-hmac-sha1-96 needs 20");
}

TEST(SaConfig, RefusesReplayWindowsOutOfRange) {
  for (const uint32_t size : {1u, 31u, 65'537u}) {
    EXPECT_EQ(ErrorAfter([size](SaConfig& c) { c.replay_window = size; }, true),
              fmt::format("replay window {} is out of range, use 0 (off) or 32 to 65536", size));
  }
  for (const uint32_t size : {0u, 32u, 65'536u}) {
    EXPECT_EQ(ErrorAfter([size](SaConfig& c) { c.replay_window = size; }, true), "");
  }
}

TEST(SaConfig, AllowsEsnWithoutReplayWindow) {
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.esn = true; }, true), "");
}

TEST(SaConfig, RefusesSequenceNumbersBeyondTheEnd) {
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.initial_sequence = 1ull << 32; }),
            "initial sequence 4294967296 is beyond 4294967295, the end without ESN");
  EXPECT_EQ(ErrorAfter([](SaConfig& c) {
              c.initial_sequence = 1ull << 32;
              c.esn = true;
            }),
            "");
}

TEST(SaConfig, RefusesMixedFamilies) {
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.destination = *IpAddress::Parse("2001:db8::2"); }),
            "source 192.0.2.1 and destination 2001:db8::2 are of different address families");
}

TEST(SaConfig, RefusesMissingAddresses) {
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.destination = IpAddress(); }),
            "destination 0.0.0.0 is no address, an SA needs one");
  const auto no_source = [](SaConfig& c) { c.source = IpAddress(); };
  EXPECT_EQ(ErrorAfter(no_source), "source 0.0.0.0 is no address, an outbound SA needs one");
  EXPECT_EQ(ErrorAfter(no_source, true), "");
  EXPECT_EQ(ErrorAfter(
                [&](SaConfig& c) {
                  no_source(c);
                  c.check_source = true;
                },
                true),
            "source 0.0.0.0 is no address, check_source needs one");
}

TEST(SaConfig, PortsGoWithEncapsulation) {
  const auto encapsulated = [](SaConfig& c) {
    c.udp_encapsulation = true;
    c.source_port = c.destination_port = 4500;
  };
  EXPECT_EQ(ErrorAfter(encapsulated), "");
  EXPECT_EQ(ErrorAfter([&](SaConfig& c) {
              encapsulated(c);
              c.source_port = 0;
            }),
            "source port is 0, UDP encapsulation needs 1 to 65535");
  EXPECT_EQ(ErrorAfter([&](SaConfig& c) {
              encapsulated(c);
              c.destination_port = 0;
            }),
            "destination port is 0, UDP encapsulation needs 1 to 65535");
  EXPECT_EQ(ErrorAfter([&](SaConfig& c) {
              encapsulated(c);
              c.udp_encapsulation = false;
            }),
            "source port is 4500, without UDP encapsulation it must be 0");
}

TEST(SaConfig, RefusesHeaderValuesOutOfRange) {
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.headers.dscp = 64; }),
            "dscp 64 is out of range, use 0 to 63");
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.headers.hop_limit = 0; }),
            "hop limit 0 is out of range, use 1 to 255");
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.tfc_length = 65'536; }),
            "tfc length 65536 is out of range, use 0 (off) to 65535, or 4294967295 for the tunnel "
            "MTU");
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.tfc_length = UINT32_MAX; }), "");
}

TEST(SaConfig, RefusesSoftLimitsBeyondHardOnes) {
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.limits = {.soft_bytes = 9, .hard_bytes = 8}; }),
            "soft limit of 9 bytes is beyond the hard limit of 8");
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.limits = {.soft_packets = 9, .hard_packets = 8}; }),
            "soft limit of 9 packets is beyond the hard limit of 8");
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.limits = {.soft_seconds = 9, .hard_seconds = 8}; }),
            "soft limit of 9 seconds is beyond the hard limit of 8");
  EXPECT_EQ(ErrorAfter([](SaConfig& c) { c.limits = {.soft_bytes = 9}; }), "");
}

std::string SelectorError(const std::function<void(Selector&)>& change) {
  return ErrorAfter([&](SaConfig& c) {
    c.selectors.resize(2);
    change(c.selectors[1]);
  });
}

TEST(SaConfig, RefusesSelectorsThatMakeNoSense) {
  EXPECT_EQ(SelectorError([](Selector&) {}), "");
  EXPECT_EQ(SelectorError([](Selector& s) { s.source = *Prefix::Parse("2001:db8::/32"); }),
            "selector 2: source 2001:db8::/32 and destination 0.0.0.0/0 are of different address "
            "families");
  EXPECT_EQ(SelectorError([](Selector& s) { s.source_port_last = 80; }),
            "selector 2: source ports 0-80 need a protocol, any protocol has ports 0-65535 only");
  EXPECT_EQ(SelectorError([](Selector& s) {
              s.protocol = kProtocolUdp;
              s.destination_port_first = 90;
              s.destination_port_last = 80;
            }),
            "selector 2: destination ports 90-80 run backwards");
}

Selector Web() {
  Selector selector;
  selector.source = *Prefix::Parse("10.1.0.0/16");
  selector.destination = *Prefix::Parse("10.2.0.0/16");
  selector.protocol = kProtocolTcp;
  selector.destination_port_first = 80;
  selector.destination_port_last = 443;
  return selector;
}

TEST(Selector, MatchesWhatLiesInAllItsRanges) {
  const Selector web = Web();
  const IpAddress from = *IpAddress::Parse("10.1.2.3");
  const IpAddress to = *IpAddress::Parse("10.2.3.4");
  EXPECT_TRUE(web.Matches(from, to, kProtocolTcp, 5, 80, true));
  EXPECT_TRUE(web.Matches(from, to, kProtocolTcp, 5, 443, true));
  EXPECT_FALSE(web.Matches(from, to, kProtocolTcp, 5, 444, true));
  EXPECT_FALSE(web.Matches(from, to, kProtocolTcp, 5, 79, true));
  EXPECT_FALSE(web.Matches(from, to, kProtocolUdp, 5, 80, true));
  EXPECT_FALSE(web.Matches(to, from, kProtocolTcp, 5, 80, true));
  EXPECT_FALSE(web.Matches(from, to, kProtocolTcp, 5, 80, false));
}

TEST(Selector, EverythingIsEverythingOfOneFamily) {
  const Selector all;
  EXPECT_TRUE(all.MatchesEverything());
  EXPECT_FALSE(Web().MatchesEverything());
  const IpAddress v4 = *IpAddress::Parse("10.1.2.3");
  const IpAddress v6 = *IpAddress::Parse("2001:db8::1");
  EXPECT_TRUE(all.Matches(v4, v4, 99, 0, 0, false));
  EXPECT_FALSE(all.Matches(v6, v6, 99, 0, 0, false));
}

}  // namespace
}  // namespace penstock
