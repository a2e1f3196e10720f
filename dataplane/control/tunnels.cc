#include "dataplane/control/tunnels.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/control/sysctl.h"

namespace penstock {
namespace {

// Until the first SA tells what fits: small enough for every suite and family on a path of 1500
// bytes.
constexpr uint16_t kFirstDeviceMtu = 1380;

bool Takes(const OutboundSa& sa, uint32_t reqid) {
  return reqid == 0 || sa.config.reqid == 0 || sa.config.reqid == reqid;
}

// Whether each packet may take the current SA: without policies, and where all of them say so.
bool OneSaServesAll(const TunnelRecord& record) {
  if (record.policies.empty()) {
    return true;
  }
  const uint32_t reqid = record.policies.front().reqid;
  return std::all_of(record.policies.begin(), record.policies.end(),
                     [reqid](const PolicyConfig& policy) {
                       return policy.action == PolicyAction::kProtect && policy.reqid == reqid &&
                              policy.selector.MatchesEverything();
                     }) &&
         std::all_of(record.outbound.begin(), record.outbound.end(),
                     [reqid](const OutboundSa* sa) { return Takes(*sa, reqid); });
}

// Null: one SA serves all. The database has compared the packets of policy-based tunnels already.
std::unique_ptr<TunnelPolicies> MakePolicies(const TunnelRecord& record) {
  if (record.spec.config.if_id == 0 || OneSaServesAll(record)) {
    return nullptr;
  }
  auto made = std::make_unique<TunnelPolicies>();
  for (const PolicyConfig& policy : record.policies) {
    made->entries.push_back(
        {policy.selector, policy.action, TunnelSet::SaOf(record, policy.reqid)});
  }
  return made;
}

}  // namespace

const char* OriginName(Origin origin) {
  constexpr const char* kNames[] = {"config", "control", "ike"};
  return kNames[static_cast<unsigned>(origin)];
}

TunnelSet::TunnelSet(GatewayTables& tables, RouteTable& routes, AddressBook& addresses,
                     HostSide& host, EventSink events)
    : tables_(tables),
      routes_(routes),
      addresses_(addresses),
      host_(host),
      events_(std::move(events)) {}

TunnelSet::~TunnelSet() {
  while (!records_.empty()) {
    TunnelRecord& record = records_.begin()->second;
    PENSTOCK_CHECK(record.inbound.empty() && record.outbound.empty());
    (void)Remove(record.id);
  }
}

Result<uint32_t> TunnelSet::Add(const TunnelSpec& spec) {
  const Result<uint32_t> id = tables_.tunnels.Add(spec.config);
  if (!id) {
    return id;
  }
  TunnelRecord& record = records_[*id];
  record.id = *id;
  record.spec = spec;
  const Result<uint32_t> next_hop = tables_.next_hops.AddTunnel(*id);
  if (!next_hop) {
    (void)tables_.tunnels.Remove(*id);
    records_.erase(*id);
    return tl::unexpected(next_hop.error());
  }
  record.next_hop = *next_hop;
  tables_.next_hops.SetAlive(*next_hop, false);
  record.spec.config.addresses.clear();
  Status done = OpenDevice(record);
  if (done) {
    done = SetAddresses(record, spec.config.addresses);
  }
  if (!done) {
    (void)Remove(*id);
    return tl::unexpected(done.error());
  }
  Refresh(*id);
  routes_.Resolve();  // routes may have waited for it
  Tell(record, "tunnel_added", fmt::format("tunnel {} was added", spec.config.name));
  return id;
}

Status TunnelSet::OpenDevice(TunnelRecord& record) {
  const TunnelConfig& config = record.spec.config;
  if (config.if_id == 0 || host_.kernel == nullptr) {
    return {};
  }
  Result<std::unique_ptr<HostDevice>> device =
      HostDevice::OpenTun(config.name, config.mtu != 0 ? config.mtu : kFirstDeviceMtu);
  if (!device) {
    return Prefixed("tunnel " + config.name, device.error());
  }
  record.device = std::move(*device);
  GuardDevice(config.name);
  addresses_.Bind(record.device->interface(), {kNoPort, record.id});
  if (const Status up = host_.kernel->SetUp(record.device->interface(), true); !up) {
    return Prefixed("tunnel " + config.name, up.error());
  }
  if (host_.host_path != nullptr) {
    return host_.host_path->AddTunnel(record.id, *record.device);
  }
  return {};
}

Status TunnelSet::SetAddresses(TunnelRecord& record,
                               const std::vector<InterfaceAddress>& addresses) {
  const InterfaceId interface { kNoPort, record.id };
  std::vector<InterfaceAddress>& old = record.spec.config.addresses;
  for (const InterfaceAddress& address : old) {
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
      if (record.device != nullptr) {
        (void)host_.kernel->RemoveAddress(record.device->interface(), address);  // may be gone
      }
      addresses_.Remove(interface, address);
    }
  }
  for (const InterfaceAddress& address : addresses) {
    if (record.device != nullptr) {
      const Status added = host_.kernel->AddAddress(record.device->interface(), address);
      if (!added) {
        return Prefixed(
            fmt::format("tunnel {}: address {}", record.spec.config.name, address.ToString()),
            added.error());
      }
    }
    addresses_.Add(interface, address);
  }
  old = addresses;
  return {};
}

Status TunnelSet::Remove(uint32_t id) {
  const auto found = records_.find(id);
  if (found == records_.end()) {
    return Fail(Errc::kNotFound, "there is no tunnel with the id {}", id);
  }
  TunnelRecord& record = found->second;
  if (!record.inbound.empty() || !record.outbound.empty()) {
    return Fail(Errc::kInvalidArgument, "tunnel {} still has {} SAs", record.spec.config.name,
                record.inbound.size() + record.outbound.size());
  }
  addresses_.RemoveAll({kNoPort, id});
  if (record.device != nullptr) {
    addresses_.Unbind(record.device->interface());
    if (host_.host_path != nullptr) {
      host_.host_path->RemoveTunnel(id);
    }
    record.device.reset();
  }
  const std::string name = record.spec.config.name;
  PublishPolicies(record, nullptr);
  if (const Status removed = tables_.tunnels.Remove(id); !removed) {
    return removed;
  }
  const TunnelRecord last = std::exchange(record, TunnelRecord{});
  records_.erase(found);
  routes_.Resolve();  // routes into it are unreachable from here on
  tables_.next_hops.Release(last.next_hop);
  Tell(last, "tunnel_deleted", fmt::format("tunnel {} was deleted", name));
  return {};
}

Status TunnelSet::Change(uint32_t id, const TunnelSpec& spec) {
  TunnelRecord* record = Find(id);
  if (record == nullptr) {
    return Fail(Errc::kNotFound, "there is no tunnel named {}", spec.config.name);
  }
  if (const Status set = SetAddresses(*record, spec.config.addresses); !set) {
    return set;
  }
  record->spec = spec;
  tables_.tunnels.set_config(id, spec.config);
  Refresh(id);
  return {};
}

TunnelRecord* TunnelSet::Find(uint32_t id) {
  const auto found = records_.find(id);
  return found == records_.end() ? nullptr : &found->second;
}

const TunnelRecord* TunnelSet::Find(uint32_t id) const {
  const auto found = records_.find(id);
  return found == records_.end() ? nullptr : &found->second;
}

TunnelRecord* TunnelSet::FindByName(const std::string& name) {
  return Find(tables_.tunnels.FindByName(name));
}

Result<uint32_t> TunnelSet::ForReqid(uint32_t reqid) {
  const uint32_t id = tables_.tunnels.FindByReqid(reqid);
  if (id != kNoTunnel) {
    return id;
  }
  TunnelSpec spec;
  spec.config.name = fmt::format("reqid-{}", reqid);
  spec.config.reqid = reqid;
  spec.origin = Origin::kIke;
  return Add(spec);
}

void TunnelSet::Refresh(uint32_t id) {
  TunnelRecord* record = Find(id);
  if (record == nullptr) {
    return;
  }
  Tunnel& tunnel = tables_.tunnels[id];
  OutboundSa* current = SaOf(*record, 0);
  const bool live = current != nullptr && current->dead.load(std::memory_order_relaxed) == 0;
  tunnel.outbound.store(current, std::memory_order_release);
  PublishPolicies(*record, MakePolicies(*record).release());
  const TunnelConfig& config = record->spec.config;
  uint16_t mtu = config.mtu;
  if (mtu == 0) {
    mtu = current != nullptr ? current->inner_mtu.load(std::memory_order_relaxed)
                             : tunnel.mtu.load(std::memory_order_relaxed);
  }
  SetMtu(*record, mtu);
  // Other members of a group take over at once while the way out is down, or BFD says that what
  // goes in does not come out.
  tables_.next_hops.SetAlive(record->next_hop,
                             live && !record->port_down && record->bfd_problem.empty());
  if (live != record->up) {
    record->up = live;
    Tell(*record, live ? "tunnel_up" : "tunnel_down",
         live ? fmt::format("tunnel {} is up", config.name)
              : fmt::format("tunnel {} is down: {}", config.name, StateOf(*record)));
  }
}

void TunnelSet::SetMtu(TunnelRecord& record, uint16_t mtu) {
  Tunnel& tunnel = tables_.tunnels[record.id];
  const TunnelConfig& config = record.spec.config;
  const auto mss = [&](Family family) -> uint16_t {
    if (!config.clamp_mss || (mtu == 0 && config.mss == 0)) {
      return 0;
    }
    return config.mss != 0 ? config.mss : MssFor(mtu, family);
  };
  tunnel.mss_v4.store(mss(Family::kIpv4), std::memory_order_relaxed);
  tunnel.mss_v6.store(mss(Family::kIpv6), std::memory_order_relaxed);
  if (tunnel.mtu.exchange(mtu, std::memory_order_relaxed) != mtu && record.device != nullptr &&
      mtu != 0) {
    const Status set = host_.kernel->SetMtu(record.device->interface(), mtu);
    if (!set) {
      Log("tunnel").warn("tunnel {}: MTU {}: {}", config.name, mtu, set.error().message);
    }
  }
}

void TunnelSet::SetBfdProblem(uint32_t id, const std::string& problem) {
  TunnelRecord* record = Find(id);
  if (record == nullptr || record->bfd_problem == problem) {
    return;
  }
  const bool was_down = !std::exchange(record->bfd_problem, problem).empty();
  Refresh(id);
  if (was_down != !problem.empty()) {
    const std::string& name = record->spec.config.name;
    Tell(*record, was_down ? "bfd_up" : "bfd_down",
         was_down ? fmt::format("tunnel {}: BFD has nothing against it any more", name)
                  : fmt::format("tunnel {}: {}", name, problem));
  }
}

OutboundSa* TunnelSet::SaOf(const TunnelRecord& record, uint32_t reqid) {
  OutboundSa* newest = nullptr;
  bool live = false;
  for (OutboundSa* sa : record.outbound) {
    const bool sa_live = sa->dead.load(std::memory_order_relaxed) == 0;
    if (Takes(*sa, reqid) && (sa_live || !live)) {
      newest = sa;
      live = live || sa_live;
    }
  }
  return newest;
}

void TunnelSet::SetPolicies(uint32_t id, std::vector<PolicyConfig> policies) {
  TunnelRecord* record = Find(id);
  if (record == nullptr) {
    return;
  }
  record->policies = std::move(policies);
  const bool hold = std::any_of(
      record->policies.begin(), record->policies.end(),
      [](const PolicyConfig& policy) { return policy.action == PolicyAction::kProtect; });
  tables_.tunnels[id].hold.store(hold ? 1 : 0, std::memory_order_relaxed);
  Refresh(id);
}

// Takes `next` over.
void TunnelSet::PublishPolicies(const TunnelRecord& record, const TunnelPolicies* next) {
  const TunnelPolicies* old =
      tables_.tunnels[record.id].policies.exchange(next, std::memory_order_acq_rel);
  if (old != nullptr) {
    tables_.epoch.Defer([old] { delete old; });
  }
}

std::string TunnelSet::StateOf(const TunnelRecord& record) const {
  if (record.outbound.empty()) {
    return "no outbound SA";
  }
  if (!record.up) {
    return "the outbound SA has expired";
  }
  if (!record.outer_problem.empty()) {
    return record.outer_problem;
  }
  if (!record.bfd_problem.empty()) {
    return record.bfd_problem;
  }
  return record.inbound.empty() ? "up, but without inbound SA" : "up";
}

void TunnelSet::Tell(const TunnelRecord& record, const char* kind, std::string text) {
  Log("tunnel").info("{}", text);
  if (events_) {
    GatewayEvent event;
    event.kind = kind;
    event.tunnel = record.spec.config.name;
    event.text = std::move(text);
    events_(event);
  }
}

}  // namespace penstock
