// Frames of the message sockets: a length of 4 bytes in network order, then so many bytes of one
// message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace google::protobuf {
class MessageLite;
}

namespace penstock {

inline constexpr uint32_t kMaxMessage = 16u << 20;

// The message with its length in front. Error: longer than kMaxMessage.
Result<std::string> EncodeFrame(const google::protobuf::MessageLite& message);

// Cuts a byte stream, split anyhow, into frames. Holds at most twice what has really come, whatever
// length a frame claims, and wipes each frame when it is done with: it may carry keys.
class FrameReader {
 public:
  FrameReader() = default;
  ~FrameReader();
  FrameReader(const FrameReader&) = delete;
  FrameReader& operator=(const FrameReader&) = delete;

  // Room for bytes to be read into; then say how many came.
  std::span<char> Space();
  void Filled(size_t size) { end_ += size; }

  // The next whole frame, valid until the next call of any member; nothing if more bytes are
  // needed. Error: a length beyond kMaxMessage, after which the stream cannot be trusted any more.
  Result<std::optional<std::string_view>> Next();

 private:
  void Reallocate(size_t capacity);

  std::unique_ptr<char[]> data_;
  size_t capacity_ = 0;
  size_t begin_ = 0;   // of what has not been handed out
  size_t end_ = 0;     // of what has come
  size_t handed_ = 0;  // start of the frame handed out last; [handed_, begin_) is to be wiped
};

}  // namespace penstock
