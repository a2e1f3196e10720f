#include "dataplane/ipsec/spd_acl.h"

#include <rte_acl.h>
#include <rte_errno.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <optional>
#include <vector>

namespace penstock {
namespace {

constexpr unsigned kWords4 = 1;  // 32-bit words of an address
constexpr unsigned kWords6 = 4;

constexpr unsigned FieldCount(unsigned words) { return 1 + 2 * words + 3; }
constexpr unsigned kMaxFields = FieldCount(kWords6);

RTE_ACL_RULE_DEF(Rule, kMaxFields);

template <typename Key>
rte_acl_config ConfigFor(unsigned words) {
  rte_acl_config config{};
  config.num_categories = 1;
  const auto add = [&config](uint8_t type, size_t size, unsigned input, size_t offset) {
    const uint32_t index = config.num_fields++;
    config.defs[index] = {.type = type,
                          .size = static_cast<uint8_t>(size),
                          .field_index = static_cast<uint8_t>(index),
                          .input_index = static_cast<uint8_t>(input),
                          .offset = static_cast<uint32_t>(offset)};
  };
  unsigned input = 0;
  add(RTE_ACL_FIELD_TYPE_BITMASK, 1, input++, offsetof(Key, protocol));
  for (unsigned word = 0; word < words; ++word) {
    add(RTE_ACL_FIELD_TYPE_MASK, 4, input++, offsetof(Key, source) + 4 * word);
  }
  for (unsigned word = 0; word < words; ++word) {
    add(RTE_ACL_FIELD_TYPE_MASK, 4, input++, offsetof(Key, destination) + 4 * word);
  }
  add(RTE_ACL_FIELD_TYPE_RANGE, 2, input, offsetof(Key, source_port));
  add(RTE_ACL_FIELD_TYPE_RANGE, 2, input++, offsetof(Key, destination_port));
  add(RTE_ACL_FIELD_TYPE_MASK, 4, input, offsetof(Key, ports_known));
  return config;
}

// The prefix cut into 32-bit words, each with the part of the length that falls into it.
unsigned PutPrefix(const Prefix& prefix, unsigned words, rte_acl_field* fields) {
  for (unsigned word = 0; word < words; ++word) {
    Be32 value;
    std::memcpy(&value, prefix.address().data() + 4 * word, sizeof(value));
    fields[word].value.u32 = value.ToHost();
    const unsigned before = 32 * word;
    fields[word].mask_range.u32 =
        prefix.length() <= before ? 0 : std::min(32u, prefix.length() - before);
  }
  return words;
}

enum class PortNeed { kNothing, kKnown, kUnknown };

PortNeed PutPorts(uint16_t first, uint16_t last, rte_acl_field& field) {
  const bool opaque = first > last;
  field.value.u16 = opaque ? 0 : first;
  field.mask_range.u16 = opaque ? UINT16_MAX : last;
  if (opaque) {
    return PortNeed::kUnknown;
  }
  return first == 0 && last == UINT16_MAX ? PortNeed::kNothing : PortNeed::kKnown;
}

// Nothing if no packet can match: one side asks for ports, the other for none.
std::optional<Rule> RuleFor(const Selector& selector, unsigned words) {
  Rule rule{};
  unsigned field = 0;
  rule.field[field].value.u8 = selector.protocol;
  rule.field[field++].mask_range.u8 = selector.protocol == 0 ? 0 : UINT8_MAX;
  field += PutPrefix(selector.source, words, &rule.field[field]);
  field += PutPrefix(selector.destination, words, &rule.field[field]);
  const PortNeed source =
      PutPorts(selector.source_port_first, selector.source_port_last, rule.field[field++]);
  const PortNeed destination = PutPorts(selector.destination_port_first,
                                        selector.destination_port_last, rule.field[field++]);
  if (source != destination && source != PortNeed::kNothing && destination != PortNeed::kNothing) {
    return std::nullopt;
  }
  const PortNeed need = source != PortNeed::kNothing ? source : destination;
  rule.field[field].value.u32 = need == PortNeed::kKnown ? 1 : 0;
  rule.field[field].mask_range.u32 = need == PortNeed::kNothing ? 0 : 32;
  return rule;
}

std::vector<Rule> RulesFor(Family family, std::span<const AclRule> rules) {
  const unsigned words = family == Family::kIpv4 ? kWords4 : kWords6;
  std::vector<Rule> acl_rules;
  int32_t priority = RTE_ACL_MAX_PRIORITY;
  for (const AclRule& rule : rules) {
    if (rule.selector->source.family() != family) {
      continue;
    }
    if (std::optional<Rule> acl_rule = RuleFor(*rule.selector, words)) {
      acl_rule->data = {.category_mask = 1, .priority = priority--, .userdata = rule.value};
      acl_rules.push_back(*acl_rule);
    }
  }
  return acl_rules;
}

rte_acl_ctx* CreateContext(unsigned fields, size_t rules) {
  static std::atomic<unsigned> number{0};
  const std::string name = fmt::format("selectors_{}", number.fetch_add(1));
  const rte_acl_param parameters = {.name = name.c_str(),
                                    .socket_id = SOCKET_ID_ANY,
                                    .rule_size = static_cast<uint32_t>(RTE_ACL_RULE_SZ(fields)),
                                    .max_rule_num = static_cast<uint32_t>(rules)};
  return rte_acl_create(&parameters);
}

// rte_acl wants rules of exactly as many fields as the family has, one behind the other.
int AddRules(rte_acl_ctx* context, unsigned fields, const std::vector<Rule>& rules) {
  static_assert(sizeof(rte_acl_rule) % sizeof(uint64_t) == 0);
  static_assert(sizeof(rte_acl_field) % sizeof(uint64_t) == 0);
  const size_t size = RTE_ACL_RULE_SZ(fields);
  const size_t words = size / sizeof(uint64_t);
  std::vector<uint64_t> all(words * rules.size());
  for (size_t index = 0; index < rules.size(); ++index) {
    std::memcpy(&all[index * words], &rules[index], size);
  }
  return rte_acl_add_rules(context, reinterpret_cast<const rte_acl_rule*>(all.data()),
                           static_cast<uint32_t>(rules.size()));
}

}  // namespace

Result<std::unique_ptr<SelectorAcl>> SelectorAcl::Build(Family family,
                                                        std::span<const AclRule> rules) {
  const std::vector<Rule> acl_rules = RulesFor(family, rules);
  if (acl_rules.empty()) {
    return nullptr;
  }
  const rte_acl_config config =
      family == Family::kIpv4 ? ConfigFor<AclKeyV4>(kWords4) : ConfigFor<AclKeyV6>(kWords6);
  rte_acl_ctx* context = CreateContext(config.num_fields, acl_rules.size());
  if (context == nullptr) {
    return Fail(Errc::kExhausted, "no memory for a table of {} policies: {}", acl_rules.size(),
                rte_strerror(rte_errno));
  }
  std::unique_ptr<SelectorAcl> acl(new SelectorAcl(context));
  int result = AddRules(context, config.num_fields, acl_rules);
  if (result == 0) {
    result = rte_acl_build(context, &config);
  }
  if (result != 0) {
    return Fail(Errc::kExhausted, "a table of {} policies could not be built: {}", acl_rules.size(),
                rte_strerror(-result));
  }
  return acl;
}

SelectorAcl::~SelectorAcl() { rte_acl_free(context_); }

void SelectorAcl::Classify(const uint8_t** keys, uint32_t* values, unsigned count) const {
  rte_acl_classify(context_, keys, values, count, 1);
}

}  // namespace penstock
