#include "dataplane/runtime/packet_fanout.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

namespace penstock {
namespace {

class PacketFanoutTest : public ::testing::Test {
 protected:
  void SetUp() override {
    socket_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    if (socket_ < 0) {
      GTEST_SKIP() << "packet sockets need CAP_NET_RAW";
    }
    sockaddr_ll address = {};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex("lo"));
    ASSERT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  void TearDown() override {
    if (socket_ >= 0) {
      close(socket_);
    }
  }
  // Joins a group as DPDK does and tells whether Linux will reassemble for it.
  bool JoinedWithDefragmentation() {
    const int group = getpid() & 0xffff;
    const int wanted = group | (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_DEFRAG) << 16;
    EXPECT_EQ(setsockopt(socket_, SOL_PACKET, PACKET_FANOUT, &wanted, sizeof(wanted)), 0);
    int joined = 0;
    socklen_t size = sizeof(joined);
    EXPECT_EQ(getsockopt(socket_, SOL_PACKET, PACKET_FANOUT, &joined, &size), 0);
    EXPECT_EQ(joined & 0xffff, group);
    return (static_cast<unsigned>(joined) >> 16 & PACKET_FANOUT_FLAG_DEFRAG) != 0;
  }

  int socket_ = -1;
};

TEST_F(PacketFanoutTest, FragmentsStayApartWhileItLives) {
  const FragmentsStayApart apart;
  EXPECT_FALSE(JoinedWithDefragmentation());
}

TEST_F(PacketFanoutTest, OthersGetWhatTheyAskFor) {
  { const FragmentsStayApart apart; }
  EXPECT_TRUE(JoinedWithDefragmentation());
  int on = 1;
  EXPECT_EQ(setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
  EXPECT_EQ(setsockopt(-1, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), -1);
}

}  // namespace
}  // namespace penstock
