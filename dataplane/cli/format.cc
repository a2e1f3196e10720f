#include "dataplane/cli/format.h"

#include <fmt/format.h>

#include <array>
#include <ctime>

#include "dataplane/cli/protocol_names.h"

namespace penstock::cli {
namespace {

constexpr uint64_t kMinute = 60;
constexpr uint64_t kHour = 60 * kMinute;
constexpr uint64_t kDay = 24 * kHour;
constexpr uint64_t kMicroseconds = 1'000'000;

// Three significant digits and a prefix, for values of 9999.5 and more.
std::string Prefixed(double value) {
  constexpr std::array<const char*, 6> kPrefixes = {"k", "M", "G", "T", "P", "E"};
  size_t prefix = 0;
  value /= 1000;
  while (value >= 999.5 && prefix + 1 < kPrefixes.size()) {
    value /= 1000;
    ++prefix;
  }
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, kPrefixes[prefix]);
}

}  // namespace

std::string Units::Count(uint64_t value) const {
  return exact || value < 10'000 ? std::to_string(value) : Prefixed(static_cast<double>(value));
}

std::string Units::Bytes(uint64_t value) const {
  const std::string count = Count(value);
  return count + (count.find(' ') == std::string::npos ? " B" : "B");
}

std::string Units::Rate(double value) const {
  if (value <= 0) {
    return "0";
  }
  if (value < 99.95) {
    return fmt::format("{:.1f}", value);
  }
  return exact || value < 9999.5 ? fmt::format("{:.0f}", value) : Prefixed(value);
}

std::string FormatDuration(uint64_t seconds) {
  if (seconds < kMinute) {
    return fmt::format("{} s", seconds);
  }
  if (seconds < kDay) {
    return fmt::format("{:02}:{:02}:{:02}", seconds / kHour, seconds % kHour / kMinute,
                       seconds % kMinute);
  }
  return fmt::format("{}d {:02}:{:02}", seconds / kDay, seconds % kDay / kHour,
                     seconds % kHour / kMinute);
}

std::string FormatAge(uint64_t microseconds) {
  if (microseconds < 1000) {
    return "<1 ms";
  }
  if (microseconds < kMicroseconds) {
    return fmt::format("{} ms", microseconds / 1000);
  }
  return FormatDuration(microseconds / kMicroseconds);
}

std::string FormatSpi(uint32_t spi) { return spi == 0 ? "-" : fmt::format("{:#010x}", spi); }

std::string FormatPercent(double share) { return fmt::format("{:.1f} %", share * 100); }

std::string FormatProtocol(uint32_t protocol) {
  if (protocol == 0) {
    return "any";
  }
  for (const ProtocolName& entry : kProtocolNames) {
    if (entry.number == protocol) {
      return entry.name;
    }
  }
  return std::to_string(protocol);
}

std::string FormatTime(int64_t unix_microseconds) {
  const time_t seconds = unix_microseconds / 1'000'000;
  tm local{};
  localtime_r(&seconds, &local);
  std::array<char, 32> text{};
  const size_t length = strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &local);
  return fmt::format("{}.{:03}", std::string_view(text.data(), length),
                     unix_microseconds % 1'000'000 / 1000);
}

}  // namespace penstock::cli
