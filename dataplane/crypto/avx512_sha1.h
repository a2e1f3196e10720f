// HMAC-SHA1 (RFC 2104, FIPS 180-4) of many messages side by side: each 32-bit lane of a register
// works on a message of its own, 32 messages at once.
#pragma once

#include <cstdint>
#include <span>

namespace penstock {

struct HmacSha1Job {
  const uint8_t* text;
  uint32_t length;        // bytes
  const uint32_t* inner;  // the hash's five words after the key's inner pad (RFC 2104 2)
  const uint32_t* outer;  // and after its outer pad
  uint8_t* digest;        // where the first `digest_length` bytes go: at most 20
  uint32_t digest_length;
};

// Any number of jobs. Neighbours of one length keep all lanes busy: sort them by length. Needs
// AVX-512 F, BW, DQ and VL; keeps nothing.
void HmacSha1InLanes(std::span<const HmacSha1Job> jobs);

}  // namespace penstock
