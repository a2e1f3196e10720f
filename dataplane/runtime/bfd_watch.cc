#include "dataplane/runtime/bfd_watch.h"

#include <algorithm>
#include <iterator>

#include "dataplane/base/result.h"

namespace penstock {
namespace {

constexpr size_t kMostSessions = 4096;
constexpr uint16_t kSingleHopPort = 3784;
constexpr uint16_t kMultihopPort = 4784;
constexpr uint8_t kProtocolUdp = 17;
constexpr size_t kUdpHeader = 8;
constexpr size_t kControlLength = 24;  // RFC 5880 4.1, without authentication
// A session that is down sends once a second at least (RFC 5880 6.8.3).
constexpr uint32_t kSilentMilliseconds = 5000;
constexpr uint32_t kSilentDetectTimes = 4;

uint16_t Read16(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
uint32_t Read32(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint32_t>(Read16(bytes, at)) << 16 | Read16(bytes, at + 2);
}

// Where the UDP header is; 0 if there is none at once behind the IP header, as bfdd sends it.
size_t UdpOffset(std::span<const uint8_t> ip) {
  if (ip.size() >= 20 && ip[0] >> 4 == 4) {
    const size_t length = (ip[0] & 0xfu) * 4u;
    const bool first = (Read16(ip, 6) & 0x3fff) == 0;  // no fragment
    return length >= 20 && first && ip[9] == kProtocolUdp ? length : 0;
  }
  return ip.size() >= 40 && ip[0] >> 4 == 6 && ip[6] == kProtocolUdp ? 40 : 0;
}

}  // namespace

const char* BfdStateName(BfdState state) {
  constexpr const char* kNames[] = {"admin_down", "down", "init", "up"};
  return kNames[static_cast<unsigned>(state)];
}

const char* BfdDiagnosticName(uint8_t number) {
  constexpr const char* kNames[] = {"",
                                    "control detection time expired",
                                    "echo function failed",
                                    "neighbor signaled session down",
                                    "forwarding plane reset",
                                    "path down",
                                    "concatenated path down",
                                    "administratively down",
                                    "reverse concatenated path down"};
  return number < std::size(kNames) ? kNames[number] : "unknown diagnostic";
}

bool MayBeBfd(std::span<const uint8_t> ip) {
  const size_t udp = UdpOffset(ip);
  if (udp == 0 || ip.size() < udp + kUdpHeader + kControlLength) {
    return false;
  }
  const uint16_t port = Read16(ip, udp + 2);
  return port == kSingleHopPort || port == kMultihopPort;
}

std::optional<BfdPacket> ParseBfd(std::span<const uint8_t> ip) {
  if (!MayBeBfd(ip)) {
    return std::nullopt;
  }
  const size_t udp = UdpOffset(ip);
  const std::span<const uint8_t> control = ip.subspan(udp + kUdpHeader);
  const uint8_t version = control[0] >> 5;
  const uint8_t multiplier = control[2];
  if (version != 1 || multiplier == 0 || control[3] < kControlLength) {
    return std::nullopt;
  }
  BfdPacket packet;
  const bool v4 = ip[0] >> 4 == 4;
  packet.source = v4 ? IpAddress::V4(&ip[12]) : IpAddress::V6(&ip[8]);
  packet.destination = v4 ? IpAddress::V4(&ip[16]) : IpAddress::V6(&ip[24]);
  packet.multihop = Read16(ip, udp + 2) == kMultihopPort;
  packet.diagnostic = control[0] & 0x1f;
  packet.state = static_cast<BfdState>(control[1] >> 6);
  packet.discriminator = Read32(control, 4);
  const uint64_t detect = uint64_t{multiplier} * Read32(control, 12) / 1000;  // of microseconds
  packet.detect_milliseconds = static_cast<uint32_t>(std::min<uint64_t>(detect, UINT32_MAX));
  return packet.discriminator == 0 ? std::nullopt : std::optional(packet);
}

bool BfdWatch::See(uint32_t tunnel, bool from_host, std::span<const uint8_t> ip, Nanoseconds now) {
  const std::optional<BfdPacket> packet = ParseBfd(ip);
  if (!packet) {
    return false;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!from_host) {
    // Told for people only: our end hears it too, and its next packet says what follows from it.
    for (auto& [key, session] : sessions_) {
      if (session.tunnel == tunnel && session.local == packet->destination &&
          session.remote == packet->source && session.multihop == packet->multihop) {
        session.remote_state = packet->state;
      }
    }
    return false;
  }
  const Key key{tunnel, packet->source, packet->destination, packet->multihop,
                packet->discriminator};
  auto found = sessions_.find(key);
  if (packet->state == BfdState::kAdminDown) {
    return found != sessions_.end() && sessions_.erase(key) != 0;
  }
  if (found == sessions_.end()) {
    if (sessions_.size() >= kMostSessions) {
      return false;
    }
    found = sessions_.try_emplace(key).first;
  }
  Session& session = found->second;
  const bool changed = session.state != packet->state;
  session.tunnel = tunnel;
  session.local = packet->source;
  session.remote = packet->destination;
  session.multihop = packet->multihop;
  session.state = packet->state;
  session.diagnostic = packet->diagnostic;
  session.was_up = session.was_up || packet->state == BfdState::kUp;
  session.detect_milliseconds = packet->detect_milliseconds;
  session.heard = now;
  return changed;
}

std::map<uint32_t, std::string> BfdWatch::DownTunnels(Nanoseconds now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::map<uint32_t, std::string> down;
  std::map<uint32_t, bool> any_up;
  for (auto entry = sessions_.begin(); entry != sessions_.end();) {
    const Session& session = entry->second;
    const auto silent = std::chrono::milliseconds(std::max<uint64_t>(
        kSilentMilliseconds, uint64_t{kSilentDetectTimes} * session.detect_milliseconds));
    if (now - session.heard > silent) {
      entry = sessions_.erase(entry);
      continue;
    }
    if (session.state == BfdState::kUp) {
      any_up[session.tunnel] = true;
    } else if (session.was_up) {
      const std::string diagnostic = BfdDiagnosticName(session.diagnostic);
      down[session.tunnel] =
          fmt::format("BFD with {} is {}{}{}", session.remote.ToString(),
                      BfdStateName(session.state), diagnostic.empty() ? "" : ": ", diagnostic);
    }
    ++entry;
  }
  std::erase_if(down, [&](const auto& item) { return any_up.contains(item.first); });
  return down;
}

std::vector<BfdWatch::Session> BfdWatch::SessionsOf(uint32_t tunnel) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<Session> sessions;
  for (auto entry = sessions_.lower_bound(Key{tunnel, {}, {}, false, 0});
       entry != sessions_.end() && entry->second.tunnel == tunnel; ++entry) {
    sessions.push_back(entry->second);
  }
  return sessions;
}

void BfdWatch::Forget(uint32_t tunnel) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::erase_if(sessions_, [tunnel](const auto& item) { return item.second.tunnel == tunnel; });
}

}  // namespace penstock
