#include "dataplane/control/policies.h"

#include "tests/unit/control/model_fixture.h"

namespace penstock {
namespace {

class PoliciesTest : public ModelTest {
 protected:
  ike::Policy Policy(ike::Direction direction, uint32_t if_id, uint32_t reqid) {
    ike::Policy policy;
    policy.id.direction = direction;
    policy.id.source.prefix = Net("10.1.0.0/24");
    policy.id.destination.prefix = Net("10.2.0.0/24");
    policy.id.if_id = if_id;
    policy.id.priority = 1000;
    policy.reqid = reqid;
    policy.source = Address("192.0.2.1");
    policy.destination = Address("192.0.2.2");
    return policy;
  }
  ike::Policy Out(uint32_t if_id, uint32_t reqid, const std::string& to, uint32_t priority = 1000) {
    ike::Policy policy = Policy(ike::Direction::kOut, if_id, reqid);
    policy.id.destination.prefix = Net(to);
    policy.id.priority = priority;
    return policy;
  }
  void AddOutbound(uint32_t spi, uint32_t if_id, uint32_t reqid) {
    ike::AddSa sa = Sa(false, spi, if_id);
    sa.reqid = reqid;
    const Status added = model_->ike.AddSa(std::move(sa));
    ASSERT_TRUE(added) << added.error().message;
  }
  // A packet that found no SA.
  void Want(uint32_t tunnel, const std::string& to, uint16_t port = 80) {
    WorkerEvent event{};
    event.kind = WorkerEvent::Kind::kAcquire;
    event.tunnel = tunnel;
    event.address = Address("10.1.0.2");
    event.destination = Address(to);
    event.protocol = 6;
    event.destination_port = port;
    event.has_ports = 1;
    worker_->PushEvent(event);
    model_->DrainEvents();
  }
  // The SPI that the tunnel's entry number `index` leads to; 0: none.
  uint32_t SpiOf(uint32_t tunnel, size_t index) {
    const TunnelPolicies* policies = tables_.tunnels[tunnel].policies.load();
    EXPECT_NE(policies, nullptr);
    const OutboundSa* sa = policies->entries.at(index).outbound;
    return sa == nullptr ? 0 : sa->config.spi;
  }
};

TEST_F(PoliciesTest, ChildSasOfOneTunnelAreFoundByReqidInTheOrderOfPriority) {
  ASSERT_TRUE(model_->ike.AddPolicy(Out(1, 7, "10.2.0.0/16", 2000)));
  ASSERT_TRUE(model_->ike.AddPolicy(Out(1, 8, "10.2.9.0/24", 1000)));
  AddOutbound(0x1007, 1, 7);
  EXPECT_EQ(SpiOf(red_, 0), 0u);
  EXPECT_EQ(SpiOf(red_, 1), 0x1007u);
  AddOutbound(0x1008, 1, 8);
  EXPECT_EQ(SpiOf(red_, 0), 0x1008u);
  AddOutbound(0x2008, 1, 8);  // a rekey
  EXPECT_EQ(SpiOf(red_, 0), 0x2008u);
  EXPECT_EQ(SpiOf(red_, 1), 0x1007u);
  ASSERT_TRUE(model_->ike.DeleteSa(Id(false, 0x2008)));
  EXPECT_EQ(SpiOf(red_, 0), 0x1008u);
}

TEST_F(PoliciesTest, OneAnyToAnyPolicyCostsItsTunnelNothing) {
  ike::Policy policy = Policy(ike::Direction::kOut, 1, 7);
  policy.id.source.prefix = policy.id.destination.prefix = Net("0.0.0.0/0");
  ASSERT_TRUE(model_->ike.AddPolicy(policy));
  AddOutbound(0x1007, 1, 7);
  EXPECT_EQ(tables_.tunnels[red_].policies.load(), nullptr);
  EXPECT_EQ(CurrentSpi(red_), 0x1007u);
  AddOutbound(0x1008, 1, 8);  // of another child SA: no longer the newest for all
  EXPECT_EQ(SpiOf(red_, 0), 0x1007u);
}

TEST_F(PoliciesTest, APolicyThatIsReplacedByAnotherReqidTakesThatOnesSaAtOnce) {
  ASSERT_TRUE(model_->ike.AddPolicy(Out(1, 7, "10.2.0.0/24")));
  AddOutbound(0x1007, 1, 7);
  AddOutbound(0x1008, 1, 8);
  EXPECT_EQ(SpiOf(red_, 0), 0x1007u);
  ASSERT_TRUE(model_->ike.AddPolicy(Out(1, 8, "10.2.0.0/24")));
  EXPECT_EQ(tables_.tunnels[red_].policies.load()->entries.size(), 1u);
  EXPECT_EQ(SpiOf(red_, 0), 0x1008u);
}

TEST_F(PoliciesTest, APolicyBasedTunnelIsReplacedWithItsReqid) {
  ASSERT_TRUE(model_->ike.AddPolicy(Out(0, 7, "10.2.0.0/24")));
  AddOutbound(0x1008, 0, 8);
  ASSERT_TRUE(model_->ike.AddPolicy(Out(0, 8, "10.2.0.0/24")));
  EXPECT_EQ(tables_.tunnels.FindByReqid(7), kNoTunnel);
  EXPECT_EQ(CurrentSpi(tables_.tunnels.FindByReqid(8)), 0x1008u);
}

TEST_F(PoliciesTest, AWishPendsForEachFlowUntilItIsAnsweredOrGivenUp) {
  ASSERT_TRUE(model_->ike.AddPolicy(Out(0, 7, "10.2.0.0/24")));
  const uint32_t tunnel = tables_.tunnels.FindByReqid(7);
  Want(tunnel, "10.2.0.2");
  Want(tunnel, "10.2.0.2");
  EXPECT_EQ(events_.acquires.size(), 1u);
  Want(tunnel, "10.2.0.3");
  EXPECT_EQ(events_.acquires.size(), 2u);
  const Result<uint32_t> spi = model_->ike.GetSpi({Address("192.0.2.2"), Address("192.0.2.1")});
  ASSERT_TRUE(spi);
  Want(tunnel, "10.2.0.2");
  EXPECT_EQ(events_.acquires.size(), 2u);
  ASSERT_TRUE(model_->ike.DeleteSa(Id(true, *spi)));  // no SA comes of it
  Want(tunnel, "10.2.0.2");
  EXPECT_EQ(events_.acquires.size(), 3u);
  AddOutbound(0x1007, 0, 7);
  Want(tunnel, "10.2.0.2");  // it was on its way when the SA came
  EXPECT_EQ(events_.acquires.size(), 3u);
  ASSERT_TRUE(model_->ike.DeleteSa(Id(false, 0x1007)));
  Want(tunnel, "10.2.0.2");
  EXPECT_EQ(events_.acquires.size(), 4u);
}

TEST_F(PoliciesTest, ANegotiationWithAnotherPeerThatFailsChangesNothing) {
  ASSERT_TRUE(model_->ike.AddPolicy(Out(0, 7, "10.2.0.0/24")));
  const uint32_t tunnel = tables_.tunnels.FindByReqid(7);
  Want(tunnel, "10.2.0.2");
  const Result<uint32_t> spi = model_->ike.GetSpi({Address("198.51.100.9"), Address("192.0.2.1")});
  ASSERT_TRUE(spi);
  ASSERT_TRUE(model_->ike.DeleteSa(Id(true, *spi)));
  Want(tunnel, "10.2.0.2");
  EXPECT_EQ(events_.acquires.size(), 1u);
}

TEST_F(PoliciesTest, AWishThatNobodyHearsDoesNotPend) {
  ASSERT_TRUE(model_->ike.AddPolicy(Out(0, 7, "10.2.0.0/24")));
  const uint32_t tunnel = tables_.tunnels.FindByReqid(7);
  events_.heard = false;
  Want(tunnel, "10.2.0.2");
  events_.heard = true;
  Want(tunnel, "10.2.0.2");
  EXPECT_EQ(events_.acquires.size(), 2u);
}

TEST_F(PoliciesTest, OfTwoChildSasTheMissingOneIsAskedFor) {
  ASSERT_TRUE(model_->ike.AddPolicy(Out(1, 7, "10.2.0.0/16", 2000)));
  ASSERT_TRUE(model_->ike.AddPolicy(Out(1, 8, "10.2.9.0/24", 1000)));
  AddOutbound(0x1007, 1, 7);
  EXPECT_EQ(tables_.tunnels[red_].hold.load(), 1);
  Want(red_, "10.2.0.2");
  EXPECT_EQ(events_.acquires.size(), 0u);
  Want(red_, "10.2.9.2");
  ASSERT_EQ(events_.acquires.size(), 1u);
  EXPECT_EQ(events_.acquires[0].reqid, 8u);
  EXPECT_EQ(events_.acquires[0].if_id, 1u);
}

TEST_F(PoliciesTest, TheLastUseOfAPolicyOutlivesItsSas) {
  const ike::Policy policy = Out(0, 7, "10.2.0.0/24");
  ASSERT_TRUE(model_->ike.AddPolicy(policy));
  AddOutbound(0x1007, 0, 7);
  EXPECT_EQ(model_->ike.QueryPolicy(policy.id).value().count(), 0);
  const uint32_t slot = model_->sas.FindOutbound(0x1007, Address("192.0.2.2"))->sa->slot;
  worker_->counters.sas[slot].last_used.Set(1);
  ASSERT_TRUE(model_->ike.DeleteSa(Id(false, 0x1007)));
  EXPECT_NE(model_->ike.QueryPolicy(policy.id).value().count(), 0);
}

TEST_F(PoliciesTest, APolicyByReqidMakesItsTunnelAndTakesItAway) {
  const ike::Policy policy = Policy(ike::Direction::kOut, 0, 7);
  ASSERT_TRUE(model_->ike.AddPolicy(policy));
  const uint32_t tunnel = tables_.tunnels.FindByReqid(7);
  ASSERT_NE(tunnel, kNoTunnel);
  EXPECT_EQ(tables_.tunnels[tunnel].hold.load(), 1);
  EXPECT_TRUE(tables_.spd.HasOutbound());
  ASSERT_TRUE(model_->ike.DeletePolicy(policy.id));
  EXPECT_EQ(tables_.tunnels.FindByReqid(7), kNoTunnel);
  EXPECT_FALSE(tables_.spd.HasOutbound());
}

TEST_F(PoliciesTest, TheTunnelStaysAsLongAsAnSaOrAPolicyNeedsIt) {
  const ike::Policy policy = Policy(ike::Direction::kOut, 0, 7);
  ASSERT_TRUE(model_->ike.AddPolicy(policy));
  ike::AddSa sa = Sa(false, 0x1001, 0);
  sa.reqid = 7;
  ASSERT_TRUE(model_->ike.AddSa(std::move(sa)));
  ASSERT_TRUE(model_->ike.DeletePolicy(policy.id));
  EXPECT_NE(tables_.tunnels.FindByReqid(7), kNoTunnel);
  ASSERT_TRUE(model_->ike.FlushSas());
  EXPECT_EQ(tables_.tunnels.FindByReqid(7), kNoTunnel);
}

TEST_F(PoliciesTest, AnAcquireCarriesThePolicysSelectorsAndReqid) {
  ASSERT_TRUE(model_->ike.AddPolicy(Policy(ike::Direction::kOut, 0, 7)));
  WorkerEvent event{};
  event.kind = WorkerEvent::Kind::kAcquire;
  event.tunnel = tables_.tunnels.FindByReqid(7);
  event.address = Address("10.1.0.2");
  event.destination = Address("10.2.0.2");
  event.protocol = 6;
  worker_->PushEvent(event);
  model_->DrainEvents();
  ASSERT_EQ(events_.acquires.size(), 1u);
  EXPECT_EQ(events_.acquires[0].reqid, 7u);
  EXPECT_EQ(events_.acquires[0].destination.prefix, Net("10.2.0.0/24"));
  EXPECT_EQ(events_.acquires[0].remote, Address("192.0.2.2"));
}

TEST_F(PoliciesTest, APolicyForAnUnknownIfIdIsRefused) {
  const Status added = model_->ike.AddPolicy(Policy(ike::Direction::kOut, 55, 7));
  ASSERT_FALSE(added);
  EXPECT_NE(added.error().message.find("55"), std::string::npos);
}

TEST_F(PoliciesTest, DeletingWhatIsNotThereIsAnError) {
  EXPECT_FALSE(model_->ike.DeletePolicy(Policy(ike::Direction::kIn, 0, 7).id));
  EXPECT_FALSE(model_->ike.QueryPolicy(Policy(ike::Direction::kIn, 0, 7).id));
}

}  // namespace
}  // namespace penstock
