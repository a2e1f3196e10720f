#include "dataplane/control/model.h"

#include <utility>

#include "dataplane/base/log.h"

namespace penstock {
namespace {

// Events taken at once, so that one busy worker does not keep the control thread from the others.
constexpr unsigned kEventsAtOnce = 256;

ike::TrafficSelector HostSelector(const IpAddress& address, uint8_t protocol, uint16_t port) {
  ike::TrafficSelector selector;
  selector.prefix = Prefix::Host(address);
  selector.protocol = protocol;
  if (port != 0) {
    selector.port_first = port;
    selector.port_last = port;
  }
  return selector;
}

}  // namespace

Model::Model(GatewayTables& tables, Engine& engine, const Clock& clock,
             std::vector<WorkerContext*> workers, ModelOptions options)
    : host(options.host),
      routes(tables),
      neighbors(
          tables.fib, tables.next_hops, clock,
          options.resolve ? options.resolve : [](uint16_t, const IpAddress&) {}),
      addresses(tables, routes, neighbors),
      tunnels(tables, routes, addresses, host, options.events),
      sas(tables, tunnels, routes, engine, clock, workers, options.events),
      policies(tables, tunnels, sas),
      ike(tables, tunnels, sas, policies, acquires),
      tables_(tables),
      clock_(clock),
      workers_(std::move(workers)),
      events_(std::move(options.events)) {
  routes.OnForward([this](uint32_t next_hop) { neighbors.Attach(next_hop); });
  routes.OnChange([this] { outer_stale_ = true; });
}

// Destruction goes backwards through the members; on-demand tunnels go with their SAs and policies.
Model::~Model() {
  routes.OnChange(nullptr);
  (void)policies.Flush();
  std::vector<uint32_t> ids;
  for (const auto& [id, record] : tunnels.records()) {
    ids.push_back(id);
  }
  for (const uint32_t id : ids) {
    sas.RemoveOf(id);
  }
}

void Model::SetListener(SaEvents* listener) {
  listener_ = listener;
  sas.SetListener(listener);
}

void Model::SetProtected(const std::vector<Prefix>& prefixes) {
  routes.SetProtected(prefixes);
  addresses.RefreshNeighborNetworks();
}

void Model::Settle() {
  if (std::exchange(outer_stale_, false)) {
    sas.RefreshOuter();
    if (on_settle_) {
      on_settle_();
    }
  }
}

void Model::Tick() {
  sas.Tick();
  Settle();
  tables_.epoch.Reclaim();
}

void Model::DrainEvents() {
  for (WorkerContext* worker : workers_) {
    WorkerEvent event;
    for (unsigned count = 0; count < kEventsAtOnce && PopEvent(*worker, event); ++count) {
      Handle(event);
    }
  }
  Settle();
}

void Model::Handle(const WorkerEvent& event) {
  switch (event.kind) {
    case WorkerEvent::Kind::kSoftLifetime:
      sas.OnLifetime(event.slot, false);
      break;
    case WorkerEvent::Kind::kHardLifetime:
      sas.OnLifetime(event.slot, true);
      break;
    case WorkerEvent::Kind::kSequenceExhausted:
      sas.OnExhausted(event.slot);
      break;
    case WorkerEvent::Kind::kResolveNeighbor: {
      const NextHop& next_hop = tables_.next_hops[event.next_hop];
      if (next_hop.kind == NextHopKind::kForward || next_hop.kind == NextHopKind::kGlean) {
        neighbors.Want(next_hop.port, event.address);
      }
      break;
    }
    case WorkerEvent::Kind::kMappingChanged:
      sas.OnMapping(event.slot, event.address, event.port);
      break;
    case WorkerEvent::Kind::kAcquire:
      OnAcquire(event);
      break;
  }
}

// The wish of a tunnel, or of the policy that it came by.
void Model::OnAcquire(const WorkerEvent& event) {
  const TunnelRecord* record = tunnels.Find(event.tunnel);
  if (record == nullptr) {
    return;
  }
  const PolicyConfig* policy = policies.FindFor(event.tunnel, event);
  const OutboundSa* sa = TunnelSet::SaOf(*record, policy != nullptr ? policy->reqid : 0);
  if (sa != nullptr && sa->dead.load(std::memory_order_relaxed) == 0) {
    return;  // it came meanwhile
  }
  const TunnelConfig& config = record->spec.config;
  ike::Acquire acquire;
  acquire.if_id = config.if_id;
  acquire.reqid = config.reqid;
  acquire.local = config.local;
  acquire.remote = config.remote;
  acquire.packet_source = HostSelector(event.address, event.protocol, event.source_port);
  acquire.packet_destination =
      HostSelector(event.destination, event.protocol, event.destination_port);
  acquire.source.prefix = Prefix::Default(event.address.family());
  acquire.destination.prefix = Prefix::Default(event.destination.family());
  if (policy != nullptr) {
    const Selector& selector = policy->selector;
    acquire.reqid = policy->reqid;
    acquire.local = policy->local;
    acquire.remote = policy->remote;
    acquire.source = {selector.source, selector.protocol, selector.source_port_first,
                      selector.source_port_last};
    acquire.destination = {selector.destination, selector.protocol, selector.destination_port_first,
                           selector.destination_port_last};
  }
  if (!acquires.Begin(event, {acquire.local, acquire.remote}, clock_.Now())) {
    return;
  }
  if (events_) {
    GatewayEvent told;
    told.kind = "acquire";
    told.tunnel = config.name;
    told.text = fmt::format("tunnel {} has no SA for a packet from {} to {}", config.name,
                            event.address.ToString(), event.destination.ToString());
    events_(told);
  }
  if (listener_ == nullptr || !listener_->OnAcquire(acquire)) {
    acquires.Withdraw(event);
  }
}

}  // namespace penstock
