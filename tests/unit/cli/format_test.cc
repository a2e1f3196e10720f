#include "dataplane/cli/format.h"

#include <gtest/gtest.h>

namespace penstock::cli {
namespace {

TEST(Format, PrintsCountsUpToFourDigitsInFull) {
  const Units units;
  EXPECT_EQ(units.Count(0), "0");
  EXPECT_EQ(units.Count(9999), "9999");
}

TEST(Format, PrintsLargeCountsWithThreeDigitsAndAPrefix) {
  const Units units;
  EXPECT_EQ(units.Count(10'000), "10.0 k");
  EXPECT_EQ(units.Count(123'456), "123 k");
  EXPECT_EQ(units.Count(999'499), "999 k");
  EXPECT_EQ(units.Count(999'500), "1.00 M");
  EXPECT_EQ(units.Count(1'234'567'890), "1.23 G");
  EXPECT_EQ(units.Count(9'996'000), "10.0 M");
  EXPECT_EQ(units.Count(UINT64_MAX), "18.4 E");
}

TEST(Format, PrintsEveryDigitWhenAskedTo) {
  const Units units{.exact = true};
  EXPECT_EQ(units.Count(1'234'567'890), "1234567890");
  EXPECT_EQ(units.Rate(1'234'567.2), "1234567");
}

TEST(Format, PutsTheUnitToThePrefix) {
  const Units units;
  EXPECT_EQ(units.Bytes(1500), "1500 B");
  EXPECT_EQ(units.Bytes(21'000'000), "21.0 MB");
}

TEST(Format, KeepsADecimalOfSmallRatesOnly) {
  const Units units;
  EXPECT_EQ(units.Rate(0), "0");
  EXPECT_EQ(units.Rate(-1), "0");
  EXPECT_EQ(units.Rate(0.5), "0.5");
  EXPECT_EQ(units.Rate(99.96), "100");
  EXPECT_EQ(units.Rate(9999.6), "10.0 k");
  EXPECT_EQ(units.Rate(1.2e9), "1.20 G");
}

TEST(Format, PrintsDurationsAsAClockAndDays) {
  EXPECT_EQ(FormatDuration(59), "59 s");
  EXPECT_EQ(FormatDuration(60), "00:01:00");
  EXPECT_EQ(FormatDuration(86'399), "23:59:59");
  EXPECT_EQ(FormatDuration(3 * 86'400 + 4 * 3600 + 5 * 60), "3d 04:05");
}

TEST(Format, PrintsAgesBelowASecondInMilliseconds) {
  EXPECT_EQ(FormatAge(999), "<1 ms");
  EXPECT_EQ(FormatAge(250'000), "250 ms");
  EXPECT_EQ(FormatAge(61'000'000), "00:01:01");
}

TEST(Format, PrintsSpisWithEightHexDigits) {
  EXPECT_EQ(FormatSpi(0x1001), "0x00001001");
  EXPECT_EQ(FormatSpi(0xc1000001), "0xc1000001");
  EXPECT_EQ(FormatSpi(0), "-");
}

TEST(Format, NamesProtocols) {
  EXPECT_EQ(FormatProtocol(0), "any");
  EXPECT_EQ(FormatProtocol(6), "tcp");
  EXPECT_EQ(FormatProtocol(200), "200");
}

}  // namespace
}  // namespace penstock::cli
