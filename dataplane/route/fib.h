// Longest prefix match for both families: a table of 2^24 entries for the first 24 bits and chunks
// of 256 for each further 8, changed in place under readers.
//
// An entry is one 32-bit word and is stored whole, so a reader sees the old or the new answer and
// nothing else; a chunk that is no longer used is freed one grace period later. That is what makes
// one table enough where DPDK 22.11's rte_fib (no RCU) would need two: half the memory, half the
// work per change. A trie of our own (prefix_tree.h) keeps the prefixes for the control side:
// rte_rib takes its memory for the largest size at once and from the EAL, a trie node takes 16 or
// 32 bytes when needed.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/base/ip_address.h"
#include "dataplane/base/result.h"
#include "dataplane/packet/packet.h"
#include "dataplane/runtime/counters.h"
#include "dataplane/runtime/epoch.h"

namespace penstock {

struct FibLimits {
  uint32_t max_routes_v4 = 2'000'000;
  uint32_t max_routes_v6 = 1'000'000;
  uint32_t max_chunks = 1u << 18;  // per family; of 1 KiB each, backed by memory once used
};

class Fib {
 public:
  Fib(Epoch& epoch, const FibLimits& limits = {});
  ~Fib();

  // Worker side: next hop indices of `count` destinations; kNextHopNoRoute (0) where nothing
  // matches. IPv4 addresses are network order words, as in the packet.
  void LookupV4(const uint32_t* destinations, uint32_t* next_hops, unsigned count) const;
  void LookupV6(const uint8_t (*destinations)[16], uint32_t* next_hops, unsigned count) const;
  uint32_t Lookup(const IpAddress& destination) const;

  // Control side. Set adds or replaces; a replace is one step for every destination.
  Status Set(const Prefix& prefix, uint32_t next_hop);
  Status Remove(const Prefix& prefix);                       // kNotFound
  std::optional<uint32_t> Find(const Prefix& prefix) const;  // exact
  struct Match {
    Prefix prefix;
    uint32_t next_hop = 0;
  };
  std::optional<Match> LongestMatch(const IpAddress& destination) const;
  // In order of address, then length; `from` (exclusive) goes on after an earlier page. Stops when
  // `visit` returns false.
  void Visit(Family family, const std::optional<Prefix>& from,
             const std::function<bool(const Match&)>& visit) const;
  size_t size(Family family) const;
  size_t memory_bytes() const;  // resident: what the tables have touched

 private:
  struct Tables;
  std::unique_ptr<Tables> tables_;
};

}  // namespace penstock
