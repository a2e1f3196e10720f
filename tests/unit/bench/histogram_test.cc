#include "bench/histogram.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(Histogram, QuantilesAreRightWithinThreePercent) {
  Histogram histogram;
  for (uint64_t value = 1; value <= 1'000'000; ++value) {
    histogram.Record(value);
  }
  for (const double share : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999}) {
    const double exact = share * 1e6;
    EXPECT_GE(static_cast<double>(histogram.Quantile(share)), exact) << share;
    EXPECT_LE(static_cast<double>(histogram.Quantile(share)), exact * 1.033) << share;
  }
  EXPECT_EQ(histogram.Quantile(1), 1'000'000u);
  EXPECT_EQ(histogram.total(), 1'000'000u);
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (uint64_t value = 0; value < 32; ++value) {
    histogram.Record(value);
  }
  EXPECT_EQ(histogram.Quantile(0.5), 15u);
  EXPECT_EQ(histogram.Quantile(1), 31u);
}

TEST(Histogram, TheLargestValuesFit) {
  Histogram histogram;
  histogram.Record(UINT64_MAX);
  histogram.Record(0);
  EXPECT_EQ(histogram.Quantile(1), UINT64_MAX);
  EXPECT_EQ(histogram.Quantile(0.5), 0u);
}

TEST(Histogram, AddsAnother) {
  Histogram one, other;
  one.Record(10);
  other.Record(1000);
  other.Record(2000);
  one.Add(other);
  EXPECT_EQ(one.total(), 3u);
  EXPECT_EQ(one.largest(), 2000u);
  EXPECT_EQ(one.Quantile(0.3), 10u);
}

TEST(Histogram, AnEmptyOneSaysZero) { EXPECT_EQ(Histogram().Quantile(0.5), 0u); }

}  // namespace
}  // namespace penstock
