#include "dataplane/cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "dataplane/cli/usage.h"
#include "tests/unit/cli/fake_daemon.h"

namespace penstock::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

control::Reply Done() {
  control::Reply reply;
  reply.mutable_done();
  return reply;
}

class CommandLineTest : public ::testing::Test {
 protected:
  void Serve(FakeDaemon::Answer answer) {
    daemon_ = std::make_unique<FakeDaemon>(
        ::testing::TempDir() + "cli_line." + std::to_string(getpid()), std::move(answer));
  }
  void ServeDone() {
    Serve([](const auto&) { return std::vector{Done()}; });
  }
  Ended Run(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), {"--socket", daemon_->path()});
    return RunTool(std::move(arguments), input);
  }

  std::unique_ptr<FakeDaemon> daemon_;
};

TEST_F(CommandLineTest, TakesGlobalOptionsBeforeAndAfterTheCommand) {
  Serve([](const auto&) {
    control::Reply reply;
    reply.mutable_tunnels()->add_tunnels()->set_name("tun1");
    return std::vector{reply};
  });
  const Ended before = RunTool({"--json", "--socket", daemon_->path(), "show", "tunnels"});
  const Ended after = RunTool({"show", "tunnels", "--socket", daemon_->path(), "--json"});
  EXPECT_EQ(before.status, 0) << before.errors;
  EXPECT_EQ(before.output, after.output);
  EXPECT_THAT(before.output, HasSubstr("\"name\": \"tun1\""));
  EXPECT_THAT(before.output, HasSubstr("\"mtu\": 0"));
}

TEST_F(CommandLineTest, SendsTheFiltersOfAShow) {
  Serve([](const auto&) {
    control::Reply reply;
    reply.mutable_routes();
    return std::vector{reply};
  });
  const Ended ended = Run({"show", "routes", "10.0.0.0/8", "--limit", "50", "--source", "bgp"});
  EXPECT_EQ(ended.status, 0) << ended.errors;
  EXPECT_EQ(ended.output, "no routes\n");
  const std::vector<control::Request> requests = daemon_->requests();
  ASSERT_EQ(requests.size(), 1u);
  const control::ShowRoutes& show = requests[0].show_routes();
  EXPECT_EQ(show.prefix(), "10.0.0.0/8");
  EXPECT_EQ(show.limit(), 50u);
  EXPECT_EQ(show.source(), "bgp");
}

TEST_F(CommandLineTest, SendsEveryFieldOfAnSa) {
  ServeDone();
  const Ended ended = Run({"add",
                           "sa",
                           "--tunnel",
                           "tun1",
                           "--direction",
                           "in",
                           "--spi",
                           "0x1001",
                           "--suite",
                           "aes-gcm-16-128",
                           "--key-stdin",
                           "--source",
                           "192.0.2.1",
                           "--destination",
                           "192.0.2.2",
                           "--udp",
                           "--source-port",
                           "4501",
                           "--destination-port",
                           "4502",
                           "--esn",
                           "--replay-window",
                           "1024",
                           "--soft-time",
                           "50m",
                           "--hard-time",
                           "1h",
                           "--soft-bytes",
                           "1G",
                           "--hard-bytes",
                           "2G",
                           "--soft-packets",
                           "5",
                           "--hard-packets",
                           "6",
                           "--selector",
                           "source=0.0.0.0/0,destination=0.0.0.0/0",
                           "--selector",
                           "source=::/0,destination=::/0",
                           "--df",
                           "set",
                           "--dscp",
                           "0",
                           "--tfc",
                           "mtu",
                           "--name",
                           "mine",
                           "--check-source",
                           "--initial-sequence",
                           "4294967296"},
                          "00112233445566778899aabbccddeeff00010203\n");
  ASSERT_EQ(ended.status, 0) << ended.errors;
  EXPECT_EQ(ended.output, "SA in 0x00001001 added to tunnel tun1\n");
  const control::Request request = daemon_->requests().at(0);
  const control::AddSa& sa = request.add_sa();
  // A field that is forgotten here or in the command shows as unset.
  for (int index = 0; index < sa.GetDescriptor()->field_count(); ++index) {
    const google::protobuf::FieldDescriptor* field = sa.GetDescriptor()->field(index);
    const bool set = field->is_repeated() ? sa.GetReflection()->FieldSize(sa, field) > 0
                                          : sa.GetReflection()->HasField(sa, field);
    EXPECT_EQ(set, field->name() != "no_replay") << field->name();
  }
  EXPECT_EQ(sa.key().size(), 20u);
  EXPECT_EQ(sa.key()[1], 0x11);
  EXPECT_EQ(sa.selectors_size(), 2);
  EXPECT_EQ(sa.lifetime().soft_seconds(), 3000u);
  EXPECT_EQ(sa.lifetime().hard_bytes(), 2'000'000'000u);
  EXPECT_EQ(sa.tfc_length_bytes(), 4294967295u);
}

TEST_F(CommandLineTest, RefusesAKeyOnTheCommandLineWithoutRepeatingIt) {
  ServeDone();
  const Ended ended = Run({"add", "sa", "--tunnel", "t", "--direction", "in", "--spi", "0x1001",
                           "--suite", "s", "--key", "c0ffee"});
  EXPECT_EQ(ended.status, 2);
  EXPECT_THAT(ended.errors,
              StartsWith("penstockctl: --key: a key on the command line can be seen"));
  EXPECT_THAT(ended.errors, Not(HasSubstr("c0ffee")));
  EXPECT_THAT(daemon_->requests(), IsEmpty());
}

TEST_F(CommandLineTest, WarnsOfAKeyFileThatOthersCanRead) {
  ServeDone();
  const std::string file = daemon_->path() + ".key";
  std::ofstream(file) << "0011";
  const std::vector<std::string> words = {"add",   "sa",     "--tunnel", "t", "--direction", "out",
                                          "--spi", "0x1001", "--suite",  "s", "--key-file",  file};
  chmod(file.c_str(), 0644);
  EXPECT_THAT(Run(words).errors, HasSubstr("others may read the key"));
  chmod(file.c_str(), 0600);
  EXPECT_EQ(Run(words).errors, "");
  EXPECT_EQ(daemon_->requests().at(1).add_sa().key(), std::string("\x00\x11", 2));
  unlink(file.c_str());
}

TEST_F(CommandLineTest, SendsTheNextHopsOfARoute) {
  ServeDone();
  const Ended ended = Run({"add", "route", "--via", "tunnel=tun1,weight=2", "--via",
                           "address=192.0.2.9", "10.2.0.0/16"});
  ASSERT_EQ(ended.status, 0) << ended.errors;
  const control::Request request = daemon_->requests().at(0);
  EXPECT_EQ(request.add_route().prefix(), "10.2.0.0/16");
  ASSERT_EQ(request.add_route().via_size(), 2);
  EXPECT_EQ(request.add_route().via(0).weight(), 2u);
  EXPECT_EQ(request.add_route().via(1).address(), "192.0.2.9");
}

TEST_F(CommandLineTest, EndsWithOneWhenTheDaemonRefuses) {
  Serve([](const auto&) {
    control::Reply reply;
    reply.mutable_error()->set_message("there is no tunnel named tun9");
    return std::vector{reply};
  });
  const Ended ended = Run({"delete", "tunnel", "tun9"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_EQ(ended.errors, "penstockctl: there is no tunnel named tun9\n");
  EXPECT_EQ(ended.output, "");
}

TEST_F(CommandLineTest, PrintsEventsUntilTheStreamEnds) {
  Serve([](const auto&) {
    control::Reply first;
    first.set_more(true);
    first.mutable_event()->set_kind("tunnel_up");
    first.mutable_event()->set_tunnel("tun1");
    first.mutable_event()->set_text("tunnel tun1 is up");
    control::Reply last = Done();
    return std::vector{first, last};
  });
  const Ended ended = Run({"events"});
  EXPECT_EQ(ended.status, 0) << ended.errors;
  EXPECT_THAT(ended.output, HasSubstr("tunnel_up        tun1"));
  EXPECT_THAT(Run({"events", "--json"}).output, HasSubstr("\"kind\":\"tunnel_up\""));
}

TEST_F(CommandLineTest, WritesACaptureAndItsSummary) {
  Serve([](const auto&) {
    control::Reply first;
    first.set_more(true);
    first.mutable_capture()->set_pcapng("head ");
    control::Reply last;
    last.mutable_capture()->set_pcapng("tail");
    last.mutable_capture()->set_captured_packets(2);
    last.mutable_capture()->set_lost_packets(1);
    return std::vector{first, last};
  });
  const std::string file = daemon_->path() + ".pcapng";
  const Ended ended = Run({"capture", "port", "wan0", "--count", "2", "--write", file});
  EXPECT_EQ(ended.status, 0) << ended.errors;
  EXPECT_THAT(ended.errors, StartsWith("2 packets captured, 1 lost"));
  std::ifstream stream(file);
  std::string written;
  std::getline(stream, written);
  EXPECT_EQ(written, "head tail");
  unlink(file.c_str());
  EXPECT_EQ(Run({"capture", "port", "--write", "-"}).output, "head tail");
}

TEST_F(CommandLineTest, LeavesTheFileAloneWhenACaptureIsRefused) {
  Serve([](const auto&) {
    control::Reply reply;
    reply.mutable_error()->set_message("there is no port named wan9");
    return std::vector{reply};
  });
  const std::string file = daemon_->path() + ".pcapng";
  std::ofstream(file) << "yesterday";
  EXPECT_EQ(Run({"capture", "port", "wan9", "--write", file}).status, 1);
  std::ifstream stream(file);
  std::string kept;
  std::getline(stream, kept);
  EXPECT_EQ(kept, "yesterday");
  unlink(file.c_str());
}

TEST(UsageTest, NamesTheWordThatWasMeant) {
  const Ended ended = RunTool({"show", "tunels"});
  EXPECT_EQ(ended.status, 2);
  EXPECT_EQ(ended.errors,
            "penstockctl: unknown command 'tunels'; did you mean 'tunnels'? (see penstockctl show "
            "--help)\n");
  EXPECT_THAT(RunTool({"show", "sas", "--tunel", "x"}).errors, HasSubstr("'--tunnel'"));
  EXPECT_EQ(Nearest("xyz", {"show", "watch"}), "");
}

TEST(UsageTest, ListsTheCommandsWhenOneIsMissing) {
  EXPECT_THAT(RunTool({}).errors, HasSubstr("a command is missing; expected show, lookup"));
  EXPECT_THAT(RunTool({"delete"}).errors, HasSubstr("expected tunnel, sa, route"));
}

TEST(UsageTest, RefusesWrongValuesBeforeTheDaemonIsAsked) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"lookup", "10.2.0.300"},
           {"lookup", "10.2.0.3", "--sport", "5"},
           {"show", "routes", "10.0.0.1/8"},
           {"show", "routes", "--limit", "0"},
           {"add", "route", "10.0.0.0/8"},
           {"add", "route", "10.0.0.0/8", "--via", "port=a", "--action", "blackhole"},
           {"watch", "--interval", "0"},
           {"watch", "weather"},
           {"set", "cycle-counting", "maybe"},
           {"capture", "port", "wan0"},
           {"--color", "pink", "show", "status"},
           {"show", "status", "--timeout", "never"}}) {
    const Ended ended = RunTool(words);
    EXPECT_EQ(ended.status, 2) << words[0] << ": " << ended.errors;
    EXPECT_THAT(ended.errors, StartsWith("penstockctl: "));
  }
}

TEST(UsageTest, EndsWithThreeWithoutADaemon) {
  const Ended ended = RunTool({"show", "status"});
  EXPECT_EQ(ended.status, 3);
  EXPECT_THAT(ended.errors, HasSubstr("is penstockd running?"));
}

TEST(UsageTest, HelpAndVersionGoToStandardOutput) {
  const Ended help = RunTool({"add", "route", "--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.output, HasSubstr("--via NEXT_HOP"));
  EXPECT_THAT(help.output, HasSubstr("Examples:"));
  EXPECT_THAT(RunTool({"--version"}).output, StartsWith("penstockctl "));
}

}  // namespace
}  // namespace penstock::cli
