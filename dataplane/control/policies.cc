#include "dataplane/control/policies.h"

#include <algorithm>

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

Status PolicySet::Add(const PolicyConfig& policy) {
  uint32_t tunnel = TunnelOf(policy);
  if (policy.action == PolicyAction::kProtect) {
    if (policy.if_id != 0 && tunnel == kNoTunnel) {
      return Fail(Errc::kNotFound, "policy: no tunnel has the if_id {}", policy.if_id);
    }
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
  std::vector<PolicyConfig> before;
  const PolicyConfig* old = Find(policy, before);
  const uint32_t old_reqid = old != nullptr ? old->reqid : 0;
  Status added = tables_.spd.Add(policy, tunnel);
  if (added) {
    added = tables_.spd.Publish();
  }
  if (!added) {
    DropUnused(policy.reqid);
    return added;
  }
  RefreshHold(tunnel);
  if (old_reqid != policy.reqid) {
    DropUnused(old_reqid);
  }
  return {};
}

Status PolicySet::Remove(const PolicyConfig& id) {
  std::vector<PolicyConfig> storage;
  const PolicyConfig* policy = Find(id, storage);
  if (policy == nullptr) {
    return Fail(Errc::kNotFound, "there is no policy from {} to {} with priority {}",
                id.selector.source.ToString(), id.selector.destination.ToString(), id.priority);
  }
  Status removed = tables_.spd.Remove(*policy);
  if (removed) {
    removed = tables_.spd.Publish();
  }
  RefreshHold(TunnelOf(*policy));
  DropUnused(policy->reqid);
  return removed;
}

Status PolicySet::Flush() {
  const std::vector<PolicyConfig> all = policies();
  for (const PolicyConfig& policy : all) {
    (void)tables_.spd.Remove(policy);  // cannot fail: it was listed
  }
  const Status published = tables_.spd.Publish();
  for (const PolicyConfig& policy : all) {
    RefreshHold(TunnelOf(policy));
    DropUnused(policy.reqid);
  }
  return published;
}

const PolicyConfig* PolicySet::Find(const PolicyConfig& id,
                                    std::vector<PolicyConfig>& storage) const {
  storage = policies();
  const auto found = std::find_if(storage.begin(), storage.end(), [&](const PolicyConfig& policy) {
    return SamePolicy(policy, id);
  });
  return found == storage.end() ? nullptr : &*found;
}

// A tunnel for which somebody has installed an outbound policy has somebody who hears acquires.
void PolicySet::RefreshHold(uint32_t tunnel) {
  if (tunnel == kNoTunnel) {
    return;
  }
  const std::vector<PolicyConfig> all = policies();
  tunnels_.SetHold(tunnel, std::any_of(all.begin(), all.end(), [&](const PolicyConfig& policy) {
                     return policy.direction == PolicyDirection::kOut &&
                            policy.action == PolicyAction::kProtect && TunnelOf(policy) == tunnel;
                   }));
}

void PolicySet::DropUnused(uint32_t reqid) {
  const uint32_t tunnel = reqid == 0 ? kNoTunnel : tables_.tunnels.FindByReqid(reqid);
  const TunnelRecord* record = tunnels_.Find(tunnel);
  if (record == nullptr || record->spec.config.if_id != 0 || !record->inbound.empty() ||
      !record->outbound.empty()) {
    return;
  }
  for (const PolicyConfig& policy : policies()) {
    if (policy.if_id == 0 && policy.reqid == reqid && policy.action == PolicyAction::kProtect) {
      return;
    }
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
  uint64_t last = 0;
  if (record == nullptr) {
    return last;
  }
  if (policy.direction == PolicyDirection::kOut) {
    for (const OutboundSa* sa : record->outbound) {
      last = std::max(last, sas_.UsageOf(sa->slot).last_used);
    }
    return last;
  }
  for (const uint32_t spi : record->inbound) {
    last = std::max(last, sas_.UsageOf(sas_.FindInbound(spi)->slot).last_used);
  }
  return last;
}

}  // namespace penstock
