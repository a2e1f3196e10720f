#include "dataplane/base/ip_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unordered_set>

namespace penstock {
namespace {

using ::testing::HasSubstr;

IpAddress Address(std::string_view text) { return IpAddress::Parse(text).value(); }

TEST(IpAddressTest, ReadsAndPrintsTheCanonicalForm) {
  const std::pair<const char*, const char*> cases[] = {
      {"192.0.2.1", "192.0.2.1"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8::A", "2001:db8::a"},
      {"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
      {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  };
  for (const auto& [text, canonical] : cases) {
    Result<IpAddress> address = IpAddress::Parse(text);
    ASSERT_TRUE(address) << text << ": " << address.error().message;
    EXPECT_EQ(address->ToString(), canonical);
    EXPECT_EQ(IpAddress::Parse(address->ToString()).value(), *address);
  }
}

TEST(IpAddressTest, RefusesWhatIsNoAddressAndQuotesIt) {
  for (const char* text : {"", " ", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1 ", "10.0.0.1/8",
                           "1.2.3.4.5", "::1::", ":1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
                           "fe80::1%eth0", "g::", "12345::", "::1.2.3", "localhost"}) {
    Result<IpAddress> address = IpAddress::Parse(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(address.error().message, HasSubstr('"' + std::string(text) + '"'));
  }
}

TEST(IpAddressTest, RefusesATextBehindANul) {
  EXPECT_FALSE(IpAddress::Parse(std::string_view("10.0.0.1\0x", 10)));
}

TEST(IpAddressTest, BoundsAndCleansWhatItQuotes) {
  const std::string message =
      IpAddress::Parse("\x1b[2J\n" + std::string(1000, 'x')).error().message;
  EXPECT_LT(message.size(), 200u);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST(IpAddressTest, TakesBytesOfEitherFamilyOnly) {
  for (size_t size = 0; size <= 20; ++size) {
    Result<IpAddress> address = IpAddress::FromBytes(std::string(size, '\1'));
    EXPECT_EQ(address.has_value(), size == 4 || size == 16) << size;
    if (address) {
      EXPECT_EQ(address->ToBytes(), std::string(size, '\1'));
    }
  }
}

TEST(IpAddressTest, KeepsNetworkOrder) {
  EXPECT_EQ(IpAddress::V4(0x0a000001u), Address("10.0.0.1"));
  EXPECT_EQ(Address("10.0.0.1").ToV4HostOrder(), 0x0a000001u);
  EXPECT_EQ(Address("10.0.0.1").data()[3], 1);
}

TEST(IpAddressTest, KnowsSpecialAddresses) {
  EXPECT_TRUE(Address("0.0.0.0").is_unspecified());
  EXPECT_TRUE(Address("::").is_unspecified());
  EXPECT_FALSE(Address("::1").is_unspecified());
  EXPECT_TRUE(Address("224.0.0.1").is_multicast());
  EXPECT_TRUE(Address("239.255.255.255").is_multicast());
  EXPECT_FALSE(Address("240.0.0.1").is_multicast());
  EXPECT_TRUE(Address("ff02::1").is_multicast());
  EXPECT_FALSE(Address("fe80::1").is_multicast());
  EXPECT_TRUE(Address("169.254.21.1").is_link_local());
  EXPECT_FALSE(Address("169.253.0.1").is_link_local());
  EXPECT_TRUE(Address("fe80::1").is_link_local());
  EXPECT_TRUE(Address("febf::1").is_link_local());
  EXPECT_FALSE(Address("fec0::1").is_link_local());
}

TEST(IpAddressTest, DoesNotConfuseFamilies) {
  EXPECT_NE(IpAddress::Any(Family::kIpv4), IpAddress::Any(Family::kIpv6));
  EXPECT_NE(std::hash<IpAddress>()(IpAddress::Any(Family::kIpv4)),
            std::hash<IpAddress>()(IpAddress::Any(Family::kIpv6)));
}

TEST(IpAddressTest, HashSpreadsNeighbours) {
  std::unordered_set<size_t> low_bits;
  for (uint32_t i = 0; i < 4096; ++i) {
    low_bits.insert(std::hash<IpAddress>()(IpAddress::V4(0x0a000000u + i)) & 0xffff);
  }
  EXPECT_GT(low_bits.size(), 3800u);  // of 4096 in 65536 places, about 3970 are expected
}

TEST(PrefixTest, ReadsPrefixesAndHosts) {
  EXPECT_EQ(Prefix::Parse("10.0.0.0/8")->ToString(), "10.0.0.0/8");
  EXPECT_EQ(Prefix::Parse("10.0.0.1")->ToString(), "10.0.0.1/32");
  EXPECT_EQ(Prefix::Parse("2001:db8::/33")->ToString(), "2001:db8::/33");
  EXPECT_EQ(Prefix::Parse("::/0").value(), Prefix::Default(Family::kIpv6));
  EXPECT_EQ(Prefix::Parse("0.0.0.0/0").value(), Prefix::Default(Family::kIpv4));
}

TEST(PrefixTest, SaysWhichPrefixWasMeantWhenHostBitsAreSet) {
  EXPECT_EQ(Prefix::Parse("10.0.0.1/8").error().message,
            "10.0.0.1/8 has host bits set; did you mean 10.0.0.0/8");
  EXPECT_EQ(Prefix::Parse("2001:db8::1/32").error().message,
            "2001:db8::1/32 has host bits set; did you mean 2001:db8::/32");
}

TEST(PrefixTest, RefusesBadLengths) {
  for (const char* text : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8x",
                           "::/129", "10.0.0.0/99999999999", "10.0.0.0/8/8", "/8"}) {
    Result<Prefix> prefix = Prefix::Parse(text);
    ASSERT_FALSE(prefix) << text;
    EXPECT_THAT(prefix.error().message, HasSubstr(text));
  }
  EXPECT_EQ(Prefix::Parse("10.0.0.0/33").error().message,
            "\"10.0.0.0/33\": prefix length \"33\" is not a number from 0 to 32");
}

TEST(PrefixTest, ClearsHostBitsAtEveryLength) {
  for (uint8_t length = 0; length <= 32; ++length) {
    const uint32_t mask = length == 0 ? 0 : 0xffffffffu << (32 - length);
    EXPECT_EQ(Prefix(IpAddress::V4(0xffffffffu), length).address().ToV4HostOrder(), mask);
  }
  EXPECT_EQ(Prefix(Address("ffff:ffff:ffff:ffff:ffff::"), 65).ToString(),
            "ffff:ffff:ffff:ffff:8000::/65");
}

TEST(PrefixTest, ContainsWhatLiesInIt) {
  const Prefix ten = Prefix::Parse("10.0.0.0/8").value();
  EXPECT_TRUE(ten.Contains(Address("10.255.255.255")));
  EXPECT_FALSE(ten.Contains(Address("11.0.0.0")));
  EXPECT_FALSE(ten.Contains(Address("a00::")));
  EXPECT_TRUE(ten.Contains(Prefix::Parse("10.1.0.0/16").value()));
  EXPECT_TRUE(ten.Contains(ten));
  EXPECT_FALSE(Prefix::Parse("10.1.0.0/16")->Contains(ten));
  EXPECT_TRUE(Prefix::Default(Family::kIpv4).Contains(Address("255.1.2.3")));
}

TEST(InterfaceAddressTest, KeepsHostBitsAndWantsALength) {
  const InterfaceAddress address = InterfaceAddress::Parse("10.0.0.1/24").value();
  EXPECT_EQ(address.ToString(), "10.0.0.1/24");
  EXPECT_EQ(address.prefix().ToString(), "10.0.0.0/24");
  EXPECT_EQ(InterfaceAddress::Parse("10.0.0.1").error().message,
            "\"10.0.0.1\" lacks a prefix length; expected one like 10.0.0.1/24");
}

TEST(MacAddressTest, ReadsColonForm) {
  EXPECT_EQ(MacAddress::Parse("02:00:5E:10:00:ff")->ToString(), "02:00:5e:10:00:ff");
  for (const char* text : {"", "02:00:00:00:00", "02:00:00:00:00:0", "02-00-00-00-00-01",
                           "02:00:00:00:00:01:", "0x:00:00:00:00:01", "02:00:00:00:00:0g"}) {
    Result<MacAddress> mac = MacAddress::Parse(text);
    ASSERT_FALSE(mac) << text;
    EXPECT_THAT(mac.error().message, HasSubstr('"' + std::string(text) + '"'));
  }
}

}  // namespace
}  // namespace penstock
