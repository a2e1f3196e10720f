// What is asked of the gateway about SAs and policies, and what it tells back: plain values,
// already checked. What the SA socket can carry but the gateway cannot honour (AH, transport mode,
// IPComp, marks, labels, ...) was refused before it became one of these.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/base/secret.h"

namespace penstock::ike {

// IKEv2 transform IDs and charon's own "undefined" are carried as numbers; the suite table of the
// gateway knows what they mean. RFC 8221 lists those for ESP.
inline constexpr uint16_t kAlgorithmUndefined = 1024;  // charon: ENCR_UNDEFINED, AUTH_UNDEFINED

// One side of a traffic selector (RFC 7296 3.13.1). Ports are in host order; for ICMP they hold
// type in the high and code in the low byte, as IKEv2 has them. The protocol is the same on both
// sides.
struct TrafficSelector {
  Prefix prefix;
  uint8_t protocol = 0;  // 0: any
  uint16_t port_first = 0;
  uint16_t port_last = 65535;
  friend auto operator<=>(const TrafficSelector&, const TrafficSelector&) = default;
};

// Names an SA. Addresses are the outer ones in the direction of its packets; an SPI alone does not
// tell an inbound SA from an outbound one, the destination does.
struct SaId {
  IpAddress source, destination;
  uint32_t spi = 0;  // host order
  uint32_t if_id = 0;
  friend auto operator<=>(const SaId&, const SaId&) = default;
};

struct GetSpi {
  IpAddress source, destination;  // of the inbound SA to come: destination is ours
};

// 0: no limit. Soft limits warn, hard ones end the SA.
struct SaLifetime {
  uint64_t soft_bytes = 0, hard_bytes = 0;
  uint64_t soft_packets = 0, hard_packets = 0;
  uint32_t soft_seconds = 0, hard_seconds = 0;
  friend bool operator==(const SaLifetime&, const SaLifetime&) = default;
};

// Charon's order: DSCP is copied outwards at encapsulation, inwards at decapsulation, both, or
// neither.
enum class CopyDscp : uint8_t { kOutOnly, kInOnly, kBoth, kNeither };
enum class DfBit : uint8_t { kCopy, kSet, kClear };

struct AddSa {
  SaId id;
  std::string name;  // for people; may be empty
  bool inbound = false;
  bool update = false;     // completes an SPI that GetSpi gave; else the SPI must be new
  bool initiator = false;  // the IKE_SA's or exchange's initiator; changes nothing in ESP
  uint32_t reqid = 0;

  // Algorithms: either `suite` names one of the gateway's, or the numbers tell. An AEAD key ends
  // with its salt.
  std::string suite;
  uint16_t encryption = kAlgorithmUndefined;
  uint16_t integrity = kAlgorithmUndefined;
  Secret encryption_key;
  Secret integrity_key;

  bool esn = false;
  uint32_t replay_window = 0;
  uint64_t initial_sequence = 0;  // outbound: last number used; inbound: top of the window
  bool udp_encapsulation = false;
  uint16_t source_port = 0, destination_port = 0;  // outer UDP, host order; if encapsulated
  bool check_source = false;                       // inbound: the outer source must be id.source
  uint32_t tfc =
      0;  // outbound: pad inner packets to so many bytes; UINT32_MAX: to the tunnel's MTU
  DfBit df = DfBit::kCopy;
  bool copy_ecn = true;
  CopyDscp copy_dscp = CopyDscp::kOutOnly;
  uint8_t dscp = 0;  // outer, where it is not copied: 0 to 63
  SaLifetime lifetime;
  // Any source with any destination; empty: everything. As the packets go: for an inbound SA the
  // source is the peer's side.
  std::vector<TrafficSelector> source_selectors, destination_selectors;
};

// The peer has moved (MOBIKE, NAT rebinding) or encapsulation starts or ends. SPI, keys, counters
// and sequence stay.
struct UpdateSa {
  SaId id;  // as it is known so far
  IpAddress new_source, new_destination;
  uint16_t new_source_port = 0, new_destination_port = 0;
  bool udp_encapsulation = false;  // from now on
};

// Summed over all workers. Bytes are those of inner packets.
struct Usage {
  uint64_t bytes = 0;
  uint64_t packets = 0;
  Nanoseconds last_use{0};  // by CLOCK_MONOTONIC, which the client shares; 0: never
};

enum class Direction : uint8_t { kIn, kOut, kForward };
enum class PolicyAction : uint8_t { kProtect, kBypass, kDiscard };

// Names a policy.
struct PolicyId {
  Direction direction = Direction::kOut;
  TrafficSelector source, destination;
  uint32_t if_id = 0;
  // Lower wins. A client that leaves 0 gets one made from how narrow the selectors are.
  uint32_t priority = 0;
  friend auto operator<=>(const PolicyId&, const PolicyId&) = default;
};

struct Policy {
  PolicyId id;
  PolicyAction action = PolicyAction::kProtect;
  uint32_t reqid = 0;             // of the SAs that protect
  IpAddress source, destination;  // outer, for acquire; unspecified: taken from the SAs
  friend auto operator<=>(const Policy&, const Policy&) = default;
};

// --- what the gateway tells ---

enum class ExpireReason : uint8_t { kTime, kBytes, kPackets, kSequence };

struct Expire {
  SaId id;
  uint32_t reqid = 0;
  bool hard = false;  // soft: a rekey is due; hard: the SA carries nothing any more
  ExpireReason reason = ExpireReason::kTime;
};

// A packet wants protection that has no SA.
struct Acquire {
  uint32_t reqid = 0;
  uint32_t if_id = 0;
  IpAddress local, remote;                            // outer; unspecified: not known
  TrafficSelector source, destination;                // of the policy
  TrafficSelector packet_source, packet_destination;  // of the packet: host prefixes, single ports
};

// Authenticated packets of an inbound SA come from a new outer address or port (RFC 7296 2.23).
struct MappingChanged {
  SaId id;
  uint32_t reqid = 0;
  IpAddress new_address;
  uint16_t new_port = 0;
};

}  // namespace penstock::ike
