// What an SA's configuration and its selectors must be like.
#include <algorithm>

#include "dataplane/ipsec/sa.h"

namespace penstock {
namespace {

constexpr uint16_t kAnyFirst = 0;
constexpr uint16_t kAnyLast = 65535;
constexpr uint32_t kFirstSpi = 256;

bool IsAny(uint16_t first, uint16_t last) { return first == kAnyFirst && last == kAnyLast; }
bool IsOpaque(uint16_t first, uint16_t last) { return first == kAnyLast && last == kAnyFirst; }

bool PortMatches(uint16_t first, uint16_t last, uint16_t port, bool known) {
  if (IsAny(first, last)) {
    return true;
  }
  return known ? first <= port && port <= last : IsOpaque(first, last);
}

Status ValidatePorts(const char* side, uint16_t first, uint16_t last, uint8_t protocol) {
  if (protocol == 0 && !IsAny(first, last)) {
    return Fail(Errc::kInvalidArgument,
                "{} ports {}-{} need a protocol, any protocol has ports 0-65535 only", side, first,
                last);
  }
  if (first > last && !IsOpaque(first, last)) {
    return Fail(Errc::kInvalidArgument, "{} ports {}-{} run backwards", side, first, last);
  }
  return {};
}

Status ValidateKeys(const SaConfig& config) {
  const Suite& suite = *config.suite;
  const size_t needed = suite.key_length();
  if (config.cipher_key.size() != needed) {
    if (suite.salt_length != 0) {
      return Fail(Errc::kInvalidArgument, "key has {} bytes, {} needs {} ({} key + {} salt)",
                  config.cipher_key.size(), suite.name, needed, suite.cipher_key_length,
                  suite.salt_length);
    }
    return Fail(Errc::kInvalidArgument, "key has {} bytes, {} needs {}", config.cipher_key.size(),
                suite.name, needed);
  }
  if (config.integrity_key.size() != suite.integrity_key_length) {
    return Fail(Errc::kInvalidArgument, "integrity key has {} bytes, {} needs {}",
                config.integrity_key.size(), suite.name, suite.integrity_key_length);
  }
  return {};
}

Status ValidateSequence(const SaConfig& config) {
  const uint32_t window = config.replay_window;
  if (config.inbound && window != 0 &&
      (window < ReplayWindow::kMinimum || window > ReplayWindow::kMaximum)) {
    return Fail(Errc::kInvalidArgument, "replay window {} is out of range, use 0 (off) or {} to {}",
                window, ReplayWindow::kMinimum, ReplayWindow::kMaximum);
  }
  const uint64_t limit = SequenceCounter::Limit(config.esn);
  if (config.initial_sequence > limit) {
    return Fail(Errc::kInvalidArgument, "initial sequence {} is beyond {}, the end {} ESN",
                config.initial_sequence, limit, config.esn ? "with" : "without");
  }
  return {};
}

Status ValidateOuter(const SaConfig& config) {
  if (config.source.family() != config.destination.family()) {
    return Fail(Errc::kInvalidArgument,
                "source {} and destination {} are of different address families",
                config.source.ToString(), config.destination.ToString());
  }
  if (config.destination.is_unspecified()) {
    return Fail(Errc::kInvalidArgument, "destination {} is no address, an SA needs one",
                config.destination.ToString());
  }
  // An inbound SA may take packets from any peer address; nothing can be sent from none.
  if (config.source.is_unspecified() && (!config.inbound || config.check_source)) {
    return Fail(Errc::kInvalidArgument, "source {} is no address, {} needs one",
                config.source.ToString(), config.inbound ? "check_source" : "an outbound SA");
  }
  const auto port_error = [&](const char* field, uint16_t port) -> Status {
    if (config.udp_encapsulation == (port != 0)) {
      return {};
    }
    if (config.udp_encapsulation) {
      return Fail(Errc::kInvalidArgument, "{} is 0, UDP encapsulation needs 1 to 65535", field);
    }
    return Fail(Errc::kInvalidArgument, "{} is {}, without UDP encapsulation it must be 0", field,
                port);
  };
  if (Status status = port_error("source port", config.source_port); !status) {
    return status;
  }
  return port_error("destination port", config.destination_port);
}

Status ValidateHeaders(const SaConfig& config) {
  if (config.headers.dscp > 63) {
    return Fail(Errc::kInvalidArgument, "dscp {} is out of range, use 0 to 63",
                config.headers.dscp);
  }
  if (config.headers.hop_limit == 0) {
    return Fail(Errc::kInvalidArgument, "hop limit 0 is out of range, use 1 to 255");
  }
  if (config.tfc_length > UINT16_MAX && config.tfc_length != UINT32_MAX) {
    return Fail(Errc::kInvalidArgument,
                "tfc length {} is out of range, use 0 (off) to 65535, or {} for the tunnel MTU",
                config.tfc_length, UINT32_MAX);
  }
  return {};
}

Status ValidateLimits(const LifetimeLimits& limits) {
  const auto pair = [](const char* unit, uint64_t soft, uint64_t hard) -> Status {
    if (soft != 0 && hard != 0 && soft > hard) {
      return Fail(Errc::kInvalidArgument, "soft limit of {} {} is beyond the hard limit of {}",
                  soft, unit, hard);
    }
    return {};
  };
  if (Status status = pair("bytes", limits.soft_bytes, limits.hard_bytes); !status) {
    return status;
  }
  if (Status status = pair("packets", limits.soft_packets, limits.hard_packets); !status) {
    return status;
  }
  return pair("seconds", limits.soft_seconds, limits.hard_seconds);
}

}  // namespace

bool Selector::MatchesEverything() const {
  return source.length() == 0 && destination.length() == 0 && protocol == 0 &&
         IsAny(source_port_first, source_port_last) &&
         IsAny(destination_port_first, destination_port_last);
}

bool Selector::Matches(const IpAddress& from, const IpAddress& to, uint8_t packet_protocol,
                       uint16_t source_port, uint16_t destination_port, bool ports_known) const {
  return source.Contains(from) && destination.Contains(to) &&
         (protocol == 0 || protocol == packet_protocol) &&
         PortMatches(source_port_first, source_port_last, source_port, ports_known) &&
         PortMatches(destination_port_first, destination_port_last, destination_port, ports_known);
}

Status ValidateSelector(const Selector& selector) {
  if (selector.source.family() != selector.destination.family()) {
    return Fail(Errc::kInvalidArgument,
                "source {} and destination {} are of different address families",
                selector.source.ToString(), selector.destination.ToString());
  }
  if (Status status = ValidatePorts("source", selector.source_port_first, selector.source_port_last,
                                    selector.protocol);
      !status) {
    return status;
  }
  return ValidatePorts("destination", selector.destination_port_first,
                       selector.destination_port_last, selector.protocol);
}

Status ValidateSaConfig(const SaConfig& config) {
  if (config.spi < kFirstSpi) {
    return Fail(Errc::kInvalidArgument, "spi {} is reserved (RFC 4303 2.1), use {} or more",
                config.spi, kFirstSpi);
  }
  if (config.suite == nullptr) {
    return Fail(Errc::kInvalidArgument, "suite is missing, name one such as aes-gcm-16-256");
  }
  for (auto* check : {&ValidateKeys, &ValidateSequence, &ValidateOuter, &ValidateHeaders}) {
    if (Status status = (*check)(config); !status) {
      return status;
    }
  }
  for (size_t index = 0; index < config.selectors.size(); ++index) {
    if (Status status = ValidateSelector(config.selectors[index]); !status) {
      return Prefixed(fmt::format("selector {}", index + 1), status.error());
    }
  }
  return ValidateLimits(config.limits);
}

}  // namespace penstock
