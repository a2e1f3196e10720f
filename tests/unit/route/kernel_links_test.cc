// Against the real kernel, in network namespaces of the test's own.
#include "dataplane/route/kernel_links.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "dataplane/route/netlink_socket.h"

namespace penstock {
namespace {

// A fresh network namespace, entered on construction; Leave and Enter change this thread's.
class Namespace {
 public:
  Namespace() : outside_(OpenCurrent()) {
    if (unshare(CLONE_NEWNET) == 0) {
      inside_ = OpenCurrent();
    }
  }
  ~Namespace() {
    Leave();
    close(outside_);
    if (inside_ >= 0) {
      close(inside_);
    }
  }
  bool ok() const { return inside_ >= 0; }
  int descriptor() const { return inside_; }
  void Enter() { ASSERT_EQ(setns(inside_, CLONE_NEWNET), 0); }
  void Leave() { EXPECT_EQ(setns(outside_, CLONE_NEWNET), 0); }

 private:
  static int OpenCurrent() { return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC); }
  int outside_;
  int inside_ = -1;
};

// A pair of virtual Ethernet devices: `name` here, `peer` in the other namespace.
Status MakeVeth(const char* name, const char* peer, int peer_namespace) {
  auto socket = NetlinkSocket::Open({});
  if (!socket) {
    return tl::make_unexpected(socket.error());
  }
  NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(ifinfomsg));
  nlmsghdr* header = request.header();
  mnl_attr_put_strz(header, IFLA_IFNAME, name);
  nlattr* info = mnl_attr_nest_start(header, IFLA_LINKINFO);
  mnl_attr_put_strz(header, IFLA_INFO_KIND, "veth");
  nlattr* data = mnl_attr_nest_start(header, IFLA_INFO_DATA);
  nlattr* peer_info = mnl_attr_nest_start(header, VETH_INFO_PEER);
  mnl_nlmsg_put_extra_header(header, sizeof(ifinfomsg));
  mnl_attr_put_strz(header, IFLA_IFNAME, peer);
  mnl_attr_put_u32(header, IFLA_NET_NS_FD, static_cast<uint32_t>(peer_namespace));
  mnl_attr_nest_end(header, peer_info);
  mnl_attr_nest_end(header, data);
  mnl_attr_nest_end(header, info);
  return (*socket)->Execute(request, "making a veth pair");
}

// What a listener was told, as a state.
struct Told {
  struct Link {
    std::string name;
    bool up = false;
    uint32_t mtu = 0;
  };
  std::map<int, Link> links;
  std::multiset<std::string> addresses;
  std::map<std::string, std::optional<MacAddress>> neighbors;

  KernelListener listener() {
    KernelListener listener;
    listener.on_link = [this](int interface, const std::string& name, bool up, uint32_t mtu) {
      links[interface] = {name, up, mtu};
    };
    listener.on_link_gone = [this](int interface) { links.erase(interface); };
    listener.on_address = [this](const KernelAddress& address, bool added) {
      const std::string text = address.address.ToString();
      if (added) {
        addresses.insert(text);
      } else {
        addresses.erase(text);
      }
    };
    listener.on_neighbor = [this](const KernelNeighbor& neighbor) {
      neighbors[neighbor.address.ToString()] = neighbor.mac;
    };
    return listener;
  }
};

class KernelLinksTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0 || !far_.ok() || !near_.ok()) {
      GTEST_SKIP() << "needs root, to make network namespaces";
    }
    if (const Status made = MakeVeth("near", "far", far_.descriptor()); !made) {
      GTEST_SKIP() << made.error().message;
    }
    near_index_ = static_cast<int>(if_nametoindex("near"));
    auto links = KernelLinks::Open(loop_, told_.listener());
    ASSERT_TRUE(links) << links.error().message;
    links_ = std::move(*links);
  }
  // Configures the far end and comes back.
  void SetUpFar(const std::vector<const char*>& addresses) {
    far_.Enter();
    EventLoop loop;
    auto links = KernelLinks::Open(loop, {});
    ASSERT_TRUE(links) << links.error().message;
    const int far = static_cast<int>(if_nametoindex("far"));
    ASSERT_TRUE((*links)->SetUp(far, true));
    for (const char* address : addresses) {
      ASSERT_TRUE((*links)->AddAddress(far, *InterfaceAddress::Parse(address)));
    }
    near_.Enter();
  }
  template <typename Condition>
  bool WaitFor(const Condition& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(12);
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      loop_.RunOnce();
      std::this_thread::yield();
    }
    return condition();
  }

  Namespace far_;
  Namespace near_;  // made last: the test runs in it
  EventLoop loop_;
  Told told_;
  int near_index_ = 0;
  std::unique_ptr<KernelLinks> links_;
};

TEST_F(KernelLinksTest, TellsWhatIsThereWhenOpened) {
  ASSERT_TRUE(told_.links.contains(near_index_));
  EXPECT_EQ(told_.links[near_index_].name, "near");
  EXPECT_FALSE(told_.links[near_index_].up);
  EXPECT_EQ(told_.links[near_index_].mtu, 1500u);
}

TEST_F(KernelLinksTest, ALinkIsUpWithItsCarrierAndDownWithoutIt) {
  SetUpFar({});
  ASSERT_TRUE(links_->SetUp(near_index_, true));
  EXPECT_TRUE(WaitFor([&] { return told_.links[near_index_].up; }));
  ASSERT_TRUE(links_->SetUp(near_index_, false));
  EXPECT_TRUE(WaitFor([&] { return !told_.links[near_index_].up; }));
}

TEST_F(KernelLinksTest, MtuAndMacAreSet) {
  ASSERT_TRUE(links_->SetMtu(near_index_, 1400));
  EXPECT_TRUE(WaitFor([&] { return told_.links[near_index_].mtu == 1400; }));
  ASSERT_TRUE(links_->SetMac(near_index_, *MacAddress::Parse("02:00:00:00:00:77")));
  std::ifstream file("/proc/thread-self/net/dev");  // /sys shows the namespace it was mounted in
  EXPECT_TRUE(file.good());
}

TEST_F(KernelLinksTest, AddressesComeAndGo) {
  const InterfaceAddress address = *InterfaceAddress::Parse("10.7.0.1/24");
  ASSERT_TRUE(links_->AddAddress(near_index_, address));
  ASSERT_TRUE(links_->AddAddress(near_index_, address)) << "existing is fine";
  EXPECT_TRUE(WaitFor([&] { return told_.addresses.contains("10.7.0.1/24"); }));
  ASSERT_TRUE(links_->RemoveAddress(near_index_, address));
  EXPECT_TRUE(WaitFor([&] { return !told_.addresses.contains("10.7.0.1/24"); }));
  const Status again = links_->RemoveAddress(near_index_, address);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::kNotFound);
  EXPECT_NE(again.error().message.find("10.7.0.1/24"), std::string::npos) << again.error().message;
}

TEST_F(KernelLinksTest, ErrorsQuoteTheKernel) {
  const Status status = links_->SetUp(4711, true);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "setting interface 4711 up: No such device");
  EXPECT_EQ(status.error().code, Errc::kNotFound);
}

TEST_F(KernelLinksTest, ResolvesNeighborsOfBothFamilies) {
  SetUpFar({"10.7.0.2/24", "2001:db8:7::2/64"});
  ASSERT_TRUE(links_->SetUp(near_index_, true));
  ASSERT_TRUE(links_->AddAddress(near_index_, *InterfaceAddress::Parse("10.7.0.1/24")));
  ASSERT_TRUE(links_->AddAddress(near_index_, *InterfaceAddress::Parse("2001:db8:7::1/64")));
  ASSERT_TRUE(WaitFor([&] { return told_.links[near_index_].up; }));
  for (const char* address : {"10.7.0.2", "2001:db8:7::2"}) {
    ASSERT_TRUE(links_->Resolve(near_index_, *IpAddress::Parse(address)));
    // The far end hears nothing until the kernel has noticed its carrier, which can take longer
    // than the three probes of one request: asked again when they failed, as NeighborTable does.
    const auto resolved = [&] {
      const auto told = told_.neighbors.find(address);
      if (told != told_.neighbors.end() && !told->second.has_value()) {
        told_.neighbors.erase(told);
        EXPECT_TRUE(links_->Resolve(near_index_, *IpAddress::Parse(address)));
        return false;
      }
      return told != told_.neighbors.end();
    };
    EXPECT_TRUE(WaitFor(resolved)) << address;
    EXPECT_TRUE(links_->Resolve(near_index_, *IpAddress::Parse(address))) << "again is fine";
  }
}

TEST_F(KernelLinksTest, ANeighborThatDoesNotAnswerIsToldWithoutLinkAddress) {
  SetUpFar({"10.7.0.2/24"});
  ASSERT_TRUE(links_->SetUp(near_index_, true));
  ASSERT_TRUE(links_->AddAddress(near_index_, *InterfaceAddress::Parse("10.7.0.1/24")));
  ASSERT_TRUE(WriteSysctl("net/ipv4/neigh/near/retrans_time_ms", "10"));
  ASSERT_TRUE(links_->Resolve(near_index_, *IpAddress::Parse("10.7.0.3")));
  EXPECT_TRUE(WaitFor([&] { return told_.neighbors.contains("10.7.0.3"); }));
  EXPECT_FALSE(told_.neighbors["10.7.0.3"].has_value());
}

TEST_F(KernelLinksTest, RoutesAreReplacedAndRemoved) {
  SetUpFar({});
  ASSERT_TRUE(links_->SetUp(near_index_, true));
  ASSERT_TRUE(links_->AddAddress(near_index_, *InterfaceAddress::Parse("10.7.0.1/24")));
  const Prefix prefix = *Prefix::Parse("198.51.100.0/24");
  ASSERT_TRUE(links_->AddRoute(prefix, near_index_, IpAddress::Any(Family::kIpv4)));
  ASSERT_TRUE(links_->AddRoute(prefix, near_index_, IpAddress::Any(Family::kIpv4)));
  ASSERT_TRUE(
      links_->AddRoute(Prefix::Default(Family::kIpv4), near_index_, *IpAddress::Parse("10.7.0.2")));
  const Prefix prefix6 = *Prefix::Parse("2001:db8:100::/48");
  ASSERT_TRUE(links_->AddRoute(prefix6, near_index_, IpAddress::Any(Family::kIpv6)));
  ASSERT_TRUE(links_->RemoveRoute(prefix6, near_index_));
  ASSERT_TRUE(links_->RemoveRoute(prefix, near_index_));
  EXPECT_EQ(links_->RemoveRoute(prefix, near_index_).error().code, Errc::kNotFound);
}

TEST_F(KernelLinksTest, AVanishedLinkIsTold) {
  far_.Enter();
  auto socket = NetlinkSocket::Open({});
  NetlinkRequest request(RTM_DELLINK, 0, sizeof(ifinfomsg));
  request.extra<ifinfomsg>().ifi_index = static_cast<int>(if_nametoindex("far"));
  ASSERT_TRUE((*socket)->Execute(request, "deleting far"));
  near_.Enter();
  EXPECT_TRUE(WaitFor([&] { return !told_.links.contains(near_index_); }));
}

TEST_F(KernelLinksTest, ADumpTellsWhatWentWhileNotificationsWereLost) {
  ASSERT_TRUE(links_->SetUp(near_index_, true));
  ASSERT_TRUE(links_->AddAddress(near_index_, *InterfaceAddress::Parse("10.7.0.1/24")));
  ASSERT_TRUE(WaitFor([&] { return told_.addresses.contains("10.7.0.1/24"); }));
  // The loop does not run, so nothing of this is read before the dump.
  ASSERT_TRUE(links_->RemoveAddress(near_index_, *InterfaceAddress::Parse("10.7.0.1/24")));
  ASSERT_TRUE(links_->Dump());
  EXPECT_FALSE(told_.addresses.contains("10.7.0.1/24"));
}

TEST_F(KernelLinksTest, SysctlErrorsNameTheFile) {
  EXPECT_TRUE(WriteSysctl("net.ipv4.ip_forward", "0"));
  const Status missing = WriteSysctl("net/ipv4/conf/nowhere/rp_filter", "0");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message,
            "/proc/sys/net/ipv4/conf/nowhere/rp_filter: No such file or directory");
  EXPECT_EQ(WriteSysctl("kernel/panic", "1").error().code, Errc::kInvalidArgument);
  EXPECT_EQ(WriteSysctl("net/../kernel/panic", "1").error().code, Errc::kInvalidArgument);
}

}  // namespace
}  // namespace penstock
