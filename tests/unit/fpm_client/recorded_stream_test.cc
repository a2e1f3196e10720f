// Streams of a real zebra (recorded/README.md), taken in by the whole client: in the end the
// gateway must hold what zebra's own table says.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include "fpm_client/frame.h"
#include "fpm_client/route_receiver.h"
#include "tests/unit/fpm_client/recording_sink.h"

namespace penstock::fpm {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kFolder = RECORDED_FOLDER;

std::vector<uint8_t> ReadBytes(const std::string& name) {
  std::ifstream file(fmt::format("{}/{}", kFolder, name), std::ios::binary);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

// The next hops in order, whatever order the path has them in.
std::string Sorted(const std::string& way) {
  std::vector<std::string> hops;
  std::string rest = way;
  for (size_t bar = rest.find(" | "); bar != std::string::npos; bar = rest.find(" | ")) {
    hops.push_back(rest.substr(0, bar));
    rest.erase(0, bar + 3);
  }
  hops.push_back(rest);
  std::sort(hops.begin(), hops.end());
  return fmt::format("{}", fmt::join(hops, " | "));
}

// "PREFIX WAY" in each line.
std::map<std::string, std::string> ReadTable(const std::string& name) {
  const std::vector<uint8_t> bytes = ReadBytes(name);
  std::istringstream text(std::string(bytes.begin(), bytes.end()));
  std::map<std::string, std::string> table;
  for (std::string line; std::getline(text, line);) {
    const size_t space = line.find(' ');
    table[line.substr(0, space)] = Sorted(line.substr(space + 1));
  }
  return table;
}

// The parameter: how many bytes come at once.
class RecordedStreamTest : public ::testing::TestWithParam<size_t> {
 protected:
  void Replay(const std::string& name) {
    FrameReader frames;
    const std::vector<uint8_t> bytes = ReadBytes(name);
    std::span<const uint8_t> rest = bytes;
    while (!rest.empty()) {
      const std::span<uint8_t> space = frames.Space();
      const size_t size = std::min({GetParam(), rest.size(), space.size()});
      std::copy_n(rest.begin(), size, space.begin());
      frames.Wrote(size);
      rest = rest.subspan(size);
      auto frame = frames.Next();
      for (; frame && *frame; frame = frames.Next()) {
        receiver_.Frame(**frame);
      }
      ASSERT_TRUE(frame) << frame.error().message;
    }
  }
  std::map<std::string, std::string> Held() const {
    std::map<std::string, std::string> table = sink_.Ways();
    for (auto& [prefix, way] : table) {
      way = Sorted(way);
    }
    return table;
  }
  FpmStatus Status() const {
    FpmStatus status;
    receiver_.FillStatus(status);
    return status;
  }

  EventLoop loop_;
  RecordingSink sink_;
  RouteReceiver receiver_{loop_, sink_, std::chrono::milliseconds(0)};
};

TEST_P(RecordedStreamTest, TheGatewayHoldsWhatZebraHolds) {
  receiver_.Begin();
  Replay("start.bin");
  EXPECT_EQ(Held(), ReadTable("start.routes"));
  EXPECT_EQ(Status().malformed, 0u) << Status().last_error;
  EXPECT_EQ(Status().parked, 0u);
}

TEST_P(RecordedStreamTest, AfterARestartOnlyWhatZebraRepeatsIsLeft) {
  receiver_.Begin();
  Replay("start.bin");
  const std::map<std::string, std::string> before = Held();
  receiver_.Begin();
  Replay("restart.bin");
  const std::map<std::string, std::string> expected = ReadTable("restart.routes");
  // zebra numbers its next hops anew: what it has not repeated yet leads where it did.
  for (const auto& [prefix, way] : Held()) {
    const bool repeated = expected.contains(prefix);
    EXPECT_EQ(way, repeated ? expected.at(prefix) : before.at(prefix)) << prefix;
  }
  while (!receiver_.SweepSome()) {
  }
  EXPECT_EQ(Held(), expected);
  EXPECT_EQ(Status().malformed, 0u) << Status().last_error;
}

INSTANTIATE_TEST_SUITE_P(Pieces, RecordedStreamTest, ::testing::Values(1u, 1448u, 65'536u));

// What the recording has to contain, so that the tests above see it.
TEST(RecordedTablesTest, AllKindsOfRoutesAreThere) {
  std::string text;
  for (const auto& [prefix, way] : ReadTable("start.routes")) {
    text += way + "\n";
  }
  for (const char* const kind : {"blackhole", "unreachable", "onlink", " | ", "via fe80::"}) {
    EXPECT_THAT(text, HasSubstr(kind));
  }
  EXPECT_LT(ReadTable("restart.routes").size(), ReadTable("start.routes").size());
}

}  // namespace
}  // namespace penstock::fpm
