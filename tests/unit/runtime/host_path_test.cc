#include "dataplane/runtime/host_path.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <rte_cycles.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/runtime/fixtures.h"

namespace penstock {
namespace {

const MacAddress kMac = {{0x02, 0, 0, 0, 0, 0x10}};

TEST(HostDeviceTest, HasTheMacAndMtuAskedForAndGoesWhenClosed) {
  SKIP_WITHOUT_NAMESPACE();
  {
    const auto device = HostDevice::OpenTap("penH", kMac, 1400);
    ASSERT_TRUE(device) << device.error().message;
    EXPECT_EQ((*device)->interface(), static_cast<int>(if_nametoindex("penH")));
    EXPECT_EQ(Shell("ip link show penH | grep -q 'mtu 1400'"), 0);
    EXPECT_EQ(Shell("ip link show penH | grep -q 02:00:00:00:00:10"), 0);
  }
  EXPECT_EQ(if_nametoindex("penH"), 0u);
}

TEST(HostDeviceTest, AnExistingNameIsAnErrorThatSaysSo) {
  SKIP_WITHOUT_NAMESPACE();
  const auto first = HostDevice::OpenTun("penH", 1400);
  ASSERT_TRUE(first) << first.error().message;
  const auto second = HostDevice::OpenTun("penH", 1400);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kAlreadyExists);
  EXPECT_FALSE(HostDevice::OpenTun("a-name-that-is-too-long", 1400));
}

class HostPathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_NAMESPACE();
    ASSERT_TRUE(MakeWorkerRings(*worker_, 256, 16, SOCKET_ID_ANY));
    auto tap = HostDevice::OpenTap("penH", kMac, 1500);
    ASSERT_TRUE(tap) << tap.error().message;
    tap_ = std::move(*tap);
    ASSERT_EQ(Shell("sysctl -qw net.ipv6.conf.penH.disable_ipv6=1; ip link set penH up"), 0);
    auto path = HostPath::Start({worker_.get()}, pool_.get());
    ASSERT_TRUE(path) << path.error().message;
    path_ = std::move(*path);
    sockaddr_ll address = {};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = tap_->interface();
    socket_ = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    ASSERT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  void TearDown() override {
    path_.reset();
    close(socket_);
    FreeWorkerRings(*worker_);
    EXPECT_EQ(pool_.in_use(), 0u) << "no packet is lost";
  }
  bool LinuxReceives(const std::vector<uint8_t>& frame) {
    return Eventually([&] {
      std::vector<uint8_t> buffer(4096);
      const ssize_t size = recv(socket_, buffer.data(), buffer.size(), 0);
      buffer.resize(size > 0 ? static_cast<size_t>(size) : 0);
      return buffer == frame;
    });
  }
  Pool pool_;
  std::unique_ptr<WorkerContext> worker_ = std::make_unique<WorkerContext>();
  std::unique_ptr<HostDevice> tap_;
  std::unique_ptr<HostPath> path_;
  int socket_ = -1;
};

TEST_F(HostPathTest, GivesAFrameToTheMirrorDevice) {
  ASSERT_TRUE(path_->AddPort(2, *tap_));
  for (const size_t segment : {size_t{65535}, size_t{40}}) {
    const std::vector<uint8_t> frame = Ipv4Frame(17, 100 + segment % 7);
    Packet* packet = pool_.Make(frame, segment);
    NotesOf(packet).input_port = 2;
    ASSERT_EQ(rte_ring_enqueue(worker_->to_host, packet), 0);
    path_->Wake();
    EXPECT_TRUE(LinuxReceives(frame));
  }
  EXPECT_TRUE(Eventually([&] { return path_->counters().written.Read() == 2; }));
}

TEST_F(HostPathTest, BringsWhatLinuxSendsToAWorker) {
  ASSERT_TRUE(path_->AddPort(2, *tap_));
  const std::vector<uint8_t> frame = Ipv4Frame(17, 1400);
  ASSERT_EQ(send(socket_, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  void* packet = nullptr;
  ASSERT_TRUE(Eventually([&] { return rte_ring_dequeue(worker_->from_host, &packet) == 0; }));
  auto* received = static_cast<Packet*>(packet);
  EXPECT_EQ(BytesOf(received), frame);
  EXPECT_EQ(NotesOf(received).output_port, 2);
  EXPECT_EQ(NotesOf(received).input_tunnel, kNoTunnel);
  rte_pktmbuf_free(received);
}

TEST_F(HostPathTest, PassesIpPacketsThroughATunnelDevice) {
  auto tun = HostDevice::OpenTun("penU", 1400);
  ASSERT_TRUE(tun) << tun.error().message;
  ASSERT_EQ(Shell("sysctl -qw net.ipv6.conf.penU.disable_ipv6=1; ip link set penU up; "
                  "ip route add 203.0.113.0/24 dev penU"),
            0);
  ASSERT_TRUE(path_->AddTunnel(7, **tun));
  const int udp = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  to.sin_addr.s_addr = inet_addr("203.0.113.9");
  ASSERT_EQ(Shell("ip address add 192.0.2.7/32 dev penU"), 0);
  ASSERT_EQ(sendto(udp, "hello", 5, 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 5);
  close(udp);
  void* packet = nullptr;
  ASSERT_TRUE(Eventually([&] { return rte_ring_dequeue(worker_->from_host, &packet) == 0; }));
  auto* received = static_cast<Packet*>(packet);
  EXPECT_EQ(*DataAt(received), 0x45) << "data starts at the IP header";
  EXPECT_EQ(NotesOf(received).input_tunnel, 7u);
  EXPECT_EQ(NotesOf(received).flags, kPacketFromHost);
  rte_pktmbuf_free(received);
  path_->RemoveTunnel(7);
}

TEST_F(HostPathTest, CountsWhatNoDeviceTakes) {
  Packet* packet = pool_.Make(Ipv4Frame(17, 10));
  NotesOf(packet).input_port = 9;
  ASSERT_EQ(rte_ring_enqueue(worker_->to_host, packet), 0);
  path_->Wake();
  EXPECT_TRUE(Eventually([&] { return path_->counters().write_failed.Read() == 1; }));
}

TEST_F(HostPathTest, LosesNoWakeUp) {
  ASSERT_TRUE(path_->AddPort(2, *tap_));
  for (uint64_t i = 1; i <= 3000; ++i) {
    Packet* packet = pool_.Make(Ipv4Frame(17, 10));
    NotesOf(packet).input_port = 2;
    ASSERT_EQ(rte_ring_enqueue(worker_->to_host, packet), 0);
    path_->Wake();
    ASSERT_TRUE(Eventually([&] {
      return path_->counters().written.Read() + path_->counters().write_failed.Read() == i;
    })) << i;
  }
}

TEST_F(HostPathTest, DevicesComeAndGoUnderTraffic) {
  const std::vector<uint8_t> frame = Ipv4Frame(17, 60);
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(path_->AddPort(2, *tap_));
    EXPECT_FALSE(path_->AddPort(2, *tap_)) << "one device a port";
    send(socket_, frame.data(), frame.size(), 0);
    path_->RemovePort(2);
  }
  void* packet = nullptr;
  while (rte_ring_dequeue(worker_->from_host, &packet) == 0) {
    rte_pktmbuf_free(static_cast<Packet*>(packet));
  }
}

}  // namespace
}  // namespace penstock
