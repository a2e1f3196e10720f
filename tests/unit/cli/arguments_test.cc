#include "dataplane/cli/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

template <typename T>
std::string ErrorOf(const Result<T>& result) {
  return result ? "no error" : result.error().message;
}

TEST(ParseVia, ReadsATunnelWithItsWeight) {
  EXPECT_TRUE(ParseVia("tunnel=tun1,standby=yes")->standby());
  EXPECT_THAT(ErrorOf(ParseVia("tunnel=tun1,standby=1")), HasSubstr("yes or no"));
  const auto via = ParseVia("tunnel=tun1,weight=3");
  ASSERT_TRUE(via) << via.error().message;
  EXPECT_EQ(via->tunnel(), "tun1");
  EXPECT_EQ(via->weight(), 3u);
  EXPECT_TRUE(via->address().empty());
}

TEST(ParseVia, ReadsAnAddressWithItsPortAndAPortAlone) {
  const auto via = ParseVia("address=2001:db8:0::1,port=wan0");
  ASSERT_TRUE(via) << via.error().message;
  EXPECT_EQ(via->address(), "2001:db8::1");
  EXPECT_EQ(via->port(), "wan0");
  EXPECT_EQ(ParseVia("port=wan0")->port(), "wan0");
}

TEST(ParseVia, RefusesWhatIsNoNextHopAndSaysWhatIs) {
  EXPECT_THAT(ErrorOf(ParseVia("tun1")), HasSubstr("\"tun1\" is not KEY=VALUE"));
  EXPECT_THAT(ErrorOf(ParseVia("tunnel=")), HasSubstr("not KEY=VALUE"));
  EXPECT_THAT(ErrorOf(ParseVia("dev=wan0")),
              HasSubstr("expected tunnel, address, port, weight or standby"));
  EXPECT_THAT(ErrorOf(ParseVia("weight=2")), HasSubstr("either a tunnel"));
  EXPECT_THAT(ErrorOf(ParseVia("tunnel=a,address=192.0.2.1")), HasSubstr("either a tunnel"));
  EXPECT_THAT(ErrorOf(ParseVia("tunnel=a,weight=256")), HasSubstr("from 1 to 255"));
  EXPECT_THAT(ErrorOf(ParseVia("address=192.0.2")), HasSubstr("192.0.2"));
}

TEST(ParseSelector, ReadsPrefixesProtocolAndPorts) {
  const auto selector = ParseSelector(
      "source=10.1.0.0/16,destination=10.2.0.0/16,protocol=tcp,destination-port=80-90");
  ASSERT_TRUE(selector) << selector.error().message;
  EXPECT_EQ(selector->source(), "10.1.0.0/16");
  EXPECT_EQ(selector->protocol(), 6u);
  EXPECT_EQ(selector->source_port_first(), 0u);
  EXPECT_EQ(selector->source_port_last(), 65'535u);
  EXPECT_EQ(selector->destination_port_first(), 80u);
  EXPECT_EQ(selector->destination_port_last(), 90u);
}

TEST(ParseSelector, RefusesHalfASelectorAndPortsThatRunBackwards) {
  EXPECT_THAT(ErrorOf(ParseSelector("source=10.1.0.0/16")), HasSubstr("both"));
  EXPECT_THAT(ErrorOf(ParseSelector("source=::/0,destination=::/0,source-port=9-8")),
              HasSubstr("FIRST-LAST"));
  EXPECT_THAT(ErrorOf(ParseSelector("source=10.1.0.1/16,destination=::/0")),
              HasSubstr("host bits"));
}

TEST(ParseKeyHex, ReadsDigitsWithSeparators) {
  EXPECT_EQ(ParseKeyHex("00ff").value(), std::string("\x00\xff", 2));
  EXPECT_EQ(ParseKeyHex(" 0x00FF\n").value(), std::string("\x00\xff", 2));
  EXPECT_EQ(ParseKeyHex("00:ff\r\n10 ").value(), std::string("\x00\xff\x10", 3));
}

TEST(ParseKeyHex, NeverRepeatsTheKeyInAnError) {
  EXPECT_THAT(ErrorOf(ParseKeyHex("deadbeefxy")),
              AllOf(HasSubstr("character 9"), Not(HasSubstr("dead")), Not(HasSubstr("xy"))));
  EXPECT_THAT(ErrorOf(ParseKeyHex("abc")), HasSubstr("3 hex digits, an odd number"));
  EXPECT_THAT(ErrorOf(ParseKeyHex(" \n")), HasSubstr("empty"));
}

TEST(ParseNumber, TakesDecimalAndHexWithinBounds) {
  EXPECT_EQ(ParseNumber("42", 0, 100).value(), 42u);
  EXPECT_EQ(ParseNumber("0x2a", 0, 100).value(), 42u);
  for (const char* text : {"", "0x", "-1", "101", "4 2", "42k", "99999999999999999999"}) {
    EXPECT_FALSE(ParseNumber(text, 0, 100)) << text;
  }
}

TEST(ParseAmount, TakesDecimalPrefixes) {
  EXPECT_EQ(ParseAmount("18446744073709551615").value(), UINT64_MAX);
  EXPECT_EQ(ParseAmount("10k").value(), 10'000u);
  EXPECT_EQ(ParseAmount("1.5G").value(), 1'500'000'000u);
  for (const char* text : {"", "G", "1.5X", "-1k", "nan", "1e3", "99999999P"}) {
    EXPECT_FALSE(ParseAmount(text)) << text;
  }
}

TEST(ParseSeconds, TakesUnits) {
  EXPECT_EQ(ParseSeconds("90").value(), 90u);
  EXPECT_EQ(ParseSeconds("50m").value(), 3000u);
  EXPECT_EQ(ParseSeconds("1d").value(), 86'400u);
  EXPECT_FALSE(ParseSeconds("1y"));
}

TEST(ParseSpi, TakesThirtyTwoBitsButNotZero) {
  EXPECT_EQ(ParseSpi("0xc1000001").value(), 0xc1000001u);
  EXPECT_THAT(ErrorOf(ParseSpi("0")), HasSubstr("not an SPI"));
  EXPECT_FALSE(ParseSpi("0x100000000"));
}

TEST(ParseProtocol, TakesNamesAndNumbers) {
  EXPECT_EQ(ParseProtocol("udp").value(), 17u);
  EXPECT_EQ(ParseProtocol("47").value(), 47u);
  EXPECT_THAT(ErrorOf(ParseProtocol("tpc")), HasSubstr("expected tcp, udp"));
}

}  // namespace
}  // namespace penstock::cli
