// Next hops and ECMP groups, in one table of fixed indices that the FIB's entries point into.
#pragma once

#include <immintrin.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/ip_address.h"
#include "dataplane/base/result.h"
#include "dataplane/packet/packet.h"
#include "dataplane/runtime/counters.h"
#include "dataplane/runtime/epoch.h"

namespace penstock {

inline constexpr uint32_t kMaxNextHops = 1u << 20;

enum class NextHopKind : uint8_t {
  kNoRoute,  // index 0: what a lookup without a match yields
  kBlackhole,
  kUnreachable,  // ICMP host unreachable
  kProhibit,     // ICMP administratively prohibited
  kLocal,        // ours: to the host path
  kProtected,    // a protected prefix with no tunnel: dropped and counted
  kForward,      // out of a port to a neighbour
  kGlean,        // on link, the destination itself is the neighbour and must be resolved
  kTunnel,
  kGroup,
};

// Fixed indices.
inline constexpr uint32_t kNextHopNoRoute = 0;
inline constexpr uint32_t kNextHopBlackhole = 1;
inline constexpr uint32_t kNextHopUnreachable = 2;
inline constexpr uint32_t kNextHopProhibit = 3;
inline constexpr uint32_t kNextHopLocal = 4;
inline constexpr uint32_t kNextHopProtected = 5;
inline constexpr uint32_t kFirstFreeNextHop = 8;

// The link addresses in front of a packet: destination, source; `resolved` is 1 once the kernel
// knows the neighbour. Replaced by one aligned 16-byte store, so that a worker never sees half of
// it.
struct alignas(16) LinkHeader {
  uint8_t destination[6];
  uint8_t source[6];
  uint8_t resolved;
  uint8_t unused[3];
};
static_assert(sizeof(LinkHeader) == 16);

inline constexpr uint32_t kDefaultBuckets = 256;
inline constexpr uint32_t kMaxGroupMembers = 64;

// One line, read by workers, written by the control thread.
struct alignas(kCacheLine) NextHop {
  LinkHeader link;  // kForward
  NextHopKind kind;
  uint8_t unused0;
  uint16_t port;         // kForward, kGlean: port index
  uint32_t tunnel;       // kTunnel
  uint32_t bucket_mask;  // kGroup: buckets - 1
  uint32_t unused1;
  const std::atomic<uint32_t>* buckets;  // kGroup: next hop index each; never another group
  uint8_t gateway[16];                   // kForward: the neighbour's IP, for resolution
  uint8_t gateway_version;
  uint8_t unused2[7];
};
static_assert(sizeof(NextHop) == kCacheLine);

inline void StoreLink(NextHop& next_hop, const LinkHeader& link) {
  _mm_store_si128(reinterpret_cast<__m128i*>(&next_hop.link),
                  _mm_load_si128(reinterpret_cast<const __m128i*>(&link)));
}
inline LinkHeader LoadLink(const NextHop& next_hop) {
  LinkHeader link;
  _mm_store_si128(reinterpret_cast<__m128i*>(&link),
                  _mm_load_si128(reinterpret_cast<const __m128i*>(&next_hop.link)));
  return link;
}

struct GroupMember {
  uint32_t next_hop = 0;
  uint32_t weight = 1;
  bool standby = false;  // carries only while no ordinary member is alive
  friend bool operator==(const GroupMember&, const GroupMember&) = default;
};

// All next hops. Indices stay valid for one grace period after Release, so a worker's lookup never
// points to something else within a burst.
class NextHopTable {
 public:
  explicit NextHopTable(Epoch& epoch);
  ~NextHopTable();

  // Worker side.
  const NextHop& operator[](uint32_t index) const { return table_[index]; }
  // Follows a group to its member for this flow; other kinds are returned as they are.
  uint32_t Resolve(uint32_t index, uint32_t flow_hash) const {
    const NextHop& next_hop = table_[index];
    if (next_hop.kind != NextHopKind::kGroup) [[likely]] {
      return index;
    }
    return next_hop.buckets[flow_hash & next_hop.bucket_mask].load(std::memory_order_relaxed);
  }

  // Control side. Equal requests share one index and are counted; Release gives one back.
  Result<uint32_t> AddForward(uint16_t port, const IpAddress& gateway);
  Result<uint32_t> AddGlean(uint16_t port);
  Result<uint32_t> AddTunnel(uint32_t tunnel);
  // At most kMaxGroupMembers, each alive or not; members must not be groups; a member that is named
  // twice counts with the sum of its weights. `buckets` is a power of two, stays the same for the
  // group's life and is at least the number of members. The group holds its members. A group of
  // AddGroup is the caller's own, since UpdateGroup changes it; AddSharedGroup gives equal requests
  // one index, for routes that bring their members along, and such a group cannot be updated.
  // A new group starts with the buckets of the living group that it shares most members with, so
  // that flows stay where they are when routes go from one group to a similar one.
  Result<uint32_t> AddGroup(std::span<const GroupMember> members,
                            uint32_t buckets = kDefaultBuckets);
  Result<uint32_t> AddSharedGroup(std::span<const GroupMember> members,
                                  uint32_t buckets = kDefaultBuckets);
  // Replaces the members in place, moving as few buckets as the weights allow; with none of the old
  // ones left it is as a new group.
  Status UpdateGroup(uint32_t group, std::span<const GroupMember> members);
  // Hold counts another user. Both ignore the fixed indices, which are never released.
  void Hold(uint32_t index);
  void Release(uint32_t index);

  // Link addresses of a neighbour came, changed (resolved) or went.
  void SetLink(uint32_t index, const std::optional<LinkHeader>& link);
  // A member that is dead leaves the buckets of all groups at once; what it held is spread over the
  // living by weight. Alive again, it takes back its own buckets and no others. With no living
  // member all buckets keep their owners (who then drop by their own reason: fail closed).
  void SetAlive(uint32_t index, bool alive);
  bool alive(uint32_t index) const;
  // Called after each change that SetAlive made.
  void OnAlive(std::function<void(uint32_t index)> callback);

  // For people and for neighbours' bookkeeping.
  struct GroupView {
    std::vector<GroupMember> members;
    std::vector<bool> alive;
    std::vector<uint32_t> bucket_counts;  // by member
    uint32_t buckets = 0;
  };
  GroupView group(uint32_t index) const;
  std::vector<uint32_t> indices() const;
  std::vector<uint32_t> FindForwards(uint16_t port, const IpAddress& gateway) const;
  std::vector<uint32_t> FindTunnels(uint32_t tunnel) const;
  uint32_t references(uint32_t index) const;
  std::string ToString(uint32_t index) const;

 private:
  struct Control;
  Result<uint32_t> AddSingle(const NextHop& next_hop, const IpAddress& gateway);

  LazyArray<NextHop> table_{kMaxNextHops};
  std::unique_ptr<Control> control_;
};

}  // namespace penstock
