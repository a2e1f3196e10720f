#include "dataplane/ipsec/spd.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <random>

namespace penstock {
namespace {

// A packet outside any pool: mbuf, notes and data in one piece.
struct alignas(kCacheLine) TestPacket {
  Packet mbuf;
  PacketNotes notes;
  uint8_t data[128];
};

struct Flow {
  IpAddress source, destination;
  uint8_t protocol = kProtocolTcp;
  uint16_t source_port = 0, destination_port = 0;
  bool fragment = false;
};

bool PortsKnown(const Flow& flow) {
  return !flow.fragment && (flow.protocol == kProtocolTcp || flow.protocol == kProtocolUdp ||
                            flow.protocol == kProtocolIcmp || flow.protocol == kProtocolIcmpv6);
}

// Written at an odd offset, where headers of decapsulated packets may well be.
std::unique_ptr<TestPacket> MakePacket(const Flow& flow) {
  auto packet = std::make_unique<TestPacket>();
  std::memset(static_cast<void*>(packet.get()), 0, sizeof(*packet));
  packet->mbuf.buf_addr = packet->data;
  packet->mbuf.data_off = 3;
  packet->mbuf.data_len = 100;
  packet->mbuf.pkt_len = 100;
  PacketNotes& notes = packet->notes;
  notes.l3_offset = 14;
  notes.l3_length = 86;
  notes.protocol = flow.protocol;
  notes.flags = static_cast<uint8_t>(flow.fragment ? kPacketFragment : 0);
  uint8_t* ip = packet->data + 3 + 14;
  if (flow.source.is_v4()) {
    notes.version = 4;
    notes.l4_offset = 14 + 20;
    std::memcpy(ip + 12, flow.source.data(), 4);
    std::memcpy(ip + 16, flow.destination.data(), 4);
  } else {
    notes.version = 6;
    notes.l4_offset = 14 + 40;
    std::memcpy(ip + 8, flow.source.data(), 16);
    std::memcpy(ip + 24, flow.destination.data(), 16);
  }
  uint8_t* l4 = packet->data + 3 + notes.l4_offset;
  const uint16_t words[2] = {SwapBytes(flow.source_port), SwapBytes(flow.destination_port)};
  std::memcpy(l4, words, sizeof(words));
  return packet;
}

class SpdTest : public testing::Test {
 protected:
  PolicyVerdict Outbound(const Flow& flow) {
    const auto packet = MakePacket(flow);
    Packet* pointer = &packet->mbuf;
    PolicyVerdict verdict;
    spd_.ClassifyOutbound(&pointer, &verdict, 1);
    return verdict;
  }
  PolicyVerdict Inbound(const Flow& flow) {
    const auto packet = MakePacket(flow);
    Packet* pointer = &packet->mbuf;
    PolicyVerdict verdict;
    spd_.ClassifyInbound(&pointer, &verdict, 1);
    return verdict;
  }
  void Add(const PolicyConfig& policy, uint32_t tunnel = 0) {
    ASSERT_TRUE(spd_.Add(policy, tunnel).has_value());
  }
  void Publish() {
    const Status status = spd_.Publish();
    ASSERT_TRUE(status.has_value()) << status.error().message;
  }
  Epoch epoch_;
  Spd spd_{epoch_};
};

PolicyConfig Policy(const char* source, const char* destination, uint32_t priority = 100,
                    PolicyAction action = PolicyAction::kProtect) {
  PolicyConfig policy;
  policy.selector.source = *Prefix::Parse(source);
  policy.selector.destination = *Prefix::Parse(destination);
  policy.priority = priority;
  policy.action = action;
  return policy;
}

Flow FlowOf(const char* source, const char* destination, uint8_t protocol = kProtocolTcp,
            uint16_t source_port = 1000, uint16_t destination_port = 80) {
  return {*IpAddress::Parse(source), *IpAddress::Parse(destination), protocol, source_port,
          destination_port};
}

const Flow kFlow = FlowOf("10.1.0.5", "10.2.0.7");

TEST_F(SpdTest, EmptyMatchesNothing) {
  EXPECT_FALSE(spd_.HasOutbound());
  EXPECT_EQ(Outbound(kFlow).policy, 0u);
  Publish();
  EXPECT_FALSE(spd_.HasOutbound());
  EXPECT_EQ(Outbound(kFlow).policy, 0u);
}

TEST_F(SpdTest, TakesEffectWithPublish) {
  Add(Policy("10.1.0.0/16", "10.2.0.0/16"), 42);
  EXPECT_EQ(Outbound(kFlow).policy, 0u);
  Publish();
  EXPECT_TRUE(spd_.HasOutbound());
  EXPECT_FALSE(spd_.HasInbound());
  const PolicyVerdict verdict = Outbound(kFlow);
  EXPECT_NE(verdict.policy, 0u);
  EXPECT_EQ(verdict.action, PolicyAction::kProtect);
  EXPECT_EQ(verdict.tunnel, 42u);
  EXPECT_EQ(Outbound(FlowOf("10.2.0.7", "10.1.0.5")).policy, 0u);
  EXPECT_EQ(Inbound(kFlow).policy, 0u);
}

TEST_F(SpdTest, LowerPriorityValueWins) {
  Add(Policy("10.0.0.0/8", "10.2.0.0/16", 200, PolicyAction::kProtect), 1);
  Add(Policy("10.1.0.0/16", "0.0.0.0/0", 100, PolicyAction::kBypass));
  Add(Policy("0.0.0.0/0", "0.0.0.0/0", UINT32_MAX, PolicyAction::kDiscard));
  Publish();
  EXPECT_EQ(Outbound(kFlow).action, PolicyAction::kBypass);
  EXPECT_EQ(Outbound(FlowOf("10.9.0.1", "10.2.0.1")).action, PolicyAction::kProtect);
  EXPECT_EQ(Outbound(FlowOf("192.0.2.1", "10.2.0.1")).action, PolicyAction::kDiscard);
}

TEST_F(SpdTest, FirstOfEqualPriorityWins) {
  Add(Policy("10.0.0.0/8", "10.2.0.0/16", 100, PolicyAction::kDiscard));
  Add(Policy("10.1.0.0/16", "10.2.0.0/16", 100, PolicyAction::kBypass));
  Publish();
  EXPECT_EQ(Outbound(kFlow).action, PolicyAction::kDiscard);
}

TEST_F(SpdTest, AddingAgainReplacesActionAndKeepsThePlace) {
  Add(Policy("10.0.0.0/8", "10.2.0.0/16", 100, PolicyAction::kDiscard));
  Add(Policy("10.1.0.0/16", "10.2.0.0/16", 100, PolicyAction::kBypass));
  Add(Policy("10.0.0.0/8", "10.2.0.0/16", 100, PolicyAction::kProtect), 9);
  Publish();
  EXPECT_EQ(spd_.policies().size(), 2u);
  EXPECT_EQ(Outbound(kFlow).action, PolicyAction::kProtect);
  EXPECT_EQ(Outbound(kFlow).tunnel, 9u);
}

TEST_F(SpdTest, RemovedPolicyIsGoneAfterPublish) {
  const PolicyConfig policy = Policy("10.1.0.0/16", "10.2.0.0/16");
  Add(policy, 1);
  Publish();
  ASSERT_TRUE(spd_.Remove(policy).has_value());
  EXPECT_NE(Outbound(kFlow).policy, 0u);
  Publish();
  EXPECT_EQ(Outbound(kFlow).policy, 0u);
  EXPECT_FALSE(spd_.HasOutbound());
  const Status again = spd_.Remove(policy);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().message,
            "no policy from 10.1.0.0/16 to 10.2.0.0/16 with priority 100 and if_id 0");
}

TEST_F(SpdTest, PoliciesOfATunnelInterfaceAreNotCompared) {
  PolicyConfig policy = Policy("0.0.0.0/0", "0.0.0.0/0");
  policy.if_id = 5;
  Add(policy, 1);
  Publish();
  EXPECT_FALSE(spd_.HasOutbound());
  EXPECT_EQ(Outbound(kFlow).policy, 0u);
  EXPECT_EQ(spd_.policies().size(), 1u);
}

TEST_F(SpdTest, ForwardPoliciesCountAsInbound) {
  PolicyConfig policy = Policy("10.1.0.0/16", "10.2.0.0/16");
  policy.direction = PolicyDirection::kForward;
  Add(policy, 3);
  Publish();
  EXPECT_TRUE(spd_.HasInbound());
  EXPECT_EQ(Inbound(kFlow).tunnel, 3u);
  EXPECT_EQ(Outbound(kFlow).policy, 0u);
}

TEST_F(SpdTest, TunnelOfAReqidChangesAtOnce) {
  PolicyConfig policy = Policy("10.1.0.0/16", "10.2.0.0/16");
  policy.reqid = 77;
  Add(policy, 0);
  Publish();
  EXPECT_EQ(Outbound(kFlow).tunnel, 0u);
  spd_.SetTunnel(77, 12);
  EXPECT_EQ(Outbound(kFlow).tunnel, 12u);
  spd_.SetTunnel(78, 13);
  Publish();
  EXPECT_EQ(Outbound(kFlow).tunnel, 12u);
}

TEST_F(SpdTest, VerdictNamesItsPolicyForEvents) {
  const PolicyConfig first = Policy("10.1.0.0/16", "10.2.0.0/16");
  const PolicyConfig second = Policy("10.3.0.0/16", "10.2.0.0/16");
  Add(first);
  Add(second);
  Publish();
  const uint32_t number = Outbound(FlowOf("10.3.0.1", "10.2.0.1")).policy;
  ASSERT_NE(spd_.FindPolicy(number), nullptr);
  EXPECT_EQ(*spd_.FindPolicy(number), second);
  ASSERT_TRUE(spd_.Remove(second).has_value());
  EXPECT_EQ(spd_.FindPolicy(number), nullptr);
  EXPECT_EQ(spd_.FindPolicy(0), nullptr);
}

TEST_F(SpdTest, ListsByDirectionThenPriority) {
  PolicyConfig in = Policy("10.1.0.0/16", "10.2.0.0/16", 500);
  in.direction = PolicyDirection::kIn;
  Add(Policy("10.1.0.0/16", "10.2.0.0/16", 300));
  Add(Policy("10.1.0.0/16", "10.2.0.0/16", 200));
  Add(in);
  const std::vector<PolicyConfig> all = spd_.policies();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0], in);
  EXPECT_EQ(all[1].priority, 200u);
  EXPECT_EQ(all[2].priority, 300u);
}

TEST_F(SpdTest, FragmentsMatchPoliciesForAnyPortOnly) {
  PolicyConfig web = Policy("10.1.0.0/16", "10.2.0.0/16", 1, PolicyAction::kDiscard);
  web.selector.protocol = kProtocolTcp;
  web.selector.destination_port_first = web.selector.destination_port_last = 80;
  PolicyConfig from_zero = Policy("10.1.0.0/16", "10.2.0.0/16", 2, PolicyAction::kDiscard);
  from_zero.selector.protocol = kProtocolTcp;
  from_zero.selector.destination_port_last = 79;
  Add(web);
  Add(from_zero);
  Add(Policy("10.1.0.0/16", "10.2.0.0/16", 3, PolicyAction::kProtect), 8);
  Publish();
  EXPECT_EQ(Outbound(kFlow).action, PolicyAction::kDiscard);
  Flow fragment = kFlow;
  fragment.fragment = true;
  EXPECT_EQ(Outbound(fragment).tunnel, 8u);
}

TEST_F(SpdTest, OpaqueMatchesFragmentsOnly) {
  PolicyConfig opaque = Policy("10.1.0.0/16", "10.2.0.0/16");
  opaque.selector.protocol = kProtocolTcp;
  opaque.selector.destination_port_first = 65535;
  opaque.selector.destination_port_last = 0;
  Add(opaque, 4);
  Publish();
  EXPECT_EQ(Outbound(kFlow).policy, 0u);
  Flow fragment = kFlow;
  fragment.fragment = true;
  EXPECT_EQ(Outbound(fragment).tunnel, 4u);
}

TEST_F(SpdTest, ComparesIcmpTypeAndCode) {
  PolicyConfig echo = Policy("2001:db8:1::/48", "2001:db8:2::/48");
  echo.selector.protocol = kProtocolIcmpv6;
  echo.selector.source_port_first = 128 << 8;
  echo.selector.source_port_last = (128 << 8) + 255;
  Add(echo, 6);
  Publish();
  EXPECT_EQ(
      Outbound(FlowOf("2001:db8:1::1", "2001:db8:2::1", kProtocolIcmpv6, 128 << 8, 0x1234)).tunnel,
      6u);
  EXPECT_EQ(
      Outbound(FlowOf("2001:db8:1::1", "2001:db8:2::1", kProtocolIcmpv6, 129 << 8, 0x1234)).policy,
      0u);
}

TEST_F(SpdTest, TruncatedPacketHasNoPorts) {
  PolicyConfig tcp = Policy("10.1.0.0/16", "10.2.0.0/16", 1, PolicyAction::kDiscard);
  tcp.selector.protocol = kProtocolTcp;
  tcp.selector.destination_port_first = tcp.selector.destination_port_last = 80;
  Add(tcp);
  Publish();
  const auto packet = MakePacket(kFlow);
  packet->mbuf.data_len = static_cast<uint16_t>(packet->notes.l4_offset + 3);
  Packet* pointer = &packet->mbuf;
  PolicyVerdict verdict;
  spd_.ClassifyOutbound(&pointer, &verdict, 1);
  EXPECT_EQ(verdict.policy, 0u);
}

TEST_F(SpdTest, RefusesSelectorsThatMakeNoSense) {
  PolicyConfig policy = Policy("10.1.0.0/16", "2001:db8::/32");
  const Status status = spd_.Add(policy, 0);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().message,
            "policy selector: source 10.1.0.0/16 and destination 2001:db8::/32 are of different "
            "address families");
}

// Random selectors and packets from a small world, so that many overlap.
class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {}
  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  IpAddress Address(Family family) {
    if (family == Family::kIpv4) {
      return IpAddress::V4(0x0a000000u + (Below(4) << 16) + (Below(4) << 8) + Below(4));
    }
    uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8};
    bytes[5] = static_cast<uint8_t>(Below(4));
    bytes[7] = static_cast<uint8_t>(Below(4));
    bytes[15] = static_cast<uint8_t>(Below(4));
    return IpAddress::V6(bytes);
  }
  Prefix AnyPrefix(Family family) {
    const IpAddress address = Address(family);
    static constexpr uint8_t kLengths4[] = {0, 8, 15, 16, 24, 31, 32};
    static constexpr uint8_t kLengths6[] = {0, 32, 47, 48, 64, 127, 128};
    return {address, family == Family::kIpv4 ? kLengths4[Below(7)] : kLengths6[Below(7)]};
  }
  void Ports(uint16_t& first, uint16_t& last) {
    switch (Below(4)) {
      case 0:
        first = static_cast<uint16_t>(Below(50));
        last = static_cast<uint16_t>(first + Below(30));
        break;
      case 1:
        first = last = static_cast<uint16_t>(Below(50));
        break;
      default:
        break;
    }
  }
  uint8_t Protocol() {
    static constexpr uint8_t kProtocols[] = {kProtocolTcp, kProtocolUdp, 47};
    return kProtocols[Below(3)];
  }
  Selector AnySelector() {
    const Family family = Below(2) == 0 ? Family::kIpv4 : Family::kIpv6;
    Selector selector;
    selector.source = AnyPrefix(family);
    selector.destination = AnyPrefix(family);
    if (Below(3) != 0) {
      selector.protocol = Protocol();
      Ports(selector.source_port_first, selector.source_port_last);
      Ports(selector.destination_port_first, selector.destination_port_last);
    }
    return selector;
  }
  Flow AnyFlow() {
    const Family family = Below(2) == 0 ? Family::kIpv4 : Family::kIpv6;
    return {Address(family),
            Address(family),
            Protocol(),
            static_cast<uint16_t>(Below(60)),
            static_cast<uint16_t>(Below(60)),
            Below(8) == 0};
  }

 private:
  std::mt19937_64 random_;
};

// The number of the best policy by plain comparison, in the order that policies() lists them.
const PolicyConfig* BestOf(const std::vector<PolicyConfig>& policies, const Flow& flow) {
  for (const PolicyConfig& policy : policies) {
    if (policy.selector.Matches(flow.source, flow.destination, flow.protocol, flow.source_port,
                                flow.destination_port, PortsKnown(flow))) {
      return &policy;
    }
  }
  return nullptr;
}

TEST_F(SpdTest, AgreesWithPlainComparisonOnRandomRulesAndPackets) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    World world(seed);
    Spd spd(epoch_);
    for (unsigned i = 0; i < 300; ++i) {
      PolicyConfig policy;
      policy.selector = world.AnySelector();
      policy.priority = world.Below(40);
      ASSERT_TRUE(spd.Add(policy, 0).has_value());
    }
    ASSERT_TRUE(spd.Publish().has_value());
    const std::vector<PolicyConfig> policies = spd.policies();
    for (unsigned burst = 0; burst < 100; ++burst) {
      std::vector<Flow> flows;
      std::vector<std::unique_ptr<TestPacket>> packets;
      std::vector<Packet*> pointers;
      const unsigned count = 1 + world.Below(kBurst);
      for (unsigned i = 0; i < count; ++i) {
        flows.push_back(world.AnyFlow());
        packets.push_back(MakePacket(flows.back()));
        pointers.push_back(&packets.back()->mbuf);
      }
      std::vector<PolicyVerdict> verdicts(count);
      spd.ClassifyOutbound(pointers.data(), verdicts.data(), count);
      for (unsigned i = 0; i < count; ++i) {
        const PolicyConfig* expected = BestOf(policies, flows[i]);
        const PolicyConfig* actual = spd.FindPolicy(verdicts[i].policy);
        ASSERT_EQ(actual != nullptr, expected != nullptr) << "seed " << seed;
        if (expected != nullptr) {
          ASSERT_EQ(*actual, *expected) << "seed " << seed;
        }
      }
    }
  }
  epoch_.Synchronize();
}

TEST_F(SpdTest, ThousandsOfPoliciesAreBuiltAndFound) {
  for (uint32_t site = 0; site < 4000; ++site) {
    PolicyConfig policy;
    policy.selector.source = Prefix(IpAddress::V4(0x0a000000), 8);
    policy.selector.destination = Prefix(IpAddress::V4(0xac100000 + (site << 8)), 24);
    policy.priority = 1000;
    Add(policy, site + 1);
    policy.direction = PolicyDirection::kIn;
    std::swap(policy.selector.source, policy.selector.destination);
    Add(policy, site + 1);
  }
  const auto start = std::chrono::steady_clock::now();
  Publish();
  const auto took = std::chrono::steady_clock::now() - start;
  RecordProperty(
      "build_milliseconds",
      static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
  for (uint32_t site = 0; site < 4000; site += 13) {
    Flow flow = kFlow;
    flow.destination = IpAddress::V4(0xac100005 + (site << 8));
    ASSERT_EQ(Outbound(flow).tunnel, site + 1);
    std::swap(flow.source, flow.destination);
    ASSERT_EQ(Inbound(flow).tunnel, site + 1);
  }
}

}  // namespace
}  // namespace penstock
