#include "dataplane/runtime/port.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/runtime/port_device.h"
#include "tests/unit/runtime/fixtures.h"

namespace penstock {
namespace {

PortConfig Config(const std::string& device) {
  PortConfig config;
  config.name = "p0";
  config.device = device;
  return config;
}

TEST(PortDeviceTest, TakesVirtualDevicesAndPciAddresses) {
  EXPECT_EQ(ParsePortDevice("af_packet,iface=eth1,qdisc_bypass=0")->interface, "eth1");
  EXPECT_EQ(ParsePortDevice("net_tap3,iface=t0")->driver, "tap");
  EXPECT_EQ(ParsePortDevice("0000:3b:00.0")->driver, "pci");
  EXPECT_EQ(ParsePortDevice("null")->options, "");
}

TEST(PortDeviceTest, ErrorsSayWhatWouldBeRight) {
  const Result<PortDevice> unknown = ParsePortDevice("eth1");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("af_packet"), std::string::npos);
  const Result<PortDevice> nameless = ParsePortDevice("af_packet");
  ASSERT_FALSE(nameless);
  EXPECT_NE(nameless.error().message.find("iface="), std::string::npos);
}

TEST(FrameRingTest, SlotsHoldTheFrameAndBlocksWholeSlots) {
  for (const uint16_t mtu : {uint16_t{576}, uint16_t{1500}, uint16_t{3000}, uint16_t{9000}}) {
    for (const unsigned buffer : {9216u, 9100u, 16384u}) {
      const Result<FrameRing> ring = PlanFrameRing(mtu, buffer, 512);
      ASSERT_TRUE(ring) << mtu;
      EXPECT_GE(ring->frame_size, mtu + 18u + 66u);
      EXPECT_LE(ring->frame_size - 32, buffer) << "DPDK refuses slots larger than a buffer";
      EXPECT_EQ(ring->frame_size % 16, 0u);
      EXPECT_EQ(ring->block_size % ring->frame_size, 0u);
      EXPECT_EQ(ring->block_size % 4096, 0u);
      EXPECT_EQ(ring->frame_count % (ring->block_size / ring->frame_size), 0u);
      EXPECT_GE(ring->frame_count, 512u);
    }
  }
  EXPECT_FALSE(PlanFrameRing(9000, 2048, 512));
}

class InMemoryPortTest : public ::testing::TestWithParam<const char*> {
 protected:
  Pool pool_;
};

TEST_P(InMemoryPortTest, OpensClosesAndOpensAgain) {
  const uint16_t before = rte_eth_dev_count_avail();
  for (int round = 0; round < 3; ++round) {
    Result<std::unique_ptr<Port>> port = Port::Open(Config(GetParam()), 1, 2, pool_.get());
    ASSERT_TRUE(port) << port.error().message;
    EXPECT_EQ((*port)->receive_queues(), 2);
    EXPECT_TRUE((*port)->link_up());
    EXPECT_NE((*port)->link_text(), "down");
    EXPECT_EQ(rte_eth_dev_count_avail(), before + 1);
  }
  EXPECT_EQ(rte_eth_dev_count_avail(), before);
}

INSTANTIATE_TEST_SUITE_P(Devices, InMemoryPortTest, ::testing::Values("null,no-rx=1", "ring"));

TEST(PortTest, ARingGivesBackWhatWasSent) {
  Pool pool;
  Result<std::unique_ptr<Port>> port = Port::Open(Config("ring"), 0, 1, pool.get());
  ASSERT_TRUE(port) << port.error().message;
  const OutputQueue output = (*port)->output(0);
  const InputQueue input = (*port)->input(0);
  Packet* packet = pool.Make(Ipv4Frame(17, 30));
  ASSERT_EQ(output.send(output.context, output.port, output.queue, &packet, 1), 1);
  Packet* back = nullptr;
  ASSERT_EQ(input.receive(input.context, input.port, input.queue, &back, 1), 1);
  EXPECT_EQ(back, packet);
  rte_pktmbuf_free(back);
}

TEST(PortTest, AMissingInterfaceIsNamed) {
  Pool pool;
  const auto port = Port::Open(Config("af_packet,iface=nosuch0"), 0, 1, pool.get());
  ASSERT_FALSE(port);
  EXPECT_EQ(port.error().code, Errc::kNotFound);
  EXPECT_NE(port.error().message.find("nosuch0"), std::string::npos) << port.error().message;
}

// One end of a veth pair under a port, the other in the hands of the test.
class VethTest : public ::testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_NAMESPACE();
    ASSERT_EQ(Shell("ip link add penA type veth peer name penB && ip link set penB mtu 9000 up"),
              0);
    sockaddr_ll address = {};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex("penB"));
    socket_ = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    ASSERT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  void TearDown() override {
    close(socket_);
    Shell("ip link delete penA");
  }
  // True once the port has received exactly this frame (other traffic is passed over).
  bool Receives(const Port& port, const std::vector<uint8_t>& frame) {
    return Eventually([&] {
      bool found = false;
      for (uint16_t queue = 0; queue < port.receive_queues(); ++queue) {
        const InputQueue input = port.input(queue);
        Packet* packet = nullptr;
        if (input.receive(input.context, input.port, input.queue, &packet, 1) == 1) {
          found = found || BytesOf(packet) == frame;
          rte_pktmbuf_free(packet);
        }
      }
      return found;
    });
  }
  bool PeerReceives(const std::vector<uint8_t>& frame) {
    return Eventually([&] {
      std::vector<uint8_t> buffer(16384);
      const ssize_t size = recv(socket_, buffer.data(), buffer.size(), 0);
      buffer.resize(size > 0 ? static_cast<size_t>(size) : 0);
      return buffer == frame;
    });
  }
  int socket_ = -1;
};

TEST_F(VethTest, AfPacketMovesFramesUpToTheMtuBothWays) {
  for (const uint16_t mtu : {uint16_t{1500}, uint16_t{9000}}) {
    Pool pool(4095, mtu + 118u);
    PortConfig config = Config("af_packet,iface=penA");
    config.mtu = mtu;
    config.descriptors = 256;
    Result<std::unique_ptr<Port>> port = Port::Open(config, 0, 2, pool.get());
    ASSERT_TRUE(port) << port.error().message;
    ASSERT_TRUE(Eventually([&] { return (*port)->link_up(); }));
    const std::vector<uint8_t> frame = Ipv4Frame(17, mtu - 20u);
    ASSERT_EQ(send(socket_, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
    EXPECT_TRUE(Receives(**port, frame)) << mtu;
    std::vector<uint8_t> answer = frame;
    answer[20] = 0x77;
    const OutputQueue output = (*port)->output(1);
    Packet* packet = pool.Make(answer, 1000);
    ASSERT_EQ(output.send(output.context, output.port, output.queue, &packet, 1), 1);
    EXPECT_TRUE(PeerReceives(answer)) << mtu;
  }
}

TEST_F(VethTest, LinuxIsKeptOutWhileThePortIsOpenAndGetsItsInterfaceBack) {
  Pool pool;
  ASSERT_EQ(Shell("ip link set penA mtu 1400"), 0);
  {
    Result<std::unique_ptr<Port>> port =
        Port::Open(Config("af_packet,iface=penA"), 0, 1, pool.get());
    ASSERT_TRUE(port) << port.error().message;
    EXPECT_EQ(Shell("nft list table netdev penstock_penA | grep -q 'policy drop'"), 0);
    EXPECT_EQ(Shell("grep -q 1 /proc/sys/net/ipv6/conf/penA/disable_ipv6"), 0);
    EXPECT_EQ(Shell("ip link show penA | grep -q 'mtu 1500'"), 0);
  }
  EXPECT_NE(Shell("nft list table netdev penstock_penA >/dev/null"), 0);
  EXPECT_EQ(Shell("grep -q 0 /proc/sys/net/ipv6/conf/penA/disable_ipv6"), 0);
  EXPECT_EQ(Shell("ip link show penA | grep -q 'mtu 1400'"), 0);
  EXPECT_NE(Shell("ip link show penA | grep -q '[<,]UP[,>]'"), 0);
}

TEST_F(VethTest, AStaleGuardOfACrashedDaemonIsReplaced) {
  ASSERT_EQ(Shell("nft add table netdev penstock_penA && nft add chain netdev penstock_penA old"),
            0);
  Pool pool;
  const auto port = Port::Open(Config("af_packet,iface=penA"), 0, 1, pool.get());
  ASSERT_TRUE(port) << port.error().message;
  EXPECT_NE(Shell("nft list table netdev penstock_penA | grep -q 'chain old'"), 0);
}

TEST_F(VethTest, AnInterfaceHasOneUser) {
  Pool pool;
  const auto first = Port::Open(Config("af_packet,iface=penA"), 0, 1, pool.get());
  ASSERT_TRUE(first) << first.error().message;
  const auto second = Port::Open(Config("af_packet,iface=penA"), 1, 1, pool.get());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kAlreadyExists);
}

TEST(PortTest, ATapPortMakesItsInterfaceAndTakesItAlong) {
  SKIP_WITHOUT_NAMESPACE();
  Pool pool;
  {
    const auto port = Port::Open(Config("tap,iface=penT"), 0, 1, pool.get());
    ASSERT_TRUE(port) << port.error().message;
    EXPECT_NE(if_nametoindex("penT"), 0u);
  }
  EXPECT_EQ(if_nametoindex("penT"), 0u);
}

}  // namespace
}  // namespace penstock
