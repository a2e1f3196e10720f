#include "dataplane/base/message_frame.h"

#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

namespace penstock {
namespace {

std::string Frame(const std::string& content) {
  google::protobuf::BytesValue message;
  message.set_value(content);
  return EncodeFrame(message).value();
}

std::string Content(std::string_view frame) {
  google::protobuf::BytesValue message;
  EXPECT_TRUE(message.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
  return message.value();
}

// Gives the reader at most `chunk` bytes at a time; returns what it cuts.
std::vector<std::string> Cut(FrameReader& reader, std::string_view stream, size_t chunk) {
  std::vector<std::string> contents;
  while (!stream.empty()) {
    const std::span<char> space = reader.Space();
    const size_t size = std::min({chunk, space.size(), stream.size()});
    EXPECT_GT(size, 0u);
    std::memcpy(space.data(), stream.data(), size);
    reader.Filled(size);
    stream.remove_prefix(size);
    for (auto frame = reader.Next(); frame && *frame; frame = reader.Next()) {
      contents.push_back(Content(**frame));
    }
  }
  return contents;
}

TEST(FrameReaderTest, CutsFramesHoweverTheStreamIsSplit) {
  const std::vector<std::string> contents = {"first", "", std::string(3000, 'x'), "last"};
  std::string stream;
  for (const std::string& content : contents) {
    stream += Frame(content);
  }
  for (const size_t chunk : {1, 2, 3, 4, 5, 7, 100, 100'000}) {
    FrameReader reader;
    EXPECT_EQ(Cut(reader, stream, chunk), contents) << chunk;
  }
}

TEST(FrameReaderTest, TakesTheLargestFrameAndGoesOn) {
  const std::string large(kMaxMessage - 5, 'x');  // five bytes of tag and length in the message
  FrameReader reader;
  EXPECT_EQ(Cut(reader, Frame(large) + Frame("after"), 60'000),
            (std::vector<std::string>{large, "after"}));
}

TEST(FrameReaderTest, CutsARandomStream) {
  std::mt19937 random(7);
  std::vector<std::string> contents;
  std::string stream;
  for (int i = 0; i < 300; ++i) {
    contents.emplace_back(random() % 20 == 0 ? random() % 300'000 : random() % 500, 'y');
    stream += Frame(contents.back());
  }
  FrameReader reader;
  EXPECT_EQ(Cut(reader, stream, 12'345), contents);
}

TEST(FrameReaderTest, RefusesALengthBeyondTheLimitBeforeItsBytesCome) {
  FrameReader reader;
  std::memcpy(reader.Space().data(), "\x01\x00\x00\x01", 4);
  reader.Filled(4);
  auto frame = reader.Next();
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().message, "a frame of 16777217 bytes exceeds the limit of 16777216 bytes");
}

TEST(FrameReaderTest, HoldsNoMoreThanWhatHasCome) {
  FrameReader reader;
  std::memcpy(reader.Space().data(), "\x01\x00\x00\x00", 4);  // claims 16 MiB
  reader.Filled(4);
  ASSERT_FALSE(reader.Next()->has_value());
  EXPECT_LE(reader.Space().size(), 128u * 1024);
}

TEST(FrameReaderTest, WipesAFrameOnceTheNextIsAsked) {
  FrameReader reader;
  const std::string stream = Frame("the key of an SA") + Frame("x");
  std::memcpy(reader.Space().data(), stream.data(), stream.size());
  reader.Filled(stream.size());
  const std::string_view first = **reader.Next();
  ASSERT_EQ(Content(first), "the key of an SA");
  ASSERT_EQ(Content(**reader.Next()), "x");
  EXPECT_TRUE(std::all_of(first.begin(), first.end(), [](char c) { return c == 0; }));
}

TEST(EncodeFrameTest, RefusesAMessageBeyondTheLimit) {
  google::protobuf::BytesValue message;
  message.set_value(std::string(kMaxMessage, 'x'));
  EXPECT_EQ(EncodeFrame(message).error().code, Errc::kExhausted);
}

}  // namespace
}  // namespace penstock
