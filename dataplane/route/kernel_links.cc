#include "dataplane/route/kernel_links.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/route/kernel_messages.h"
#include "dataplane/route/netlink_socket.h"

namespace penstock {
namespace {

// Reads of the notification socket in one turn of the loop, so that a flood leaves time for the
// rest.
constexpr int kReadsPerTurn = 64;

uint8_t FamilyNumber(const IpAddress& address) { return address.is_v6() ? AF_INET6 : AF_INET; }

class RtnetlinkLinks : public KernelLinks {
 public:
  RtnetlinkLinks(KernelListener listener, std::unique_ptr<NetlinkSocket> events,
                 std::unique_ptr<NetlinkSocket> requests)
      : listener_(std::move(listener)),
        events_(std::move(events)),
        requests_(std::move(requests)) {}

  void Watch(EventLoop& loop) {
    watch_ = loop.OnReadable(events_->descriptor(), [this] { ReadEvents(); });
  }

  Status AddAddress(int interface, const InterfaceAddress& address) override;
  Status RemoveAddress(int interface, const InterfaceAddress& address) override;
  Status SetUp(int interface, bool up) override;
  Status SetMtu(int interface, uint32_t mtu) override;
  Status SetMac(int interface, const MacAddress& mac) override;
  Status Resolve(int interface, const IpAddress& address) override;
  Status AddRoute(const Prefix& prefix, int interface, const IpAddress& gateway) override;
  Status RemoveRoute(const Prefix& prefix, int interface) override;
  Status Dump() override;

 private:
  using NeighborKey = std::pair<int, IpAddress>;
  using AddressKey = std::pair<int, InterfaceAddress>;

  // What the listener was told. Repetitions are not told again, and after lost notifications it
  // shows what has gone meanwhile.
  struct Known {
    std::map<int, KernelLink> links;
    std::set<AddressKey> addresses;
    std::map<NeighborKey, KernelNeighbor> neighbors;
  };

  void ReadEvents();
  void OnMessage(const nlmsghdr& message);
  void Tell(const KernelLink& link);
  void Tell(const KernelAddressChange& change);
  void Tell(const KernelNeighbor& neighbor);
  void Tell(const Irrelevant&) {}
  void SweepGone(const Known& present);

  KernelListener listener_;
  std::unique_ptr<NetlinkSocket> events_;
  std::unique_ptr<NetlinkSocket> requests_;
  Known known_;
  uint64_t malformed_ = 0;
  EventLoop::Handle watch_;
};

void RtnetlinkLinks::ReadEvents() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const auto received =
        events_->ReceiveNotifications([this](const nlmsghdr& message) { OnMessage(message); });
    if (received == NetlinkSocket::Received::kNothing) {
      return;
    }
    if (received == NetlinkSocket::Received::kLost) {
      Log("route").warn("rtnetlink notifications were lost, reading all state again");
      if (const Status dumped = Dump(); !dumped) {
        Log("route").error("rtnetlink: {}", dumped.error().message);
      }
    }
  }
}

void RtnetlinkLinks::OnMessage(const nlmsghdr& message) {
  const std::optional<KernelEvent> event = ParseKernelMessage(message);
  if (!event) {
    ++malformed_;
    Log("route").warn("rtnetlink: malformed message of type {} and {} bytes, {} so far",
                      message.nlmsg_type, message.nlmsg_len, malformed_);
    return;
  }
  std::visit([this](const auto& value) { Tell(value); }, *event);
}

void RtnetlinkLinks::Tell(const KernelLink& link) {
  const auto known = known_.links.find(link.interface);
  if (link.gone) {
    if (known != known_.links.end()) {
      known_.links.erase(known);
      if (listener_.on_link_gone) {
        listener_.on_link_gone(link.interface);
      }
    }
    return;
  }
  if (known != known_.links.end() && known->second == link) {
    return;
  }
  known_.links[link.interface] = link;
  if (listener_.on_link) {
    listener_.on_link(link.interface, link.name, link.up, link.mtu);
  }
}

void RtnetlinkLinks::Tell(const KernelAddressChange& change) {
  const AddressKey key{change.address.interface, change.address.address};
  const bool news =
      change.added ? known_.addresses.insert(key).second : known_.addresses.erase(key) > 0;
  if (news && listener_.on_address) {
    listener_.on_address(change.address, change.added);
  }
}

void RtnetlinkLinks::Tell(const KernelNeighbor& neighbor) {
  // Always told, also without a change: that the kernel confirmed it says how fresh it is.
  const NeighborKey key{neighbor.interface, neighbor.address};
  if (neighbor.mac) {
    known_.neighbors[key] = neighbor;
  } else {
    known_.neighbors.erase(key);
  }
  if (listener_.on_neighbor) {
    listener_.on_neighbor(neighbor);
  }
}

Status RtnetlinkLinks::Dump() {
  Known present;
  const auto collect = [this, &present](const nlmsghdr& message) {
    OnMessage(message);
    const std::optional<KernelEvent> event = ParseKernelMessage(message);
    if (!event) {
      return;
    }
    if (const auto* link = std::get_if<KernelLink>(&*event)) {
      present.links[link->interface] = *link;
    } else if (const auto* change = std::get_if<KernelAddressChange>(&*event)) {
      present.addresses.insert({change->address.interface, change->address.address});
    } else if (const auto* neighbor = std::get_if<KernelNeighbor>(&*event)) {
      present.neighbors[{neighbor->interface, neighbor->address}] = *neighbor;
    }
  };
  for (uint16_t type : {RTM_GETLINK, RTM_GETADDR, RTM_GETNEIGH}) {
    if (const Status status = requests_->Dump(type, collect); !status) {
      return status;
    }
  }
  SweepGone(present);
  return {};
}

// Tells what was known and is not there any more.
void RtnetlinkLinks::SweepGone(const Known& present) {
  const auto neighbors = known_.neighbors;
  for (const auto& [key, neighbor] : neighbors) {
    if (!present.neighbors.contains(key)) {
      Tell(KernelNeighbor{neighbor.interface, neighbor.address, std::nullopt, false});
    }
  }
  const auto addresses = known_.addresses;
  for (const AddressKey& key : addresses) {
    if (!present.addresses.contains(key)) {
      Tell(KernelAddressChange{{key.first, key.second}, false});
    }
  }
  const auto links = known_.links;
  for (const auto& [interface, link] : links) {
    if (!present.links.contains(interface)) {
      KernelLink gone = link;
      gone.gone = true;
      Tell(gone);
    }
  }
}

NetlinkRequest& FillAddress(NetlinkRequest& request, int interface,
                            const InterfaceAddress& address) {
  auto& header = request.extra<ifaddrmsg>();
  header.ifa_family = FamilyNumber(address.address);
  header.ifa_prefixlen = address.length;
  header.ifa_index = static_cast<uint32_t>(interface);
  header.ifa_scope = address.address.is_link_local() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  request.Put(IFA_LOCAL, address.address.data(), address.address.size());
  request.Put(IFA_ADDRESS, address.address.data(), address.address.size());
  return request;
}

Status RtnetlinkLinks::AddAddress(int interface, const InterfaceAddress& address) {
  NetlinkRequest request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(ifaddrmsg));
  FillAddress(request, interface, address);
  if (address.address.is_v6()) {
    // The gateway's addresses are configured, not guessed: usable at once, without the second of
    // duplicate address detection.
    request.extra<ifaddrmsg>().ifa_flags = IFA_F_NODAD;
  }
  const Status added = requests_->Execute(
      request, fmt::format("adding address {} to interface {}", address.ToString(), interface));
  return !added && added.error().code == Errc::kAlreadyExists ? Status{} : added;
}

Status RtnetlinkLinks::RemoveAddress(int interface, const InterfaceAddress& address) {
  NetlinkRequest request(RTM_DELADDR, 0, sizeof(ifaddrmsg));
  FillAddress(request, interface, address);
  return requests_->Execute(
      request, fmt::format("removing address {} from interface {}", address.ToString(), interface));
}

Status RtnetlinkLinks::SetUp(int interface, bool up) {
  NetlinkRequest request(RTM_NEWLINK, 0, sizeof(ifinfomsg));
  auto& header = request.extra<ifinfomsg>();
  header.ifi_index = interface;
  header.ifi_flags = up ? IFF_UP : 0;
  header.ifi_change = IFF_UP;
  return requests_->Execute(request,
                            fmt::format("setting interface {} {}", interface, up ? "up" : "down"));
}

Status RtnetlinkLinks::SetMtu(int interface, uint32_t mtu) {
  NetlinkRequest request(RTM_NEWLINK, 0, sizeof(ifinfomsg));
  request.extra<ifinfomsg>().ifi_index = interface;
  request.Put(IFLA_MTU, &mtu, sizeof(mtu));
  return requests_->Execute(request, fmt::format("setting MTU {} on interface {}", mtu, interface));
}

Status RtnetlinkLinks::SetMac(int interface, const MacAddress& mac) {
  NetlinkRequest request(RTM_NEWLINK, 0, sizeof(ifinfomsg));
  request.extra<ifinfomsg>().ifi_index = interface;
  request.Put(IFLA_ADDRESS, mac.bytes.data(), mac.bytes.size());
  return requests_->Execute(
      request, fmt::format("setting MAC {} on interface {}", mac.ToString(), interface));
}

Status RtnetlinkLinks::Resolve(int interface, const IpAddress& address) {
  // NTF_USE makes the kernel treat the entry as just used by a packet: it probes a new or stale one
  // and leaves a fresh one alone.
  NetlinkRequest request(RTM_NEWNEIGH, NLM_F_CREATE, sizeof(ndmsg));
  auto& header = request.extra<ndmsg>();
  header.ndm_family = FamilyNumber(address);
  header.ndm_ifindex = interface;
  header.ndm_state = NUD_NONE;
  header.ndm_flags = NTF_USE;
  request.Put(NDA_DST, address.data(), address.size());
  return requests_->Execute(
      request, fmt::format("resolving {} on interface {}", address.ToString(), interface));
}

void FillRoute(NetlinkRequest& request, const Prefix& prefix, int interface) {
  auto& header = request.extra<rtmsg>();
  header.rtm_family = FamilyNumber(prefix.address());
  header.rtm_dst_len = prefix.length();
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_type = RTN_UNICAST;
  if (prefix.length() > 0) {
    request.Put(RTA_DST, prefix.address().data(), prefix.address().size());
  }
  const auto output = static_cast<uint32_t>(interface);
  request.Put(RTA_OIF, &output, sizeof(output));
}

Status RtnetlinkLinks::AddRoute(const Prefix& prefix, int interface, const IpAddress& gateway) {
  NetlinkRequest request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(rtmsg));
  FillRoute(request, prefix, interface);
  const bool on_link = gateway.is_unspecified();
  request.extra<rtmsg>().rtm_scope = on_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  if (!on_link) {
    request.Put(RTA_GATEWAY, gateway.data(), gateway.size());
  }
  return requests_->Execute(
      request, fmt::format("adding Linux route {} to interface {}", prefix.ToString(), interface));
}

Status RtnetlinkLinks::RemoveRoute(const Prefix& prefix, int interface) {
  NetlinkRequest request(RTM_DELROUTE, 0, sizeof(rtmsg));
  FillRoute(request, prefix, interface);
  request.extra<rtmsg>().rtm_scope = RT_SCOPE_NOWHERE;  // any
  return requests_->Execute(request, fmt::format("removing Linux route {} from interface {}",
                                                 prefix.ToString(), interface));
}

}  // namespace

Result<std::unique_ptr<KernelLinks>> KernelLinks::Open(EventLoop& loop, KernelListener listener) {
  auto events =
      NetlinkSocket::Open({RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_NEIGH});
  if (!events) {
    return tl::make_unexpected(events.error());
  }
  auto requests = NetlinkSocket::Open({});
  if (!requests) {
    return tl::make_unexpected(requests.error());
  }
  auto links = std::make_unique<RtnetlinkLinks>(std::move(listener), std::move(*events),
                                                std::move(*requests));
  // Subscribed first, so that nothing is missed between the dump and the first notification.
  if (const Status dumped = links->Dump(); !dumped) {
    return tl::make_unexpected(dumped.error());
  }
  links->Watch(loop);
  return links;
}

Status WriteSysctl(const std::string& name, const std::string& value) {
  // "net/ipv4/conf/p0.5/rp_filter", or with dots where no component has one itself.
  std::string path = name;
  if (path.find('/') == std::string::npos) {
    std::replace(path.begin(), path.end(), '.', '/');
  }
  if (!path.starts_with("net/") || path.find("..") != std::string::npos) {
    return Fail(Errc::kInvalidArgument, "sysctl {}: must be below net", name);
  }
  path = "/proc/sys/" + path;
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) {
    return Fail(errno == ENOENT ? Errc::kNotFound : Errc::kPermission, "{}: {}", path,
                std::strerror(errno));
  }
  const ssize_t written = write(file, value.data(), value.size());
  const int error = errno;
  close(file);
  if (written != static_cast<ssize_t>(value.size())) {
    return Fail(error == EINVAL ? Errc::kInvalidArgument : Errc::kInternal,
                "{}: writing \"{}\": {}", path, value, std::strerror(error));
  }
  return {};
}

}  // namespace penstock
