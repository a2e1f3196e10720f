#include "dataplane/route/kernel_messages.h"

#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "dataplane/route/netlink_socket.h"

namespace penstock {
namespace {

const uint8_t kMac[] = {2, 0, 0, 0, 0, 9};
const uint8_t kAddress[] = {10, 0, 0, 9};

class NeighborMessage {
 public:
  explicit NeighborMessage(uint16_t state, size_t address_size = 4, size_t mac_size = 6) {
    auto& header = request_.extra<ndmsg>();
    header.ndm_family = AF_INET;
    header.ndm_ifindex = 7;
    header.ndm_state = state;
    request_.Put(NDA_DST, kAddress, address_size);
    request_.Put(NDA_LLADDR, kMac, mac_size);
  }
  nlmsghdr& operator*() { return *request_.header(); }
  nlmsghdr* operator->() { return request_.header(); }
  std::optional<KernelNeighbor> Parse() {
    const auto event = ParseKernelMessage(*request_.header());
    return event && std::holds_alternative<KernelNeighbor>(*event)
               ? std::optional(std::get<KernelNeighbor>(*event))
               : std::nullopt;
  }
  NetlinkRequest& request() { return request_; }

 private:
  NetlinkRequest request_{RTM_NEWNEIGH, 0, sizeof(ndmsg)};
};

TEST(KernelMessagesTest, AReachableNeighborHasItsLinkAddress) {
  NeighborMessage message(NUD_REACHABLE);
  const auto neighbor = message.Parse();
  ASSERT_TRUE(neighbor.has_value());
  EXPECT_EQ(neighbor->interface, 7);
  EXPECT_EQ(neighbor->address.ToString(), "10.0.0.9");
  EXPECT_EQ(neighbor->mac->ToString(), "02:00:00:00:00:09");
  EXPECT_FALSE(neighbor->permanent);
}

TEST(KernelMessagesTest, AFailedOrDeletedNeighborHasNone) {
  NeighborMessage failed(NUD_FAILED);
  EXPECT_FALSE(failed.Parse()->mac.has_value());
  NeighborMessage deleted(NUD_REACHABLE);
  deleted->nlmsg_type = RTM_DELNEIGH;
  EXPECT_FALSE(deleted.Parse()->mac.has_value());
}

TEST(KernelMessagesTest, MulticastAndProxyEntriesAreNoNeighbors) {
  NeighborMessage multicast(NUD_NOARP);
  EXPECT_TRUE(std::holds_alternative<Irrelevant>(*ParseKernelMessage(*multicast)));
  NeighborMessage proxy(NUD_REACHABLE);
  proxy.request().extra<ndmsg>().ndm_flags = NTF_PROXY;
  EXPECT_TRUE(std::holds_alternative<Irrelevant>(*ParseKernelMessage(*proxy)));
}

TEST(KernelMessagesTest, RefusesAddressesOfTheWrongSize) {
  NeighborMessage message(NUD_REACHABLE, 3);
  EXPECT_FALSE(ParseKernelMessage(*message).has_value());
}

TEST(KernelMessagesTest, IgnoresLinkAddressesThatAreNotEthernet) {
  NeighborMessage message(NUD_REACHABLE, 4, 4);
  ASSERT_TRUE(message.Parse().has_value());
  EXPECT_FALSE(message.Parse()->mac.has_value());
}

TEST(KernelMessagesTest, RefusesMessagesCutWithinTheAddress) {
  const uint32_t whole = NeighborMessage(NUD_REACHABLE)->nlmsg_len;
  const uint32_t with_address = whole - 12;  // 4 bytes of attribute header, 6 of MAC, 2 of padding
  for (uint32_t length = sizeof(nlmsghdr); length < with_address; ++length) {
    NeighborMessage message(NUD_REACHABLE);
    message->nlmsg_len = length;
    EXPECT_FALSE(ParseKernelMessage(*message).has_value()) << length << " of " << whole;
  }
}

TEST(KernelMessagesTest, RefusesAttributesThatOverrunTheMessage) {
  const uint32_t whole = NeighborMessage(NUD_REACHABLE)->nlmsg_len;
  for (uint32_t length = whole - 11; length < whole - 2; ++length) {
    NeighborMessage message(NUD_REACHABLE);
    message->nlmsg_len = length;
    EXPECT_FALSE(ParseKernelMessage(*message).has_value()) << length << " of " << whole;
  }
}

TEST(KernelMessagesTest, RefusesAPrefixLengthBeyondTheFamily) {
  NetlinkRequest request(RTM_NEWADDR, 0, sizeof(ifaddrmsg));
  auto& header = request.extra<ifaddrmsg>();
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 33;
  request.Put(IFA_LOCAL, kAddress, sizeof(kAddress));
  EXPECT_FALSE(ParseKernelMessage(*request.header()).has_value());
  header.ifa_prefixlen = 24;
  const auto event = ParseKernelMessage(*request.header());
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(std::get<KernelAddressChange>(*event).address.address.ToString(), "10.0.0.9/24");
}

TEST(KernelMessagesTest, RefusesANameWithoutItsEnd) {
  NetlinkRequest request(RTM_NEWLINK, 0, sizeof(ifinfomsg));
  request.Put(IFLA_IFNAME, "eth0", 4);
  EXPECT_FALSE(ParseKernelMessage(*request.header()).has_value());
}

}  // namespace
}  // namespace penstock
