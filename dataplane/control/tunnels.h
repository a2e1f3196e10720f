// The tunnels: their table entries, TUN devices, addresses, MTU, and whether they are up.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/control/addresses.h"
#include "dataplane/control/gateway_event.h"
#include "dataplane/control/routes.h"
#include "dataplane/route/kernel_links.h"
#include "dataplane/runtime/host_device.h"
#include "dataplane/runtime/host_path.h"
#include "dataplane/stages/context.h"

namespace penstock {

// The way to Linux; both null where there is no host path (benchmarks, tables alone).
struct HostSide {
  KernelLinks* kernel = nullptr;
  HostPath* host_path = nullptr;
};

enum class Origin : uint8_t { kConfig, kControl, kIke };
const char* OriginName(Origin origin);

struct TunnelSpec {
  TunnelConfig config;
  Origin origin = Origin::kConfig;
  // Instead of what the SAs say.
  std::optional<DfMode> df;
  std::optional<uint8_t> dscp;
  friend bool operator==(const TunnelSpec&, const TunnelSpec&) = default;
};

// When SAs of a reqid that have gone were used last, by TSC; 0: never.
struct LastUse {
  uint64_t in = 0;
  uint64_t out = 0;
};

// What the control side keeps of a tunnel.
struct TunnelRecord {
  uint32_t id = kNoTunnel;
  TunnelSpec spec;
  std::unique_ptr<HostDevice> device;    // null: policy-based, or no host side
  uint32_t next_hop = kNextHopNoRoute;   // held
  bool up = false;                       // has a live outbound SA
  std::vector<uint32_t> inbound;         // SPIs, oldest first
  std::vector<OutboundSa*> outbound;     // oldest first; owned by SaSet
  std::vector<PolicyConfig> policies;    // outbound ones that lead here, best first
  std::map<uint32_t, LastUse> last_use;  // by reqid
  bool port_down = false;     // the current SA's packets would leave by a port without link
  std::string bfd_problem;    // a BFD session through it went down; empty: none did
  std::string outer_problem;  // why the current SA's packets find no way out
};

// Control thread only.
class TunnelSet {
 public:
  TunnelSet(GatewayTables& tables, RouteTable& routes, AddressBook& addresses, HostSide& host,
            EventSink events);
  ~TunnelSet();
  TunnelSet(const TunnelSet&) = delete;
  TunnelSet& operator=(const TunnelSet&) = delete;

  // Errors: name, if_id or reqid in use, the device cannot be made, an address is refused by Linux.
  Result<uint32_t> Add(const TunnelSpec& spec);
  // The SAs must have gone before.
  Status Remove(uint32_t id);
  // A new configuration for an old tunnel; name and if_id stay.
  Status Change(uint32_t id, const TunnelSpec& spec);

  TunnelRecord* Find(uint32_t id);
  const TunnelRecord* Find(uint32_t id) const;
  TunnelRecord* FindByName(const std::string& name);
  // The entry of a policy-based tunnel; made on demand, without a device.
  Result<uint32_t> ForReqid(uint32_t reqid);
  const std::map<uint32_t, TunnelRecord>& records() const { return records_; }

  // The newest live outbound SA becomes the current one (else the newest, which then drops by its
  // own reason), and MTU, MSS and liveness follow. To be called after each change of the SAs.
  void Refresh(uint32_t id);
  // What BFD says of a tunnel; empty: nothing against it.
  void SetBfdProblem(uint32_t id, const std::string& problem);
  // The outbound policies that lead to the tunnel, best first. With them packets without SA wait
  // and raise acquire events: whoever installs policies hears that.
  void SetPolicies(uint32_t id, std::vector<PolicyConfig> policies);
  // The newest live outbound SA that a policy of this reqid takes, else the newest dead one; null:
  // none.
  static OutboundSa* SaOf(const TunnelRecord& record, uint32_t reqid);
  std::string StateOf(const TunnelRecord& record) const;  // for people

 private:
  Status OpenDevice(TunnelRecord& record);
  Status SetAddresses(TunnelRecord& record, const std::vector<InterfaceAddress>& addresses);
  void PublishPolicies(const TunnelRecord& record, const TunnelPolicies* next);
  void SetMtu(TunnelRecord& record, uint16_t mtu);
  void Tell(const TunnelRecord& record, const char* kind, std::string text);

  GatewayTables& tables_;
  RouteTable& routes_;
  AddressBook& addresses_;
  HostSide& host_;
  EventSink events_;
  std::map<uint32_t, TunnelRecord> records_;
};

}  // namespace penstock
