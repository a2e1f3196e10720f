#include "dataplane/cli/arguments.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/ip_address.h"
#include "dataplane/cli/protocol_names.h"

namespace penstock::cli {
namespace {

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

struct Pair {
  std::string_view key;
  std::string_view value;
};

// One "key=value" of a list.
Result<Pair> ParsePair(std::string_view item, std::string_view expected) {
  const size_t equals = item.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals + 1 == item.size()) {
    return Fail(Errc::kInvalidArgument, "\"{}\" is not KEY=VALUE; expected {}", item, expected);
  }
  return Pair{item.substr(0, equals), item.substr(equals + 1)};
}

struct Scale {
  char letter;
  double factor;
};

// A number that a letter may follow.
std::optional<double> ParseScaled(std::string_view text, std::span<const Scale> scales) {
  double factor = 1;
  if (!text.empty()) {
    for (const Scale& scale : scales) {
      if (text.back() == scale.letter) {
        factor = scale.factor;
        text.remove_suffix(1);
        break;
      }
    }
  }
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  const double value = number * factor;
  const bool good = error == std::errc() && end == text.data() + text.size() && !text.empty() &&
                    std::isfinite(value) && value >= 0 && value < 18e18;
  return good ? std::optional(value) : std::nullopt;
}

Result<std::pair<uint32_t, uint32_t>> ParsePorts(std::string_view text) {
  const size_t dash = text.find('-');
  const Result<uint64_t> first = ParseNumber(text.substr(0, dash), 0, 65'535);
  const Result<uint64_t> last =
      dash == std::string_view::npos ? first : ParseNumber(text.substr(dash + 1), 0, 65'535);
  if (!first || !last || *first > *last) {
    return Fail(Errc::kInvalidArgument, "\"{}\" is neither a port (0 to 65535) nor FIRST-LAST",
                text);
  }
  return std::pair(static_cast<uint32_t>(*first), static_cast<uint32_t>(*last));
}

Status SetSelectorField(control::Selector& selector, const Pair& pair) {
  if (pair.key == "source" || pair.key == "destination") {
    const Result<Prefix> prefix = Prefix::Parse(pair.value);
    if (!prefix) {
      return Prefixed(std::string(pair.key), prefix.error());
    }
    (pair.key == "source" ? selector.mutable_source() : selector.mutable_destination())
        ->assign(prefix->ToString());
  } else if (pair.key == "protocol") {
    const Result<uint32_t> protocol = ParseProtocol(pair.value);
    if (!protocol) {
      return tl::make_unexpected(protocol.error());
    }
    selector.set_protocol(*protocol);
  } else if (pair.key == "source-port" || pair.key == "destination-port") {
    const auto ports = ParsePorts(pair.value);
    if (!ports) {
      return Prefixed(std::string(pair.key), ports.error());
    }
    if (pair.key == "source-port") {
      selector.set_source_port_first(ports->first);
      selector.set_source_port_last(ports->second);
    } else {
      selector.set_destination_port_first(ports->first);
      selector.set_destination_port_last(ports->second);
    }
  } else {
    return Fail(Errc::kInvalidArgument,
                "\"{}\" is unknown; expected source, destination, protocol, source-port or "
                "destination-port",
                pair.key);
  }
  return {};
}

Status SetViaField(control::RouteVia& via, const Pair& pair) {
  if (pair.key == "tunnel") {
    via.set_tunnel(std::string(pair.value));
  } else if (pair.key == "address") {
    const Result<IpAddress> address = IpAddress::Parse(pair.value);
    if (!address) {
      return tl::make_unexpected(address.error());
    }
    via.set_address(address->ToString());
  } else if (pair.key == "port") {
    via.set_port(std::string(pair.value));
  } else if (pair.key == "weight") {
    const Result<uint64_t> weight = ParseNumber(pair.value, 1, 255);
    if (!weight) {
      return Prefixed("weight", weight.error());
    }
    via.set_weight(static_cast<uint32_t>(*weight));
  } else if (pair.key == "standby") {
    if (pair.value != "yes" && pair.value != "no") {
      return Fail(Errc::kInvalidArgument, "standby \"{}\": use yes or no", pair.value);
    }
    via.set_standby(pair.value == "yes");
  } else {
    return Fail(Errc::kInvalidArgument,
                "\"{}\" is unknown; expected tunnel, address, port, weight or standby", pair.key);
  }
  return {};
}

int HexDigit(char character) {
  if (character >= '0' && character <= '9') {
    return character - '0';
  }
  const char lower = static_cast<char>(character | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool IsSeparator(char character) {
  return character == ' ' || character == '\t' || character == '\r' || character == '\n' ||
         character == ':';
}

}  // namespace

Result<uint64_t> ParseNumber(std::string_view text, uint64_t lowest, uint64_t highest) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const std::string_view digits = hex ? text.substr(2) : text;
  uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, hex ? 16 : 10);
  if (error != std::errc() || end != digits.data() + digits.size() || value < lowest ||
      value > highest) {
    return Fail(Errc::kInvalidArgument, "\"{}\" is not a whole number from {} to {}", text, lowest,
                highest);
  }
  return value;
}

Result<uint64_t> ParseAmount(std::string_view text) {
  constexpr Scale kScales[] = {{'k', 1e3}, {'M', 1e6}, {'G', 1e9}, {'T', 1e12}, {'P', 1e15}};
  // Plain numbers keep all of their digits, which a double would not.
  if (const auto plain = ParseNumber(text, 0, std::numeric_limits<uint64_t>::max()); plain) {
    return plain;
  }
  const std::optional<double> value = ParseScaled(text, kScales);
  if (!value) {
    return Fail(Errc::kInvalidArgument,
                "\"{}\" is not an amount; expected a number like 1000000, 10k, 1.5G or 2T", text);
  }
  return static_cast<uint64_t>(std::llround(*value));
}

Result<uint64_t> ParseSeconds(std::string_view text) {
  constexpr Scale kScales[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}, {'w', 604'800}};
  const std::optional<double> value = ParseScaled(text, kScales);
  if (!value) {
    return Fail(Errc::kInvalidArgument,
                "\"{}\" is not a time; expected seconds or a number like 50m, 8h or 1d", text);
  }
  return static_cast<uint64_t>(std::llround(*value));
}

Result<uint32_t> ParseSpi(std::string_view text) {
  const Result<uint64_t> spi = ParseNumber(text, 1, 0xffffffff);
  if (!spi) {
    return Fail(Errc::kInvalidArgument,
                "\"{}\" is not an SPI; expected a number from 1 to 0xffffffff, like 0xc1000001",
                text);
  }
  return static_cast<uint32_t>(*spi);
}

Result<uint32_t> ParseProtocol(std::string_view text) {
  for (const ProtocolName& entry : kProtocolNames) {
    if (text == entry.name) {
      return entry.number;
    }
  }
  const Result<uint64_t> number = ParseNumber(text, 1, 255);
  if (!number) {
    std::string names;
    for (const ProtocolName& entry : kProtocolNames) {
      names += std::string(entry.name) + ", ";
    }
    return Fail(Errc::kInvalidArgument,
                "\"{}\" is not an IP protocol; expected {}or a number from 1 to 255", text, names);
  }
  return static_cast<uint32_t>(*number);
}

Result<control::RouteVia> ParseVia(std::string_view text) {
  control::RouteVia via;
  for (const std::string_view item : Split(text, ',')) {
    const Result<Pair> pair = ParsePair(item, "tunnel=NAME, address=ADDRESS or port=NAME");
    if (!pair) {
      return tl::make_unexpected(pair.error());
    }
    if (Status set = SetViaField(via, *pair); !set) {
      return tl::make_unexpected(set.error());
    }
  }
  const bool clear = !via.address().empty() || !via.port().empty();
  if (via.tunnel().empty() == !clear) {
    return Fail(Errc::kInvalidArgument,
                "\"{}\" must name either a tunnel, or an address or port (or both of these)", text);
  }
  return via;
}

Result<control::Selector> ParseSelector(std::string_view text) {
  control::Selector selector;
  selector.set_source_port_last(65'535);
  selector.set_destination_port_last(65'535);
  for (const std::string_view item : Split(text, ',')) {
    const Result<Pair> pair = ParsePair(item, "source=PREFIX,destination=PREFIX");
    if (!pair) {
      return tl::make_unexpected(pair.error());
    }
    if (Status set = SetSelectorField(selector, *pair); !set) {
      return tl::make_unexpected(set.error());
    }
  }
  if (selector.source().empty() || selector.destination().empty()) {
    return Fail(Errc::kInvalidArgument,
                "\"{}\" must have both source and destination; 0.0.0.0/0 or ::/0 stand for any",
                text);
  }
  return selector;
}

Result<std::string> ParseKeyHex(std::string_view text) {
  while (!text.empty() && IsSeparator(text.front())) {
    text.remove_prefix(1);
  }
  if (text.starts_with("0x") || text.starts_with("0X")) {
    text.remove_prefix(2);
  }
  std::string key;
  // Grown at once: a string that moves would leave pieces of the key behind in memory.
  key.reserve(text.size() / 2 + 1);
  int high = -1;
  for (size_t position = 0; position < text.size(); ++position) {
    if (IsSeparator(text[position])) {
      continue;
    }
    const int digit = HexDigit(text[position]);
    if (digit < 0) {
      return Fail(Errc::kInvalidArgument, "the key's character {} is not a hex digit",
                  position + 1);
    }
    if (high < 0) {
      high = digit;
    } else {
      key.push_back(static_cast<char>(high << 4 | digit));
      high = -1;
    }
  }
  if (high >= 0) {
    return Fail(Errc::kInvalidArgument, "the key has {} hex digits, an odd number; two make a byte",
                key.size() * 2 + 1);
  }
  if (key.empty()) {
    return Fail(Errc::kInvalidArgument, "the key is empty; expected hex digits");
  }
  return key;
}

}  // namespace penstock::cli
