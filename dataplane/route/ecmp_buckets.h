// Which member of an ECMP group holds which bucket: pure arithmetic, no threads.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace penstock {

// Splits `total` by weights exactly: each share is the quota rounded down, and what is left goes
// one each to the largest remainders (earlier entries first on a tie). All weights zero: all shares
// zero.
std::vector<uint32_t> LargestRemainderShares(std::span<const uint32_t> weights, uint32_t total);

// Each bucket has an owner, by weight, and a holder, who gets its flows: the owner while that
// lives, else a living stand-in. Only buckets that must move do move. Standby members own nothing
// and hold nothing while an ordinary member lives.
class EcmpBuckets {
 public:
  struct Member {
    uint32_t next_hop = 0;
    uint32_t weight = 1;
    bool standby = false;
  };
  using IsAlive = std::function<bool(uint32_t next_hop)>;

  explicit EcmpBuckets(uint32_t count) : owners_(count, 0), holders_(count, 0) {}

  // New members, next hops all different, at least one. Who stays keeps its buckets up to its new
  // share; a bucket that loses its owner goes to its holder first, so that flows that have moved
  // once stay where they are.
  void SetMembers(std::vector<Member> members, const IsAlive& is_alive);
  // Starts from another group's buckets, as many as these, instead of from none.
  void Inherit(const EcmpBuckets& other);
  // After a member died or revived.
  void Rebalance(const IsAlive& is_alive);

  const std::vector<Member>& members() const { return members_; }
  const std::vector<uint32_t>& holders() const { return holders_; }  // next hops
  std::vector<uint32_t> CountHeld() const;                           // by member

 private:
  static constexpr uint32_t kNobody = UINT32_MAX;
  size_t MemberOf(uint32_t next_hop) const;
  std::vector<uint32_t> Weights(const IsAlive& is_alive, bool standby) const;

  std::vector<Member> members_;
  std::vector<uint32_t> owners_;   // next hops
  std::vector<uint32_t> holders_;  // next hops
};

}  // namespace penstock
