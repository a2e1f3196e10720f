#include "dataplane/base/result.h"

#include <gtest/gtest.h>

#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/clock.h"

namespace penstock {
namespace {

TEST(ResultTest, FailFormatsItsSentence) {
  const Result<int> result = Fail(Errc::kNotFound, "no tunnel named {}", "t0");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kNotFound);
  EXPECT_EQ(result.error().message, "no tunnel named t0");
}

TEST(ResultTest, PrefixedKeepsTheCode) {
  const Status status = Prefixed("port p0", Error{Errc::kExhausted, "no queues left"});
  EXPECT_EQ(status.error().code, Errc::kExhausted);
  EXPECT_EQ(status.error().message, "port p0: no queues left");
}

TEST(ResultTest, NamesEveryCode) {
  EXPECT_STREQ(ErrcName(Errc::kInvalidArgument), "invalid_argument");
  EXPECT_STREQ(ErrcName(Errc::kNotFound), "not_found");
  EXPECT_STREQ(ErrcName(Errc::kAlreadyExists), "already_exists");
  EXPECT_STREQ(ErrcName(Errc::kUnsupported), "unsupported");
  EXPECT_STREQ(ErrcName(Errc::kExhausted), "exhausted");
  EXPECT_STREQ(ErrcName(Errc::kPermission), "permission");
  EXPECT_STREQ(ErrcName(Errc::kUnavailable), "unavailable");
  EXPECT_STREQ(ErrcName(Errc::kInternal), "internal");
}

TEST(CheckTest, AbortsAndSaysWhere) {
  EXPECT_DEATH(PENSTOCK_CHECK(1 + 1 == 3), "result_test.cc:[0-9]+: check failed: 1 \\+ 1 == 3");
}

TEST(ByteOrderTest, StandsInMemoryInNetworkOrder) {
  const Be32 value = Be32::FromHost(0x01020304);
  uint8_t bytes[4];
  std::memcpy(bytes, &value, 4);
  EXPECT_EQ(bytes[0], 1);
  EXPECT_EQ(bytes[3], 4);
  EXPECT_EQ(value.ToHost(), 0x01020304u);
  EXPECT_EQ(Be16::FromHost(0x0102).raw(), 0x0201);
  EXPECT_EQ(Be64::FromRaw(Be64::FromHost(77).raw()).ToHost(), 77u);
}

TEST(ClockTest, SystemClockGoesForward) {
  const Nanoseconds first = SystemClock().Now();
  EXPECT_GE(SystemClock().Now(), first);
  EXPECT_GT(SystemClock().WallSeconds(), 1'600'000'000);  // September 2020
}

TEST(ClockTest, FakeClockGoesWhenTold) {
  FakeClock clock;
  EXPECT_EQ(clock.Now(), Nanoseconds(0));
  clock.Advance(std::chrono::seconds(90));
  EXPECT_EQ(clock.Now(), std::chrono::seconds(90));
  EXPECT_EQ(clock.WallSeconds(), 90);
}

}  // namespace
}  // namespace penstock
