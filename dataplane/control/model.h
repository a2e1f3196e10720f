// The wanted state of the gateway and everything that writes the workers' tables, put together.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/control/acquires.h"
#include "dataplane/control/addresses.h"
#include "dataplane/control/gateway_event.h"
#include "dataplane/control/ike_sink.h"
#include "dataplane/control/policies.h"
#include "dataplane/control/routes.h"
#include "dataplane/control/sas.h"
#include "dataplane/control/tunnels.h"
#include "dataplane/crypto/engine.h"
#include "dataplane/route/neighbor.h"
#include "dataplane/stages/context.h"

namespace penstock {

struct ModelOptions {
  HostSide host;
  EventSink events;
  // Asks Linux to resolve a neighbour of a port.
  std::function<void(uint16_t port, const IpAddress&)> resolve;
};

// Control thread only: the one writer of all tables.
class Model {
 public:
  Model(GatewayTables& tables, Engine& engine, const Clock& clock,
        std::vector<WorkerContext*> workers, ModelOptions options);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  GatewayTables& tables() { return tables_; }
  const std::vector<WorkerContext*>& workers() const { return workers_; }
  const Clock& clock() const { return clock_; }

  HostSide host;
  RouteTable routes;
  NeighborTable neighbors;
  AddressBook addresses;
  TunnelSet tunnels;
  SaSet sas;
  PolicySet policies;
  AcquireBook acquires;
  IkeSink ike;

  // Where expiries, acquires and mapping changes are told; may be null.
  void SetListener(SaEvents* listener);
  void SetProtected(const std::vector<Prefix>& prefixes);
  // Takes what the workers noticed.
  void DrainEvents();
  // From a timer, ten times a second: lifetimes, memory whose grace period is over.
  void Tick();
  // What else follows routes and tunnels; called by Settle.
  void OnSettle(std::function<void()> callback) { on_settle_ = std::move(callback); }
  // Does what changes of routes have left to do for tunnels; called after every batch of changes.
  void Settle();

 private:
  void Handle(const WorkerEvent& event);
  void OnAcquire(const WorkerEvent& event);

  GatewayTables& tables_;
  const Clock& clock_;
  std::vector<WorkerContext*> workers_;
  SaEvents* listener_ = nullptr;
  EventSink events_;
  bool outer_stale_ = false;
  std::function<void()> on_settle_;
};

}  // namespace penstock
