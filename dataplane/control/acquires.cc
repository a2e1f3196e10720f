#include "dataplane/control/acquires.h"

namespace penstock {
namespace {

// net.core.xfrm_acq_expires as strongSwan sets it: all retransmissions of an IKE exchange.
constexpr Nanoseconds kPending = std::chrono::seconds(165);
constexpr size_t kMostPending = 4096;

bool MayBe(const IpAddress& known, const IpAddress& candidate) {
  return known.is_unspecified() || candidate.is_unspecified() || known == candidate;
}

}  // namespace

AcquireBook::Flow AcquireBook::FlowOf(const WorkerEvent& packet) {
  return {packet.tunnel,   packet.policy,      packet.address,         packet.destination,
          packet.protocol, packet.source_port, packet.destination_port};
}

bool AcquireBook::Begin(const WorkerEvent& packet, const Peers& peers, Nanoseconds now) {
  if (pending_.size() >= kMostPending) {
    std::erase_if(pending_, [now](const auto& entry) { return entry.second.until <= now; });
    if (pending_.size() >= kMostPending) {
      return false;
    }
  }
  const auto [entry, added] = pending_.try_emplace(FlowOf(packet));
  if (!added && now < entry->second.until) {
    return false;
  }
  entry->second = {now + kPending, peers};
  return true;
}

void AcquireBook::ForgetTunnel(uint32_t tunnel) {
  std::erase_if(pending_, [tunnel](const auto& entry) { return entry.first.tunnel == tunnel; });
}

void AcquireBook::ForgetPeer(const Peers& peers) {
  std::erase_if(pending_, [&peers](const auto& entry) {
    return MayBe(entry.second.peers.local, peers.local) &&
           MayBe(entry.second.peers.remote, peers.remote);
  });
}

}  // namespace penstock
