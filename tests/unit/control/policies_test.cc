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
};

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
