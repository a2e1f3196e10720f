// The security policies: kept in the Spd, bound to the tunnels that protect.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "dataplane/control/sas.h"
#include "dataplane/control/tunnels.h"
#include "dataplane/stages/context.h"

namespace penstock {

// Control thread only. A policy with an if_id governs the tunnel of that if_id; one without binds
// by reqid to a policy-based tunnel, whose entry is made on demand and goes with its last user.
class PolicySet {
 public:
  PolicySet(GatewayTables& tables, TunnelSet& tunnels, SaSet& sas)
      : tables_(tables), tunnels_(tunnels), sas_(sas) {}
  ~PolicySet() { (void)Flush(); }

  Status Add(const PolicyConfig& policy);
  Status Remove(const PolicyConfig& policy);  // by direction, selector, if_id, priority; kNotFound
  Status Flush();
  std::vector<PolicyConfig> policies() const { return tables_.spd.policies(); }
  // The best outbound policy of a tunnel for this packet; null: none.
  const PolicyConfig* FindFor(uint32_t tunnel, const WorkerEvent& packet) const;
  // The tunnel that protects; kNoTunnel if there is none yet.
  uint32_t TunnelOf(const PolicyConfig& policy) const;
  // Takes an on-demand tunnel away once nothing uses it; called after SAs were removed too.
  void DropUnused(uint32_t reqid);
  // SAs came or went with a new tunnel entry.
  void Rebind(uint32_t reqid);
  // TSC of the last packet that an SA of this policy carried; 0: never.
  uint64_t LastUsed(const PolicyConfig& policy) const;
  const PolicyConfig* Find(const PolicyConfig& id) const { return tables_.spd.Find(id); }

 private:
  // Policies of one tunnel: by if_id, or by reqid where there is none.
  struct Binding {
    uint32_t if_id = 0;
    uint32_t reqid = 0;
    friend auto operator<=>(const Binding&, const Binding&) = default;
  };
  static Binding BindingOf(const PolicyConfig& policy);
  void Bind(const PolicyConfig& policy);
  void Unbind(const PolicyConfig& policy);
  void RefreshTunnel(const PolicyConfig& policy);

  GatewayTables& tables_;
  TunnelSet& tunnels_;
  SaSet& sas_;
  std::map<Binding, std::vector<PolicyConfig>> bound_;  // in order of adding
};

}  // namespace penstock
