// Selectors of one address family compiled into one rte_acl context.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/base/result.h"
#include "dataplane/ipsec/sa.h"
#include "dataplane/packet/packet.h"

struct rte_acl_ctx;

namespace penstock {

// What rte_acl looks at: its first field is one byte, all others are whole groups of four bytes.
// Addresses and ports are in network order, as on the wire.
struct AclKeyV4 {
  uint8_t protocol;
  uint8_t unused[3];
  uint8_t source[4];
  uint8_t destination[4];
  Be16 source_port;
  Be16 destination_port;
  Be32 ports_known;  // 1 or 0
};
static_assert(sizeof(AclKeyV4) == 20);

struct AclKeyV6 {
  uint8_t protocol;
  uint8_t unused[3];
  uint8_t source[16];
  uint8_t destination[16];
  Be16 source_port;
  Be16 destination_port;
  Be32 ports_known;
};
static_assert(sizeof(AclKeyV6) == 44);

struct AclRule {
  const Selector* selector;
  uint32_t value;  // what a match yields; not 0
};

// Built by the control thread, read by workers. Needs the EAL.
class SelectorAcl {
 public:
  // `rules` in order of precedence; those of the other family are left out. Null if none remains.
  static Result<std::unique_ptr<SelectorAcl>> Build(Family family, std::span<const AclRule> rules);
  ~SelectorAcl();
  SelectorAcl(const SelectorAcl&) = delete;
  SelectorAcl& operator=(const SelectorAcl&) = delete;

  // Each of `keys` points to a key of the family; values[i] is that of the best rule, 0 if none
  // matches.
  void Classify(const uint8_t** keys, uint32_t* values, unsigned count) const;

 private:
  explicit SelectorAcl(rte_acl_ctx* context) : context_(context) {}
  rte_acl_ctx* context_;
};

}  // namespace penstock
