#include "dataplane/cli/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "dataplane/cli/json.h"
#include "dataplane/cli/socket_path.h"
#include "tests/unit/cli/fake_daemon.h"

namespace penstock::cli {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr milliseconds kDeadline{10'000};

std::string PathOf(const std::string& name) {
  return ::testing::TempDir() + "cli." + std::to_string(getpid()) + "." + name;
}

control::Reply TunnelPage(const std::string& name, bool more) {
  control::Reply reply;
  reply.set_more(more);
  reply.mutable_tunnels()->add_tunnels()->set_name(name);
  reply.mutable_tunnels()->set_timestamp_microseconds(7);
  return reply;
}

control::Reply Refusal(const std::string& message) {
  control::Reply reply;
  reply.mutable_error()->set_code("not_found");
  reply.mutable_error()->set_message(message);
  return reply;
}

control::Request ShowTunnels() {
  control::Request request;
  request.mutable_show_tunnels();
  return request;
}

TEST(ConnectionTest, ReadsTheGreeting) {
  FakeDaemon daemon(PathOf("hello"), [](const auto&) { return std::vector<control::Reply>(); });
  const auto connection = Connection::Open(daemon.path(), kDeadline);
  ASSERT_TRUE(connection) << connection.error().message;
  EXPECT_EQ(connection->hello().version(), "9.9");
}

TEST(ConnectionTest, MergesThePagesOfALongAnswer) {
  FakeDaemon daemon(PathOf("pages"), [](const auto&) {
    return std::vector{TunnelPage("a", true), TunnelPage("b", true), TunnelPage("c", false)};
  });
  auto connection = Connection::Open(daemon.path(), kDeadline);
  ASSERT_TRUE(connection);
  control::Request request = ShowTunnels();
  const auto reply = connection->Call(request);
  ASSERT_TRUE(reply) << reply.error().message;
  ASSERT_EQ(reply->tunnels().tunnels_size(), 3);
  EXPECT_EQ(reply->tunnels().tunnels(2).name(), "c");
  EXPECT_FALSE(reply->more());
  EXPECT_THAT(ToJson(BodyOf(*reply), true), HasSubstr("\"timestamp_microseconds\":\"7\""));
}

TEST(ConnectionTest, PassesARefusalOnWithItsSentence) {
  FakeDaemon daemon(PathOf("refusal"), [](const auto&) {
    return std::vector{TunnelPage("a", true), Refusal("no tunnel named b")};
  });
  auto connection = Connection::Open(daemon.path(), kDeadline);
  control::Request request = ShowTunnels();
  const auto reply = connection->Call(request);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ExitCode::kRefused);
  EXPECT_EQ(reply.error().message, "no tunnel named b");
}

TEST(ConnectionTest, SkipsRepliesToOtherRequests) {
  FakeDaemon daemon(PathOf("others"), [](const auto&) {
    control::Reply stale = TunnelPage("stale", true);
    stale.set_id(77);
    return std::vector{stale, TunnelPage("mine", false)};
  });
  auto connection = Connection::Open(daemon.path(), kDeadline);
  control::Request request = ShowTunnels();
  const auto reply = connection->Call(request);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->tunnels().tunnels(0).name(), "mine");
}

TEST(ConnectionTest, SaysWhenNoAnswerComesInTime) {
  FakeDaemon daemon(PathOf("silent"), [](const auto&) { return std::vector<control::Reply>(); });
  auto connection = Connection::Open(daemon.path(), milliseconds(50));
  ASSERT_TRUE(connection);
  control::Request request = ShowTunnels();
  const auto reply = connection->Call(request);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ExitCode::kNoDaemon);
  EXPECT_THAT(reply.error().message, HasSubstr("within 0.05 s; allow more with --timeout"));
}

TEST(ConnectionTest, RefusesAnotherProtocol) {
  FakeDaemon daemon(
      PathOf("protocol"), [](const auto&) { return std::vector<control::Reply>(); }, 2);
  const auto connection = Connection::Open(daemon.path(), kDeadline);
  ASSERT_FALSE(connection);
  EXPECT_EQ(connection.error().code, ExitCode::kNoDaemon);
  EXPECT_THAT(connection.error().message, HasSubstr("speaks control protocol 2"));
}

TEST(ConnectionTest, SaysWhoDoesNotAnswerAndWhatToDo) {
  const auto connection = Connection::Open("/nonexistent/left/control.sock", kDeadline);
  ASSERT_FALSE(connection);
  EXPECT_EQ(connection.error().message,
            "no daemon answers at /nonexistent/left/control.sock (no such socket): is penstockd "
            "running? systemctl status penstock@left");
}

class FindSocketTest : public ::testing::Test {
 protected:
  FindSocketTest() { std::filesystem::create_directories(directory_); }
  ~FindSocketTest() override {
    daemons_.clear();
    std::filesystem::remove_all(directory_);
  }
  void AddInstance(const std::string& name) {
    std::filesystem::create_directory(directory_ + "/" + name);
    daemons_.push_back(
        std::make_unique<FakeDaemon>(directory_ + "/" + name + "/control.sock",
                                     [](const auto&) { return std::vector<control::Reply>(); }));
  }

  std::string directory_ = PathOf("run");
  std::vector<std::unique_ptr<FakeDaemon>> daemons_;
};

TEST_F(FindSocketTest, TakesTheOnlyInstance) {
  AddInstance("left");
  std::filesystem::create_directory(directory_ + "/without-a-socket");
  EXPECT_EQ(FindSocket("", "", directory_).value(), directory_ + "/left/control.sock");
}

TEST_F(FindSocketTest, ListsTheInstancesWhenThereAreSeveral) {
  AddInstance("right");
  AddInstance("left");
  const auto found = FindSocket("", "", directory_);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ExitCode::kUsage);
  EXPECT_EQ(found.error().message,
            "there are 2 instances: left, right; choose one with --instance");
  EXPECT_EQ(FindSocket("", "right", directory_).value(), directory_ + "/right/control.sock");
  EXPECT_EQ(FindSocket("/a/b", "", directory_).value(), "/a/b");
}

TEST_F(FindSocketTest, SaysWhenThereIsNone) {
  const auto found = FindSocket("", "", directory_ + "/nothing");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ExitCode::kNoDaemon);
  EXPECT_THAT(found.error().message, HasSubstr("is penstockd running?"));
}

}  // namespace
}  // namespace penstock::cli
