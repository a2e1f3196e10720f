#include "dataplane/route/next_hop.h"

#include <algorithm>
#include <bit>
#include <set>
#include <tuple>
#include <utility>

#include "dataplane/route/ecmp_buckets.h"
#include "dataplane/route/retire_queue.h"

namespace penstock {
namespace {

constexpr uint32_t kMaxBuckets = 1u << 16;
constexpr uint32_t kMaxWeight = 1u << 16;

using BucketArray = std::unique_ptr<std::atomic<uint32_t>[]>;

struct Group {
  explicit Group(uint32_t buckets)
      : plan(buckets), published(std::make_unique<std::atomic<uint32_t>[]>(buckets)) {}
  EcmpBuckets plan;
  BucketArray published;
};

// What makes two requests equal.
struct Request {
  NextHopKind kind = NextHopKind::kNoRoute;
  uint16_t port = 0;
  uint32_t tunnel = 0;
  uint32_t buckets = 0;
  IpAddress gateway;
  std::vector<std::tuple<uint32_t, uint32_t, bool>> members;  // next hop, weight, standby
  friend auto operator<=>(const Request&, const Request&) = default;
};

// An index that nobody refers to any more, with what workers may still read through it.
struct Retired {
  uint32_t index = 0;
  BucketArray buckets;
};

}  // namespace

struct NextHopTable::Control {
  struct Entry {
    uint32_t references = 0;  // 0: not in use, or waiting for its grace period
    bool alive = true;
    std::unique_ptr<Group> group;
    std::set<uint32_t> member_of;
    std::optional<std::map<Request, uint32_t>::iterator> request;
  };

  explicit Control(Epoch& epoch)
      : retired(epoch, [this](Retired gone) { free.push_back(gone.index); }) {
    entries.resize(kFirstFreeNextHop);
  }

  bool InUse(uint32_t index) const {
    return index < kFirstFreeNextHop || (index < entries.size() && entries[index].references > 0);
  }
  Result<uint32_t> TakeIndex() {
    if (free.empty() && entries.size() >= kMaxNextHops) {
      retired.Reclaim();
    }
    if (!free.empty()) {
      const uint32_t index = free.back();
      free.pop_back();
      entries[index] = {};
      return index;
    }
    if (entries.size() >= kMaxNextHops) {
      return Fail(Errc::kExhausted, "all {} next hops are in use", kMaxNextHops);
    }
    entries.emplace_back();
    return static_cast<uint32_t>(entries.size() - 1);
  }
  std::optional<uint32_t> Share(const Request& request) {
    const auto found = by_request.find(request);
    if (found == by_request.end()) {
      return std::nullopt;
    }
    ++entries[found->second].references;
    return found->second;
  }
  void Remember(uint32_t index, Request request) {
    entries[index].request = by_request.emplace(std::move(request), index).first;
  }
  bool IsAlive(uint32_t index) const { return index < entries.size() && entries[index].alive; }

  // Copies the plan's holders to what workers read; unchanged buckets are not touched.
  void Publish(Group& group) {
    const std::vector<uint32_t>& holders = group.plan.holders();
    for (size_t i = 0; i < holders.size(); ++i) {
      if (group.published[i].load(std::memory_order_relaxed) != holders[i]) {
        group.published[i].store(holders[i], std::memory_order_release);
      }
    }
  }
  void SetMembers(uint32_t index, std::vector<EcmpBuckets::Member> members) {
    Group& group = *entries[index].group;
    group.plan.SetMembers(std::move(members), [this](uint32_t member) { return IsAlive(member); });
    Publish(group);
  }

  // The group of as many buckets that shares most members with these; of several the one with the
  // fewest others, then the youngest.
  const Group* FindSimilar(const std::vector<EcmpBuckets::Member>& members,
                           uint32_t buckets) const {
    std::map<uint32_t, size_t> shared;
    for (const EcmpBuckets::Member& member : members) {
      for (const uint32_t group : entries[member.next_hop].member_of) {
        ++shared[group];
      }
    }
    const Group* best = nullptr;
    size_t best_shared = 0;
    for (const auto& [index, count] : shared) {
      const Group& group = *entries[index].group;
      if (group.plan.holders().size() == buckets && member_count(group) > 0 &&
          (count > best_shared ||
           (count == best_shared && member_count(group) <= member_count(*best)))) {
        best = &group;
        best_shared = count;
      }
    }
    return best;
  }
  static size_t member_count(const Group& group) { return group.plan.members().size(); }

  std::vector<Entry> entries;
  std::function<void(uint32_t)> on_alive;
  std::vector<uint32_t> free;
  std::map<Request, uint32_t> by_request;
  RetireQueue<Retired> retired;
};

namespace {

// Checks members and joins those that are named twice.
template <typename Control>
Result<std::vector<EcmpBuckets::Member>> CheckMembers(const Control& control,
                                                      std::span<const GroupMember> members,
                                                      uint32_t buckets) {
  std::vector<EcmpBuckets::Member> checked;
  for (const GroupMember& member : members) {
    if (!control.InUse(member.next_hop)) {
      return Fail(Errc::kNotFound, "group member: no next hop {}", member.next_hop);
    }
    if (member.next_hop >= kFirstFreeNextHop && control.entries[member.next_hop].group) {
      return Fail(Errc::kInvalidArgument,
                  "group member {}: is a group itself, members must be single next hops",
                  member.next_hop);
    }
    if (member.weight == 0 || member.weight > kMaxWeight) {
      return Fail(Errc::kInvalidArgument, "group member {}: weight {} must be 1 to {}",
                  member.next_hop, member.weight, kMaxWeight);
    }
    const auto same = std::find_if(checked.begin(), checked.end(), [&](const auto& other) {
      return other.next_hop == member.next_hop;
    });
    if (same != checked.end()) {
      same->weight += member.weight;
      same->standby = same->standby && member.standby;
    } else {
      checked.push_back({member.next_hop, member.weight, member.standby});
    }
    if (checked.size() > kMaxGroupMembers) {
      return Fail(Errc::kInvalidArgument, "group of more than {} members", kMaxGroupMembers);
    }
  }
  if (checked.empty() || checked.size() > buckets) {
    return Fail(Errc::kInvalidArgument,
                "group of {} members: must have at least one and at most one a bucket ({})",
                checked.size(), buckets);
  }
  return checked;
}

IpAddress GatewayOf(const NextHop& next_hop) {
  return next_hop.gateway_version == 6 ? IpAddress::V6(next_hop.gateway)
                                       : IpAddress::V4(next_hop.gateway);
}

}  // namespace

NextHopTable::NextHopTable(Epoch& epoch) : control_(std::make_unique<Control>(epoch)) {
  table_[kNextHopNoRoute].kind = NextHopKind::kNoRoute;
  table_[kNextHopBlackhole].kind = NextHopKind::kBlackhole;
  table_[kNextHopUnreachable].kind = NextHopKind::kUnreachable;
  table_[kNextHopProhibit].kind = NextHopKind::kProhibit;
  table_[kNextHopLocal].kind = NextHopKind::kLocal;
  table_[kNextHopProtected].kind = NextHopKind::kProtected;
}

NextHopTable::~NextHopTable() = default;

Result<uint32_t> NextHopTable::AddForward(uint16_t port, const IpAddress& gateway) {
  NextHop next_hop{};
  next_hop.kind = NextHopKind::kForward;
  next_hop.port = port;
  std::copy_n(gateway.data(), gateway.size(), next_hop.gateway);
  next_hop.gateway_version = gateway.is_v6() ? 6 : 4;
  return AddSingle(next_hop, gateway);
}

Result<uint32_t> NextHopTable::AddGlean(uint16_t port) {
  NextHop next_hop{};
  next_hop.kind = NextHopKind::kGlean;
  next_hop.port = port;
  return AddSingle(next_hop, {});
}

Result<uint32_t> NextHopTable::AddTunnel(uint32_t tunnel) {
  NextHop next_hop{};
  next_hop.kind = NextHopKind::kTunnel;
  next_hop.tunnel = tunnel;
  return AddSingle(next_hop, {});
}

Result<uint32_t> NextHopTable::AddSingle(const NextHop& next_hop, const IpAddress& gateway) {
  const Request request{next_hop.kind, next_hop.port, next_hop.tunnel, 0, gateway, {}};
  if (const auto shared = control_->Share(request)) {
    return *shared;
  }
  const Result<uint32_t> index = control_->TakeIndex();
  if (index) {
    table_[*index] = next_hop;
    control_->entries[*index].references = 1;
    control_->Remember(*index, request);
  }
  return index;
}

Result<uint32_t> NextHopTable::AddSharedGroup(std::span<const GroupMember> members,
                                              uint32_t buckets) {
  Request request;
  request.kind = NextHopKind::kGroup;
  request.buckets = buckets;
  for (const GroupMember& member : members) {
    request.members.emplace_back(member.next_hop, member.weight, member.standby);
  }
  std::sort(request.members.begin(), request.members.end());
  if (const auto shared = control_->Share(request)) {
    return *shared;
  }
  const Result<uint32_t> index = AddGroup(members, buckets);
  if (index) {
    control_->Remember(*index, std::move(request));
  }
  return index;
}

Result<uint32_t> NextHopTable::AddGroup(std::span<const GroupMember> members, uint32_t buckets) {
  if (!std::has_single_bit(buckets) || buckets > kMaxBuckets) {
    return Fail(Errc::kInvalidArgument, "group of {} buckets: must be a power of two up to {}",
                buckets, kMaxBuckets);
  }
  auto checked = CheckMembers(*control_, members, buckets);
  if (!checked) {
    return tl::make_unexpected(checked.error());
  }
  const Result<uint32_t> index = control_->TakeIndex();
  if (!index) {
    return index;
  }
  auto group = std::make_unique<Group>(buckets);
  if (const Group* similar = control_->FindSimilar(*checked, buckets)) {
    group->plan.Inherit(similar->plan);
  }
  for (const EcmpBuckets::Member& member : *checked) {
    Hold(member.next_hop);
    control_->entries[member.next_hop].member_of.insert(*index);
  }
  Control::Entry& entry = control_->entries[*index];
  entry.references = 1;
  entry.group = std::move(group);
  control_->SetMembers(*index, std::move(*checked));
  NextHop next_hop{};
  next_hop.kind = NextHopKind::kGroup;
  next_hop.bucket_mask = buckets - 1;
  next_hop.buckets = entry.group->published.get();
  table_[*index] = next_hop;
  return index;
}

Status NextHopTable::UpdateGroup(uint32_t group, std::span<const GroupMember> members) {
  if (group < kFirstFreeNextHop || !control_->InUse(group) || !control_->entries[group].group) {
    return Fail(Errc::kNotFound, "no next hop group {}", group);
  }
  Control::Entry& entry = control_->entries[group];
  if (entry.request) {
    return Fail(Errc::kUnsupported,
                "group {} is shared: add a new one and replace it in its routes", group);
  }
  const uint32_t bucket_count = table_[group].bucket_mask + 1;
  auto checked = CheckMembers(*control_, members, bucket_count);
  if (!checked) {
    return tl::make_unexpected(checked.error());
  }
  const std::vector<EcmpBuckets::Member> before = entry.group->plan.members();
  const bool all_new = std::none_of(checked->begin(), checked->end(), [&](const auto& member) {
    return control_->entries[member.next_hop].member_of.contains(group);
  });
  if (const Group* similar = all_new ? control_->FindSimilar(*checked, bucket_count) : nullptr) {
    entry.group->plan.Inherit(similar->plan);
  }
  for (const EcmpBuckets::Member& member : before) {
    control_->entries[member.next_hop].member_of.erase(group);
  }
  for (const EcmpBuckets::Member& member : *checked) {
    Hold(member.next_hop);
    control_->entries[member.next_hop].member_of.insert(group);
  }
  control_->SetMembers(group, std::move(*checked));
  for (const EcmpBuckets::Member& member : before) {
    Release(member.next_hop);
  }
  return {};
}

void NextHopTable::Hold(uint32_t index) {
  if (index < kFirstFreeNextHop) {
    return;
  }
  PENSTOCK_CHECK(control_->InUse(index));
  ++control_->entries[index].references;
}

void NextHopTable::Release(uint32_t index) {
  if (index < kFirstFreeNextHop) {
    return;
  }
  PENSTOCK_CHECK(control_->InUse(index));
  Control::Entry& entry = control_->entries[index];
  if (--entry.references > 0) {
    return;
  }
  if (entry.request) {
    control_->by_request.erase(*entry.request);
    entry.request.reset();
  }
  const std::unique_ptr<Group> group = std::move(entry.group);
  control_->retired.Retire({index, group ? std::move(group->published) : nullptr});
  if (group) {
    for (const EcmpBuckets::Member& member : group->plan.members()) {
      control_->entries[member.next_hop].member_of.erase(index);
      Release(member.next_hop);
    }
  }
}

void NextHopTable::SetLink(uint32_t index, const std::optional<LinkHeader>& link) {
  PENSTOCK_CHECK(control_->InUse(index) && table_[index].kind == NextHopKind::kForward);
  LinkHeader header = link.value_or(LinkHeader{});
  header.resolved = link.has_value() ? 1 : 0;
  StoreLink(table_[index], header);
}

void NextHopTable::SetAlive(uint32_t index, bool alive) {
  PENSTOCK_CHECK(control_->InUse(index));
  Control::Entry& entry = control_->entries[index];
  if (entry.alive == alive) {
    return;
  }
  entry.alive = alive;
  for (uint32_t group_index : entry.member_of) {
    Group& group = *control_->entries[group_index].group;
    group.plan.Rebalance([this](uint32_t member) { return control_->IsAlive(member); });
    control_->Publish(group);
  }
  if (control_->on_alive) {
    control_->on_alive(index);
  }
}

void NextHopTable::OnAlive(std::function<void(uint32_t)> callback) {
  control_->on_alive = std::move(callback);
}

bool NextHopTable::alive(uint32_t index) const { return control_->IsAlive(index); }

NextHopTable::GroupView NextHopTable::group(uint32_t index) const {
  GroupView view;
  if (!control_->InUse(index) || !control_->entries[index].group) {
    return view;
  }
  const EcmpBuckets& plan = control_->entries[index].group->plan;
  for (const EcmpBuckets::Member& member : plan.members()) {
    view.members.push_back({member.next_hop, member.weight, member.standby});
    view.alive.push_back(alive(member.next_hop));
  }
  view.bucket_counts = plan.CountHeld();
  view.buckets = static_cast<uint32_t>(plan.holders().size());
  return view;
}

std::vector<uint32_t> NextHopTable::indices() const {
  std::vector<uint32_t> result;
  for (uint32_t index = kFirstFreeNextHop; index < control_->entries.size(); ++index) {
    if (control_->InUse(index)) {
      result.push_back(index);
    }
  }
  return result;
}

std::vector<uint32_t> NextHopTable::FindForwards(uint16_t port, const IpAddress& gateway) const {
  const auto found =
      control_->by_request.find(Request{NextHopKind::kForward, port, 0, 0, gateway, {}});
  return found == control_->by_request.end() ? std::vector<uint32_t>{}
                                             : std::vector<uint32_t>{found->second};
}

std::vector<uint32_t> NextHopTable::FindTunnels(uint32_t tunnel) const {
  const auto found = control_->by_request.find(Request{NextHopKind::kTunnel, 0, tunnel, 0, {}, {}});
  return found == control_->by_request.end() ? std::vector<uint32_t>{}
                                             : std::vector<uint32_t>{found->second};
}

uint32_t NextHopTable::references(uint32_t index) const {
  return index < control_->entries.size() ? control_->entries[index].references : 0;
}

std::string NextHopTable::ToString(uint32_t index) const {
  if (!control_->InUse(index)) {
    return fmt::format("unused next hop {}", index);
  }
  const NextHop& next_hop = table_[index];
  switch (next_hop.kind) {
    case NextHopKind::kNoRoute:
      return "no route";
    case NextHopKind::kBlackhole:
      return "blackhole";
    case NextHopKind::kUnreachable:
      return "unreachable";
    case NextHopKind::kProhibit:
      return "prohibit";
    case NextHopKind::kLocal:
      return "local";
    case NextHopKind::kProtected:
      return "protected";
    case NextHopKind::kForward:
      return fmt::format("via {} port {}", GatewayOf(next_hop).ToString(), next_hop.port);
    case NextHopKind::kGlean:
      return fmt::format("on link port {}", next_hop.port);
    case NextHopKind::kTunnel:
      return fmt::format("tunnel {}", next_hop.tunnel);
    case NextHopKind::kGroup:
      return fmt::format("group of {}", group(index).members.size());
  }
  return fmt::format("next hop {}", index);
}

}  // namespace penstock
