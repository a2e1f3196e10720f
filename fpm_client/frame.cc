#include "fpm_client/frame.h"

#include <algorithm>
#include <cstring>

namespace penstock::fpm {

FrameReader::FrameReader() : buffer_(2 * kMaxFrameLength + 2), aligned_(kMaxFrameLength / 8 + 1) {}

std::span<uint8_t> FrameReader::Space() {
  // What is left is less than a frame: Next has cut off all whole ones, or will report an error.
  if (begin_ != 0 && buffer_.size() - end_ <= kMaxFrameLength) {
    std::copy(buffer_.begin() + static_cast<ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  return std::span(buffer_).subspan(end_);
}

void FrameReader::Wrote(size_t bytes) {
  PENSTOCK_CHECK(bytes <= buffer_.size() - end_);
  end_ += bytes;
}

Result<std::optional<std::span<const uint8_t>>> FrameReader::Next() {
  const std::span<const uint8_t> rest = std::span(buffer_).subspan(begin_, end_ - begin_);
  if (rest.size() < kFrameHeaderLength) {
    return std::nullopt;
  }
  if (rest[0] != kFrameVersion || rest[1] != kFrameNetlink) {
    const bool protobuf = rest[0] == kFrameVersion && rest[1] == kFrameProtobuf;
    return Fail(Errc::kInvalidArgument,
                "frame of version {} and type {}{}: expected version 1 and type 1 (netlink), as "
                "zebra's module dplane_fpm_nl sends it",
                rest[0], rest[1], protobuf ? " (protobuf)" : "");
  }
  const size_t length = static_cast<size_t>(rest[2]) << 8 | rest[3];
  if (length < kFrameHeaderLength) {
    return Fail(Errc::kInvalidArgument, "frame of {} bytes: expected {} or more", length,
                kFrameHeaderLength);
  }
  if (rest.size() < length) {
    return std::nullopt;
  }
  begin_ += length;
  std::span<const uint8_t> payload = rest.subspan(kFrameHeaderLength, length - kFrameHeaderLength);
  if (!payload.empty() && reinterpret_cast<uintptr_t>(payload.data()) % sizeof(uint64_t) != 0) {
    std::memcpy(aligned_.data(), payload.data(), payload.size());
    payload = {reinterpret_cast<const uint8_t*>(aligned_.data()), payload.size()};
  }
  return payload;
}

}  // namespace penstock::fpm
