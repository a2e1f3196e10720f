#include "fpm_client/route_message.h"

#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>

#include "fpm_client/frame.h"

namespace penstock::fpm {
namespace {

constexpr size_t kAlignment = 4;
constexpr size_t kMostHops = 256;  // above what zebra makes and what a path can have
constexpr uint8_t kFamilyV4 = 2;   // AF_INET
constexpr uint8_t kFamilyV6 = 10;  // AF_INET6

constexpr size_t Aligned(size_t size) { return (size + kAlignment - 1) & ~(kAlignment - 1); }

// A wire struct from the start of `bytes`; false if there are not enough.
template <typename T>
bool Read(std::span<const uint8_t> bytes, T& out) {
  if (bytes.size() < sizeof(T)) {
    return false;
  }
  std::memcpy(&out, bytes.data(), sizeof(T));
  return true;
}

struct Attribute {
  uint16_t type = 0;
  std::span<const uint8_t> value;
};

// Attribute by attribute; `broken` when a length leaves the message.
class Attributes {
 public:
  explicit Attributes(std::span<const uint8_t> bytes) : rest_(bytes) {}
  bool Next(Attribute& out) {
    rtattr header{};
    if (!Read(rest_, header)) {
      broken_ = broken_ || !rest_.empty();
      return false;
    }
    if (header.rta_len < sizeof(header) || header.rta_len > rest_.size()) {
      broken_ = true;
      return false;
    }
    out.type = header.rta_type & NLA_TYPE_MASK;
    out.value = rest_.subspan(sizeof(header), header.rta_len - sizeof(header));
    rest_ = rest_.subspan(std::min(Aligned(header.rta_len), rest_.size()));
    return true;
  }
  bool broken() const { return broken_; }

 private:
  std::span<const uint8_t> rest_;
  bool broken_ = false;
};

std::optional<IpAddress> ReadAddress(std::span<const uint8_t> value) {
  if (value.size() == 4) {
    return IpAddress::V4(value.data());
  }
  return value.size() == 16 ? std::optional(IpAddress::V6(value.data())) : std::nullopt;
}

// RTA_VIA: a gateway of the other family, behind its family's number.
std::optional<IpAddress> ReadVia(std::span<const uint8_t> value) {
  uint16_t family = 0;
  return Read(value, family) ? ReadAddress(value.subspan(sizeof(family))) : std::nullopt;
}

// What one hop's attributes say; false if one of them is malformed.
bool TakeHopAttribute(const Attribute& attribute, Hop& hop) {
  switch (attribute.type) {
    case RTA_OIF:
      return Read(attribute.value, hop.interface);
    case RTA_GATEWAY:
      hop.gateway = ReadAddress(attribute.value);
      return hop.gateway.has_value();
    case RTA_VIA:
      hop.gateway = ReadVia(attribute.value);
      return hop.gateway.has_value();
    default:
      return true;
  }
}

bool ReadMultipath(std::span<const uint8_t> value, std::vector<Hop>& hops) {
  while (!value.empty()) {
    rtnexthop header{};
    if (!Read(value, header) || header.rtnh_len < sizeof(header) ||
        header.rtnh_len > value.size() || hops.size() == kMostHops) {
      return false;
    }
    Hop hop;
    hop.interface = static_cast<uint32_t>(header.rtnh_ifindex);
    hop.weight = header.rtnh_hops + 1u;
    hop.onlink = (header.rtnh_flags & RTNH_F_ONLINK) != 0;
    Attributes attributes(value.subspan(sizeof(header), header.rtnh_len - sizeof(header)));
    for (Attribute attribute; attributes.Next(attribute);) {
      if (!TakeHopAttribute(attribute, hop)) {
        return false;
      }
    }
    if (attributes.broken()) {
      return false;
    }
    hops.push_back(hop);
    value = value.subspan(std::min(Aligned(header.rtnh_len), value.size()));
  }
  return true;
}

// Nothing: a type that is no route of ours (local, multicast, broadcast, ...).
std::optional<PathAction> ActionOf(uint8_t route_type) {
  switch (route_type) {
    case RTN_UNSPEC:  // of a withdrawal
    case RTN_UNICAST:
      return PathAction::kForward;
    case RTN_BLACKHOLE:
      return PathAction::kBlackhole;
    case RTN_PROHIBIT:
      return PathAction::kProhibit;
    case RTN_UNREACHABLE:
      return PathAction::kUnreachable;
    default:
      return std::nullopt;
  }
}

bool IsOfALinkOnly(const IpAddress& address) {
  return address.is_multicast() || (address.is_v6() && address.is_link_local());
}

tl::unexpected<Error> Malformed(const char* what, const std::string& of, uint16_t attribute) {
  return Fail(Errc::kInvalidArgument, "{} message of {}: attribute {} has a wrong length", what, of,
              attribute);
}

// One attribute of a route; false if it is malformed.
bool TakeRouteAttribute(const Attribute& attribute, RouteChange& route, IpAddress& destination,
                        std::optional<Hop>& single) {
  switch (attribute.type) {
    case RTA_DST:
      if (attribute.value.size() != destination.size()) {
        return false;
      }
      destination = *ReadAddress(attribute.value);
      return true;
    case RTA_TABLE:
      return Read(attribute.value, route.table);
    case RTA_PRIORITY:
      return Read(attribute.value, route.priority);
    case RTA_NH_ID:
      return Read(attribute.value, route.next_hop_id);
    case RTA_MULTIPATH:
      return ReadMultipath(attribute.value, route.path.hops);
    case RTA_OIF:
    case RTA_GATEWAY:
    case RTA_VIA:
      if (!single) {
        single.emplace();
      }
      return TakeHopAttribute(attribute, *single);
    default:
      return true;
  }
}

Result<MessageKind> ParseRoute(std::span<const uint8_t> body, bool withdraw, RouteChange& route) {
  rtmsg header{};
  if (!Read(body, header)) {
    return Fail(Errc::kInvalidArgument,
                "route message with {} bytes behind its header: expected {}", body.size(),
                sizeof(header));
  }
  const bool v4 = header.rtm_family == kFamilyV4;
  const std::optional<PathAction> action = ActionOf(header.rtm_type);
  if ((!v4 && header.rtm_family != kFamilyV6) || !action) {
    return MessageKind::kIgnored;
  }
  route.withdraw = withdraw;
  route.protocol = header.rtm_protocol;
  route.table = header.rtm_table;
  route.priority = 0;
  route.next_hop_id = 0;
  route.path.action = *action;
  route.path.hops.clear();
  IpAddress destination = IpAddress::Any(v4 ? Family::kIpv4 : Family::kIpv6);
  if (header.rtm_dst_len > destination.max_prefix_length()) {
    return Fail(Errc::kInvalidArgument, "route message with a prefix length of {}: at most {}",
                header.rtm_dst_len, destination.max_prefix_length());
  }
  std::optional<Hop> single;
  Attributes attributes(body.subspan(std::min(Aligned(sizeof(header)), body.size())));
  for (Attribute attribute; attributes.Next(attribute);) {
    if (!TakeRouteAttribute(attribute, route, destination, single)) {
      return Malformed("route", Prefix(destination, header.rtm_dst_len).ToString(), attribute.type);
    }
  }
  route.prefix = Prefix(destination, header.rtm_dst_len);
  if (attributes.broken()) {
    return Fail(Errc::kInvalidArgument, "route message of {}: an attribute leaves the message",
                route.prefix.ToString());
  }
  if (single && route.path.hops.empty()) {
    single->onlink = (header.rtm_flags & RTNH_F_ONLINK) != 0;
    route.path.hops.push_back(*single);
  }
  if (route.path.action != PathAction::kForward) {
    route.path.hops.clear();
  }
  if (!withdraw && route.path.action == PathAction::kForward && route.next_hop_id == 0 &&
      route.path.hops.empty()) {
    return Fail(Errc::kInvalidArgument, "route message of {}: it has no next hop",
                route.prefix.ToString());
  }
  return route.prefix.length() != 0 && IsOfALinkOnly(destination) ? MessageKind::kIgnored
                                                                  : MessageKind::kRoute;
}

bool ReadGroup(std::span<const uint8_t> value, std::vector<GroupMemberId>& group) {
  if (value.empty() || value.size() % sizeof(nexthop_grp) != 0 ||
      value.size() / sizeof(nexthop_grp) > kMostHops) {
    return false;
  }
  group.clear();
  for (nexthop_grp member{}; Read(value, member); value = value.subspan(sizeof(member))) {
    group.push_back({member.id, member.weight + 1u});
  }
  return true;
}

bool TakeNextHopAttribute(const Attribute& attribute, NextHopChange& change) {
  switch (attribute.type) {
    case NHA_ID:
      return Read(attribute.value, change.id);
    case NHA_GROUP:
      return ReadGroup(attribute.value, change.group);
    case NHA_BLACKHOLE:
      change.action = PathAction::kBlackhole;
      return true;
    case NHA_OIF:
      return Read(attribute.value, change.hop.interface);
    case NHA_GATEWAY:
      change.hop.gateway = ReadAddress(attribute.value);
      return change.hop.gateway.has_value();
    default:
      return true;
  }
}

Result<MessageKind> ParseNextHop(std::span<const uint8_t> body, bool remove,
                                 NextHopChange& change) {
  nhmsg header{};
  if (!Read(body, header)) {
    return Fail(Errc::kInvalidArgument,
                "next hop message with {} bytes behind its header: expected {}", body.size(),
                sizeof(header));
  }
  change.id = 0;
  change.remove = remove;
  change.group.clear();
  change.action = PathAction::kForward;
  change.hop = {};
  change.hop.onlink = (header.nh_flags & RTNH_F_ONLINK) != 0;
  Attributes attributes(body.subspan(sizeof(header)));
  for (Attribute attribute; attributes.Next(attribute);) {
    if (!TakeNextHopAttribute(attribute, change)) {
      return Malformed("next hop", fmt::format("number {}", change.id), attribute.type);
    }
  }
  if (attributes.broken() || change.id == 0) {
    return Fail(Errc::kInvalidArgument, "next hop message of number {}: {}", change.id,
                attributes.broken() ? "an attribute leaves the message" : "0 is no number");
  }
  return MessageKind::kNextHop;
}

template <typename T>
void Append(const T& value, std::vector<uint8_t>& out) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof(value));
}

void AppendAttribute(uint16_t type, const uint8_t* value, size_t size, std::vector<uint8_t>& out) {
  rtattr header{};
  header.rta_len = static_cast<uint16_t>(sizeof(header) + size);
  header.rta_type = type;
  Append(header, out);
  out.insert(out.end(), value, value + size);
}

}  // namespace

Result<std::optional<std::span<const uint8_t>>> NextMessage(std::span<const uint8_t>& payload) {
  if (payload.empty()) {
    return std::nullopt;
  }
  nlmsghdr header{};
  if (!Read(payload, header) || header.nlmsg_len < sizeof(header) ||
      header.nlmsg_len > payload.size()) {
    return Fail(Errc::kInvalidArgument, "message of {} bytes where {} are left of its frame",
                header.nlmsg_len, payload.size());
  }
  const std::span<const uint8_t> message = payload.first(header.nlmsg_len);
  payload = payload.subspan(std::min(Aligned(header.nlmsg_len), payload.size()));
  return message;
}

Result<MessageKind> ParseMessage(std::span<const uint8_t> message, RouteChange& route,
                                 NextHopChange& next_hop) {
  nlmsghdr header{};
  if (!Read(message, header)) {
    return Fail(Errc::kInvalidArgument, "message of {} bytes: expected {} or more", message.size(),
                sizeof(header));
  }
  const std::span<const uint8_t> body = message.subspan(sizeof(header));
  switch (header.nlmsg_type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return ParseRoute(body, header.nlmsg_type == RTM_DELROUTE, route);
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
      return ParseNextHop(body, header.nlmsg_type == RTM_DELNEXTHOP, next_hop);
    default:
      return MessageKind::kIgnored;
  }
}

// The numbers of FRR's daemons as zebra gives them to the kernel (rt_netlink.h), and Linux's own.
std::string ProtocolName(uint8_t protocol) {
  switch (protocol) {
    case RTPROT_REDIRECT:
      return "redirect";
    case RTPROT_KERNEL:
      return "kernel";
    case RTPROT_BOOT:
      return "boot";
    case RTPROT_STATIC:
    case 196:
      return "static";
    case 11:
      return "zebra";
    case 186:
      return "bgp";
    case 187:
      return "isis";
    case 188:
      return "ospf";
    case 189:
      return "rip";
    case 190:
      return "ripng";
    case 191:
      return "nhrp";
    case 192:
      return "eigrp";
    case 193:
      return "ldp";
    case 194:
      return "sharp";
    case 195:
      return "pbr";
    case 197:
      return "openfabric";
    default:
      return std::to_string(protocol);
  }
}

void AppendAcknowledgement(const Prefix& prefix, uint8_t protocol, uint32_t table,
                           uint32_t priority, bool offloaded, std::vector<uint8_t>& out) {
  const size_t start = out.size();
  out.insert(out.end(), {kFrameVersion, kFrameNetlink, 0, 0});
  nlmsghdr header{};
  header.nlmsg_type = RTM_NEWROUTE;
  header.nlmsg_flags = NLM_F_REQUEST;
  rtmsg route{};
  route.rtm_family = prefix.family() == Family::kIpv4 ? kFamilyV4 : kFamilyV6;
  route.rtm_dst_len = prefix.length();
  route.rtm_table = table < 256 ? static_cast<uint8_t>(table) : uint8_t{RT_TABLE_UNSPEC};
  route.rtm_protocol = protocol;
  route.rtm_type = RTN_UNICAST;
  route.rtm_flags = offloaded ? RTM_F_OFFLOAD : RTM_F_OFFLOAD_FAILED;
  Append(header, out);
  Append(route, out);
  AppendAttribute(RTA_DST, prefix.address().data(), prefix.address().size(), out);
  AppendAttribute(RTA_TABLE, reinterpret_cast<const uint8_t*>(&table), sizeof(table), out);
  AppendAttribute(RTA_PRIORITY, reinterpret_cast<const uint8_t*>(&priority), sizeof(priority), out);
  const size_t length = out.size() - start;
  out[start + 2] = static_cast<uint8_t>(length >> 8);
  out[start + 3] = static_cast<uint8_t>(length);
  header.nlmsg_len = static_cast<uint32_t>(length - kFrameHeaderLength);
  std::memcpy(&out[start + kFrameHeaderLength], &header, sizeof(header));
}

}  // namespace penstock::fpm
