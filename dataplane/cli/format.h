// Numbers as people read them: 1.23 G, 3d 04:05, 0xc1000001.
#pragma once

#include <cstdint>
#include <string>

namespace penstock::cli {

// How counts are printed. Decimal prefixes, as network engineers use them: 1 k is 1000.
struct Units {
  bool exact = false;  // every digit, no prefixes

  // Up to 9999 in full, above with three significant digits and a prefix: "12.3 k".
  std::string Count(uint64_t value) const;
  // The same with the unit: "1500 B", "21.0 MB".
  std::string Bytes(uint64_t value) const;
  // Of something per second; small ones keep a decimal.
  std::string Rate(double value) const;
};

// "12 s", "04:05:06", "3d 04:05".
std::string FormatDuration(uint64_t seconds);
// The same with "<1 ms" and "250 ms" below a second.
std::string FormatAge(uint64_t microseconds);
// "0xc1000001"; "-" for 0, which is no SPI.
std::string FormatSpi(uint32_t spi);
// "42.0 %" of a share from 0 to 1.
std::string FormatPercent(double share);
// "tcp", "udp", ... or the number; "any" for 0.
std::string FormatProtocol(uint32_t protocol);
// Local time of day with its date: "2024-05-01 12:00:00.123".
std::string FormatTime(int64_t unix_microseconds);

}  // namespace penstock::cli
