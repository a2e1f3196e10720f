#include "dataplane/control/policies.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace penstock {
namespace {

bool SamePolicy(const PolicyConfig& a, const PolicyConfig& b) {
  return a.direction == b.direction && a.selector == b.selector && a.if_id == b.if_id &&
         a.priority == b.priority;
}

}  // namespace

uint32_t PolicySet::TunnelOf(const PolicyConfig& policy) const {
  if (policy.if_id != 0) {
    return tables_.tunnels.FindByIfId(policy.if_id);
  }
  return policy.reqid == 0 ? kNoTunnel : tables_.tunnels.FindByReqid(policy.reqid);
}

PolicySet::Binding PolicySet::BindingOf(const PolicyConfig& policy) {
  return policy.if_id != 0 ? Binding{policy.if_id, 0} : Binding{0, policy.reqid};
}

void PolicySet::Bind(const PolicyConfig& policy) { bound_[BindingOf(policy)].push_back(policy); }

void PolicySet::Unbind(const PolicyConfig& policy) {
  const auto found = bound_.find(BindingOf(policy));
  if (found == bound_.end()) {
    return;
  }
  std::erase_if(found->second,
                [&](const PolicyConfig& candidate) { return SamePolicy(candidate, policy); });
  if (found->second.empty()) {
    bound_.erase(found);
  }
}

Status PolicySet::Add(const PolicyConfig& policy) {
  uint32_t tunnel = TunnelOf(policy);
  if (policy.if_id != 0 && tunnel == kNoTunnel) {
    return Fail(Errc::kNotFound, "policy: no tunnel has the if_id {}", policy.if_id);
  }
  if (policy.action == PolicyAction::kProtect) {
    if (policy.if_id == 0 && policy.reqid == 0) {
      return Fail(Errc::kInvalidArgument,
                  "policy: protecting needs an if_id or a reqid that its SAs have too");
    }
    if (tunnel == kNoTunnel) {
      const Result<uint32_t> made = tunnels_.ForReqid(policy.reqid);
      if (!made) {
        return tl::unexpected(made.error());
      }
      tunnel = *made;
    }
  }
  std::optional<PolicyConfig> old;
  if (const PolicyConfig* found = Find(policy)) {
    old = *found;
  }
  const uint32_t old_tunnel = old ? TunnelOf(*old) : kNoTunnel;
  Status added = tables_.spd.Add(policy, tunnel);
  if (added) {
    added = tables_.spd.Publish();
    if (!added) {  // nothing has changed, then; to publish that is tried again with the next change
      (void)(old ? tables_.spd.Add(*old, old_tunnel) : tables_.spd.Remove(policy));
    }
  }
  if (!added) {
    DropUnused(policy.reqid);
    return added;
  }
  if (old) {
    Unbind(*old);
  }
  Bind(policy);
  RefreshTunnel(policy);
  if (old && old->reqid != policy.reqid) {
    RefreshTunnel(*old);
    DropUnused(old->reqid);
  }
  return {};
}

Status PolicySet::Remove(const PolicyConfig& id) {
  const PolicyConfig* found = Find(id);
  if (found == nullptr) {
    return Fail(Errc::kNotFound, "there is no policy from {} to {} with priority {}",
                id.selector.source.ToString(), id.selector.destination.ToString(), id.priority);
  }
  const PolicyConfig policy = *found;
  Status removed = tables_.spd.Remove(policy);
  if (removed) {
    removed = tables_.spd.Publish();
  }
  Unbind(policy);
  RefreshTunnel(policy);
  DropUnused(policy.reqid);
  return removed;
}

Status PolicySet::Flush() {
  const std::vector<PolicyConfig> all = policies();
  for (const PolicyConfig& policy : all) {
    (void)tables_.spd.Remove(policy);  // cannot fail: it was listed
  }
  const Status published = tables_.spd.Publish();
  bound_.clear();
  for (const PolicyConfig& policy : all) {
    RefreshTunnel(policy);
    DropUnused(policy.reqid);
  }
  return published;
}

void PolicySet::RefreshTunnel(const PolicyConfig& policy) {
  const uint32_t tunnel = TunnelOf(policy);
  TunnelRecord* record = tunnels_.Find(tunnel);
  if (record == nullptr) {
    return;
  }
  std::vector<PolicyConfig> outbound;
  bool in_use = false;
  if (const auto found = bound_.find(BindingOf(policy)); found != bound_.end()) {
    for (const PolicyConfig& candidate : found->second) {
      in_use |= candidate.reqid == policy.reqid;
      if (candidate.direction == PolicyDirection::kOut) {
        outbound.push_back(candidate);
      }
    }
  }
  if (!in_use) {
    record->last_use.erase(policy.reqid);
  }
  std::stable_sort(outbound.begin(), outbound.end(),
                   [](const auto& a, const auto& b) { return a.priority < b.priority; });
  tunnels_.SetPolicies(tunnel, std::move(outbound));
}

const PolicyConfig* PolicySet::FindFor(uint32_t tunnel, const WorkerEvent& packet) const {
  const TunnelRecord* record = tunnels_.Find(tunnel);
  if (record == nullptr) {
    return nullptr;
  }
  const std::vector<PolicyConfig>& all = record->policies;
  const auto found = std::find_if(all.begin(), all.end(), [&packet](const PolicyConfig& policy) {
    return policy.selector.Matches(packet.address, packet.destination, packet.protocol,
                                   packet.source_port, packet.destination_port,
                                   packet.has_ports != 0);
  });
  return found == all.end() ? nullptr : &*found;
}

void PolicySet::DropUnused(uint32_t reqid) {
  const uint32_t tunnel = reqid == 0 ? kNoTunnel : tables_.tunnels.FindByReqid(reqid);
  const TunnelRecord* record = tunnels_.Find(tunnel);
  if (record == nullptr || record->spec.config.if_id != 0 || !record->inbound.empty() ||
      !record->outbound.empty()) {
    return;
  }
  const auto found = bound_.find(Binding{0, reqid});
  if (found != bound_.end() &&
      std::any_of(found->second.begin(), found->second.end(), [](const PolicyConfig& policy) {
        return policy.action == PolicyAction::kProtect;
      })) {
    return;
  }
  tables_.spd.SetTunnel(reqid, kNoTunnel);
  (void)tunnels_.Remove(tunnel);  // cannot fail: it is there and has no SAs
}

void PolicySet::Rebind(uint32_t reqid) {
  if (reqid != 0) {
    tables_.spd.SetTunnel(reqid, tables_.tunnels.FindByReqid(reqid));
  }
}

uint64_t PolicySet::LastUsed(const PolicyConfig& policy) const {
  const TunnelRecord* record = tunnels_.Find(TunnelOf(policy));
  if (record == nullptr) {
    return 0;
  }
  const bool out = policy.direction == PolicyDirection::kOut;
  uint64_t last = 0;
  if (const auto gone = record->last_use.find(policy.reqid); gone != record->last_use.end()) {
    last = out ? gone->second.out : gone->second.in;
  }
  if (out) {
    for (const OutboundSa* sa : record->outbound) {
      if (sa->config.reqid == policy.reqid) {
        last = std::max(last, sas_.UsageOf(sa->slot).last_used);
      }
    }
    return last;
  }
  for (const uint32_t spi : record->inbound) {
    const InboundSa& sa = *sas_.FindInbound(spi);
    if (sa.config.reqid == policy.reqid) {
      last = std::max(last, sas_.UsageOf(sa.slot).last_used);
    }
  }
  return last;
}

}  // namespace penstock
