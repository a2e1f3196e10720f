// Writes FPM frames as zebra does: the tests' own idea of the format.
#pragma once

#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/ip_address.h"

namespace penstock::fpm {

using Bytes = std::vector<uint8_t>;

template <typename T>
Bytes BytesOf(const T& value) {
  Bytes bytes(sizeof(value));
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

inline void Pad(Bytes& bytes) { bytes.resize((bytes.size() + 3) / 4 * 4); }

inline Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

inline Bytes Attribute(uint16_t type, const Bytes& value) {
  rtattr header{};
  header.rta_len = static_cast<uint16_t>(sizeof(header) + value.size());
  header.rta_type = type;
  Bytes bytes = BytesOf(header) + value;
  Pad(bytes);
  return bytes;
}
inline Bytes Attribute(uint16_t type, uint32_t value) { return Attribute(type, BytesOf(value)); }

inline Bytes AddressBytes(const std::string& text) {
  const IpAddress address = IpAddress::Parse(text).value();
  return {address.data(), address.data() + address.size()};
}
inline Bytes GatewayAttribute(uint16_t type, const std::string& text) {
  return Attribute(type, AddressBytes(text));
}

inline Bytes Message(uint16_t type, const Bytes& body) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(sizeof(header) + body.size());
  header.nlmsg_type = type;
  Bytes bytes = BytesOf(header) + body;
  Pad(bytes);
  return bytes;
}

inline Bytes RouteMessage(const std::string& prefix, const Bytes& attributes,
                          uint8_t type = RTN_UNICAST, uint16_t message = RTM_NEWROUTE) {
  const Prefix parsed = Prefix::Parse(prefix).value();
  rtmsg header{};
  header.rtm_family = parsed.family() == Family::kIpv4 ? 2 : 10;
  header.rtm_dst_len = parsed.length();
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = 186;  // bgp
  header.rtm_type = type;
  return Message(message, BytesOf(header) + GatewayAttribute(RTA_DST, parsed.address().ToString()) +
                              attributes);
}

inline Bytes NextHopMessage(uint32_t id, const Bytes& attributes,
                            uint16_t message = RTM_NEWNEXTHOP) {
  nhmsg header{};
  header.nh_family = 2;
  header.nh_protocol = 11;
  return Message(message, BytesOf(header) + Attribute(NHA_ID, id) + attributes);
}

inline Bytes GroupAttribute(const std::vector<std::pair<uint32_t, uint8_t>>& members) {
  Bytes value;
  for (const auto& [id, weight] : members) {
    nexthop_grp member{};
    member.id = id;
    member.weight = static_cast<uint8_t>(weight - 1);
    value = value + BytesOf(member);
  }
  return Attribute(NHA_GROUP, value);
}

inline Bytes MultipathHop(uint32_t interface, uint8_t weight, const Bytes& attributes) {
  rtnexthop header{};
  header.rtnh_len = static_cast<uint16_t>(sizeof(header) + attributes.size());
  header.rtnh_hops = static_cast<uint8_t>(weight - 1);
  header.rtnh_ifindex = static_cast<int>(interface);
  return BytesOf(header) + attributes;
}

inline Bytes Frame(const Bytes& payload) {
  const size_t length = payload.size() + 4;
  return Bytes{1, 1, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length)} + payload;
}

}  // namespace penstock::fpm
