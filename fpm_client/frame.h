// FPM frames out of a byte stream that is split anywhere: version 1, type, 16-bit length in network
// order that counts the header (FRR's fpm/fpm.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/base/result.h"

namespace penstock::fpm {

inline constexpr size_t kFrameHeaderLength = 4;
inline constexpr size_t kMaxFrameLength = 65535;
inline constexpr uint8_t kFrameVersion = 1;
inline constexpr uint8_t kFrameNetlink = 1;
inline constexpr uint8_t kFrameProtobuf = 2;

// Holds what has been read and not yet cut into frames. Memory is bounded: two frames and a read.
class FrameReader {
 public:
  FrameReader();
  // Where the next read may write, at least 64 KiB; Wrote says how much came.
  std::span<uint8_t> Space();
  void Wrote(size_t bytes);
  // The payload of the next whole frame, aligned to 8 bytes and valid until the next call; nothing
  // when more bytes are needed. An error means that the stream is no FPM or has lost its step, and
  // nothing more can be read from it.
  Result<std::optional<std::span<const uint8_t>>> Next();

 private:
  std::vector<uint8_t> buffer_;
  std::vector<uint64_t> aligned_;  // a payload that lies askew
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace penstock::fpm
