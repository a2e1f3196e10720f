#include "config/load.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace penstock::config {
namespace {

constexpr char kPorts[] = R"(ports:
  - name: wan0
    device: af_packet,iface=eth1
    addresses: [192.0.2.1/24]
)";

std::string ProblemsOf(const std::string& text) {
  return FormatProblems("f.yaml", LoadText(text).problems);
}

TEST(LoadTest, FillsInDefaults) {
  const Loaded loaded = LoadText(kPorts);
  ASSERT_EQ(FormatProblems("f", loaded.problems), "");
  EXPECT_EQ(loaded.gateway.instance(), "penstock");
  EXPECT_EQ(loaded.gateway.workers().count(), 1u);
  EXPECT_TRUE(loaded.gateway.workers().pin());
  EXPECT_EQ(loaded.gateway.workers().polling(), "adaptive");
  EXPECT_EQ(loaded.gateway.ports(0).mtu(), 1500u);
  EXPECT_EQ(loaded.gateway.sockets().directory(), "/run/penstock/penstock");
  EXPECT_EQ(loaded.gateway.limits().host_packets(), 20000u);
}

TEST(LoadTest, KeepsAnExplicitZeroLimit) {
  const Loaded loaded = LoadText(std::string(kPorts) + "limits: {icmp_errors: 0}\n");
  ASSERT_TRUE(loaded.problems.empty());
  EXPECT_EQ(loaded.gateway.limits().icmp_errors(), 0u);
}

TEST(LoadTest, TheFpmIsOnWhereItsSectionStands) {
  EXPECT_FALSE(LoadText(kPorts).gateway.has_fpm());
  for (const char* section : {"fpm:\n", "fpm: {}\n"}) {
    const Loaded loaded = LoadText(std::string(kPorts) + section);
    ASSERT_EQ(FormatProblems("f", loaded.problems), "") << section;
    ASSERT_TRUE(loaded.gateway.has_fpm()) << section;
    EXPECT_EQ(loaded.gateway.fpm().listen(), "127.0.0.1:2620");
    EXPECT_EQ(loaded.gateway.fpm().sweep_seconds(), 30u);
    EXPECT_EQ(loaded.gateway.fpm().withdraw_hold_milliseconds(), 250u);
    EXPECT_FALSE(loaded.gateway.fpm().acknowledge());
  }
  const Loaded no_hold = LoadText(std::string(kPorts) + "fpm: {withdraw_hold_milliseconds: 0}\n");
  EXPECT_EQ(no_hold.gateway.fpm().withdraw_hold_milliseconds(), 0u);
}

TEST(LoadTest, TakesEveryPlaceToListenForTheFpm) {
  for (const char* listen : {"127.0.0.1:2620", "'[::1]:2620'", "unix:/run/fpm.sock"}) {
    EXPECT_EQ(ProblemsOf(std::string(kPorts) + "fpm: {listen: " + listen + "}\n"), "") << listen;
  }
  for (const char* listen : {"127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "'::1:2620'", "unix:f",
                             "'[127.0.0.1]:2620'", "127.0.0.1:26x"}) {
    EXPECT_NE(ProblemsOf(std::string(kPorts) + "fpm: {listen: " + listen + "}\n"), "") << listen;
  }
}

// Each row: YAML after kPorts (which ends with line 4), and the one line that must come out.
struct Case {
  const char* name;
  const char* yaml;
  const char* problem;
};

class LoadProblemTest : public ::testing::TestWithParam<Case> {};

TEST_P(LoadProblemTest, SaysWhatWhereAndWhatWouldBeRight) {
  EXPECT_EQ(ProblemsOf(std::string(kPorts) + GetParam().yaml), GetParam().problem);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, LoadProblemTest,
    ::testing::Values(
        Case{"Misspelt", "tunels: []\n",
             "f.yaml:5:1: tunels: unknown field 'tunels'; did you mean 'tunnels'?"},
        Case{"Unknown", "sockets: {mode: 1}\n",
             "f.yaml:5:11: sockets.mode: unknown field 'mode'; known here: directory, group"},
        Case{"Twice", "instance: a\ninstance: b\n",
             "f.yaml:6:1: instance: stands here a second time; keep one of them"},
        Case{"NoNumber", "workers: {count: many}\n",
             "f.yaml:5:11: workers.count: 'many' is not a whole number from 0 to 4294967295"},
        Case{"NegativeNumber", "workers: {count: -1}\n",
             "f.yaml:5:11: workers.count: '-1' is not a whole number from 0 to 4294967295"},
        Case{"OutOfRange", "workers: {count: 65}\n",
             "f.yaml:5:11: workers.count: 65 is out of range; expected 1 to 64"},
        Case{"NoBool", "workers: {pin: maybe}\n",
             "f.yaml:5:11: workers.pin: 'maybe' is neither true nor false"},
        Case{"ListForMap", "workers: [1]\n",
             "f.yaml:5:1: workers: a list stands here; expected a map of fields ('name: value' "
             "lines)"},
        Case{"ValueForList", "protected: 10.0.0.0/8\n",
             "f.yaml:5:1: protected: a value stands here; expected a list ('- item' lines or [a, "
             "b])"},
        Case{"MapForValue", "instance: {a: b}\n",
             "f.yaml:5:1: instance: a map stands here; expected one value"},
        Case{"Choice", "workers: {polling: fast}\n",
             "f.yaml:5:11: workers.polling: 'fast' is unknown; expected one of adaptive, busy"},
        Case{"IfIdMissing", "tunnels: [{name: t}]\n",
             "f.yaml:5:11: tunnels[0].if_id: missing or 0; give each tunnel a number of its own, 1 "
             "and up"},
        Case{"IfIdTwice", "tunnels:\n  - {name: t, if_id: 1}\n  - {name: u, if_id: 1}\n",
             "f.yaml:7:15: tunnels[1].if_id: 1 is the if_id of tunnels[0] already"},
        Case{"NameOfPort", "tunnels: [{name: wan0, if_id: 1}]\n",
             "f.yaml:5:12: tunnels[0].name: 'wan0' is the name of ports[0] already; names must "
             "differ"},
        Case{"LongName", "tunnels: [{name: a-tunnel-too-long, if_id: 1}]\n",
             "f.yaml:5:12: tunnels[0].name: 'a-tunnel-too-long' is no device name; use 1 to 15 "
             "letters, "
             "digits, '-' and '_'"},
        Case{"Families",
             "tunnels: [{name: t, if_id: 1, local: 192.0.2.1, remote: '2001:db8::1'}]\n",
             "f.yaml:5:49: tunnels[0].remote: 2001:db8::1 and the local address 192.0.2.1 are of "
             "different "
             "families"},
        Case{"NoTunnel", "routes: [{prefix: 10.0.0.0/8, via: [{tunnel: t}]}]\n",
             "f.yaml:5:38: routes[0].via[0].tunnel: no tunnel is named 't'; there are: none"},
        Case{
            "OffLink", "routes: [{prefix: 10.0.0.0/8, via: [{address: 198.51.100.1}]}]\n",
            "f.yaml:5:38: routes[0].via[0].address: 198.51.100.1 is in no port's network; name its "
            "`port`, or correct it"},
        Case{"Neither", "routes: [{prefix: 10.0.0.0/8}]\n",
             "f.yaml:5:10: routes[0]: needs either `via` or `action`, and has neither"},
        Case{"SmallMtuForIpv6",
             "tunnels: [{name: t, if_id: 1, mtu: 1200, addresses: ['2001:db8::1/64']}]\n",
             "f.yaml:5:31: tunnels[0].mtu: 1200 is too small for the IPv6 address 2001:db8::1/64; "
             "expected "
             "1280 or more"},
        Case{"OnlyStandby", "routes: [{prefix: 10.0.0.0/8, via: [{port: wan0, standby: true}]}]\n",
             "f.yaml:5:31: routes[0].via: every next hop is standby; at least one must not be"},
        Case{"FpmListen", "fpm: {listen: 'localhost:2620'}\n",
             "f.yaml:5:7: fpm.listen: 'localhost:2620' is no place to listen; write ADDRESS:PORT, "
             "[ADDRESS]:PORT or unix:/PATH"},
        Case{"FpmSweep", "fpm: {sweep_seconds: 0}\n",
             "f.yaml:5:7: fpm.sweep_seconds: 0 is out of range; expected 1 to 3600"},
        Case{"FpmHold", "fpm: {withdraw_hold_milliseconds: 10001}\n",
             "f.yaml:5:7: fpm.withdraw_hold_milliseconds: 10001 is out of range; expected 0 to "
             "10000"}),
    [](const auto& row) { return row.param.name; });

TEST(LoadTest, ReportsEveryProblemInTheOrderOfTheText) {
  const std::string problems = ProblemsOf("instance: 'a b'\nworkers: {polling: x, engine: y}\n");
  EXPECT_NE(problems.find("f.yaml:1:1: instance"), std::string::npos) << problems;
  EXPECT_LT(problems.find("workers.polling"), problems.find("workers.engine")) << problems;
  EXPECT_NE(problems.find("f.yaml: ports: missing"), std::string::npos) << problems;
}

TEST(LoadTest, SaysWhereTheYamlItselfIsBroken) {
  const std::string problems = ProblemsOf("ports:\n  - name: [a\n");
  EXPECT_EQ(problems.rfind("f.yaml:3:1: (yaml): ", 0), 0u) << problems;
}

TEST(LoadTest, RefusesWhatStandsBehindTheDocument) {
  for (const char* tail : {"---\ninstance: b\n", "]\n", "]}\nworkers: {count: 2}\n"}) {
    EXPECT_NE(ProblemsOf(std::string(kPorts) + tail), "") << tail;
  }
}

TEST(LoadTest, QuotesAFileThatIsNotThere) {
  const auto gateway = LoadFile("/nonexistent/penstock.yaml");
  ASSERT_FALSE(gateway.has_value());
  EXPECT_EQ(gateway.error().message,
            "/nonexistent/penstock.yaml: cannot be read; name a YAML file with --config FILE");
}

TEST(LoadTest, EveryExampleIsValid) {
  size_t examples = 0;
  for (const auto& entry : std::filesystem::directory_iterator(EXAMPLES_DIRECTORY)) {
    const auto gateway = LoadFile(entry.path());
    EXPECT_TRUE(gateway.has_value()) << gateway.error().message;
    ++examples;
  }
  EXPECT_GE(examples, 2u);
}

}  // namespace
}  // namespace penstock::config
