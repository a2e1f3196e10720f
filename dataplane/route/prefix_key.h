// Prefixes as plain integers, so that one implementation of the trie and the table serves both
// families.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/ip_address.h"

namespace penstock {

__extension__ typedef unsigned __int128 Uint128;

// Addresses in host order: the first bit of the address is the highest bit of the key.
using Key4 = uint32_t;
using Key6 = Uint128;

template <typename Key>
inline constexpr unsigned kKeyBits = sizeof(Key) * 8;

// The bits that a prefix of this length fixes.
template <typename Key>
constexpr Key PrefixMask(unsigned length) {
  return length == 0 ? Key{0} : static_cast<Key>(~Key{0} << (kKeyBits<Key> - length));
}

template <typename Key>
constexpr unsigned KeyBit(Key key, unsigned index) {
  return static_cast<unsigned>(key >> (kKeyBits<Key> - 1 - index)) & 1u;
}

// How many leading bits two keys share.
template <typename Key>
constexpr unsigned CommonBits(Key left, Key right) {
  const Key difference = left ^ right;
  if constexpr (sizeof(Key) == 4) {
    return static_cast<unsigned>(std::countl_zero(difference));
  } else {
    const auto high = static_cast<uint64_t>(difference >> 64);
    return static_cast<unsigned>(high != 0
                                     ? std::countl_zero(high)
                                     : 64 + std::countl_zero(static_cast<uint64_t>(difference)));
  }
}

template <typename Key>
Key KeyOf(const IpAddress& address) {
  Key key = 0;
  for (unsigned i = 0; i < sizeof(Key); ++i) {
    key = static_cast<Key>(key << 8) | address.data()[i];
  }
  return key;
}
template <>
inline Key4 KeyOf<Key4>(const IpAddress& address) {
  return address.ToV4HostOrder();
}

template <typename Key>
IpAddress AddressOf(Key key) {
  if constexpr (sizeof(Key) == 4) {
    return IpAddress::V4(key);
  } else {
    uint8_t bytes[16];
    for (unsigned i = 0; i < 16; ++i) {
      bytes[i] = static_cast<uint8_t>(key >> (120 - 8 * i));
    }
    return IpAddress::V6(bytes);
  }
}

}  // namespace penstock
