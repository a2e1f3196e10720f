#include "dataplane/base/message_frame.h"

#include <google/protobuf/message_lite.h>

#include <algorithm>
#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/secret.h"

namespace penstock {
namespace {

constexpr size_t kLengthSize = sizeof(Be32);
constexpr size_t kReadSize = 64 * 1024;

}  // namespace

Result<std::string> EncodeFrame(const google::protobuf::MessageLite& message) {
  const size_t size = message.ByteSizeLong();
  if (size > kMaxMessage) {
    return Fail(Errc::kExhausted, "a message of {} bytes exceeds the limit of {} bytes", size,
                kMaxMessage);
  }
  std::string frame(kLengthSize + size, '\0');
  const Be32 length = Be32::FromHost(static_cast<uint32_t>(size));
  std::memcpy(frame.data(), &length, kLengthSize);
  message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(frame.data()) + kLengthSize);
  return frame;
}

FrameReader::~FrameReader() { WipeMemory(data_.get(), end_); }

std::span<char> FrameReader::Space() {
  WipeMemory(data_.get() + handed_, begin_ - handed_);
  handed_ = begin_;
  if (begin_ == end_) {
    begin_ = end_ = handed_ = 0;
    if (capacity_ != kReadSize) {
      Reallocate(kReadSize);  // also gives back what one large frame took
    }
  } else if (end_ == capacity_) {
    // Move down what is left if that frees half of the buffer, else double it.
    Reallocate(begin_ >= capacity_ / 2 ? capacity_ : 2 * capacity_);
  }
  return {data_.get() + end_, capacity_ - end_};
}

Result<std::optional<std::string_view>> FrameReader::Next() {
  WipeMemory(data_.get() + handed_, begin_ - handed_);
  handed_ = begin_;
  const size_t available = end_ - begin_;
  if (available < kLengthSize) {
    return std::nullopt;
  }
  Be32 raw_length;
  std::memcpy(&raw_length, data_.get() + begin_, kLengthSize);
  const uint32_t length = raw_length.ToHost();
  if (length > kMaxMessage) {
    return Fail(Errc::kInvalidArgument, "a frame of {} bytes exceeds the limit of {} bytes", length,
                kMaxMessage);
  }
  if (available - kLengthSize < length) {
    return std::nullopt;
  }
  begin_ += kLengthSize + length;
  return std::string_view(data_.get() + handed_ + kLengthSize, length);
}

void FrameReader::Reallocate(size_t capacity) {
  auto data = std::make_unique<char[]>(capacity);
  const size_t kept = end_ - begin_;
  if (kept > 0) {
    std::memcpy(data.get(), data_.get() + begin_, kept);
  }
  WipeMemory(data_.get(), end_);
  data_ = std::move(data);
  capacity_ = capacity;
  begin_ = handed_ = 0;
  end_ = kept;
}

}  // namespace penstock
