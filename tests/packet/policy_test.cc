// The security policies of gateways without tunnel interfaces (RFC 4301 5).
#include "tests/packet/sites.h"

namespace penstock {
namespace {

using Drops = std::map<std::string, uint64_t>;

PolicyConfig Policy(PolicyDirection direction, PolicyAction action, uint32_t priority = 100) {
  PolicyConfig policy;
  policy.direction = direction;
  policy.action = action;
  policy.priority = priority;
  policy.selector.source = *Prefix::Parse("10.1.0.0/16");
  policy.selector.destination = *Prefix::Parse("10.2.0.0/16");
  return policy;
}

void Publish(Gateway& gateway, const PolicyConfig& policy, uint32_t tunnel) {
  ASSERT_TRUE(gateway.tables().spd.Add(policy, tunnel));
  ASSERT_TRUE(gateway.tables().spd.Publish());
}

TEST(Policy, ProtectsWhateverTheRouteSays) {
  Sites sites;
  sites.left.Route("10.2.0.0/16", sites.left_wan);
  Publish(sites.left, Policy(PolicyDirection::kOut, PolicyAction::kProtect), sites.left_tunnel);
  const Bytes packet = MakeIp(ToRight());
  const auto inner = sites.Decrypt(sites.Encrypt({packet}));
  ASSERT_EQ(inner.size(), 1u);
  EXPECT_EQ(inner[0], WithTtl(packet, 62));
}

TEST(Policy, FailsClosedWithoutATunnel) {
  Sites sites;
  sites.left.Route("10.2.0.0/16", sites.left_wan);
  Publish(sites.left, Policy(PolicyDirection::kOut, PolicyAction::kProtect), 0);
  EXPECT_TRUE(sites.Encrypt(std::vector<Bytes>(70, MakeIp(ToRight()))).empty());
  EXPECT_EQ(sites.left.Drops(), (Drops{{"no_outbound_sa", 70}}));
  const auto events = sites.left.TakeEvents();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, WorkerEvent::Kind::kAcquire);
  EXPECT_NE(events[0].policy, 0u);
}

TEST(Policy, DiscardsAndBypasses) {
  Sites sites;
  sites.left.Route("10.2.0.0/16", sites.left_wan);
  Publish(sites.left, Policy(PolicyDirection::kOut, PolicyAction::kDiscard), 0);
  EXPECT_TRUE(sites.Encrypt({MakeIp(ToRight())}).empty());
  EXPECT_EQ(sites.left.Drops(), (Drops{{"policy_discard", 1}}));
  Publish(sites.left, Policy(PolicyDirection::kOut, PolicyAction::kBypass, 1), 0);
  EXPECT_EQ(sites.Encrypt({MakeIp(ToRight())}).size(), 1u);
}

TEST(Policy, LetsNothingInInClearThatMustBeProtected) {
  Sites sites;
  Publish(sites.right, Policy(PolicyDirection::kIn, PolicyAction::kProtect), sites.right_tunnel);
  EXPECT_TRUE(sites.Decrypt({MakeIp(ToRight())}).empty());
  EXPECT_EQ(sites.right.Drops(), (Drops{{"no_policy", 1}}));
  EXPECT_EQ(sites.Decrypt(sites.Encrypt({MakeIp(ToRight())})).size(), 1u);
}

TEST(Policy, LetsIkeToTheGatewayIn) {
  Sites sites;
  PolicyConfig policy = Policy(PolicyDirection::kIn, PolicyAction::kProtect);
  policy.selector.source = policy.selector.destination = *Prefix::Parse("0.0.0.0/0");
  Publish(sites.right, policy, sites.right_tunnel);
  Ip ike{.source = "203.0.113.1", .destination = "203.0.113.2", .destination_port = 500};
  Ip other = ike;
  other.destination_port = 501;
  sites.right.ReceiveIp(Gateway::kWan, {MakeIp(ike), MakeIp(other)});
  EXPECT_EQ(sites.right.TakePunted().size(), 1u);
  EXPECT_EQ(sites.right.Drops(), (Drops{{"no_policy", 1}}));
}

}  // namespace
}  // namespace penstock
