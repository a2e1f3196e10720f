#include "dataplane/runtime/bfd_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr uint32_t kTunnel = 7;

// A control packet as bfdd sends it: 3 x `interval`.
std::vector<uint8_t> Control(const std::string& from, const std::string& to, BfdState state,
                             uint32_t discriminator = 1, bool multihop = false,
                             uint32_t interval_microseconds = 300'000, uint8_t diagnostic = 0) {
  const IpAddress source = IpAddress::Parse(from).value();
  const IpAddress destination = IpAddress::Parse(to).value();
  std::vector<uint8_t> ip;
  if (source.is_v4()) {
    ip = {0x45, 0, 0, 52, 0, 0, 0, 0, 255, 17, 0, 0};
  } else {
    ip = {0x60, 0, 0, 0, 0, 32, 17, 255};
  }
  ip.insert(ip.end(), source.data(), source.data() + source.size());
  ip.insert(ip.end(), destination.data(), destination.data() + destination.size());
  const uint16_t port = multihop ? 4784 : 3784;
  const auto add = [&ip](uint32_t value, unsigned bytes) {
    while (bytes-- > 0) {
      ip.push_back(static_cast<uint8_t>(value >> (8 * bytes)));
    }
  };
  add(49152, 2);
  add(port, 2);
  add(32, 2);
  add(0, 2);
  add(0x20u | diagnostic, 1);
  add(static_cast<uint32_t>(state) << 6, 1);
  add(3, 1);
  add(24, 1);
  add(discriminator, 4);
  add(0, 4);
  add(interval_microseconds, 4);
  add(300'000, 4);
  add(0, 4);
  return ip;
}

class BfdWatchTest : public ::testing::Test {
 protected:
  bool Ours(BfdState state, uint32_t discriminator = 1, const std::string& remote = "169.254.21.1",
            uint8_t diagnostic = 0) {
    return watch_.See(
        kTunnel, true,
        Control("169.254.21.2", remote, state, discriminator, false, 300'000, diagnostic), now_);
  }
  bool IsDown() { return watch_.DownTunnels(now_).contains(kTunnel); }

  Nanoseconds now_ = seconds(100);
  BfdWatch watch_;
};

TEST_F(BfdWatchTest, ReadsWhatBfddSends) {
  const auto bytes = Control("2001:db8::2", "2001:db8::1", BfdState::kInit, 0x01020304, true);
  const std::optional<BfdPacket> packet = ParseBfd(bytes);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->source.ToString(), "2001:db8::2");
  EXPECT_EQ(packet->destination.ToString(), "2001:db8::1");
  EXPECT_TRUE(packet->multihop);
  EXPECT_EQ(packet->state, BfdState::kInit);
  EXPECT_EQ(packet->discriminator, 0x01020304u);
  EXPECT_EQ(packet->detect_milliseconds, 900u);
}

TEST_F(BfdWatchTest, TakesNothingThatIsCutOrIsNoBfd) {
  for (const char* remote : {"169.254.21.1", "2001:db8::1"}) {
    const std::string local =
        std::string(remote) == "169.254.21.1" ? "169.254.21.2" : "2001:db8::2";
    const std::vector<uint8_t> good = Control(local, remote, BfdState::kUp);
    ASSERT_TRUE(ParseBfd(good));
    for (size_t size = 0; size < good.size(); ++size) {
      EXPECT_FALSE(ParseBfd(std::span(good).first(size))) << size;
    }
    const size_t bfd = good.size() - 24;
    for (const auto& [at, value] : {std::pair<size_t, uint8_t>{0, 0x75},  // no IP
                                    {bfd - 5, 1},                         // another port
                                    {bfd, 0x40},                          // version 2
                                    {bfd + 2, 0},                         // multiplier 0
                                    {bfd + 3, 23},                        // length
                                    {bfd + 7, 0}}) {                      // discriminator 0
      std::vector<uint8_t> bad = good;
      bad[at] = value;
      EXPECT_FALSE(ParseBfd(bad)) << at;
    }
  }
  std::vector<uint8_t> fragment = Control("169.254.21.2", "169.254.21.1", BfdState::kUp);
  fragment[7] = 1;
  EXPECT_FALSE(ParseBfd(fragment));
}

TEST_F(BfdWatchTest, ASessionThatWasUpAndGoesDownSpeaksAgainstItsTunnelUntilItIsUpAgain) {
  EXPECT_FALSE(IsDown());
  Ours(BfdState::kDown);
  Ours(BfdState::kInit);
  EXPECT_FALSE(IsDown()) << "it was never up";
  EXPECT_TRUE(Ours(BfdState::kUp));
  EXPECT_FALSE(Ours(BfdState::kUp)) << "nothing new";
  EXPECT_FALSE(IsDown());
  EXPECT_TRUE(Ours(BfdState::kDown, 1, "169.254.21.1", 1));
  EXPECT_THAT(watch_.DownTunnels(now_).at(kTunnel),
              ::testing::AllOf(HasSubstr("169.254.21.1"), HasSubstr("detection time expired")));
  Ours(BfdState::kInit);
  EXPECT_TRUE(IsDown());
  Ours(BfdState::kUp);
  EXPECT_FALSE(IsDown());
}

TEST_F(BfdWatchTest, OneSessionThatIsUpIsEnough) {
  Ours(BfdState::kUp, 1);
  Ours(BfdState::kUp, 2, "10.2.0.1");
  Ours(BfdState::kDown, 1);
  EXPECT_FALSE(IsDown());
  Ours(BfdState::kDown, 2, "10.2.0.1");
  EXPECT_TRUE(IsDown());
  EXPECT_EQ(watch_.SessionsOf(kTunnel).size(), 2u);
  EXPECT_TRUE(watch_.SessionsOf(kTunnel + 1).empty());
}

TEST_F(BfdWatchTest, AnEndedSessionSaysNothing) {
  Ours(BfdState::kUp);
  Ours(BfdState::kDown);
  EXPECT_TRUE(Ours(BfdState::kAdminDown));
  EXPECT_FALSE(IsDown());
  EXPECT_TRUE(watch_.SessionsOf(kTunnel).empty());
  Ours(BfdState::kUp, 2);
  Ours(BfdState::kDown, 2);
  now_ += milliseconds(4900);
  EXPECT_TRUE(IsDown());
  now_ += milliseconds(200);
  EXPECT_FALSE(IsDown());
  Ours(BfdState::kUp, 3);
  Ours(BfdState::kDown, 3);
  watch_.Forget(kTunnel);
  EXPECT_FALSE(IsDown());
}

TEST_F(BfdWatchTest, ThePeersStateIsToldButDoesNotDecide) {
  Ours(BfdState::kUp);
  EXPECT_FALSE(watch_.See(kTunnel, false,
                          Control("169.254.21.1", "169.254.21.2", BfdState::kDown, 99), now_));
  EXPECT_FALSE(IsDown());
  ASSERT_EQ(watch_.SessionsOf(kTunnel).size(), 1u);
  EXPECT_EQ(watch_.SessionsOf(kTunnel)[0].remote_state, BfdState::kDown);
}

TEST_F(BfdWatchTest, ItIsBounded) {
  for (uint32_t i = 1; i <= 10'000; ++i) {
    Ours(BfdState::kUp, i);
  }
  EXPECT_EQ(watch_.SessionsOf(kTunnel).size(), 4096u);
}

}  // namespace
}  // namespace penstock
