// The security policy database (RFC 4301 4.4.1): selectors to protect, bypass or discard, by
// priority. Classification is DPDK's rte_acl, whole bursts at once; an empty database costs one
// load.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/ipsec/sa.h"
#include "dataplane/runtime/epoch.h"

namespace penstock {

enum class PolicyDirection : uint8_t { kIn, kOut, kForward };
enum class PolicyAction : uint8_t { kProtect, kBypass, kDiscard };

struct PolicyConfig {
  PolicyDirection direction = PolicyDirection::kOut;
  Selector selector;
  PolicyAction action = PolicyAction::kProtect;
  uint32_t priority = 0;  // lower wins, as in Linux; ties: the one that was added first
  uint32_t if_id = 0;     // 0: policy-based; else it governs the tunnel of that if_id
  uint32_t reqid = 0;
  IpAddress local, remote;  // outer addresses, for acquire
  friend bool operator==(const PolicyConfig&, const PolicyConfig&) = default;
};

// What a lookup yields for one packet; `policy` 0: no policy matched.
struct PolicyVerdict {
  uint32_t policy = 0;  // its number, see Spd::FindPolicy; never used for another one
  PolicyAction action = PolicyAction::kBypass;
  uint32_t tunnel = 0;  // for kProtect
};

class Spd {
 public:
  explicit Spd(Epoch& epoch);
  ~Spd();
  // Worker side. True if there are policies of this direction without if_id that packets have to be
  // compared with.
  bool HasOutbound() const { return has_outbound_.load(std::memory_order_relaxed); }
  bool HasInbound() const { return has_inbound_.load(std::memory_order_relaxed); }
  // `packets` have notes with l3 and l4 offsets, protocol and flags, at most kBurst of them; one
  // verdict each. Policies of direction kForward count as inbound. The best of all policies that
  // match decides; packets without ports match policies for any port only (RFC 4301 4.4.1.1).
  void ClassifyOutbound(Packet* const* packets, PolicyVerdict* verdicts, unsigned count) const;
  void ClassifyInbound(Packet* const* packets, PolicyVerdict* verdicts, unsigned count) const;

  // Control side. A policy is identified by direction, selector, if_id and priority; adding it
  // again replaces action, reqid and tunnel. `tunnel` is the id that protects (0 while there is
  // none: drops). Errors: the selector is wrong (Add); not found (Remove); no memory (Publish: the
  // old tables stay). The tables are rebuilt by Publish, so that a batch costs one build,
  // and of a direction without changes none.
  Status Add(const PolicyConfig& policy, uint32_t tunnel);
  Status Remove(const PolicyConfig& policy);
  std::vector<PolicyConfig> policies() const;  // by direction, priority, and order of adding
  // The policy of that direction, selector, if_id and priority; null: none. Valid until the next
  // Add or Remove.
  const PolicyConfig* Find(const PolicyConfig& id) const;
  // The policy of a verdict; null if it has gone. Valid likewise.
  const PolicyConfig* FindPolicy(uint32_t policy) const;
  // Protecting policies of this reqid go through another tunnel, at once.
  void SetTunnel(uint32_t reqid, uint32_t tunnel);
  Status Publish();

 private:
  struct Table;
  struct Control;
  std::atomic<bool> has_outbound_{false};
  std::atomic<bool> has_inbound_{false};
  Published<Table> outbound_;
  Published<Table> inbound_;
  std::unique_ptr<Control> control_;
};

}  // namespace penstock
