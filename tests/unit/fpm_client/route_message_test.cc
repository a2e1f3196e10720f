#include "fpm_client/route_message.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "fpm_client/frame.h"
#include "tests/unit/fpm_client/netlink_writer.h"

namespace penstock::fpm {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

Hop MakeHop(uint32_t interface, const std::string& gateway, uint32_t weight = 1) {
  Hop hop;
  hop.interface = interface;
  hop.weight = weight;
  if (!gateway.empty()) {
    hop.gateway = IpAddress::Parse(gateway).value();
  }
  return hop;
}

class RouteMessageTest : public ::testing::Test {
 protected:
  MessageKind Parse(const Bytes& message) {
    const Result<MessageKind> kind = ParseMessage(message, route_, next_hop_);
    EXPECT_TRUE(kind) << (kind ? "" : kind.error().message);
    return kind.value_or(MessageKind::kIgnored);
  }
  std::string ErrorOf(const Bytes& message) {
    const Result<MessageKind> kind = ParseMessage(message, route_, next_hop_);
    return kind ? "" : kind.error().message;
  }
  RouteChange route_;
  NextHopChange next_hop_;
};

TEST_F(RouteMessageTest, ARouteThatNamesAGroup) {
  ASSERT_EQ(
      Parse(RouteMessage("10.2.0.0/16", Attribute(RTA_PRIORITY, 20) + Attribute(RTA_NH_ID, 17))),
      MessageKind::kRoute);
  EXPECT_EQ(route_.prefix.ToString(), "10.2.0.0/16");
  EXPECT_FALSE(route_.withdraw);
  EXPECT_EQ(route_.protocol, 186);
  EXPECT_EQ(route_.table, 254u);
  EXPECT_EQ(route_.priority, 20u);
  EXPECT_EQ(route_.next_hop_id, 17u);
  EXPECT_THAT(route_.path.hops, IsEmpty());
}

TEST_F(RouteMessageTest, ATableOfItsOwnNumberAndADefaultRouteWithoutDestination) {
  rtmsg header{};
  header.rtm_family = 10;
  header.rtm_type = RTN_UNICAST;
  ASSERT_EQ(Parse(Message(RTM_NEWROUTE,
                          BytesOf(header) + Attribute(RTA_TABLE, 1000) + Attribute(RTA_NH_ID, 3))),
            MessageKind::kRoute);
  EXPECT_EQ(route_.prefix.ToString(), "::/0");
  EXPECT_EQ(route_.table, 1000u);
}

TEST_F(RouteMessageTest, AWithdrawalNeedsNoNextHop) {
  ASSERT_EQ(Parse(RouteMessage("2001:db8::/32", {}, RTN_UNSPEC, RTM_DELROUTE)),
            MessageKind::kRoute);
  EXPECT_TRUE(route_.withdraw);
  EXPECT_EQ(route_.prefix.ToString(), "2001:db8::/32");
}

TEST_F(RouteMessageTest, NextHopsInsideTheRoute) {
  ASSERT_EQ(Parse(RouteMessage("10.2.0.0/16",
                               GatewayAttribute(RTA_GATEWAY, "192.0.2.1") + Attribute(RTA_OIF, 5))),
            MessageKind::kRoute);
  EXPECT_THAT(route_.path.hops, ::testing::ElementsAre(MakeHop(5, "192.0.2.1")));

  const Bytes via = Attribute(RTA_VIA, Bytes{10, 0} + AddressBytes("fe80::1"));
  ASSERT_EQ(
      Parse(RouteMessage(
          "10.2.0.0/16",
          Attribute(RTA_MULTIPATH, MultipathHop(5, 1, GatewayAttribute(RTA_GATEWAY, "192.0.2.1")) +
                                       MultipathHop(6, 3, via) + MultipathHop(7, 2, {})))),
      MessageKind::kRoute);
  EXPECT_THAT(
      route_.path.hops,
      ::testing::ElementsAre(MakeHop(5, "192.0.2.1"), MakeHop(6, "fe80::1", 3), MakeHop(7, "", 2)));
}

TEST_F(RouteMessageTest, TypesThatCarryNothing) {
  const std::pair<uint8_t, PathAction> rows[] = {{RTN_BLACKHOLE, PathAction::kBlackhole},
                                                 {RTN_UNREACHABLE, PathAction::kUnreachable},
                                                 {RTN_PROHIBIT, PathAction::kProhibit}};
  for (const auto& [type, action] : rows) {
    ASSERT_EQ(Parse(RouteMessage("10.2.0.0/16", {}, type)), MessageKind::kRoute);
    EXPECT_EQ(route_.path.action, action);
    EXPECT_THAT(route_.path.hops, IsEmpty());
  }
}

TEST_F(RouteMessageTest, NextHopsAndGroups) {
  ASSERT_EQ(Parse(NextHopMessage(
                9, GatewayAttribute(NHA_GATEWAY, "169.254.21.1") + Attribute(NHA_OIF, 12))),
            MessageKind::kNextHop);
  EXPECT_EQ(next_hop_.id, 9u);
  EXPECT_EQ(next_hop_.hop, MakeHop(12, "169.254.21.1"));
  EXPECT_THAT(next_hop_.group, IsEmpty());

  ASSERT_EQ(Parse(NextHopMessage(10, GroupAttribute({{9, 1}, {8, 200}}))), MessageKind::kNextHop);
  ASSERT_EQ(next_hop_.group.size(), 2u);
  EXPECT_EQ(next_hop_.group[1].id, 8u);
  EXPECT_EQ(next_hop_.group[1].weight, 200u);
  EXPECT_FALSE(next_hop_.remove);

  ASSERT_EQ(Parse(NextHopMessage(11, Attribute(NHA_BLACKHOLE, Bytes{}))), MessageKind::kNextHop);
  EXPECT_EQ(next_hop_.action, PathAction::kBlackhole);
  EXPECT_THAT(next_hop_.group, IsEmpty()) << "nothing stays of the message before";
  ASSERT_EQ(Parse(NextHopMessage(11, {}, RTM_DELNEXTHOP)), MessageKind::kNextHop);
  EXPECT_TRUE(next_hop_.remove);
}

TEST_F(RouteMessageTest, WhatIsNotForUsIsIgnored) {
  const Bytes id = Attribute(RTA_NH_ID, 3);
  for (const uint8_t type : {RTN_LOCAL, RTN_BROADCAST, RTN_MULTICAST, RTN_ANYCAST}) {
    EXPECT_EQ(Parse(RouteMessage("10.2.0.0/16", id, type)), MessageKind::kIgnored);
  }
  for (const char* prefix : {"fe80::/64", "ff00::/8", "224.0.0.0/4", "fe80::1/128"}) {
    EXPECT_EQ(Parse(RouteMessage(prefix, id)), MessageKind::kIgnored) << prefix;
  }
  EXPECT_EQ(Parse(RouteMessage("169.254.21.0/30", id)), MessageKind::kRoute);
  EXPECT_EQ(Parse(Message(RTM_NEWNEIGH, Bytes(12))), MessageKind::kIgnored);
  rtmsg mpls{};
  mpls.rtm_family = 28;
  EXPECT_EQ(Parse(Message(RTM_NEWROUTE, BytesOf(mpls))), MessageKind::kIgnored);
}

TEST_F(RouteMessageTest, WhatIsMalformedIsToldWithItsPrefix) {
  EXPECT_THAT(ErrorOf(RouteMessage("10.2.0.0/16", Attribute(RTA_NH_ID, Bytes{1, 2}))),
              ::testing::AllOf(HasSubstr("10.2.0.0/16"), HasSubstr("attribute 30")));
  EXPECT_THAT(ErrorOf(RouteMessage("10.2.0.0/16", {})), HasSubstr("no next hop"));
  EXPECT_THAT(ErrorOf(RouteMessage("10.2.0.0/16", Bytes{200, 0, 1, 0})), HasSubstr("leaves"));
  EXPECT_THAT(ErrorOf(NextHopMessage(0, {})), HasSubstr("0 is no number"));
  EXPECT_THAT(ErrorOf(NextHopMessage(7, Attribute(NHA_GROUP, Bytes(7)))), HasSubstr("number 7"));
  EXPECT_THAT(ErrorOf(NextHopMessage(7, Attribute(NHA_GATEWAY, Bytes(5)))), HasSubstr("number 7"));
  Bytes long_prefix = RouteMessage("10.2.0.0/16", Attribute(RTA_NH_ID, 1));
  long_prefix[sizeof(nlmsghdr) + 1] = 33;
  EXPECT_THAT(ErrorOf(long_prefix), HasSubstr("33"));
}

// Every cut of a good message is refused or harmless, and never read beyond its end.
TEST_F(RouteMessageTest, CutMessagesAreSurvived) {
  const Bytes messages[] = {
      RouteMessage("10.2.0.0/16",
                   Attribute(RTA_MULTIPATH,
                             MultipathHop(5, 1, GatewayAttribute(RTA_GATEWAY, "192.0.2.1")) +
                                 MultipathHop(6, 1, GatewayAttribute(RTA_GATEWAY, "192.0.2.5")))),
      NextHopMessage(10, GroupAttribute({{9, 1}, {8, 2}}))};
  for (const Bytes& message : messages) {
    for (size_t size = 0; size < message.size(); ++size) {
      const Bytes cut(message.begin(), message.begin() + static_cast<ptrdiff_t>(size));
      (void)ParseMessage(cut, route_, next_hop_);
      std::span<const uint8_t> payload(cut);
      EXPECT_EQ(NextMessage(payload).has_value(), size == 0) << size;
    }
  }
}

TEST_F(RouteMessageTest, SeveralMessagesStandInAFrame) {
  const Bytes bytes = RouteMessage("10.0.0.0/8", Attribute(RTA_NH_ID, 1)) +
                      NextHopMessage(4, Attribute(NHA_OIF, 2)) +
                      RouteMessage("10.0.0.0/8", {}, RTN_UNSPEC, RTM_DELROUTE);
  std::span<const uint8_t> payload(bytes);
  std::vector<MessageKind> kinds;
  for (;;) {
    const auto message = NextMessage(payload);
    ASSERT_TRUE(message) << message.error().message;
    if (!*message) {
      break;
    }
    kinds.push_back(ParseMessage(**message, route_, next_hop_).value());
  }
  EXPECT_THAT(kinds, ::testing::ElementsAre(MessageKind::kRoute, MessageKind::kNextHop,
                                            MessageKind::kRoute));
}

TEST_F(RouteMessageTest, AnAcknowledgementIsAFrameThatSaysTheSameRoute) {
  for (const bool offloaded : {true, false}) {
    Bytes frame;
    AppendAcknowledgement(Prefix::Parse("2001:db8::/32").value(), 186, 1000, 20, offloaded, frame);
    ASSERT_EQ(static_cast<size_t>(frame[2]) << 8 | frame[3], frame.size());
    rtmsg header{};
    std::memcpy(&header, &frame[kFrameHeaderLength + sizeof(nlmsghdr)], sizeof(header));
    EXPECT_EQ(header.rtm_flags, offloaded ? RTM_F_OFFLOAD : RTM_F_OFFLOAD_FAILED);
    EXPECT_EQ(header.rtm_protocol, 186);
    std::span<const uint8_t> payload = std::span(frame).subspan(kFrameHeaderLength);
    const auto message = NextMessage(payload);
    ASSERT_TRUE(message && *message);
    // It names no next hop: zebra knows them. Everything else reads as the route.
    EXPECT_THAT(ErrorOf({(*message)->begin(), (*message)->end()}), HasSubstr("no next hop"));
    EXPECT_EQ(route_.prefix.ToString(), "2001:db8::/32");
    EXPECT_EQ(route_.table, 1000u);
    EXPECT_EQ(route_.priority, 20u);
  }
}

TEST(ProtocolNameTest, KnowsZebrasDaemons) {
  EXPECT_EQ(ProtocolName(186), "bgp");
  EXPECT_EQ(ProtocolName(196), "static");
  EXPECT_EQ(ProtocolName(2), "kernel");
  EXPECT_EQ(ProtocolName(77), "77");
}

}  // namespace
}  // namespace penstock::fpm
