#include "dataplane/route/ecmp_buckets.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "dataplane/base/result.h"

namespace penstock {

std::vector<uint32_t> LargestRemainderShares(std::span<const uint32_t> weights, uint32_t total) {
  std::vector<uint32_t> shares(weights.size(), 0);
  const uint64_t sum = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
  if (sum == 0) {
    return shares;
  }
  std::vector<uint64_t> remainders(weights.size());
  std::vector<size_t> order(weights.size());
  uint32_t left = total;
  for (size_t i = 0; i < weights.size(); ++i) {
    const uint64_t product = uint64_t{weights[i]} * total;
    shares[i] = static_cast<uint32_t>(product / sum);
    remainders[i] = product % sum;
    left -= shares[i];
    order[i] = i;
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return remainders[a] > remainders[b]; });
  for (uint32_t i = 0; i < left; ++i) {
    ++shares[order[i]];
  }
  return shares;
}

namespace {

bool IsZero(const std::vector<uint32_t>& weights) {
  return std::all_of(weights.begin(), weights.end(), [](uint32_t weight) { return weight == 0; });
}

}  // namespace

size_t EcmpBuckets::MemberOf(uint32_t next_hop) const {
  const auto found =
      std::find_if(members_.begin(), members_.end(),
                   [next_hop](const Member& member) { return member.next_hop == next_hop; });
  return static_cast<size_t>(found - members_.begin());
}

// Weights by member; zero for who is dead or of the other kind.
std::vector<uint32_t> EcmpBuckets::Weights(const IsAlive& is_alive, bool standby) const {
  std::vector<uint32_t> weights;
  for (const Member& member : members_) {
    const bool counts = member.standby == standby && is_alive(member.next_hop);
    weights.push_back(counts ? member.weight : 0);
  }
  return weights;
}

void EcmpBuckets::Inherit(const EcmpBuckets& other) {
  PENSTOCK_CHECK(other.owners_.size() == owners_.size());
  members_ = other.members_;
  owners_ = other.owners_;
  holders_ = other.holders_;
}

void EcmpBuckets::SetMembers(std::vector<Member> members, const IsAlive& is_alive) {
  const bool had_members = !members_.empty();
  members_ = std::move(members);
  const auto anybody = [](uint32_t) { return true; };
  std::vector<uint32_t> weights = Weights(anybody, false);
  if (IsZero(weights)) {
    weights = Weights(anybody, true);
  }
  std::vector<uint32_t> missing =
      LargestRemainderShares(weights, static_cast<uint32_t>(owners_.size()));
  const auto take = [&](uint32_t next_hop) {
    const size_t member = had_members ? MemberOf(next_hop) : members_.size();
    const bool has_room = member < members_.size() && missing[member] > 0;
    missing[has_room ? member : 0] -= has_room ? 1 : 0;
    return has_room;
  };
  for (uint32_t& owner : owners_) {
    owner = take(owner) ? owner : kNobody;
  }
  for (size_t bucket = 0; bucket < owners_.size(); ++bucket) {
    if (owners_[bucket] == kNobody && take(holders_[bucket])) {
      owners_[bucket] = holders_[bucket];
    }
  }
  // Turn by turn, so that each member's buckets are spread over the table.
  size_t next = 0;
  for (uint32_t& owner : owners_) {
    if (owner != kNobody) {
      continue;
    }
    while (missing[next % members_.size()] == 0) {
      ++next;
    }
    --missing[next % members_.size()];
    owner = members_[next % members_.size()].next_hop;
    ++next;
  }
  if (!had_members) {
    holders_ = owners_;
  }
  Rebalance(is_alive);
}

void EcmpBuckets::Rebalance(const IsAlive& is_alive) {
  std::vector<uint32_t> weights = Weights(is_alive, false);
  if (IsZero(weights)) {
    weights = Weights(is_alive, true);
  }
  if (IsZero(weights)) {
    holders_ = owners_;
    return;
  }
  const auto lives = [&](uint32_t next_hop) {
    const size_t member = MemberOf(next_hop);
    return member < members_.size() && weights[member] != 0;
  };
  // A living member's room: what it should hold less what it holds already.
  const std::vector<uint32_t> shares =
      LargestRemainderShares(weights, static_cast<uint32_t>(owners_.size()));
  std::vector<int64_t> room(shares.begin(), shares.end());
  std::vector<size_t> orphans;
  for (size_t bucket = 0; bucket < owners_.size(); ++bucket) {
    if (lives(owners_[bucket])) {
      holders_[bucket] = owners_[bucket];
    } else if (!lives(holders_[bucket])) {
      orphans.push_back(bucket);
      continue;
    }
    --room[MemberOf(holders_[bucket])];
  }
  for (size_t bucket : orphans) {
    size_t best = members_.size();
    for (size_t i = 0; i < members_.size(); ++i) {
      if (weights[i] != 0 && (best == members_.size() || room[i] > room[best])) {
        best = i;
      }
    }
    holders_[bucket] = members_[best].next_hop;
    --room[best];
  }
}

std::vector<uint32_t> EcmpBuckets::CountHeld() const {
  std::vector<uint32_t> counts(members_.size(), 0);
  for (uint32_t holder : holders_) {
    ++counts[MemberOf(holder)];
  }
  return counts;
}

}  // namespace penstock
