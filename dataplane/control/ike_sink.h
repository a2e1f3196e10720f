// The gateway's side of the SA socket: its values become ours, its calls changes of the model.
#pragma once

#include <map>

#include "dataplane/control/acquires.h"
#include "dataplane/control/policies.h"
#include "dataplane/control/sas.h"
#include "dataplane/control/tunnels.h"
#include "ike_bridge/sa_sink.h"

namespace penstock {

class IkeSink : public SaSink {
 public:
  IkeSink(GatewayTables& tables, TunnelSet& tunnels, SaSet& sas, PolicySet& policies,
          AcquireBook& acquires)
      : tables_(tables), tunnels_(tunnels), sas_(sas), policies_(policies), acquires_(acquires) {}

  Result<uint32_t> GetSpi(const ike::GetSpi& request) override;
  Status AddSa(ike::AddSa request) override;
  Status UpdateSa(const ike::UpdateSa& request) override;
  Result<ike::Usage> QuerySa(const ike::SaId& id) override;
  Status DeleteSa(const ike::SaId& id) override;
  Status FlushSas() override;
  Status AddPolicy(const ike::Policy& policy) override;
  Status DeletePolicy(const ike::PolicyId& id) override;
  Result<Nanoseconds> QueryPolicy(const ike::PolicyId& id) override;
  Status FlushPolicies() override;

 private:
  Result<uint32_t> TunnelFor(uint32_t if_id, uint32_t reqid);
  Result<SaName> NameOf(const ike::SaId& id) const;
  Status ReleaseSpi(uint32_t spi);

  GatewayTables& tables_;
  TunnelSet& tunnels_;
  SaSet& sas_;
  PolicySet& policies_;
  AcquireBook& acquires_;
  std::map<uint32_t, AcquireBook::Peers> negotiated_;  // by reserved SPI
};

// When the cycle counter had this value, by CLOCK_MONOTONIC; 0 stays 0.
Nanoseconds MonotonicOf(uint64_t tsc);

// The Selectors that every source with every destination makes. Errors: more than 1,024 of them, or
// protocols that differ.
Result<std::vector<Selector>> CombineSelectors(
    const std::vector<ike::TrafficSelector>& sources,
    const std::vector<ike::TrafficSelector>& destinations);

}  // namespace penstock
