#include "fpm_client/listener.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <thread>

#include "fpm_client/frame.h"
#include "tests/unit/fpm_client/netlink_writer.h"
#include "tests/unit/fpm_client/recording_sink.h"

namespace penstock::fpm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;

constexpr std::chrono::seconds kDeadline{30};

Bytes Route(const std::string& prefix, uint32_t next_hop) {
  return RouteMessage(prefix, Attribute(RTA_NH_ID, next_hop));
}
Bytes Single(uint32_t id, uint32_t interface) {
  return NextHopMessage(id, Attribute(NHA_OIF, interface));
}
Bytes ManyRoutes(int count) {
  Bytes frames;
  for (int first = 0; first < count; first += 250) {
    Bytes payload;
    for (int i = first; i < std::min(count, first + 250); ++i) {
      payload = payload + Route(fmt::format("10.{}.{}.0/24", i / 250, i % 250), 1);
    }
    frames = frames + Frame(payload);
  }
  return frames;
}

// A port that was free a moment ago.
uint16_t FreePort() {
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(descriptor, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size), 0);
  close(descriptor);
  return ntohs(address.sin_port);
}

enum class Transport { kTcp, kUnix };

class ListenerTest : public ::testing::TestWithParam<Transport> {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "penstock-fpm-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    options_.sweep = std::chrono::hours(1);
    options_.withdraw_hold = std::chrono::milliseconds(0);
  }
  void TearDown() override {
    for (const int descriptor : descriptors_) {
      close(descriptor);
    }
    listener_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Start() {
    for (int attempt = 0; attempt < 100 && listener_ == nullptr; ++attempt) {
      port_ = FreePort();
      options_.listen = GetParam() == Transport::kTcp ? fmt::format("127.0.0.1:{}", port_)
                                                      : "unix:" + SocketPath();
      Result<std::unique_ptr<Listener>> listener = Listener::Start(loop_, sink_, options_);
      if (listener) {
        listener_ = std::move(*listener);
      } else {
        ASSERT_EQ(listener.error().code, Errc::kAlreadyExists) << listener.error().message;
      }
    }
    ASSERT_NE(listener_, nullptr);
  }
  std::string SocketPath() const { return folder_ + "/fpm.sock"; }

  // As zebra does; waits until the listener has taken it.
  int Dial() {
    const uint64_t before = listener_->GetStatus().connections;
    int descriptor = -1;
    if (GetParam() == Transport::kUnix) {
      descriptor = ConnectUnixSocket(SocketPath(), kDeadline).value();
    } else {
      descriptor = socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port_);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      EXPECT_EQ(connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    }
    descriptors_.push_back(descriptor);
    EXPECT_TRUE(RunUntil([&] { return listener_->GetStatus().connections == before + 1; }));
    return descriptor;
  }
  void Send(int descriptor, std::span<const uint8_t> bytes) {
    const bool sent = RunUntil([&] {
      const ssize_t size = send(descriptor, bytes.data(), bytes.size(), MSG_DONTWAIT);
      bytes = bytes.subspan(size > 0 ? static_cast<size_t>(size) : 0);
      return bytes.empty();
    });
    EXPECT_TRUE(sent) << strerror(errno);
  }
  // True once the other side has closed it.
  bool WaitForEnd(int descriptor) {
    return RunUntil([&] {
      uint8_t byte = 0;
      const ssize_t size = recv(descriptor, &byte, 1, MSG_DONTWAIT);
      return size == 0 || (size < 0 && errno == ECONNRESET);
    });
  }
  bool WaitForRoutes(size_t count) {
    return RunUntil([&] { return sink_.size() == count; });
  }
  bool RunUntil(const std::function<bool()>& condition) {
    const Nanoseconds end = SystemClock().Now() + kDeadline;
    while (!condition()) {
      if (SystemClock().Now() > end) {
        return false;
      }
      loop_.RunOnce();
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    return true;
  }

  // What comes back: "10.1.0.0/16 bgp offloaded", one for each frame.
  std::vector<std::string> ReadAnswers(int descriptor, size_t count) {
    std::vector<std::string> answers;
    const bool came = RunUntil([&] {
      const std::span<uint8_t> space = answers_.Space();
      const ssize_t size = recv(descriptor, space.data(), space.size(), MSG_DONTWAIT);
      answers_.Wrote(size > 0 ? static_cast<size_t>(size) : 0);
      for (auto frame = answers_.Next(); frame && *frame; frame = answers_.Next()) {
        answers.push_back(AnswerText(**frame));
      }
      return answers.size() >= count;
    });
    EXPECT_TRUE(came) << answers.size() << " answers of " << count;
    return answers;
  }
  static std::string AnswerText(std::span<const uint8_t> payload) {
    rtmsg header{};
    std::memcpy(&header, payload.data() + sizeof(nlmsghdr), sizeof(header));
    RouteChange route;
    NextHopChange next_hop;
    (void)ParseMessage(payload, route, next_hop);  // an answer names no next hop
    EXPECT_EQ(route.table, static_cast<uint32_t>(RT_TABLE_MAIN));
    return fmt::format("{} {}{}{}", route.prefix.ToString(), ProtocolName(route.protocol),
                       (header.rtm_flags & RTM_F_OFFLOAD) != 0 ? " offloaded" : "",
                       (header.rtm_flags & RTM_F_OFFLOAD_FAILED) != 0 ? " failed" : "");
  }

  EventLoop loop_;
  RecordingSink sink_;
  ListenerOptions options_;
  std::string folder_;
  uint16_t port_ = 0;
  std::unique_ptr<Listener> listener_;
  std::vector<int> descriptors_;
  FrameReader answers_;
};

TEST_P(ListenerTest, RoutesArriveAndTheStatusTells) {
  Start();
  EXPECT_EQ(listener_->GetStatus().peer, "");
  const int zebra = Dial();
  const Bytes stream = Frame(Single(1, 11)) + Frame(Route("10.1.0.0/16", 1));
  Send(zebra, stream);
  ASSERT_TRUE(WaitForRoutes(1));
  EXPECT_THAT(sink_.Ways(), ElementsAre(Pair("10.1.0.0/16", "11")));
  const FpmStatus status = listener_->GetStatus();
  EXPECT_EQ(status.listen, options_.listen);
  EXPECT_THAT(status.peer,
              StartsWith(GetParam() == Transport::kTcp ? "127.0.0.1:" : "the Unix socket"));
  EXPECT_NE(status.connected_at.count(), 0);
  EXPECT_EQ(status.bytes, stream.size());
  EXPECT_EQ(status.frames, 2u);
}

TEST_P(ListenerTest, AStreamInSingleBytes) {
  Start();
  const int zebra = Dial();
  const Bytes stream =
      Frame(Single(1, 11)) + Frame(Route("10.1.0.0/16", 1) + Route("2001:db8::/32", 1));
  for (const uint8_t byte : stream) {
    Send(zebra, {&byte, 1});
  }
  ASSERT_TRUE(WaitForRoutes(2));
  EXPECT_EQ(sink_.applied(), 1u);  // a frame is applied as one, however it came
}

TEST_P(ListenerTest, RoutesStayWhenTheConnectionEnds) {
  Start();
  const int zebra = Dial();
  Send(zebra, Frame(Single(1, 11) + Route("10.1.0.0/16", 1)));
  ASSERT_TRUE(WaitForRoutes(1));
  shutdown(zebra, SHUT_RDWR);
  ASSERT_TRUE(RunUntil([&] { return listener_->GetStatus().peer.empty(); }));
  EXPECT_EQ(sink_.size(), 1u);
  EXPECT_EQ(sink_.stale(), 0u);
}

TEST_P(ListenerTest, TheNewestConnectionCounts) {
  Start();
  const int first = Dial();
  Send(first, Frame(Single(1, 11) + Route("10.1.0.0/16", 1)));
  ASSERT_TRUE(WaitForRoutes(1));
  const int second = Dial();
  EXPECT_TRUE(WaitForEnd(first));
  EXPECT_EQ(sink_.stale(), 1u);
  Send(second, Frame(Single(1, 22) + Route("10.1.0.0/16", 1)));
  ASSERT_TRUE(RunUntil([&] { return sink_.WayOf("10.1.0.0/16") == "22"; }));
  EXPECT_EQ(sink_.stale(), 0u);
  EXPECT_EQ(listener_->GetStatus().connections, 2u);
}

TEST_P(ListenerTest, AStreamThatIsNoFpmEndsWithAReasonAndTheNextOneIsServed) {
  Start();
  const int stranger = Dial();
  const std::string text = "GET / HTTP/1.1\r\n\r\n";
  Send(stranger, Bytes(text.begin(), text.end()));
  EXPECT_TRUE(WaitForEnd(stranger));
  EXPECT_THAT(listener_->GetStatus().last_error, HasSubstr("version"));
  const int zebra = Dial();
  Send(zebra, Frame(Single(1, 11) + Route("10.1.0.0/16", 1)));
  EXPECT_TRUE(WaitForRoutes(1));
}

TEST_P(ListenerTest, WhatIsNotRepeatedIsSweptOnceTheNewStreamIsQuiet) {
  constexpr int kRoutes = 10'000;
  options_.sweep = std::chrono::milliseconds(20);
  Start();
  const int first = Dial();
  Send(first, Frame(Single(1, 11)) + ManyRoutes(kRoutes) + Frame(Route("192.0.2.0/24", 1)));
  ASSERT_TRUE(WaitForRoutes(kRoutes + 1));
  const int second = Dial();
  Send(second, Frame(Single(1, 22)));
  // Next hops alone are no replay: however long it takes, all routes forward on.
  const Nanoseconds later = SystemClock().Now() + 10 * options_.sweep;
  ASSERT_TRUE(RunUntil([&] { return SystemClock().Now() > later; }));
  EXPECT_EQ(sink_.size(), static_cast<size_t>(kRoutes) + 1);
  Send(second, Frame(Route("192.0.2.0/24", 1)));
  ASSERT_TRUE(WaitForRoutes(1));
  EXPECT_THAT(sink_.Ways(), ElementsAre(Pair("192.0.2.0/24", "22")));
}

TEST_P(ListenerTest, RoutesAreAcknowledgedByWhetherTheirPathLives) {
  options_.acknowledge = true;
  Start();
  const int zebra = Dial();
  Send(zebra, Frame(Single(1, 11) + Route("10.1.0.0/16", 1) + Route("2001:db8::/32", 1)));
  EXPECT_THAT(ReadAnswers(zebra, 2),
              ElementsAre("10.1.0.0/16 bgp offloaded", "2001:db8::/32 bgp offloaded"));
  const PathId path = sink_.PathIdOf("10.1.0.0/16");
  sink_.TurnAlive(path, false);
  EXPECT_THAT(ReadAnswers(zebra, 2),
              ElementsAre("10.1.0.0/16 bgp failed", "2001:db8::/32 bgp failed"));
  Send(zebra, Frame(Route("10.2.0.0/16", 1)));
  EXPECT_THAT(ReadAnswers(zebra, 1), ElementsAre("10.2.0.0/16 bgp failed"));
  sink_.TurnAlive(path, true);
  EXPECT_THAT(ReadAnswers(zebra, 3),
              ElementsAre("10.1.0.0/16 bgp offloaded", "10.2.0.0/16 bgp offloaded",
                          "2001:db8::/32 bgp offloaded"));
  const FpmStatus status = listener_->GetStatus();
  EXPECT_TRUE(status.acknowledge);
  EXPECT_EQ(status.acknowledged, 5u);
  EXPECT_EQ(status.failed, 3u);
}

TEST_P(ListenerTest, AZebraThatReadsLateGetsEveryAnswer) {
  constexpr int kRoutes = 50'000;
  options_.acknowledge = true;
  Start();
  const int zebra = Dial();
  Send(zebra, Frame(Single(1, 11)) + ManyRoutes(kRoutes));  // all of it is read all the same
  ASSERT_TRUE(WaitForRoutes(kRoutes));
  EXPECT_EQ(ReadAnswers(zebra, kRoutes).size(), static_cast<size_t>(kRoutes));
}

TEST_P(ListenerTest, WithoutTheSwitchNothingIsWritten) {
  Start();
  const int zebra = Dial();
  Send(zebra, Frame(Single(1, 11) + Route("10.1.0.0/16", 1)));
  ASSERT_TRUE(WaitForRoutes(1));
  sink_.TurnAlive(sink_.PathIdOf("10.1.0.0/16"), false);
  loop_.RunOnce();
  uint8_t byte = 0;
  EXPECT_EQ(recv(zebra, &byte, 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_P(ListenerTest, AnAddressThatIsTakenIsTold) {
  Start();
  const Result<std::unique_ptr<Listener>> second = Listener::Start(loop_, sink_, options_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kAlreadyExists);
  EXPECT_THAT(second.error().message, StartsWith("fpm: "));
}

INSTANTIATE_TEST_SUITE_P(Transports, ListenerTest,
                         ::testing::Values(Transport::kTcp, Transport::kUnix),
                         [](const ::testing::TestParamInfo<Transport>& transport) {
                           return transport.param == Transport::kTcp ? "Tcp" : "Unix";
                         });

TEST(ListenerAddressTest, WhatIsNoAddressIsToldWithTheRightForms) {
  EventLoop loop;
  RecordingSink sink;
  for (const std::string listen : {"", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536",
                                   "127.0.0.1:26x", "localhost:2620", "[::1]", "unix"}) {
    ListenerOptions options;
    options.listen = listen;
    const Result<std::unique_ptr<Listener>> listener = Listener::Start(loop, sink, options);
    ASSERT_FALSE(listener) << listen;
    EXPECT_THAT(listener.error().message,
                HasSubstr("expected ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH"))
        << listen;
  }
}

TEST(ListenerAddressTest, AnAddressOfAnotherMachineIsRefused) {
  EventLoop loop;
  RecordingSink sink;
  ListenerOptions options;
  options.listen = "192.0.2.77:2620";
  const Result<std::unique_ptr<Listener>> listener = Listener::Start(loop, sink, options);
  ASSERT_FALSE(listener);
  EXPECT_THAT(listener.error().message, HasSubstr("192.0.2.77:2620"));
}

}  // namespace
}  // namespace penstock::fpm
