// The security associations: installed, moved, removed, watched for their lifetimes, and asked for
// their usage. Below each tunnel any number of inbound ones receives, and the newest live outbound
// one sends.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/control/gateway_event.h"
#include "dataplane/control/sa_expiry.h"
#include "dataplane/control/tunnels.h"
#include "dataplane/crypto/engine.h"
#include "dataplane/runtime/worker.h"
#include "dataplane/stages/context.h"
#include "ike_bridge/sa_sink.h"

namespace penstock {

// SPI and destination name an SA (RFC 4301 4.1); inbound ones have their SPI for themselves.
struct SaName {
  bool inbound = false;
  uint32_t spi = 0;  // host order
  IpAddress destination;
  friend auto operator<=>(const SaName&, const SaName&) = default;
};

// Summed over the workers.
struct SaUsage {
  uint64_t packets = 0;
  uint64_t bytes = 0;      // inner
  uint64_t last_used = 0;  // TSC; 0: never
  uint64_t replay_duplicate = 0;
  uint64_t replay_late = 0;
  uint64_t integrity_failed = 0;
  uint64_t max_late = 0;
  uint64_t late_histogram[32] = {};
};

struct SaMove {
  IpAddress source, destination;
  bool udp_encapsulation = false;
  uint16_t source_port = 0, destination_port = 0;
};

struct OutboundRecord {
  std::unique_ptr<OutboundSa> sa;
  Origin origin = Origin::kIke;
  uint32_t outer_next_hop = kNextHopNoRoute;  // held
  std::string outer_problem;
};

// Control thread only.
class SaSet {
 public:
  SaSet(GatewayTables& tables, TunnelSet& tunnels, RouteTable& routes, Engine& engine,
        const Clock& clock, std::vector<WorkerContext*> workers, EventSink events);
  ~SaSet();  // removes all
  SaSet(const SaSet&) = delete;
  SaSet& operator=(const SaSet&) = delete;

  // Where expiries and mapping changes are told; may be null. Set before the first SA.
  void SetListener(SaEvents* listener) { listener_ = listener; }
  // The largest IP packet of a port, for the MTU of tunnels.
  void SetPortMtu(uint16_t port, uint16_t mtu) { port_mtu_[port] = mtu; }
  // A port lost or got its link: tunnels that leave by it give way to others of their groups.
  void SetPortUp(uint16_t port, bool up);

  Result<uint32_t> ReserveSpi();
  // Gives back a reserved SPI that no SA has taken. kNotFound.
  Status ReleaseSpi(uint32_t spi);
  // `completes`: the inbound SPI must be a reserved one; else it must not be in use. The keys in
  // `config` are gone afterwards, whatever happens.
  Status Add(SaConfig config, uint32_t tunnel, Origin origin, bool completes = false);
  // New outer addresses, ports or encapsulation. Keys, counters, window and sequence go on.
  Status Move(const SaName& name, const SaMove& move);
  Status Remove(const SaName& name);
  void RemoveOf(uint32_t tunnel);
  // Those of one origin, and for IKE the SPIs it has reserved.
  void Flush(Origin origin);

  const InboundSa* FindInbound(uint32_t spi) const;
  const OutboundRecord* FindOutbound(uint32_t spi, const IpAddress& destination) const;
  std::vector<const OutboundRecord*> outbound() const;
  std::vector<InboundSa*> inbound() const { return tables_.sad.inbound(); }
  Origin OriginOfInbound(uint32_t spi) const;
  SaUsage UsageOf(uint32_t slot) const;

  // Finds the way of every tunnel's outer packets anew; called after routes changed.
  void RefreshOuter();
  // What workers noticed.
  void OnLifetime(uint32_t slot, bool hard);
  void OnExhausted(uint32_t slot);
  void OnMapping(uint32_t slot, const IpAddress& address, uint16_t port);
  // Lifetimes by time; called by a timer, ten times a second.
  void Tick();

 private:
  Status AddInbound(SaConfig config, uint32_t tunnel, Origin origin, bool completes);
  Status AddOutbound(SaConfig config, uint32_t tunnel, Origin origin);
  Status MoveInbound(const SaName& name, const SaMove& move);
  Status MoveOutbound(const SaName& name, const SaMove& move);
  Status RemoveInbound(uint32_t spi);
  Status RemoveOutbound(const SaName& name);
  void RefreshOuter(OutboundRecord& record);
  void Retire(std::unique_ptr<OutboundSa> sa);
  // What queries of policies go by once the SA has gone.
  void KeepLastUse(uint32_t tunnel, uint32_t reqid, uint32_t slot, bool inbound);
  void Expire(uint32_t slot, bool hard, ike::ExpireReason reason);
  void ClearCounters(uint32_t slot);
  void Tell(const SaName& name, uint32_t tunnel, const char* kind, const std::string& text);
  const SaConfig* ConfigOf(const SaName& name) const;

  GatewayTables& tables_;
  TunnelSet& tunnels_;
  RouteTable& routes_;
  Engine& engine_;
  const Clock& clock_;
  std::vector<WorkerContext*> workers_;
  EventSink events_;
  SaEvents* listener_ = nullptr;
  std::map<uint16_t, uint16_t> port_mtu_;
  std::set<uint16_t> ports_down_;
  std::map<SaName, OutboundRecord> outbound_;
  std::map<uint32_t, Origin> inbound_;  // by SPI; the SAD owns the SAs
  std::set<uint32_t> reserved_;
  std::unordered_map<uint32_t, SaName> by_slot_;
  SaExpiryQueue expiries_;
  std::set<uint32_t> expired_;  // slots whose hard limit was told
};

}  // namespace penstock
