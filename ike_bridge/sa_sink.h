// The border between the SA socket and the gateway: the gateway implements SaSink and tells what
// happens through SaEvents. Everything runs on the control thread.
#pragma once

#include "dataplane/base/result.h"
#include "ike_bridge/sa_change.h"

namespace penstock {

// A call has taken effect for all workers when it returns, or it has changed nothing and says why.
class SaSink {
 public:
  virtual ~SaSink() = default;

  // Reserves an SPI of our own (host order). DeleteSa gives it back if no SA was added under it.
  virtual Result<uint32_t> GetSpi(const ike::GetSpi& request) = 0;
  virtual Status AddSa(ike::AddSa request) = 0;
  // After success the SA goes by the new addresses.
  virtual Status UpdateSa(const ike::UpdateSa& request) = 0;
  virtual Result<ike::Usage> QuerySa(const ike::SaId& id) = 0;
  virtual Status DeleteSa(const ike::SaId& id) = 0;
  // All SAs and reserved SPIs that came by this interface.
  virtual Status FlushSas() = 0;

  // Replaces the policy of the same id. Several users of one policy have been counted already: the
  // sink sees the first addition, changes, and the last deletion.
  virtual Status AddPolicy(const ike::Policy& policy) = 0;
  virtual Status DeletePolicy(const ike::PolicyId& id) = 0;
  // When the policy last matched, by CLOCK_MONOTONIC; 0: never.
  virtual Result<Nanoseconds> QueryPolicy(const ike::PolicyId& id) = 0;
  // All policies that came by this interface.
  virtual Status FlushPolicies() = 0;
};

// Where the gateway tells its events. They go to the clients that have subscribed; with none they
// are lost, which is right: who subscribes later asks for the state it finds.
class SaEvents {
 public:
  virtual ~SaEvents() = default;
  virtual void OnExpire(const ike::Expire& event) = 0;
  // Whether anybody heard it: a wish that nobody heard does not pend.
  virtual bool OnAcquire(const ike::Acquire& event) = 0;
  virtual void OnMappingChanged(const ike::MappingChanged& event) = 0;
};

}  // namespace penstock
