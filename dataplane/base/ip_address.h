// IP addresses and prefixes of both families: parse, print, compare, hash.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace penstock {

enum class Family : uint8_t { kIpv4 = 4, kIpv6 = 6 };

// An IPv4 or IPv6 address; bytes in network order. An IPv4 address uses the first four bytes, the
// rest are zero. The default is 0.0.0.0.
class IpAddress {
 public:
  constexpr IpAddress() = default;
  static IpAddress V4(const void* four_bytes);
  static IpAddress V4(uint32_t host_order);
  static IpAddress V6(const void* sixteen_bytes);
  static IpAddress Any(Family family);
  // Accepts dotted-quad IPv4 and RFC 4291 IPv6 text; the error quotes the text.
  static Result<IpAddress> Parse(std::string_view text);
  // `bytes` must be 4 or 16 long (as protobuf fields carry it).
  static Result<IpAddress> FromBytes(std::string_view bytes);

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::kIpv4; }
  bool is_v6() const { return family_ == Family::kIpv6; }
  const uint8_t* data() const { return bytes_.data(); }
  size_t size() const { return is_v4() ? 4 : 16; }
  std::string ToBytes() const { return {reinterpret_cast<const char*>(data()), size()}; }
  uint32_t ToV4HostOrder() const;  // only for IPv4
  bool is_unspecified() const;
  bool is_multicast() const;
  bool is_link_local() const;
  uint8_t max_prefix_length() const { return is_v4() ? 32 : 128; }

  std::string ToString() const;
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  Family family_ = Family::kIpv4;
  std::array<uint8_t, 16> bytes_{};
};

// An address and a length; host bits are always zero.
class Prefix {
 public:
  Prefix() = default;
  // Clears host bits. `length` must not exceed the family's.
  Prefix(const IpAddress& address, uint8_t length);
  static Prefix Host(const IpAddress& address) { return {address, address.max_prefix_length()}; }
  static Prefix Default(Family family) { return {IpAddress::Any(family), 0}; }
  // "10.0.0.0/8" or a plain address (a host prefix). Host bits set are an error that says which
  // prefix was probably meant.
  static Result<Prefix> Parse(std::string_view text);

  const IpAddress& address() const { return address_; }
  uint8_t length() const { return length_; }
  Family family() const { return address_.family(); }
  bool Contains(const IpAddress& address) const;
  bool Contains(const Prefix& other) const;

  std::string ToString() const;
  friend auto operator<=>(const Prefix&, const Prefix&) = default;

 private:
  IpAddress address_;
  uint8_t length_ = 0;
};

// An address with the length of its link's prefix, host bits kept: "10.0.0.1/24".
struct InterfaceAddress {
  IpAddress address;
  uint8_t length = 0;
  static Result<InterfaceAddress> Parse(std::string_view text);
  Prefix prefix() const { return {address, length}; }
  std::string ToString() const;
  friend auto operator<=>(const InterfaceAddress&, const InterfaceAddress&) = default;
};

struct MacAddress {
  std::array<uint8_t, 6> bytes{};
  static Result<MacAddress> Parse(std::string_view text);
  std::string ToString() const;
  friend auto operator<=>(const MacAddress&, const MacAddress&) = default;
};

}  // namespace penstock

template <>
struct std::hash<penstock::IpAddress> {
  size_t operator()(const penstock::IpAddress& address) const noexcept;
};
template <>
struct std::hash<penstock::Prefix> {
  size_t operator()(const penstock::Prefix& prefix) const noexcept;
};
