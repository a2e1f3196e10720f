// Integers in network byte order, as types of their own: converting is always a named call.
#pragma once

#include <bit>
#include <compare>
#include <cstdint>

namespace penstock {

static_assert(std::endian::native == std::endian::little, "penstock is written for x86-64");

constexpr uint16_t SwapBytes(uint16_t value) { return __builtin_bswap16(value); }
constexpr uint32_t SwapBytes(uint32_t value) { return __builtin_bswap32(value); }
constexpr uint64_t SwapBytes(uint64_t value) { return __builtin_bswap64(value); }

// An integer whose bytes in memory are in network order. Trivial and without alignment, so that it
// may stand anywhere in wire structs.
template <typename T>
class [[gnu::packed]] BigEndian {
 public:
  BigEndian() = default;
  static constexpr BigEndian FromHost(T value) { return BigEndian(SwapBytes(value)); }
  static constexpr BigEndian FromRaw(T raw) { return BigEndian(raw); }

  constexpr T ToHost() const { return SwapBytes(raw_); }
  // The bytes as they stand in memory, for checksums, hashes and comparison only.
  constexpr T raw() const { return raw_; }

  friend constexpr bool operator==(BigEndian, BigEndian) = default;

 private:
  explicit constexpr BigEndian(T raw) : raw_(raw) {}
  T raw_;
};

using Be16 = BigEndian<uint16_t>;
using Be32 = BigEndian<uint32_t>;
using Be64 = BigEndian<uint64_t>;

static_assert(sizeof(Be16) == 2 && sizeof(Be32) == 4 && sizeof(Be64) == 8);

}  // namespace penstock
