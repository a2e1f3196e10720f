#include "dataplane/base/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "dataplane/base/byte_order.h"

namespace penstock {
namespace {

constexpr size_t kLongestQuote = 64;

// The operator's text as it may stand in an error: bounded, and without control characters.
std::string Quote(std::string_view text) {
  std::string quoted(text.substr(0, kLongestQuote));
  std::replace_if(
      quoted.begin(), quoted.end(), [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
  return '"' + quoted + (text.size() > kLongestQuote ? "...\"" : "\"");
}

struct Split {
  IpAddress address;
  uint8_t length = 0;
  bool has_length = false;
};

Result<uint8_t> ParseLength(std::string_view whole, std::string_view digits, uint8_t maximum) {
  unsigned value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  const bool leading_zero = digits.size() > 1 && digits[0] == '0';
  if (digits.empty() || stop != end || error != std::errc() || leading_zero || value > maximum) {
    return Fail(Errc::kInvalidArgument, "{}: prefix length {} is not a number from 0 to {}",
                Quote(whole), Quote(digits), maximum);
  }
  return static_cast<uint8_t>(value);
}

Result<Split> ParseWithLength(std::string_view text) {
  const size_t slash = text.find('/');
  Result<IpAddress> address = IpAddress::Parse(text.substr(0, slash));
  if (!address) {
    return Fail(Errc::kInvalidArgument,
                "{} is not an IP prefix; expected one like 192.0.2.0/24 or 2001:db8::/32",
                Quote(text));
  }
  if (slash == std::string_view::npos) {
    return Split{*address, address->max_prefix_length(), false};
  }
  Result<uint8_t> length = ParseLength(text, text.substr(slash + 1), address->max_prefix_length());
  if (!length) {
    return tl::make_unexpected(length.error());
  }
  return Split{*address, *length, true};
}

uint64_t Load64(const uint8_t* bytes) {
  uint64_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

// The finalizer of MurmurHash3: every input bit reaches every output bit.
uint64_t Mix(uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdULL;
  value ^= value >> 33;
  value *= 0xc4ceb9fe1a85ec53ULL;
  return value ^ (value >> 33);
}

}  // namespace

IpAddress IpAddress::V4(const void* four_bytes) {
  IpAddress address;
  std::memcpy(address.bytes_.data(), four_bytes, 4);
  return address;
}

IpAddress IpAddress::V4(uint32_t host_order) {
  const uint32_t raw = Be32::FromHost(host_order).raw();
  return V4(static_cast<const void*>(&raw));
}

IpAddress IpAddress::V6(const void* sixteen_bytes) {
  IpAddress address;
  address.family_ = Family::kIpv6;
  std::memcpy(address.bytes_.data(), sixteen_bytes, 16);
  return address;
}

IpAddress IpAddress::Any(Family family) {
  IpAddress address;
  address.family_ = family;
  return address;
}

Result<IpAddress> IpAddress::Parse(std::string_view text) {
  uint8_t bytes[16];
  // inet_pton stops at a NUL; a text that holds one is refused rather than cut.
  if (text.size() < INET6_ADDRSTRLEN && text.find('\0') == std::string_view::npos) {
    const std::string terminated(text);
    if (inet_pton(AF_INET, terminated.c_str(), bytes) == 1) {
      return V4(static_cast<const void*>(bytes));
    }
    if (inet_pton(AF_INET6, terminated.c_str(), bytes) == 1) {
      return V6(bytes);
    }
  }
  return Fail(Errc::kInvalidArgument,
              "{} is not an IP address; expected one like 192.0.2.1 or 2001:db8::1", Quote(text));
}

Result<IpAddress> IpAddress::FromBytes(std::string_view bytes) {
  if (bytes.size() == 4) {
    return V4(static_cast<const void*>(bytes.data()));
  }
  if (bytes.size() == 16) {
    return V6(bytes.data());
  }
  return Fail(Errc::kInvalidArgument, "an IP address of {} bytes; expected 4 or 16", bytes.size());
}

uint32_t IpAddress::ToV4HostOrder() const {
  PENSTOCK_CHECK(is_v4());
  uint32_t raw;
  std::memcpy(&raw, bytes_.data(), sizeof(raw));
  return Be32::FromRaw(raw).ToHost();
}

bool IpAddress::is_unspecified() const {
  return std::all_of(bytes_.begin(), bytes_.end(), [](uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_multicast() const {
  return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff;
}

bool IpAddress::is_link_local() const {
  return is_v4() ? bytes_[0] == 169 && bytes_[1] == 254
                 : bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(is_v4() ? AF_INET : AF_INET6, data(), text, sizeof(text));
}

Prefix::Prefix(const IpAddress& address, uint8_t length) : length_(length) {
  PENSTOCK_CHECK(length <= address.max_prefix_length());
  uint8_t bytes[16]{};
  std::memcpy(bytes, address.data(), address.size());
  for (size_t i = 0; i < address.size(); ++i) {
    const int kept = std::clamp(static_cast<int>(length) - static_cast<int>(8 * i), 0, 8);
    bytes[i] = static_cast<uint8_t>(bytes[i] & (0xff00u >> kept));
  }
  address_ =
      address.is_v4() ? IpAddress::V4(static_cast<const void*>(bytes)) : IpAddress::V6(bytes);
}

Result<Prefix> Prefix::Parse(std::string_view text) {
  Result<Split> split = ParseWithLength(text);
  if (!split) {
    return tl::make_unexpected(split.error());
  }
  const Prefix prefix(split->address, split->length);
  if (prefix.address() != split->address) {
    return Fail(Errc::kInvalidArgument, "{}/{} has host bits set; did you mean {}",
                split->address.ToString(), split->length, prefix.ToString());
  }
  return prefix;
}

bool Prefix::Contains(const IpAddress& address) const {
  return address.family() == family() && Prefix(address, length_).address_ == address_;
}

bool Prefix::Contains(const Prefix& other) const {
  return other.length_ >= length_ && Contains(other.address_);
}

std::string Prefix::ToString() const { return fmt::format("{}/{}", address_.ToString(), length_); }

Result<InterfaceAddress> InterfaceAddress::Parse(std::string_view text) {
  Result<Split> split = ParseWithLength(text);
  if (!split) {
    return tl::make_unexpected(split.error());
  }
  if (!split->has_length) {
    return Fail(Errc::kInvalidArgument, "{} lacks a prefix length; expected one like {}/{}",
                Quote(text), split->address.ToString(), split->address.is_v4() ? 24 : 64);
  }
  return InterfaceAddress{split->address, split->length};
}

std::string InterfaceAddress::ToString() const {
  return fmt::format("{}/{}", address.ToString(), length);
}

Result<MacAddress> MacAddress::Parse(std::string_view text) {
  MacAddress mac;
  bool good = text.size() == 17;
  for (size_t i = 0; good && i < mac.bytes.size(); ++i) {
    const char* digits = text.data() + 3 * i;
    const auto [stop, error] = std::from_chars(digits, digits + 2, mac.bytes[i], 16);
    good = stop == digits + 2 && error == std::errc() && (i == 5 || digits[2] == ':');
  }
  if (!good) {
    return Fail(Errc::kInvalidArgument,
                "{} is not a MAC address; expected one like 02:00:00:00:00:01", Quote(text));
  }
  return mac;
}

std::string MacAddress::ToString() const {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2],
                     bytes[3], bytes[4], bytes[5]);
}

}  // namespace penstock

size_t std::hash<penstock::IpAddress>::operator()(
    const penstock::IpAddress& address) const noexcept {
  const uint8_t* bytes = address.data();
  const uint64_t family = static_cast<uint64_t>(address.family());
  return penstock::Mix(penstock::Mix(penstock::Load64(bytes) + family) ^
                       penstock::Load64(bytes + 8));
}

size_t std::hash<penstock::Prefix>::operator()(const penstock::Prefix& prefix) const noexcept {
  return penstock::Mix(std::hash<penstock::IpAddress>()(prefix.address()) + prefix.length());
}
