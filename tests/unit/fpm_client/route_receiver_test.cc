#include "fpm_client/route_receiver.h"

#include <gmock/gmock.h>

#include <thread>

#include "tests/unit/fpm_client/netlink_writer.h"
#include "tests/unit/fpm_client/recording_sink.h"

namespace penstock::fpm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr std::chrono::hours kNeverEnds{1};
constexpr std::chrono::seconds kDeadline{30};

Bytes Single(uint32_t id, uint32_t interface) {
  return NextHopMessage(id, Attribute(NHA_OIF, interface));
}
Bytes Group(uint32_t id, const std::vector<std::pair<uint32_t, uint8_t>>& members) {
  return NextHopMessage(id, GroupAttribute(members));
}
Bytes RemoveNextHop(uint32_t id) { return NextHopMessage(id, {}, RTM_DELNEXTHOP); }
Bytes Route(const std::string& prefix, uint32_t next_hop) {
  return RouteMessage(prefix, Attribute(RTA_NH_ID, next_hop));
}
Bytes Withdrawn(const std::string& prefix) {
  return RouteMessage(prefix, {}, RTN_UNICAST, RTM_DELROUTE);
}

// A receiver with all that it needs; each test chooses how long withdrawals are held.
class Receiver {
 public:
  explicit Receiver(std::chrono::milliseconds hold) : receiver_(loop_, sink_, hold) {
    receiver_.Begin();
  }

  RecordingSink& sink() { return sink_; }
  RouteReceiver* operator->() { return &receiver_; }
  FpmStatus Status() const {
    FpmStatus status;
    receiver_.FillStatus(status);
    return status;
  }
  // Runs the loop until the condition holds; false when it does not in time.
  bool RunUntil(const std::function<bool()>& condition) {
    const Nanoseconds end = SystemClock().Now() + kDeadline;
    while (!condition()) {
      if (SystemClock().Now() > end) {
        return false;
      }
      loop_.RunOnce();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }

 private:
  EventLoop loop_;
  RecordingSink sink_;
  RouteReceiver receiver_;
};

TEST(RouteReceiverTest, ARouteByItsNextHop) {
  Receiver receiver(kNeverEnds);
  receiver->Frame(Single(7, 3) + Route("10.1.0.0/16", 7));
  EXPECT_THAT(receiver.sink().Ways(), ElementsAre(Pair("10.1.0.0/16", "3")));
  EXPECT_NE(receiver->last_route().count(), 0);
  const FpmStatus status = receiver.Status();
  EXPECT_EQ(status.frames, 1u);
  EXPECT_EQ(status.routes_added, 1u);
  EXPECT_EQ(status.next_hops_added, 1u);
  EXPECT_EQ(status.routes, 1u);
  EXPECT_EQ(status.paths, 1u);
}

TEST(RouteReceiverTest, NextHopsInTheRouteItself) {
  Receiver receiver(kNeverEnds);
  receiver->Frame(
      RouteMessage(
          "10.1.0.0/16",
          Attribute(RTA_MULTIPATH, MultipathHop(3, 1, GatewayAttribute(RTA_GATEWAY, "10.0.0.1")) +
                                       MultipathHop(4, 2, {}))) +
      RouteMessage("2001:db8::/32", Attribute(RTA_OIF, 5)) +
      RouteMessage("10.2.0.0/16", {}, RTN_BLACKHOLE));
  EXPECT_THAT(receiver.sink().Ways(),
              ElementsAre(Pair("10.1.0.0/16", "3 via 10.0.0.1 | 4 x2"),
                          Pair("10.2.0.0/16", "blackhole"), Pair("2001:db8::/32", "5")));
}

TEST(RouteReceiverTest, AFrameIsOneCallOfTheGateway) {
  Receiver receiver(kNeverEnds);
  receiver->Frame(Single(7, 3));
  Bytes frame;
  for (int i = 0; i < 200; ++i) {
    frame = frame + Route(fmt::format("10.{}.0.0/16", i), 7);
  }
  receiver->Frame(frame);
  EXPECT_EQ(receiver.sink().applied(), 1u);
  EXPECT_EQ(receiver.sink().size(), 200u);
}

TEST(RouteReceiverTest, ARouteWaitsForItsGroup) {
  Receiver receiver(kNeverEnds);
  receiver->Frame(Route("10.1.0.0/16", 100) + Route("10.2.0.0/16", 100));
  EXPECT_THAT(receiver.sink().Ways(), IsEmpty());
  EXPECT_EQ(receiver.Status().parked, 2u);
  receiver->Frame(Group(100, {{1, 1}, {2, 1}}));
  receiver->Frame(Single(1, 11));
  EXPECT_EQ(receiver.Status().parked, 2u);
  receiver->Frame(Single(2, 12));
  EXPECT_THAT(receiver.sink().Ways(),
              ElementsAre(Pair("10.1.0.0/16", "11 | 12"), Pair("10.2.0.0/16", "11 | 12")));
  EXPECT_EQ(receiver.Status().parked, 0u);
}

TEST(RouteReceiverTest, ARouteThatWaitsLeavesTheOneOfBeforeForwarding) {
  Receiver receiver(kNeverEnds);
  receiver->Frame(Single(7, 3) + Route("10.1.0.0/16", 7));
  receiver->Frame(Withdrawn("10.1.0.0/16") + Route("10.1.0.0/16", 8));
  EXPECT_EQ(receiver.sink().WayOf("10.1.0.0/16"), "3");
  EXPECT_EQ(receiver.Status().held, 0u);
  receiver->Frame(Single(8, 4));
  EXPECT_EQ(receiver.sink().WayOf("10.1.0.0/16"), "4");
  EXPECT_EQ(receiver.sink().HistoryOf("10.1.0.0/16"), "++");
}

TEST(RouteReceiverTest, WhatWaitedAndChangedMeanwhileIsNotSetAnyMore) {
  Receiver receiver(std::chrono::milliseconds(0));
  receiver->Frame(Single(7, 3) + Route("10.1.0.0/16", 8) + Route("10.2.0.0/16", 8) +
                  Route("10.3.0.0/16", 8));
  receiver->Frame(Route("10.1.0.0/16", 7));   // by another next hop
  receiver->Frame(Withdrawn("10.2.0.0/16"));  // gone before it came
  receiver->Frame(Route("10.3.0.0/16", 9));   // waits for another one now
  receiver->Frame(Single(8, 4));
  EXPECT_THAT(receiver.sink().Ways(), ElementsAre(Pair("10.1.0.0/16", "3")));
  EXPECT_EQ(receiver.Status().parked, 1u);
  receiver->Frame(Single(9, 5));
  EXPECT_EQ(receiver.sink().WayOf("10.3.0.0/16"), "5");
}

TEST(RouteReceiverTest, AGroupThatChangesMovesItsRoutesWithoutBeingTold) {
  Receiver receiver(kNeverEnds);
  receiver->Frame(Single(1, 11) + Single(2, 12) + Group(100, {{1, 1}, {2, 1}}) +
                  Route("10.1.0.0/16", 100));
  receiver->Frame(Group(100, {{2, 1}}));
  EXPECT_EQ(receiver.sink().WayOf("10.1.0.0/16"), "12");
  EXPECT_EQ(receiver.sink().HistoryOf("10.1.0.0/16"), "+");
}

TEST(RouteReceiverTest, RouteAndRemovalOfItsNextHopInOneFrame) {
  Receiver receiver(kNeverEnds);
  receiver->Frame(Single(1, 11) + Route("10.1.0.0/16", 1) + RemoveNextHop(1));
  EXPECT_EQ(receiver.sink().WayOf("10.1.0.0/16"), "11");
  EXPECT_EQ(receiver.Status().next_hops_removed, 1u);
}

TEST(RouteReceiverTest, AWithdrawalAndItsReplacementInOneFrameNeverBlink) {
  Receiver receiver(std::chrono::milliseconds(0));
  receiver->Frame(Single(1, 11) + Single(2, 12) + Route("10.1.0.0/16", 1));
  receiver->Frame(Withdrawn("10.1.0.0/16") + Route("10.1.0.0/16", 2));
  EXPECT_EQ(receiver.sink().HistoryOf("10.1.0.0/16"), "++");
  EXPECT_EQ(receiver.sink().WayOf("10.1.0.0/16"), "12");
}

TEST(RouteReceiverTest, TheLastWordOfAFrameCounts) {
  Receiver receiver(std::chrono::milliseconds(0));
  receiver->Frame(Single(1, 11) + Route("10.1.0.0/16", 1) + Withdrawn("10.1.0.0/16") +
                  Route("10.1.0.0/16", 1) + Withdrawn("10.1.0.0/16"));
  EXPECT_EQ(receiver.sink().WayOf("10.1.0.0/16"), "none");
}

TEST(RouteReceiverTest, AHeldWithdrawalIsDroppedWhenThePrefixComesBack) {
  Receiver receiver(kNeverEnds);
  receiver->Frame(Single(1, 11) + Single(2, 12) + Route("10.1.0.0/16", 1));
  receiver->Frame(Withdrawn("10.1.0.0/16"));
  EXPECT_EQ(receiver.sink().WayOf("10.1.0.0/16"), "11");
  EXPECT_EQ(receiver.Status().held, 1u);
  receiver->Frame(Route("10.1.0.0/16", 2));
  EXPECT_EQ(receiver.Status().held, 0u);
  EXPECT_EQ(receiver.sink().HistoryOf("10.1.0.0/16"), "++");
}

TEST(RouteReceiverTest, AHeldWithdrawalTakesEffectWhenNobodyAnnouncesThePrefix) {
  Receiver receiver(std::chrono::milliseconds(5));
  receiver->Frame(Single(1, 11) + Route("10.1.0.0/16", 1) + Route("10.2.0.0/16", 1) +
                  Route("10.3.0.0/16", 1));
  receiver->Frame(Withdrawn("10.1.0.0/16"));
  receiver->Frame(Withdrawn("10.2.0.0/16"));
  receiver->Frame(Route("10.2.0.0/16", 1));
  EXPECT_TRUE(receiver.RunUntil([&] { return !receiver.sink().Has("10.1.0.0/16"); }));
  EXPECT_TRUE(receiver.RunUntil([&] { return receiver.Status().held == 0; }));
  EXPECT_THAT(receiver.sink().Ways(),
              ElementsAre(Pair("10.2.0.0/16", "11"), Pair("10.3.0.0/16", "11")));
}

TEST(RouteReceiverTest, AWithdrawalAfterADroppedOneIsHeldByItself) {
  Receiver receiver(std::chrono::milliseconds(5));
  receiver->Frame(Single(1, 11) + Route("10.1.0.0/16", 1));
  receiver->Frame(Withdrawn("10.1.0.0/16"));
  receiver->Frame(Route("10.1.0.0/16", 1));
  receiver->Frame(Withdrawn("10.1.0.0/16"));
  EXPECT_TRUE(receiver.RunUntil([&] { return receiver.Status().held == 0; }));
  EXPECT_EQ(receiver.sink().HistoryOf("10.1.0.0/16"), "++-");
}

TEST(RouteReceiverTest, ManyHeldWithdrawalsTakeEffectInSlices) {
  constexpr int kRoutes = 10'000;
  Receiver receiver(std::chrono::milliseconds(1));
  receiver->Frame(Single(1, 11));
  for (const bool withdraw : {false, true}) {
    for (int first = 0; first < kRoutes; first += 100) {
      Bytes frame;
      for (int i = first; i < first + 100; ++i) {
        const std::string prefix = fmt::format("10.{}.{}.0/24", i / 250, i % 250);
        frame = frame + (withdraw ? Withdrawn(prefix) : Route(prefix, 1));
      }
      receiver->Frame(frame);
    }
  }
  EXPECT_TRUE(receiver.RunUntil([&] { return receiver.sink().size() == 0; }));
  EXPECT_EQ(receiver.Status().held, 0u);
  EXPECT_EQ(receiver.Status().routes_withdrawn, static_cast<uint64_t>(kRoutes));
}

TEST(RouteReceiverTest, WhatIsNotForTheGatewayIsCountedAndLeftOut) {
  Receiver receiver(kNeverEnds);
  rtmsg kernel{};
  kernel.rtm_family = 2;
  kernel.rtm_dst_len = 16;
  kernel.rtm_table = RT_TABLE_MAIN;
  kernel.rtm_protocol = RTPROT_KERNEL;
  kernel.rtm_type = RTN_UNICAST;
  const Bytes of_kernel =
      Message(RTM_NEWROUTE,
              BytesOf(kernel) + GatewayAttribute(RTA_DST, "10.9.0.0") + Attribute(RTA_OIF, 3));
  receiver->Frame(Single(1, 11) + of_kernel + RouteMessage("fe80::/64", Attribute(RTA_OIF, 3)) +
                  RouteMessage("ff00::/8", Attribute(RTA_OIF, 3)) +
                  RouteMessage("10.8.0.0/16", Attribute(RTA_TABLE, 1000) + Attribute(RTA_OIF, 3)));
  EXPECT_THAT(receiver.sink().Ways(), IsEmpty());
  EXPECT_EQ(receiver.Status().ignored, 4u);
  EXPECT_EQ(receiver.Status().malformed, 0u);
}

TEST(RouteReceiverTest, AMalformedMessageLeavesTheOthersOfItsFrame) {
  Receiver receiver(kNeverEnds);
  receiver->Frame(Single(1, 11) + RouteMessage("10.1.0.0/16", Attribute(RTA_NH_ID, Bytes{1, 2})) +
                  Route("10.2.0.0/16", 1));
  EXPECT_THAT(receiver.sink().Ways(), ElementsAre(Pair("10.2.0.0/16", "11")));
  const FpmStatus status = receiver.Status();
  EXPECT_EQ(status.malformed, 1u);
  EXPECT_THAT(status.last_error, HasSubstr("route message of 10.1.0.0/16: attribute 30"));
  EXPECT_NE(status.last_error_at.count(), 0);
}

TEST(RouteReceiverTest, AMessageThatIsCutOffEndsItsFrame) {
  Receiver receiver(kNeverEnds);
  Bytes cut = Route("10.1.0.0/16", 1);
  cut.resize(cut.size() - 4);
  receiver->Frame(Single(1, 11) + Route("10.2.0.0/16", 1) + cut);
  EXPECT_THAT(receiver.sink().Ways(), ElementsAre(Pair("10.2.0.0/16", "11")));
  EXPECT_EQ(receiver.Status().malformed, 1u);
}

TEST(RouteReceiverTest, WhatANewConnectionDoesNotRepeatIsSweptAndForwardsUntilThen) {
  Receiver receiver(kNeverEnds);
  receiver->Frame(Single(1, 11) + Single(2, 12) + Route("10.1.0.0/16", 1) +
                  Route("10.2.0.0/16", 2));
  receiver->Begin();
  EXPECT_EQ(receiver.Status().stale, 2u);
  EXPECT_EQ(receiver->last_route().count(), 0);
  // The number 1 is another next hop now; the route of before keeps the old one.
  receiver->Frame(Single(1, 99));
  EXPECT_EQ(receiver.sink().WayOf("10.1.0.0/16"), "11");
  receiver->Frame(Route("10.1.0.0/16", 1));
  EXPECT_THAT(receiver.sink().Ways(),
              ElementsAre(Pair("10.1.0.0/16", "99"), Pair("10.2.0.0/16", "12")));
  while (!receiver->SweepSome()) {
  }
  EXPECT_THAT(receiver.sink().Ways(), ElementsAre(Pair("10.1.0.0/16", "99")));
  EXPECT_EQ(receiver.Status().next_hops, 1u);
  EXPECT_EQ(receiver.Status().paths, 1u);
}

TEST(RouteReceiverTest, WhatWaitsForANextHopEndsWithItsConnection) {
  Receiver receiver(kNeverEnds);
  receiver->Frame(Route("10.1.0.0/16", 5));
  receiver->Begin();
  EXPECT_EQ(receiver.Status().parked, 0u);
  receiver->Frame(Single(5, 3));  // of the new connection: 5 may be another next hop
  EXPECT_THAT(receiver.sink().Ways(), IsEmpty());
}

TEST(RouteReceiverTest, AWithdrawalThatIsHeldOutlivesItsConnection) {
  Receiver receiver(std::chrono::milliseconds(5));
  receiver->Frame(Single(1, 11) + Route("10.1.0.0/16", 1) + Withdrawn("10.1.0.0/16"));
  receiver->Begin();
  EXPECT_TRUE(receiver.RunUntil([&] { return receiver.sink().size() == 0; }));
}

TEST(RouteReceiverTest, AnnouncementsAreToldWithTheirProtocol) {
  Receiver receiver(kNeverEnds);
  std::vector<std::string> told;
  receiver->OnAnnounced([&](std::span<const RouteUpdate> updates, uint8_t protocol) {
    for (const RouteUpdate& update : updates) {
      told.push_back(fmt::format("{} {}", update.prefix.ToString(), ProtocolName(protocol)));
    }
  });
  rtmsg fixed{};
  fixed.rtm_family = 2;
  fixed.rtm_dst_len = 16;
  fixed.rtm_table = RT_TABLE_MAIN;
  fixed.rtm_protocol = 196;  // static
  fixed.rtm_type = RTN_UNICAST;
  const Bytes of_staticd =
      Message(RTM_NEWROUTE,
              BytesOf(fixed) + GatewayAttribute(RTA_DST, "10.9.0.0") + Attribute(RTA_NH_ID, 1));
  receiver->Frame(Single(1, 11) + Route("10.1.0.0/16", 1) + of_staticd + Withdrawn("10.1.0.0/16"));
  EXPECT_THAT(told, ElementsAre("10.1.0.0/16 bgp", "10.9.0.0/16 static"));
}

}  // namespace
}  // namespace penstock::fpm
