#include "dataplane/route/kernel_messages.h"

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace penstock {
namespace {

// The attributes behind a family header of type T, by number; checked to lie within the message.
template <typename T, uint16_t kMax>
class Attributes {
 public:
  // False if the header is short or the attributes do not fill the message exactly.
  bool Parse(const nlmsghdr& message) {
    const size_t payload = mnl_nlmsg_get_payload_len(&message);
    if (message.nlmsg_len < sizeof(nlmsghdr) || payload < sizeof(T)) {
      return false;
    }
    family_header_ = static_cast<const T*>(mnl_nlmsg_get_payload(&message));
    int left = static_cast<int>(payload) - static_cast<int>(MNL_ALIGN(sizeof(T)));
    const auto* attribute =
        static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(&message, MNL_ALIGN(sizeof(T))));
    while (mnl_attr_ok(attribute, left)) {
      const uint16_t type = mnl_attr_get_type(attribute);
      if (type <= kMax) {
        found_[type] = attribute;
      }
      left -= static_cast<int>(MNL_ALIGN(attribute->nla_len));
      attribute = mnl_attr_next(attribute);
    }
    return left <= 0;
  }
  const T& header() const { return *family_header_; }
  const nlattr* operator[](uint16_t type) const { return found_[type]; }

 private:
  const T* family_header_ = nullptr;
  std::array<const nlattr*, kMax + 1> found_{};
};

std::optional<IpAddress> AddressFrom(const nlattr* attribute, unsigned family) {
  const uint16_t size = mnl_attr_get_payload_len(attribute);
  if (family == AF_INET && size == 4) {
    return IpAddress::V4(mnl_attr_get_payload(attribute));
  }
  if (family == AF_INET6 && size == 16) {
    return IpAddress::V6(mnl_attr_get_payload(attribute));
  }
  return std::nullopt;
}

std::optional<KernelEvent> ParseLink(const nlmsghdr& message) {
  Attributes<ifinfomsg, IFLA_MTU> attributes;
  if (!attributes.Parse(message)) {
    return std::nullopt;
  }
  if (attributes.header().ifi_family != AF_UNSPEC) {
    return Irrelevant{};  // a bridge speaks of its ports
  }
  KernelLink link;
  link.interface = attributes.header().ifi_index;
  link.gone = message.nlmsg_type == RTM_DELLINK;
  const unsigned up = IFF_UP | IFF_RUNNING;
  link.up = !link.gone && (attributes.header().ifi_flags & up) == up;
  const nlattr* name = attributes[IFLA_IFNAME];
  const nlattr* mtu = attributes[IFLA_MTU];
  if (name == nullptr || mnl_attr_validate(name, MNL_TYPE_NUL_STRING) != 0 ||
      mnl_attr_get_payload_len(name) > IFNAMSIZ ||
      (mtu != nullptr && mnl_attr_validate(mtu, MNL_TYPE_U32) != 0)) {
    return std::nullopt;
  }
  link.name = mnl_attr_get_str(name);
  link.mtu = mtu != nullptr ? mnl_attr_get_u32(mtu) : 0;
  return link;
}

std::optional<KernelEvent> ParseAddress(const nlmsghdr& message) {
  Attributes<ifaddrmsg, IFA_LOCAL> attributes;
  if (!attributes.Parse(message)) {
    return std::nullopt;
  }
  const ifaddrmsg& header = attributes.header();
  if (header.ifa_family != AF_INET && header.ifa_family != AF_INET6) {
    return Irrelevant{};
  }
  // On a point-to-point device IFA_ADDRESS is the other end and IFA_LOCAL is ours.
  const nlattr* attribute =
      attributes[IFA_LOCAL] != nullptr ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
  const std::optional<IpAddress> address =
      attribute != nullptr ? AddressFrom(attribute, header.ifa_family) : std::nullopt;
  if (!address || header.ifa_prefixlen > address->max_prefix_length()) {
    return std::nullopt;
  }
  return KernelAddressChange{{static_cast<int>(header.ifa_index), {*address, header.ifa_prefixlen}},
                             message.nlmsg_type == RTM_NEWADDR};
}

std::optional<KernelEvent> ParseNeighbor(const nlmsghdr& message) {
  Attributes<ndmsg, NDA_LLADDR> attributes;
  if (!attributes.Parse(message)) {
    return std::nullopt;
  }
  const ndmsg& header = attributes.header();
  const bool ip = header.ndm_family == AF_INET || header.ndm_family == AF_INET6;
  // NOARP: multicast and the like, made up by the kernel without asking anyone.
  if (!ip || (header.ndm_flags & NTF_PROXY) != 0 || (header.ndm_state & NUD_NOARP) != 0) {
    return Irrelevant{};
  }
  const std::optional<IpAddress> address = attributes[NDA_DST] != nullptr
                                               ? AddressFrom(attributes[NDA_DST], header.ndm_family)
                                               : std::nullopt;
  if (!address) {
    return std::nullopt;
  }
  KernelNeighbor neighbor;
  neighbor.interface = header.ndm_ifindex;
  neighbor.address = *address;
  neighbor.permanent = (header.ndm_state & NUD_PERMANENT) != 0;
  constexpr unsigned kUsable = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
  const nlattr* mac = attributes[NDA_LLADDR];
  if (message.nlmsg_type == RTM_NEWNEIGH && (header.ndm_state & kUsable) != 0 && mac != nullptr &&
      mnl_attr_get_payload_len(mac) == sizeof(MacAddress)) {  // else: not an Ethernet device
    neighbor.mac.emplace();
    std::memcpy(neighbor.mac->bytes.data(), mnl_attr_get_payload(mac), sizeof(MacAddress));
  }
  return neighbor;
}

}  // namespace

std::optional<KernelEvent> ParseKernelMessage(const nlmsghdr& message) {
  switch (message.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return ParseLink(message);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return ParseAddress(message);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return ParseNeighbor(message);
    default:
      return Irrelevant{};
  }
}

}  // namespace penstock
