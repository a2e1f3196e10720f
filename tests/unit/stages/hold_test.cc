#include "tests/unit/stages/slow_path_fixture.h"

namespace penstock {
namespace {

class HoldTest : public SlowPathTest {
 protected:
  HoldTest() {
    gateway_ = *tables_.next_hops.AddForward(2, *IpAddress::Parse("203.0.113.1"));
    glean_ = *tables_.next_hops.AddGlean(3);
    Route("198.51.100.0/24", gateway_);
    Route("203.0.113.0/24", glean_);
  }
  void Route(const char* prefix, uint32_t next_hop) {
    ASSERT_TRUE(tables_.fib.Set(*Prefix::Parse(prefix), next_hop));
  }
  void Resolve(uint32_t next_hop) {
    tables_.next_hops.SetLink(next_hop, LinkHeader{{2, 0, 0, 0, 0, 9}, {2, 0, 0, 0, 0, 8}, 1, {}});
  }
  Packet* To(const std::string& destination, uint32_t next_hop) {
    Packet* packet = Frame(MakeIp({.destination = destination}, Random(32, ++sent_)));
    NotesOf(packet).next_hop = next_hop;
    return packet;
  }
  Packet* ToGateway() { return To("198.51.100.7", gateway_); }
  std::vector<WorkerEvent> Events() {
    std::vector<WorkerEvent> events;
    WorkerEvent event{};
    while (PopEvent(worker_, event)) {
      events.push_back(event);
    }
    return events;
  }
  // What ReleaseHeld puts on the lane.
  std::vector<Packet*> Released() {
    ReleaseHeld(*context_);
    std::vector<Packet*> packets(context_->forward.begin(), context_->forward.end());
    context_->forward.Clear();
    for (Packet* packet : packets) {
      Release(packet);
    }
    ExpectBalance();
    return packets;
  }
  uint32_t gateway_ = 0, glean_ = 0;
  unsigned sent_ = 0;
};

TEST_F(HoldTest, PacketsLeaveInOrderOnceTheGatewayResolves) {
  std::vector<Packet*> packets;
  for (unsigned i = 0; i < 10; ++i) {
    packets.push_back(ToGateway());
    HoldForNeighbor(*context_, packets.back());
  }
  EXPECT_EQ(held(), 10u);
  EXPECT_TRUE(Released().empty());
  Resolve(gateway_);
  AdvanceMilliseconds(1);
  EXPECT_EQ(Released(), packets);
  EXPECT_EQ(held(), 0u);
}

TEST_F(HoldTest, AnOnLinkDestinationLeavesByItsNewHostRoute) {
  Packet* packet = To("203.0.113.77", glean_);
  Packet* other = To("203.0.113.78", glean_);
  HoldForNeighbor(*context_, packet);
  HoldForNeighbor(*context_, other);
  const auto events = Events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, WorkerEvent::Kind::kResolveNeighbor);
  EXPECT_EQ(events[0].address, *IpAddress::Parse("203.0.113.77"));
  EXPECT_EQ(events[0].port, 3);
  EXPECT_EQ(events[0].next_hop, glean_);
  const uint32_t host = *tables_.next_hops.AddForward(3, *IpAddress::Parse("203.0.113.77"));
  Resolve(host);
  Route("203.0.113.77/32", host);
  ReleaseHeld(*context_);
  ASSERT_EQ(context_->forward.count, 1u);
  EXPECT_EQ(context_->forward.packets[0], packet);
  EXPECT_EQ(NotesOf(packet).next_hop, host);
  EXPECT_EQ(held(), 1u);
  ExpectBalance(1);
}

TEST_F(HoldTest, Ipv6NeighborsAreAskedForToo) {
  const uint32_t glean = *tables_.next_hops.AddGlean(1);
  Route("2001:db8::/64", glean);
  Packet* packet = Frame(MakeIp({"2001:db8:1::1", "2001:db8::77"}, Random(32, 1)));
  NotesOf(packet).next_hop = glean;
  HoldForNeighbor(*context_, packet);
  const auto events = Events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].address, *IpAddress::Parse("2001:db8::77"));
}

TEST_F(HoldTest, OneQuestionForANeighborInATenthOfASecond) {
  for (unsigned i = 0; i < 20; ++i) {
    HoldForNeighbor(*context_, ToGateway());
    HoldForNeighbor(*context_, To("203.0.113.77", glean_));
  }
  EXPECT_EQ(Events().size(), 2u);
  AdvanceMilliseconds(99);
  HoldForNeighbor(*context_, ToGateway());
  EXPECT_EQ(Events().size(), 0u);
  AdvanceMilliseconds(1);
  HoldForNeighbor(*context_, ToGateway());
  HoldForNeighbor(*context_, ToGateway());
  const auto events = Events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].address, *IpAddress::Parse("203.0.113.1"));
  EXPECT_EQ(events[0].port, 2);
}

TEST_F(HoldTest, GivesUpAfterItsTime) {
  HoldForNeighbor(*context_, ToGateway());
  AdvanceMilliseconds(500);
  HoldForNeighbor(*context_, ToGateway());
  AdvanceMilliseconds(499);
  EXPECT_TRUE(Released().empty());
  EXPECT_EQ(held(), 2u);
  AdvanceMilliseconds(1);
  EXPECT_TRUE(Released().empty());
  EXPECT_EQ(held(), 1u);
  EXPECT_EQ(drops(DropReason::kNeighborUnresolved), 1u);
}

TEST_F(HoldTest, NothingLeavesByARouteThatHasChangedInTheMeantime) {
  HoldForNeighbor(*context_, ToGateway());
  Resolve(gateway_);
  Route("198.51.100.0/24", *tables_.next_hops.AddTunnel(4));
  EXPECT_TRUE(Released().empty());
  EXPECT_EQ(drops(DropReason::kNeighborUnresolved), 1u);
}

TEST_F(HoldTest, AFullQueueDropsTheNewcomer) {
  for (unsigned i = 0; i < 256; ++i) {
    HoldForNeighbor(*context_, ToGateway());
  }
  HoldForNeighbor(*context_, ToGateway());
  EXPECT_EQ(held(), 256u);
  EXPECT_EQ(drops(DropReason::kHoldQueueFull), 1u);
  ExpectBalance();
}

TEST_F(HoldTest, ReleasesNoMoreThanTheLaneHoldsAndKeepsTheOrder) {
  std::vector<Packet*> packets;
  for (unsigned i = 0; i < 150; ++i) {
    packets.push_back(ToGateway());
    HoldForNeighbor(*context_, packets.back());
  }
  Resolve(gateway_);
  std::vector<Packet*> released;
  for (const unsigned expected : {64u, 64u, 22u, 0u}) {
    const auto burst = Released();
    EXPECT_EQ(burst.size(), expected);
    released.insert(released.end(), burst.begin(), burst.end());
  }
  EXPECT_EQ(released, packets);
}

TEST_F(HoldTest, StoppingDropsWhatIsHeld) {
  HoldForNeighbor(*context_, ToGateway());
  DropHeld(*context_);
  EXPECT_EQ(held(), 0u);
  EXPECT_EQ(drops(DropReason::kShutdown), 1u);
  ExpectBalance();
}

}  // namespace
}  // namespace penstock
