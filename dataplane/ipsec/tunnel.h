// A tunnel: the interface that SAs come and go under. It has an id for the fast path, an if_id for
// charon, a TUN device for Linux, an MTU and counters.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/ipsec/sa.h"
#include "dataplane/ipsec/tunnel_policies.h"
#include "dataplane/runtime/counters.h"
#include "dataplane/runtime/epoch.h"

namespace penstock {

struct TunnelConfig {
  std::string name;    // up to 15 characters: it is the TUN device's name too
  uint32_t if_id = 0;  // 0: bound by reqid (policy-based), no device
  uint32_t reqid = 0;
  IpAddress local, remote;                  // outer; unspecified: taken from the SAs
  std::vector<InterfaceAddress> addresses;  // inside, put on the TUN device
  uint16_t mtu = 0;        // inner; 0: computed from suite, family, encapsulation and path
  uint16_t outer_mtu = 0;  // path MTU of the outer packets; 0: the output port's
  uint16_t mss = 0;        // TCP MSS clamp; 0: from the MTU
  bool clamp_mss = true;
  friend bool operator==(const TunnelConfig&, const TunnelConfig&) = default;
};

// Hot part: one line, in an array by tunnel id. Written by the control thread only.
struct alignas(kCacheLine) Tunnel {
  std::atomic<OutboundSa*> outbound;  // what new packets are encrypted with; null: none
  std::atomic<uint16_t> mtu;          // inner MTU in force; 0: not known yet (no SA, no config)
  std::atomic<uint16_t> mss_v4;       // clamp for inner IPv4 and IPv6 SYNs; 0: none
  std::atomic<uint16_t> mss_v6;
  std::atomic<uint8_t> in_use;
  std::atomic<uint8_t> hold;  // 1: packets without SA wait for one and raise an acquire event
  uint32_t id;
  uint8_t icmp_source_v4[4];   // gateway's own address for ICMP errors towards the inside; zero:
  uint8_t icmp_source_v6[16];  //   the input port's
  std::atomic<uint16_t> generation;             // counts the tunnels that had this id
  std::atomic<uint8_t> has_device;              // Linux knows it; else it is policy-based
  std::atomic<const TunnelPolicies*> policies;  // which SA a packet takes; null: `outbound`
};
static_assert(sizeof(Tunnel) == kCacheLine);

// All tunnels by id, 1 to kMaxTunnels - 1. The array never moves; ids are reused after a grace
// period.
class TunnelTable {
 public:
  explicit TunnelTable(Epoch& epoch);
  ~TunnelTable();
  // Worker side. `id` must come from a next hop or an SA.
  Tunnel& operator[](uint32_t id) { return hot_[id]; }
  const Tunnel& operator[](uint32_t id) const { return hot_[id]; }

  // Control side. Errors: the name is no device name; name, if_id or reqid in use; table full.
  Result<uint32_t> Add(const TunnelConfig& config);
  // Errors: not found; SAs must have gone before.
  Status Remove(uint32_t id);
  const TunnelConfig& config(uint32_t id) const;  // `id` must be in use
  // Name and if_id stay what they were; a reqid that another tunnel has is not taken over.
  void set_config(uint32_t id, const TunnelConfig& config);
  // Stores the MTU in force and the MSS clamps that follow: the configured ones, else from
  // `computed` (0: not known).
  void SetMtu(uint32_t id, uint16_t computed);
  // 0 if there is none.
  uint32_t FindByName(const std::string& name) const;
  uint32_t FindByIfId(uint32_t if_id) const;
  uint32_t FindByReqid(uint32_t reqid) const;
  std::vector<uint32_t> ids() const;  // in order

 private:
  struct Cold;
  Epoch& epoch_;
  LazyArray<Tunnel> hot_{kMaxTunnels};
  std::shared_ptr<Cold> cold_;  // deferred work holds it weakly: it may run after the table is gone
};

// The MSS that fits an inner MTU: less 40 (IPv4) or 60 (IPv6) bytes of IP and TCP header; 0
// where nothing is left.
uint16_t MssFor(uint16_t inner_mtu, Family inner);

}  // namespace penstock
