// What the BFD packets of our own bfdd and of the peer say about a tunnel, seen as they pass the
// host path.
//
// bfdd runs the protocol; its verdict stands in every packet that it sends (RFC 5880 4.1). Reading
// it there tells the data plane that a tunnel carries nothing before any routing protocol reacts.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/ip_address.h"

namespace penstock {

enum class BfdState : uint8_t { kAdminDown = 0, kDown = 1, kInit = 2, kUp = 3 };
const char* BfdStateName(BfdState state);       // "up"
const char* BfdDiagnosticName(uint8_t number);  // "control detection time expired"

struct BfdPacket {
  IpAddress source;
  IpAddress destination;
  bool multihop = false;  // UDP port 4784 (RFC 5883), else 3784 (RFC 5881)
  uint8_t diagnostic = 0;
  BfdState state = BfdState::kDown;
  uint32_t discriminator = 0;  // the sender's
  uint32_t detect_milliseconds = 0;
};

// Whether an IP packet is BFD control; cheap enough to ask of every packet on the host path.
bool MayBeBfd(std::span<const uint8_t> ip);
// Nothing if it is none, or is malformed.
std::optional<BfdPacket> ParseBfd(std::span<const uint8_t> ip);

// Any thread.
class BfdWatch {
 public:
  struct Session {
    uint32_t tunnel = 0;
    IpAddress local;
    IpAddress remote;
    bool multihop = false;
    BfdState state = BfdState::kDown;
    std::optional<BfdState> remote_state;
    uint8_t diagnostic = 0;
    bool was_up = false;
    uint32_t detect_milliseconds = 0;
    Nanoseconds heard{0};  // our end's last packet
  };

  // True if our end's verdict on the tunnel may have changed.
  bool See(uint32_t tunnel, bool from_host, std::span<const uint8_t> ip, Nanoseconds now);

  // A tunnel is down if a session through it was up and is not, and none is. Sessions that ended
  // (administratively down, or silent for much longer than their interval) are forgotten: then the
  // SA alone says whether the tunnel is alive. The reason by tunnel.
  std::map<uint32_t, std::string> DownTunnels(Nanoseconds now);
  std::vector<Session> SessionsOf(uint32_t tunnel) const;
  void Forget(uint32_t tunnel);

 private:
  using Key = std::tuple<uint32_t, IpAddress, IpAddress, bool, uint32_t>;  // last: discriminator

  mutable std::mutex mutex_;
  std::map<Key, Session> sessions_;
};

}  // namespace penstock
