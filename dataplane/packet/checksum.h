// Internet checksums: RFC 1071 sums, RFC 1624 incremental updates, pseudo headers of both families.
//
// All 16-bit values are in memory order ("raw"): the sum does not care, and nothing is swapped. A
// folded sum is a uint16_t; a running sum is a uint64_t, which takes any packet without overflow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/headers.h"

namespace penstock {

// Folds carries back until 16 bits are left. 0 comes out only if 0 went in.
constexpr uint16_t FoldSum(uint64_t sum) {
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<uint16_t>((sum >> 16) + (sum & 0xffff));
}

// Adds bytes to a running sum; `size` may be odd only for the last piece (RFC 1071: a zero byte
// follows).
inline uint64_t AddToSum(uint64_t sum, const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  while (size >= 4) {
    uint32_t word;
    memcpy(&word, bytes, sizeof(word));
    sum += word;
    bytes += 4;
    size -= 4;
  }
  if (size >= 2) {
    uint16_t word;
    memcpy(&word, bytes, sizeof(word));
    sum += word;
    bytes += 2;
    size -= 2;
  }
  if (size != 0) {
    sum += *bytes;  // low byte of a little-endian word: its partner is zero
  }
  return sum;
}

// What stands in a checksum field, given the sum over everything else.
constexpr Be16 ChecksumOf(uint64_t sum) {
  return Be16::FromRaw(static_cast<uint16_t>(~FoldSum(sum)));
}

// As ChecksumOf, for UDP: a computed zero is sent as all ones, since zero means "none" (RFC 768).
constexpr Be16 UdpChecksumOf(uint64_t sum) {
  const Be16 checksum = ChecksumOf(sum);
  return checksum.raw() == 0 ? Be16::FromRaw(0xffff) : checksum;
}

// The checksum after a 16-bit field changed from `before` to `after`: RFC 1624 equation 3,
// ~(~HC + ~m + m'), which unlike RFC 1141's gives the same as a full computation in the 0x0000 and
// 0xffff cases, provided that the covered data is not all zero (an IP header never is).
constexpr Be16 UpdateChecksum(Be16 checksum, Be16 before, Be16 after) {
  return ChecksumOf(uint64_t{static_cast<uint16_t>(~checksum.raw())} +
                    static_cast<uint16_t>(~before.raw()) + after.raw());
}

// The same for a 32-bit field (an IPv4 address), which must begin at an even offset.
constexpr Be16 UpdateChecksum(Be16 checksum, Be32 before, Be32 after) {
  return ChecksumOf(uint64_t{static_cast<uint16_t>(~checksum.raw())} +
                    static_cast<uint32_t>(~before.raw()) + after.raw());
}

// The checksum of an IPv4 header as it should be: computed with the field taken as zero.
inline Be16 Ipv4HeaderChecksum(const Ipv4Header& header) {
  uint64_t sum = AddToSum(0, &header, header.header_length());
  sum += static_cast<uint16_t>(~header.checksum.raw());  // one's complement subtraction
  return ChecksumOf(sum);
}

// True if the header, checksum included, sums up to all ones.
inline bool Ipv4ChecksumIsGood(const Ipv4Header& header) {
  return FoldSum(AddToSum(0, &header, header.header_length())) == 0xffff;
}

// Running sum of the pseudo header (RFC 793, RFC 8200 8.1); `length` is that of the transport
// header and data, in host order.
inline uint64_t PseudoHeaderSum(const Ipv4Header& header, uint8_t protocol, uint32_t length) {
  return uint64_t{header.source.raw()} + header.destination.raw() + Be16::FromHost(protocol).raw() +
         SwapBytes(length);
}
inline uint64_t PseudoHeaderSum(const Ipv6Header& header, uint8_t protocol, uint32_t length) {
  return AddToSum(uint64_t{Be16::FromHost(protocol).raw()} + SwapBytes(length), header.source, 32);
}

}  // namespace penstock
