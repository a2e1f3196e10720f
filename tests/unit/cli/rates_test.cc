#include "dataplane/cli/rates.h"

#include <gtest/gtest.h>

namespace penstock::cli {
namespace {

control::Reply Answer(uint64_t microseconds, uint64_t packets, uint64_t bytes) {
  control::Reply reply;
  reply.mutable_tunnels()->set_timestamp_microseconds(microseconds);
  control::Tunnel* tunnel = reply.mutable_tunnels()->add_tunnels();
  tunnel->set_name("tun1");
  tunnel->set_state("up");
  tunnel->set_up(true);
  tunnel->set_in_packets(packets);
  tunnel->set_in_bytes(bytes);
  return reply;
}

// The second line's columns.
std::vector<std::string> Row(const std::string& text) {
  std::istringstream line(text.substr(text.find('\n') + 1));
  std::vector<std::string> words;
  for (std::string word; line >> word;) {
    words.push_back(word);
  }
  return words;
}

TEST(RatesTest, DividesByTheDaemonsOwnTime) {
  const auto row = Row(RatesText(Answer(1'000'000, 100, 1000), Answer(1'500'000, 150, 2000), {}));
  EXPECT_EQ(row[2], "100");             // packets in half a second
  EXPECT_EQ(row[3] + row[4], "16.0k");  // 1000 bytes are 8000 bits
}

TEST(RatesTest, CountsFromZeroWhatWasStartedAgain) {
  const auto row = Row(RatesText(Answer(0, 1000, 0), Answer(1'000'000, 50, 0), {}));
  EXPECT_EQ(row[2], "50.0");
}

TEST(RatesTest, KnowsNoRateWithoutTimeBetween) {
  const auto row = Row(RatesText(Answer(5, 0, 0), Answer(5, 50, 0), {}));
  EXPECT_EQ(row[2], "0");
}

TEST(RatesTest, TakesANewRowForOneThatWasZero) {
  control::Reply before = Answer(0, 1000, 0);
  before.mutable_tunnels()->mutable_tunnels(0)->set_name("other");
  EXPECT_EQ(Row(RatesText(before, Answer(1'000'000, 70, 0), {}))[2], "70.0");
}

}  // namespace
}  // namespace penstock::cli
