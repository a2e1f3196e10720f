#include "fpm_client/route_receiver.h"

#include <linux/rtnetlink.h>

#include <algorithm>

#include "dataplane/base/log.h"

namespace penstock::fpm {
namespace {

// Changes go to the gateway at the end of their frame, or when so many have gathered: a frame of
// 64 KiB holds fewer.
constexpr size_t kMostChanges = 4096;
constexpr size_t kMostHeld = 1u << 18;
constexpr size_t kMostParked = 1u << 18;
constexpr size_t kMostASlice = 4096;

// The kernel's own routes, connected networks among them, are known to the gateway by itself.
bool IsTaken(const RouteChange& change) {
  const bool of_kernel = change.protocol == RTPROT_KERNEL || change.protocol == RTPROT_BOOT ||
                         change.protocol == RTPROT_REDIRECT;
  const bool in_main_table = change.table == RT_TABLE_MAIN || change.table == RT_TABLE_UNSPEC;
  const IpAddress& address = change.prefix.address();
  const bool special = change.prefix.length() != 0 &&
                       (address.is_multicast() || (address.is_v6() && address.is_link_local()));
  return !of_kernel && in_main_table && !special;
}

}  // namespace

RouteReceiver::RouteReceiver(EventLoop& loop, RouteSink& sink, std::chrono::milliseconds hold)
    : loop_(loop), sink_(sink), next_hops_(sink), hold_(hold) {
  batch_.reserve(kMostChanges);
}

void RouteReceiver::Begin() {
  sink_.MarkAll();
  next_hops_.MarkAll();
  parked_.clear();
  parked_by_next_hop_.clear();
  last_route_ = Nanoseconds{0};
}

void RouteReceiver::Frame(std::span<const uint8_t> payload) {
  ++counters_.frames;
  while (true) {
    const Result<std::optional<std::span<const uint8_t>>> message = NextMessage(payload);
    if (!message) {
      ++counters_.malformed;
      Complain(message.error());
      break;
    }
    if (!*message) {
      break;
    }
    const Result<MessageKind> kind = ParseMessage(**message, route_, next_hop_);
    if (!kind) {
      ++counters_.malformed;
      Complain(kind.error());
    } else if (*kind == MessageKind::kRoute) {
      TakeRoute(route_);
    } else if (*kind == MessageKind::kNextHop) {
      TakeNextHop(next_hop_);
    } else {
      ++counters_.ignored;
    }
  }
  Flush();
}

void RouteReceiver::TakeRoute(const RouteChange& change) {
  if (!IsTaken(change)) {
    ++counters_.ignored;
    return;
  }
  if (!parked_.empty()) {
    DropParked(change.prefix);
  }
  if (change.withdraw) {
    ++counters_.routes_withdrawn;
    Withdraw(change.prefix);
    return;
  }
  ++counters_.routes_added;
  if (change.next_hop_id == 0) {
    Announce(change.prefix, next_hops_.PathOf(change.path), change.protocol);
  } else if (const std::optional<PathId> path = next_hops_.PathOf(change.next_hop_id)) {
    Announce(change.prefix, *path, change.protocol);
  } else {
    Park(change);
  }
}

void RouteReceiver::TakeNextHop(const NextHopChange& change) {
  ++(change.remove ? counters_.next_hops_removed : counters_.next_hops_added);
  Flush();  // what was announced by the paths of before takes them; then they may change or go
  const NextHopTable::Outcome outcome = next_hops_.Apply(change);
  if (outcome.problem) {
    Complain(*outcome.problem);
  }
  for (const uint32_t id : outcome.completed) {
    Unpark(id);
  }
}

void RouteReceiver::Announce(const Prefix& prefix, PathId path, uint8_t protocol) {
  if (batch_.size() == kMostChanges || (protocol != batch_protocol_ && !batch_.empty())) {
    Flush();
  }
  if (!held_now_.empty()) {
    held_now_.erase(prefix);
  }
  batch_protocol_ = protocol;
  batch_.push_back({prefix, path, false});
}

// Takes effect when nobody has announced the prefix again until the hold ends, and the frame.
void RouteReceiver::Withdraw(const Prefix& prefix) {
  const auto [entry, is_new] = held_now_.try_emplace(prefix, ++held_sequence_);
  if (is_new) {  // a second withdrawal does not lengthen the hold of the first
    held_.push_back({prefix, held_sequence_, SystemClock().Now() + hold_});
  }
}

void RouteReceiver::Park(const RouteChange& change) {
  if (parked_.size() == kMostParked) {
    Complain(
        {Errc::kExhausted, fmt::format("{} names next hop {}, which has not come, and {} "
                                       "routes wait already: it is left out",
                                       change.prefix.ToString(), change.next_hop_id, kMostParked)});
    return;
  }
  held_now_.erase(change.prefix);  // the route of before forwards until this one can
  parked_[change.prefix] = {change.next_hop_id, change.protocol};
  parked_by_next_hop_[change.next_hop_id].insert(change.prefix);
}

void RouteReceiver::DropParked(const Prefix& prefix) {
  const auto parked = parked_.find(prefix);
  if (parked == parked_.end()) {
    return;
  }
  const auto waiting = parked_by_next_hop_.find(parked->second.next_hop_id);
  waiting->second.erase(prefix);
  if (waiting->second.empty()) {
    parked_by_next_hop_.erase(waiting);
  }
  parked_.erase(parked);
}

void RouteReceiver::Unpark(uint32_t next_hop_id) {
  const auto found = parked_by_next_hop_.find(next_hop_id);
  if (found == parked_by_next_hop_.end()) {
    return;
  }
  const std::unordered_set<Prefix> prefixes = std::move(found->second);
  parked_by_next_hop_.erase(found);
  for (const Prefix& prefix : prefixes) {
    const auto parked = parked_.find(prefix);
    if (const std::optional<PathId> path = next_hops_.PathOf(next_hop_id)) {
      Announce(prefix, *path, parked->second.protocol);
    }
    parked_.erase(parked);
  }
}

void RouteReceiver::Flush() {
  if (!batch_.empty()) {
    last_route_ = SystemClock().Now();
    sink_.Apply(batch_);
    if (on_announced_) {
      on_announced_(batch_, batch_protocol_);
    }
    batch_.clear();
  }
  if (held_.empty()) {
    return;
  }
  if (hold_.count() == 0) {
    ReleaseHeld(Nanoseconds::max());
  } else if (held_.size() > kMostHeld) {
    // The oldest go early; memory is what bounds the hold.
    ReleaseHeld(held_[held_.size() - kMostHeld].until);
  }
  ArmRelease();
}

void RouteReceiver::ReleaseHeld(Nanoseconds now) {
  std::vector<RouteUpdate> updates;
  while (!held_.empty() && held_.front().until <= now) {
    const Held& held = held_.front();
    const auto current = held_now_.find(held.prefix);
    if (current != held_now_.end() && current->second == held.sequence) {
      updates.push_back({held.prefix, 0, true});
      held_now_.erase(current);
    }
    held_.pop_front();
    if (updates.size() == kMostASlice && now != Nanoseconds::max()) {
      break;  // the loop has other work too; ArmRelease comes back
    }
  }
  if (!updates.empty()) {
    sink_.Apply(updates);
  }
}

void RouteReceiver::ArmRelease() {
  if (held_.empty() || release_ != nullptr) {
    return;
  }
  const Nanoseconds wait = held_.front().until - SystemClock().Now();
  const auto delay =
      std::chrono::duration_cast<std::chrono::microseconds>(std::max(wait, Nanoseconds{0}));
  release_ = loop_.After(delay, [this] {
    const EventLoop::Handle done = std::move(release_);
    ReleaseHeld(SystemClock().Now());
    ArmRelease();
  });
}

bool RouteReceiver::SweepSome() {
  if (sink_.Sweep(kMostASlice) != 0) {
    return false;
  }
  next_hops_.Forget();
  return true;
}

void RouteReceiver::Complain(const Error& error) {
  const Nanoseconds now = SystemClock().Now();
  counters_.last_error = error.message;
  counters_.last_error_at = now;
  if (now - last_log_ >= std::chrono::seconds(1)) {
    last_log_ = now;
    Log("fpm").warn("{}", error.message);
  }
}

void RouteReceiver::FillStatus(FpmStatus& status) const {
  status = counters_;
  status.routes = sink_.size();
  status.stale = sink_.stale();
  status.parked = parked_.size();
  status.held = held_now_.size();
  status.next_hops = next_hops_.next_hops();
  status.groups = next_hops_.groups();
  status.paths = next_hops_.paths();
}

}  // namespace penstock::fpm
