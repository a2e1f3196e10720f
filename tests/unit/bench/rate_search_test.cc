#include "bench/rate_search.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

// What a device loses that takes `limit` packets a second and no more.
RateTrial DeviceWithLimit(double limit) {
  return [limit](double rate, double) { return rate <= limit ? 0 : 1 - limit / rate; };
}

class RateSearchTest : public ::testing::TestWithParam<double> {};

TEST_P(RateSearchTest, FindsTheLimitFromBelow) {
  const double limit = GetParam();
  const double found = SearchRate(20e6, {.loss = 0, .precision = 0.005}, DeviceWithLimit(limit));
  EXPECT_LE(found, limit);
  EXPECT_GE(found * 1.0051, limit);
}

TEST_P(RateSearchTest, ToleratedLossRaisesTheRate) {
  const double limit = GetParam();
  const double found = SearchRate(20e6, {.loss = 0.02, .precision = 0.001}, DeviceWithLimit(limit));
  EXPECT_NEAR(found, limit / 0.98, limit * 0.003);
}

INSTANTIATE_TEST_SUITE_P(Limits, RateSearchTest, ::testing::Values(300e3, 1e6, 7.77e6, 19e6));

TEST(RateSearch, LongTrialsOverruleShortOnes) {
  const double found = SearchRate(10e6, {.loss = 0, .precision = 0.005, .seconds = 1},
                                  [](double rate, double seconds) {
                                    const double limit = seconds < 1 ? 8e6 : 5e6;
                                    return rate <= limit ? 0 : 1 - limit / rate;
                                  });
  EXPECT_LE(found, 5e6);
  EXPECT_GE(found * 1.0051, 5e6);
}

TEST(RateSearch, AndTheOtherWayRound) {
  const double found = SearchRate(10e6, {.loss = 0, .precision = 0.005, .seconds = 1},
                                  [](double rate, double seconds) {
                                    const double limit = seconds < 1 ? 3e6 : 6e6;
                                    return rate <= limit ? 0 : 1 - limit / rate;
                                  });
  EXPECT_LE(found, 6e6);
  EXPECT_GE(found * 1.0051, 6e6);
}

TEST(RateSearch, ADeadDeviceHasNoRate) {
  EXPECT_EQ(SearchRate(10e6, {}, [](double, double) { return 1; }), 0);
}

}  // namespace
}  // namespace penstock
