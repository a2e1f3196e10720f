#include "dataplane/base/message_socket.h"

#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace penstock {
namespace {

using google::protobuf::BytesValue;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr milliseconds kDeadline{10'000};

BytesValue Message(const std::string& content) {
  BytesValue message;
  message.set_value(content);
  return message;
}

std::string Content(std::string_view frame) {
  BytesValue message;
  EXPECT_TRUE(message.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
  return message.value();
}

class MessageSocketTest : public ::testing::Test {
 protected:
  ~MessageSocketTest() override {
    server_.reset();
    std::filesystem::remove(options_.path);
  }

  void Listen() {
    auto server = MessageServer::Listen(
        loop_, options_,
        {.on_connect = [this](MessagePeer& peer) { peers_.push_back(&peer); },
         .on_message = [this](MessagePeer& peer,
                              std::string_view frame) { return OnMessage(peer, frame); },
         .on_disconnect = [this](MessagePeer& peer) { std::erase(peers_, &peer); }});
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }

  Status OnMessage(MessagePeer& peer, std::string_view frame) {
    received_.push_back(Content(frame));
    if (received_.back() == "nonsense") {
      return Fail(Errc::kInvalidArgument, "nonsense came");
    }
    if (echo_) {
      peer.Send(Message(received_.back()));
    }
    return {};
  }

  // Runs the loop until the condition holds.
  template <typename Condition>
  void Pump(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + kDeadline;
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      loop_.RunOnce();
    }
  }

  MessageClient Client() {
    Result<MessageClient> client = MessageClient::Connect(options_.path, kDeadline);
    EXPECT_TRUE(client) << client.error().message;
    const size_t before = peers_.size();
    Pump([&] { return peers_.size() > before; });
    return std::move(*client);
  }

  // Everything that comes until the server closes.
  void PumpUntilClosed(MessageClient& client) {
    Pump([&] {
      auto frame = client.TryReceive(milliseconds(0));
      return !frame;
    });
  }

  EventLoop loop_;
  MessageServerOptions options_{.path = ::testing::TempDir() + "socket_test." +
                                        std::to_string(getpid())};
  std::unique_ptr<MessageServer> server_;
  std::vector<MessagePeer*> peers_;
  std::vector<std::string> received_;
  bool echo_ = true;
};

TEST_F(MessageSocketTest, CarriesMessagesBothWays) {
  Listen();
  MessageClient client = Client();
  ASSERT_TRUE(client.Send(Message("hello")));
  ASSERT_TRUE(client.Send(Message("again")));
  Pump([&] { return received_.size() == 2; });
  EXPECT_EQ(Content(client.Receive(kDeadline).value()), "hello");
  EXPECT_EQ(Content(client.Receive(kDeadline).value()), "again");
  EXPECT_EQ(peers_[0]->pid(), getpid());
  EXPECT_EQ(peers_[0]->uid(), geteuid());
}

TEST_F(MessageSocketTest, PutsSplitFramesTogether) {
  Listen();
  MessageClient client = Client();
  const std::string frame = EncodeFrame(Message("in pieces")).value();
  for (const char byte : frame) {
    ASSERT_TRUE(received_.empty());
    ASSERT_EQ(send(client.descriptor(), &byte, 1, 0), 1);
    loop_.RunOnce();
  }
  Pump([&] { return !received_.empty(); });
  EXPECT_THAT(received_, ElementsAre("in pieces"));
}

TEST_F(MessageSocketTest, DisconnectsWhoClaimsAnOversizeFrame) {
  Listen();
  MessageClient client = Client();
  ASSERT_EQ(send(client.descriptor(), "\xff\xff\xff\xff", 4, 0), 4);
  PumpUntilClosed(client);
  Pump([&] { return peers_.empty(); });
}

TEST_F(MessageSocketTest, DisconnectsWhenTheHandlerFailsAndServesOthers) {
  Listen();
  MessageClient bad = Client();
  MessageClient good = Client();
  ASSERT_TRUE(bad.Send(Message("nonsense")));
  ASSERT_TRUE(bad.Send(Message("never read")));
  PumpUntilClosed(bad);
  ASSERT_TRUE(good.Send(Message("fine")));
  Pump([&] { return received_.size() == 2; });
  EXPECT_THAT(received_, ElementsAre("nonsense", "fine"));
  EXPECT_EQ(peers_.size(), 1u);
}

TEST_F(MessageSocketTest, RefusesUsersThatAreNotAllowed) {
  options_.allowed_uids = {geteuid() + 1};
  Listen();
  Result<MessageClient> client = MessageClient::Connect(options_.path, kDeadline);
  ASSERT_TRUE(client);
  PumpUntilClosed(*client);
  EXPECT_TRUE(peers_.empty());
}

TEST_F(MessageSocketTest, BroadcastsToThoseWhoWantIt) {
  Listen();
  MessageClient first = Client();
  MessageClient second = Client();
  server_->Broadcast(Message("all"), nullptr);
  server_->Broadcast(Message("second"), [this](MessagePeer& peer) { return &peer == peers_[1]; });
  server_->Broadcast(Message("end"), nullptr);
  EXPECT_EQ(Content(first.Receive(kDeadline).value()), "all");
  EXPECT_EQ(Content(first.Receive(kDeadline).value()), "end");
  EXPECT_EQ(Content(second.Receive(kDeadline).value()), "all");
  EXPECT_EQ(Content(second.Receive(kDeadline).value()), "second");
}

TEST_F(MessageSocketTest, TellsWhenALongAnswerHasDrained) {
  Listen();
  MessageClient client = Client();
  bool drained = false;
  while (peers_[0]->queued_bytes() < 2u << 20) {
    peers_[0]->Send(Message(std::string(100'000, 'x')));
  }
  peers_[0]->OnDrained([&drained] { drained = true; });
  loop_.RunOnce();
  EXPECT_FALSE(drained);
  Pump([&] {
    EXPECT_TRUE(client.TryReceive(milliseconds(0)));
    return drained;
  });
  EXPECT_EQ(peers_[0]->queued_bytes(), 0u);
  drained = false;
  peers_[0]->OnDrained([&drained] { drained = true; });
  EXPECT_FALSE(drained);  // from the loop, not at once
  Pump([&] { return drained; });
}

TEST_F(MessageSocketTest, DoesNotReadWhoDoesNotReadAnswers) {
  Listen();
  MessageClient client = Client();
  const std::string large(1'000'000, 'x');
  size_t answered = 0;
  std::jthread sender([&] {
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(client.Send(Message(large)));
    }
  });
  Pump([&] { return peers_[0]->queued_bytes() > 1u << 20; });
  for (int i = 0; i < 100; ++i) {
    loop_.RunOnce();
  }
  EXPECT_LT(received_.size(), 10u);  // the rest waits in the client
  EXPECT_LT(peers_[0]->queued_bytes(), 3u << 20);
  Pump([&] {
    auto frame = client.TryReceive(milliseconds(0));
    EXPECT_TRUE(frame);
    answered += frame && frame->has_value() ? 1 : 0;
    return answered == 20;
  });
}

TEST_F(MessageSocketTest, DisconnectsWhoLetsTooMuchQueueUp) {
  Listen();
  MessageClient client = Client();
  const BytesValue large = Message(std::string(8u << 20, 'x'));
  for (int i = 0; i < 9; ++i) {
    server_->Broadcast(large, nullptr);
  }
  Pump([&] { return peers_.empty(); });
  PumpUntilClosed(client);
}

TEST_F(MessageSocketTest, SendsNothingAfterClose) {
  Listen();
  MessageClient client = Client();
  peers_[0]->Send(Message("goodbye"));
  peers_[0]->Close();
  peers_[0]->Send(Message("too late"));
  peers_[0]->Close();
  EXPECT_EQ(Content(client.Receive(kDeadline).value()), "goodbye");
  EXPECT_EQ(client.Receive(kDeadline).error().message, "the daemon closed the connection");
  Pump([&] { return peers_.empty(); });
}

TEST_F(MessageSocketTest, NoticesClientsThatLeave) {
  Listen();
  { MessageClient client = Client(); }
  Pump([&] { return peers_.empty(); });
}

TEST_F(MessageSocketTest, ClientSaysWhenNobodyAnswersInTime) {
  Listen();
  MessageClient client = Client();
  Result<std::string> frame = client.Receive(milliseconds(1));
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, Errc::kUnavailable);
  EXPECT_EQ(frame.error().message, "the daemon did not answer within 1 ms");
  ASSERT_TRUE(client.Send(Message("still usable")));
  Pump([&] { return received_.size() == 1; });
  EXPECT_EQ(Content(client.Receive(kDeadline).value()), "still usable");
}

TEST_F(MessageSocketTest, ClientSaysWhenNobodyListens) {
  Result<MessageClient> client = MessageClient::Connect(options_.path, kDeadline);
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, Errc::kUnavailable);
  EXPECT_THAT(client.error().message, HasSubstr(options_.path));
  EXPECT_THAT(client.error().message, HasSubstr("is penstockd running?"));
}

TEST_F(MessageSocketTest, RemovesItsFileAndSetsItsMode) {
  options_.mode = 0600;
  Listen();
  struct stat status {};
  ASSERT_EQ(stat(options_.path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(options_.path));
}

TEST_F(MessageSocketTest, ReplacesTheFileOfADeadDaemon) {
  const int stale = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  options_.path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(stale, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  close(stale);
  ASSERT_TRUE(std::filesystem::exists(options_.path));
  Listen();
  MessageClient client = Client();
}

TEST_F(MessageSocketTest, LeavesALivingDaemonAlone) {
  Listen();
  auto second = MessageServer::Listen(loop_, options_, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kAlreadyExists);
  EXPECT_EQ(second.error().message, "socket " + options_.path + ": another daemon is listening");
  EXPECT_TRUE(std::filesystem::exists(options_.path));
}

TEST_F(MessageSocketTest, LeavesAFileThatIsNoSocketAlone) {
  std::ofstream(options_.path) << "precious";
  auto server = MessageServer::Listen(loop_, options_, {});
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().message, HasSubstr("not a socket"));
  EXPECT_EQ(std::filesystem::file_size(options_.path), 8u);
}

TEST_F(MessageSocketTest, LeavesAFileThatReplacedItsOwn) {
  Listen();
  std::filesystem::remove(options_.path);
  std::ofstream(options_.path) << "other";
  server_.reset();
  EXPECT_TRUE(std::filesystem::exists(options_.path));
}

TEST_F(MessageSocketTest, RefusesImpossibleOptions) {
  options_.group = "no-such-group-here";
  auto server = MessageServer::Listen(loop_, options_, {});
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().message, HasSubstr("no group named \"no-such-group-here\""));
  EXPECT_FALSE(std::filesystem::exists(options_.path));
  options_ = {.path = "/" + std::string(200, 'x')};
  EXPECT_THAT(MessageServer::Listen(loop_, options_, {}).error().message,
              HasSubstr("has 201 bytes; expected 1 to 107"));
  options_ = {.path = "/nonexistent-folder/socket"};
  EXPECT_THAT(MessageServer::Listen(loop_, options_, {}).error().message,
              HasSubstr("No such file"));
}

}  // namespace
}  // namespace penstock
