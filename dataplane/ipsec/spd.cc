#include "dataplane/ipsec/spd.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>

#include "dataplane/ipsec/selector_ports.h"
#include "dataplane/ipsec/spd_acl.h"

namespace penstock {
namespace {

// What a policy is identified by.
struct PolicyKey {
  PolicyDirection direction;
  Selector selector;
  uint32_t if_id;
  uint32_t priority;
  friend bool operator==(const PolicyKey&, const PolicyKey&) = default;
};

PolicyKey KeyOf(const PolicyConfig& policy) {
  return {policy.direction, policy.selector, policy.if_id, policy.priority};
}

struct PolicyKeyHash {
  size_t operator()(const PolicyKey& key) const {
    size_t hash = static_cast<size_t>(key.direction);
    const auto mix = [&hash](size_t value) { hash = (hash ^ value) * 0x9e3779b97f4a7c15u; };
    mix(std::hash<Prefix>()(key.selector.source));
    mix(std::hash<Prefix>()(key.selector.destination));
    mix(size_t{key.selector.source_port_first} << 48 | size_t{key.selector.source_port_last} << 32 |
        size_t{key.selector.destination_port_first} << 16 | key.selector.destination_port_last);
    mix(size_t{key.if_id} << 32 | key.priority);
    mix(key.selector.protocol);
    return hash;
  }
};

struct StoredPolicy {
  PolicyConfig config;
  uint32_t tunnel;
};

void ReadKey(Packet* packet, AclKeyV4& key) {
  const Ipv4Header& header = Ipv4Of(packet);
  std::memcpy(key.source, &header.source, sizeof(key.source));
  std::memcpy(key.destination, &header.destination, sizeof(key.destination));
}

void ReadKey(Packet* packet, AclKeyV6& key) {
  const Ipv6Header& header = Ipv6Of(packet);
  std::memcpy(key.source, header.source, sizeof(key.source));
  std::memcpy(key.destination, header.destination, sizeof(key.destination));
}

// The keys of a burst's packets of one family, and which packets these are.
template <typename Key>
struct KeyBurst {
  unsigned count = 0;
  uint8_t index[kBurst];
  const uint8_t* pointers[kBurst];
  Key keys[kBurst];

  void Add(Packet* packet, unsigned packet_index) {
    Key& key = keys[count];
    std::memset(&key, 0, sizeof(key));
    key.protocol = NotesOf(packet).protocol;
    ReadKey(packet, key);
    const SelectorPorts ports = PortsOf(packet);
    key.source_port = Be16::FromHost(ports.source);
    key.destination_port = Be16::FromHost(ports.destination);
    key.ports_known = Be32::FromHost(ports.known ? 1 : 0);
    pointers[count] = reinterpret_cast<const uint8_t*>(&key);
    index[count++] = static_cast<uint8_t>(packet_index);
  }
};

// One published policy.
struct Entry {
  uint32_t policy;
  uint32_t reqid;
  PolicyAction action;
  std::atomic<uint32_t> tunnel;  // SetTunnel writes it while workers read
};

}  // namespace

// The policies of one direction, compiled.
struct Spd::Table {
  std::unique_ptr<Entry[]> entries;
  size_t size = 0;
  std::unique_ptr<SelectorAcl> v4;
  std::unique_ptr<SelectorAcl> v6;

  static Result<std::unique_ptr<Table>> Build(
      const std::vector<std::pair<uint32_t, const StoredPolicy*>>&);

  template <typename Key>
  void Run(const SelectorAcl* acl, KeyBurst<Key>& burst, PolicyVerdict* verdicts) const {
    if (acl == nullptr || burst.count == 0) {
      return;
    }
    uint32_t values[kBurst];
    acl->Classify(burst.pointers, values, burst.count);
    for (unsigned i = 0; i < burst.count; ++i) {
      if (values[i] != 0) {
        const Entry& entry = entries[values[i] - 1];
        verdicts[burst.index[i]] = {entry.policy, entry.action,
                                    entry.tunnel.load(std::memory_order_relaxed)};
      }
    }
  }

  void Classify(Packet* const* packets, PolicyVerdict* verdicts, unsigned count) const {
    KeyBurst<AclKeyV4> burst4;
    KeyBurst<AclKeyV6> burst6;
    for (unsigned i = 0; i < count; ++i) {
      verdicts[i] = {};
      if (NotesOf(packets[i]).version == 4) {
        burst4.Add(packets[i], i);
      } else {
        burst6.Add(packets[i], i);
      }
    }
    Run(v4.get(), burst4, verdicts);
    Run(v6.get(), burst6, verdicts);
  }

  void SetTunnel(uint32_t reqid, uint32_t tunnel) {
    for (size_t i = 0; i < size; ++i) {
      if (entries[i].reqid == reqid && entries[i].action == PolicyAction::kProtect) {
        entries[i].tunnel.store(tunnel, std::memory_order_relaxed);
      }
    }
  }
};

Result<std::unique_ptr<Spd::Table>> Spd::Table::Build(
    const std::vector<std::pair<uint32_t, const StoredPolicy*>>& policies) {
  auto table = std::make_unique<Table>();
  table->size = policies.size();
  table->entries = std::make_unique<Entry[]>(policies.size());
  std::vector<AclRule> rules;
  for (size_t i = 0; i < policies.size(); ++i) {
    const auto& [number, policy] = policies[i];
    Entry& entry = table->entries[i];
    entry.policy = number;
    entry.reqid = policy->config.reqid;
    entry.action = policy->config.action;
    entry.tunnel.store(policy->tunnel, std::memory_order_relaxed);
    rules.push_back({&policy->config.selector, static_cast<uint32_t>(i + 1)});
  }
  for (const auto& [family, acl] :
       {std::pair{Family::kIpv4, &table->v4}, std::pair{Family::kIpv6, &table->v6}}) {
    Result<std::unique_ptr<SelectorAcl>> built = SelectorAcl::Build(family, rules);
    if (!built) {
      return tl::unexpected(built.error());
    }
    *acl = std::move(*built);
  }
  return table;
}

struct Spd::Control {
  std::map<uint32_t, StoredPolicy> policies;  // by number, which is the order of adding
  std::unordered_map<PolicyKey, uint32_t, PolicyKeyHash> numbers;
  uint32_t last_number = 0;
  Table* outbound = nullptr;  // published
  Table* inbound = nullptr;
  bool outbound_stale = false;
  bool inbound_stale = false;

  // Policies of an if_id are in no table.
  void Touch(const PolicyConfig& policy) {
    if (policy.if_id == 0) {
      (policy.direction == PolicyDirection::kOut ? outbound_stale : inbound_stale) = true;
    }
  }

  // Best first. Numbers grow, so they settle ties.
  std::vector<std::pair<uint32_t, const StoredPolicy*>> Sorted() const {
    std::vector<std::pair<uint32_t, const StoredPolicy*>> sorted;
    sorted.reserve(policies.size());
    for (const auto& [number, policy] : policies) {
      sorted.emplace_back(number, &policy);
    }
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
      return a.second->config.priority < b.second->config.priority;
    });
    return sorted;
  }

  // Those that packets have to be compared with: policies of an if_id govern their tunnel alone.
  std::vector<std::pair<uint32_t, const StoredPolicy*>> Compared(bool leaving) const {
    auto sorted = Sorted();
    std::erase_if(sorted, [leaving](const auto& entry) {
      const PolicyConfig& config = entry.second->config;
      return config.if_id != 0 || (config.direction == PolicyDirection::kOut) != leaving;
    });
    return sorted;
  }
};

Spd::Spd(Epoch& epoch) : outbound_(epoch), inbound_(epoch), control_(std::make_unique<Control>()) {}

Spd::~Spd() = default;

void Spd::ClassifyOutbound(Packet* const* packets, PolicyVerdict* verdicts, unsigned count) const {
  if (const Table* table = outbound_.Read()) {
    return table->Classify(packets, verdicts, count);
  }
  std::fill_n(verdicts, count, PolicyVerdict{});
}

void Spd::ClassifyInbound(Packet* const* packets, PolicyVerdict* verdicts, unsigned count) const {
  if (const Table* table = inbound_.Read()) {
    return table->Classify(packets, verdicts, count);
  }
  std::fill_n(verdicts, count, PolicyVerdict{});
}

Status Spd::Add(const PolicyConfig& policy, uint32_t tunnel) {
  if (Status status = ValidateSelector(policy.selector); !status) {
    return Prefixed("policy selector", status.error());
  }
  const auto [entry, added] = control_->numbers.try_emplace(KeyOf(policy), 0);
  if (added) {
    entry->second = ++control_->last_number;
  }
  control_->policies.insert_or_assign(entry->second, StoredPolicy{policy, tunnel});
  control_->Touch(policy);
  return {};
}

Status Spd::Remove(const PolicyConfig& policy) {
  const auto found = control_->numbers.find(KeyOf(policy));
  if (found == control_->numbers.end()) {
    return Fail(Errc::kNotFound, "no policy from {} to {} with priority {} and if_id {}",
                policy.selector.source.ToString(), policy.selector.destination.ToString(),
                policy.priority, policy.if_id);
  }
  control_->Touch(policy);
  control_->policies.erase(found->second);
  control_->numbers.erase(found);
  return {};
}

std::vector<PolicyConfig> Spd::policies() const {
  std::vector<PolicyConfig> all;
  for (const auto& [number, policy] : control_->Sorted()) {
    all.push_back(policy->config);
  }
  std::stable_sort(all.begin(), all.end(), [](const PolicyConfig& a, const PolicyConfig& b) {
    return a.direction < b.direction;
  });
  return all;
}

const PolicyConfig* Spd::Find(const PolicyConfig& id) const {
  const auto found = control_->numbers.find(KeyOf(id));
  return found != control_->numbers.end() ? &control_->policies.at(found->second).config : nullptr;
}

const PolicyConfig* Spd::FindPolicy(uint32_t policy) const {
  const auto found = control_->policies.find(policy);
  return found != control_->policies.end() ? &found->second.config : nullptr;
}

void Spd::SetTunnel(uint32_t reqid, uint32_t tunnel) {
  for (auto& [number, policy] : control_->policies) {
    if (policy.config.reqid == reqid && policy.config.action == PolicyAction::kProtect) {
      policy.tunnel = tunnel;
    }
  }
  for (Table* table : {control_->outbound, control_->inbound}) {
    if (table != nullptr) {
      table->SetTunnel(reqid, tunnel);
    }
  }
}

Status Spd::Publish() {
  struct Direction {
    const char* name;
    bool& stale;
    Table*& current;
    Published<Table>& published;
    std::atomic<bool>& any;
  };
  Control& control = *control_;
  for (const Direction& direction :
       {Direction{"outbound", control.outbound_stale, control.outbound, outbound_, has_outbound_},
        Direction{"inbound", control.inbound_stale, control.inbound, inbound_, has_inbound_}}) {
    if (!direction.stale) {
      continue;
    }
    Result<std::unique_ptr<Table>> table =
        Table::Build(control.Compared(&direction.published == &outbound_));
    if (!table) {
      return Prefixed(std::string(direction.name) + " policies", table.error());
    }
    const bool any = (*table)->size != 0;
    direction.current = table->get();
    direction.published.Replace(std::move(*table));
    direction.any.store(any, std::memory_order_release);
    direction.stale = false;
  }
  return {};
}

}  // namespace penstock
