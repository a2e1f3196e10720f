#include "dataplane/ipsec/tunnel.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TunnelConfig Named(const std::string& name, uint32_t if_id = 0, uint32_t reqid = 0) {
  TunnelConfig config;
  config.name = name;
  config.if_id = if_id;
  config.reqid = reqid;
  return config;
}

class TunnelTest : public testing::Test {
 protected:
  uint32_t Add(const TunnelConfig& config) {
    const Result<uint32_t> id = table_.Add(config);
    EXPECT_TRUE(id.has_value());
    return id.value_or(kNoTunnel);
  }
  std::string ErrorOf(const TunnelConfig& config) {
    const Result<uint32_t> id = table_.Add(config);
    return id ? "" : id.error().message;
  }
  Epoch epoch_;
  TunnelTable table_{epoch_};
};

TEST_F(TunnelTest, IsFoundByNameIfIdAndReqid) {
  const uint32_t first = Add(Named("azure0", 11, 21));
  const uint32_t second = Add(Named("azure1", 12));
  EXPECT_EQ(table_.FindByName("azure0"), first);
  EXPECT_EQ(table_.FindByIfId(12), second);
  EXPECT_EQ(table_.FindByReqid(21), first);
  EXPECT_EQ(table_.FindByName("azure2"), kNoTunnel);
  EXPECT_EQ(table_.FindByIfId(0), kNoTunnel);
  EXPECT_EQ(table_.FindByReqid(0), kNoTunnel);
  EXPECT_EQ(table_.ids(), (std::vector<uint32_t>{first, second}));
  EXPECT_EQ(table_[first].id, first);
  EXPECT_EQ(table_[first].in_use.load(), 1);
  EXPECT_EQ(table_[first].outbound.load(), nullptr);
}

TEST_F(TunnelTest, ManyMayBeWithoutIfIdAndReqid) { EXPECT_NE(Add(Named("a")), Add(Named("b"))); }

TEST_F(TunnelTest, RefusesWhatIsInUse) {
  Add(Named("azure0", 11, 21));
  EXPECT_EQ(ErrorOf(Named("azure0")), "a tunnel named azure0 exists");
  EXPECT_EQ(ErrorOf(Named("b", 11)), "tunnel b: if_id 11 belongs to tunnel azure0");
  EXPECT_EQ(ErrorOf(Named("b", 0, 21)), "tunnel b: reqid 21 belongs to tunnel azure0");
}

TEST_F(TunnelTest, RefusesWhatIsNoDeviceName) {
  EXPECT_EQ(ErrorOf(Named("")), "tunnel name \"\" has 0 characters, use 1 to 15");
  EXPECT_EQ(ErrorOf(Named("sixteen_letters_")),
            "tunnel name \"sixteen_letters_\" has 16 characters, use 1 to 15");
  for (const char* name : {"a b", "a/b", "a:b", "tun%d", ".", ".."}) {
    EXPECT_NE(ErrorOf(Named(name)).find("is no device name"), std::string::npos) << name;
  }
}

TEST_F(TunnelTest, RefusesMixedOuterFamilies) {
  TunnelConfig config = Named("mixed");
  config.local = *IpAddress::Parse("192.0.2.1");
  config.remote = *IpAddress::Parse("2001:db8::1");
  EXPECT_EQ(
      ErrorOf(config),
      "tunnel mixed: local 192.0.2.1 and remote 2001:db8::1 are of different address families");
}

TEST_F(TunnelTest, IdRestsForAGracePeriod) {
  epoch_.Register(0);
  epoch_.Online(0);
  const uint32_t id = Add(Named("a", 5, 6));
  ASSERT_TRUE(table_.Remove(id).has_value());
  EXPECT_EQ(table_[id].in_use.load(), 0);
  EXPECT_EQ(table_.FindByName("a"), kNoTunnel);
  EXPECT_EQ(table_.FindByIfId(5), kNoTunnel);
  EXPECT_EQ(table_.FindByReqid(6), kNoTunnel);
  EXPECT_NE(Add(Named("a", 5, 6)), id);
  epoch_.Quiet(0);
  EXPECT_EQ(Add(Named("b")), id);
  epoch_.Offline(0);
  epoch_.Unregister(0);
}

TEST_F(TunnelTest, StaysWhileItHasAnOutboundSa) {
  const uint32_t id = Add(Named("busy"));
  OutboundSa sa{};
  table_[id].outbound.store(&sa);
  const Status status = table_.Remove(id);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().message, "tunnel busy still has an outbound SA, remove it first");
  table_[id].outbound.store(nullptr);
  EXPECT_TRUE(table_.Remove(id).has_value());
  EXPECT_EQ(table_.Remove(id).error().code, Errc::kNotFound);
}

TEST_F(TunnelTest, SaysWhenItIsFull) {
  for (uint32_t i = 1; i < kMaxTunnels; ++i) {
    ASSERT_TRUE(table_.Add(Named(std::to_string(i))).has_value());
  }
  EXPECT_EQ(ErrorOf(Named("more")), "tunnel more: no room, there are 65535 tunnels");
}

TEST_F(TunnelTest, ClampsToTheMtu) {
  const uint32_t id = Add(Named("a"));
  EXPECT_EQ(table_[id].mtu.load(), 0);
  EXPECT_EQ(table_[id].mss_v4.load(), 0);
  table_.SetMtu(id, 1446);
  EXPECT_EQ(table_[id].mtu.load(), 1446);
  EXPECT_EQ(table_[id].mss_v4.load(), 1406);
  EXPECT_EQ(table_[id].mss_v6.load(), 1386);
}

TEST_F(TunnelTest, ConfiguredValuesWin) {
  TunnelConfig config = Named("a");
  config.mtu = 1400;
  config.mss = 1350;
  const uint32_t id = Add(config);
  EXPECT_EQ(table_[id].mtu.load(), 1400);
  table_.SetMtu(id, 1446);
  EXPECT_EQ(table_[id].mtu.load(), 1400);
  EXPECT_EQ(table_[id].mss_v4.load(), 1350);
  EXPECT_EQ(table_[id].mss_v6.load(), 1350);
  config.clamp_mss = false;
  table_.set_config(id, config);
  EXPECT_EQ(table_[id].mss_v4.load(), 0);
}

TEST_F(TunnelTest, NewConfigurationKeepsNameAndIfId) {
  const uint32_t id = Add(Named("a", 7, 8));
  table_.SetMtu(id, 1446);
  TunnelConfig config = Named("other", 9, 10);
  table_.set_config(id, config);
  EXPECT_EQ(table_.config(id).name, "a");
  EXPECT_EQ(table_.config(id).if_id, 7u);
  EXPECT_EQ(table_.FindByReqid(10), id);
  EXPECT_EQ(table_.FindByReqid(8), kNoTunnel);
  EXPECT_EQ(table_[id].mtu.load(), 1446);
}

TEST(Mss, LeavesRoomForHeaders) {
  EXPECT_EQ(MssFor(1500, Family::kIpv4), 1460);
  EXPECT_EQ(MssFor(1500, Family::kIpv6), 1440);
  EXPECT_EQ(MssFor(41, Family::kIpv4), 1);
  EXPECT_EQ(MssFor(40, Family::kIpv4), 0);
  EXPECT_EQ(MssFor(0, Family::kIpv6), 0);
}

}  // namespace
}  // namespace penstock
