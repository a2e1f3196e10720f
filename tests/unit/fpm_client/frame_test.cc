#include "fpm_client/frame.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "tests/unit/fpm_client/netlink_writer.h"

namespace penstock::fpm {
namespace {

using ::testing::HasSubstr;

void Write(FrameReader& reader, std::span<const uint8_t> bytes) {
  const std::span<uint8_t> space = reader.Space();
  ASSERT_GE(space.size(), bytes.size());
  std::copy(bytes.begin(), bytes.end(), space.begin());
  reader.Wrote(bytes.size());
}

TEST(FrameReaderTest, CutsFramesOutOfAnySplit) {
  std::mt19937 random(1);
  const auto draw = [&](size_t below) {
    return std::uniform_int_distribution<size_t>(0, below - 1)(random);
  };
  std::vector<Bytes> payloads;
  Bytes stream;
  for (unsigned i = 0; i < 300; ++i) {
    const size_t longest = i % 50 == 0 ? 65531 : 500;
    Bytes payload(i % 50 == 1 ? 65531 : draw(longest + 1));
    for (uint8_t& byte : payload) {
      byte = static_cast<uint8_t>(draw(256));
    }
    stream = stream + Frame(payload);
    payloads.push_back(std::move(payload));
  }
  FrameReader reader;
  size_t at = 0;
  size_t read = 0;
  while (at < stream.size()) {
    const size_t some = draw(4) == 0 ? 1 + draw(65536) : 1 + draw(100);
    const size_t size = std::min({stream.size() - at, some, reader.Space().size()});
    Write(reader, std::span(stream).subspan(at, size));
    at += size;
    for (;;) {
      const auto frame = reader.Next();
      ASSERT_TRUE(frame) << frame.error().message;
      if (!*frame) {
        break;
      }
      ASSERT_LT(read, payloads.size());
      ASSERT_TRUE(std::equal((*frame)->begin(), (*frame)->end(), payloads[read].begin(),
                             payloads[read].end()))
          << read;
      ASSERT_EQ(reinterpret_cast<uintptr_t>((*frame)->data()) % 8, 0u);
      ++read;
    }
    ASSERT_GE(reader.Space().size(), size_t{65536} - 1);
  }
  EXPECT_EQ(read, payloads.size());
}

TEST(FrameReaderTest, SaysWhatIsWrongWithAStream) {
  const std::pair<Bytes, const char*> rows[] = {
      {{2, 1, 0, 8}, "version 2"}, {{1, 2, 0, 8}, "protobuf"}, {{1, 1, 0, 3}, "frame of 3 bytes"}};
  for (const auto& [bytes, text] : rows) {
    FrameReader reader;
    Write(reader, bytes);
    const auto frame = reader.Next();
    ASSERT_FALSE(frame);
    EXPECT_THAT(frame.error().message, HasSubstr(text));
  }
}

TEST(FrameReaderTest, AnEmptyFrameIsAFrame) {
  FrameReader reader;
  Write(reader, Bytes{1, 1, 0, 4});
  const auto frame = reader.Next();
  ASSERT_TRUE(frame && *frame);
  EXPECT_TRUE((*frame)->empty());
}

}  // namespace
}  // namespace penstock::fpm
