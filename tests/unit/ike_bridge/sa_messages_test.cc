#include "ike_bridge/sa_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "ike_bridge/sa_wire.h"
#include "tests/unit/ike_bridge/examples.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;

std::string Encode(const sa::Request& request) {
  sa::ClientMessage message;
  *message.mutable_request() = request;
  return message.SerializeAsString();
}

sa::Request ExampleRequest() {
  sa::Request request;
  request.set_id(99);
  *request.mutable_add_sa() = ToMessage(ExampleSa());
  return request;
}

std::string Text(const Secret& secret) {
  return {reinterpret_cast<const char*>(secret.bytes().data()), secret.size()};
}

TEST(SaMessagesTest, CarriesEveryFieldOfAnSa) {
  Result<SaRequest> parsed = ParseSaRequest(Encode(ExampleRequest()));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->id, 99u);
  const auto& sa = std::get<ike::AddSa>(parsed->operation);
  const ike::AddSa example = ExampleSa();
  EXPECT_EQ(sa.id, example.id);
  EXPECT_EQ(sa.name, example.name);
  EXPECT_TRUE(sa.inbound && sa.update && sa.initiator && sa.esn && sa.check_source);
  EXPECT_EQ(sa.reqid, example.reqid);
  EXPECT_EQ(sa.suite, "");
  EXPECT_EQ(sa.encryption, example.encryption);
  EXPECT_EQ(sa.integrity, example.integrity);
  EXPECT_EQ(Text(sa.encryption_key), Text(example.encryption_key));
  EXPECT_EQ(Text(sa.integrity_key), Text(example.integrity_key));
  EXPECT_EQ(sa.replay_window, example.replay_window);
  EXPECT_EQ(sa.initial_sequence, example.initial_sequence);
  EXPECT_TRUE(sa.udp_encapsulation);
  EXPECT_EQ(sa.source_port, example.source_port);
  EXPECT_EQ(sa.destination_port, example.destination_port);
  EXPECT_EQ(sa.tfc, example.tfc);
  EXPECT_EQ(sa.df, example.df);
  EXPECT_FALSE(sa.copy_ecn);
  EXPECT_EQ(sa.copy_dscp, example.copy_dscp);
  EXPECT_EQ(sa.dscp, example.dscp);
  EXPECT_EQ(sa.lifetime, example.lifetime);
  EXPECT_EQ(sa.source_selectors, example.source_selectors);
  EXPECT_EQ(sa.destination_selectors, example.destination_selectors);
}

TEST(SaMessagesTest, TakesASuiteNameInsteadOfNumbers) {
  sa::Request request = ExampleRequest();
  request.mutable_add_sa()->set_suite("aes256-gcm");
  request.mutable_add_sa()->clear_encryption_algorithm();
  request.mutable_add_sa()->clear_integrity_algorithm();
  Result<SaRequest> parsed = ParseSaRequest(Encode(request));
  ASSERT_TRUE(parsed) << parsed.error().message;
  const auto& sa = std::get<ike::AddSa>(parsed->operation);
  EXPECT_EQ(sa.suite, "aes256-gcm");
  EXPECT_EQ(sa.encryption, ike::kAlgorithmUndefined);
}

TEST(SaMessagesTest, DropsPortsWithoutEncapsulation) {
  sa::Request request = ExampleRequest();
  request.mutable_add_sa()->set_udp_encapsulation(false);
  Result<SaRequest> parsed = ParseSaRequest(Encode(request));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(std::get<ike::AddSa>(parsed->operation).source_port, 0);
}

struct BadField {
  const char* name;
  std::function<void(sa::AddSa&)> spoil;
  Errc code;
  const char* message;
};

class BadAddSaTest : public ::testing::TestWithParam<BadField> {};

TEST_P(BadAddSaTest, IsRefusedByNameWithTheReason) {
  sa::Request request = ExampleRequest();
  GetParam().spoil(*request.mutable_add_sa());
  uint64_t id = 0;
  Result<SaRequest> parsed = ParseSaRequest(Encode(request), &id);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, GetParam().code);
  EXPECT_THAT(parsed.error().message, HasSubstr(GetParam().message));
  EXPECT_EQ(id, 99u);
}

constexpr Errc kInvalid = Errc::kInvalidArgument;
constexpr Errc kUnsupported = Errc::kUnsupported;

INSTANTIATE_TEST_SUITE_P(
    Fields, BadAddSaTest,
    ::testing::Values(
        BadField{"NoId", [](sa::AddSa& sa) { sa.clear_id(); }, kInvalid,
                 "add_sa.id.source: is missing; expected an address of 4 or 16 bytes"},
        BadField{"AddressLength", [](sa::AddSa& sa) { sa.mutable_id()->set_source("12345"); },
                 kInvalid, "add_sa.id.source: an IP address of 5 bytes; expected 4 or 16"},
        BadField{"UnspecifiedAddress",
                 [](sa::AddSa& sa) { sa.mutable_id()->set_destination(std::string(4, '\0')); },
                 kInvalid, "add_sa.id.destination: 0.0.0.0 is no host's address"},
        BadField{"MixedFamilies",
                 [](sa::AddSa& sa) { sa.mutable_id()->set_destination(std::string(16, '\1')); },
                 kInvalid, "are of different families"},
        BadField{"ReservedSpi", [](sa::AddSa& sa) { sa.mutable_id()->set_spi(255); }, kInvalid,
                 "add_sa.id.spi: 255 is reserved; expected 256 or more"},
        BadField{"Ah", [](sa::AddSa& sa) { sa.mutable_id()->set_protocol(sa::PROTOCOL_AH); },
                 kUnsupported, "add_sa.id.protocol: AH is not supported; expected ESP"},
        BadField{"Mark", [](sa::AddSa& sa) { sa.mutable_id()->mutable_mark()->set_value(5); },
                 kUnsupported, "add_sa.id.mark: mark 0x5/0x0 is not supported; use if_id"},
        BadField{"SetMark", [](sa::AddSa& sa) { sa.mutable_set_mark()->set_mask(1); },
                 kUnsupported, "add_sa.set_mark: mark 0x0/0x1 is not supported"},
        BadField{"Transport", [](sa::AddSa& sa) { sa.set_mode(sa::MODE_TRANSPORT); }, kUnsupported,
                 "add_sa.mode: transport mode is not supported; expected tunnel mode"},
        BadField{"Beet", [](sa::AddSa& sa) { sa.set_mode(sa::MODE_BEET); }, kUnsupported,
                 "add_sa.mode: BEET mode is not supported"},
        BadField{"IpComp", [](sa::AddSa& sa) { sa.set_ipcomp(2); }, kUnsupported,
                 "add_sa.ipcomp: IPComp transform 2 is not supported"},
        BadField{"Cpi", [](sa::AddSa& sa) { sa.set_cpi(0x1234); }, kUnsupported,
                 "add_sa.cpi: 0x1234 belongs to IPComp"},
        BadField{"Interface", [](sa::AddSa& sa) { sa.set_interface("eth0"); }, kUnsupported,
                 "add_sa.interface: \"eth0\": SAs bound to an interface are not supported"},
        BadField{"Label", [](sa::AddSa& sa) { sa.set_label("system_u"); }, kUnsupported,
                 "add_sa.label: \"system_u\": security labels are not supported"},
        BadField{"Offload",
                 [](sa::AddSa& sa) { sa.set_hardware_offload(sa::HARDWARE_OFFLOAD_YES); },
                 kUnsupported, "add_sa.hardware_offload: offload to a device is not supported"},
        BadField{"LongName", [](sa::AddSa& sa) { sa.set_name(std::string(129, 'n')); }, kInvalid,
                 "add_sa.name: expected at most 128 printable characters"},
        BadField{"ControlInName", [](sa::AddSa& sa) { sa.set_name("a\nb"); }, kInvalid,
                 "add_sa.name:"},
        BadField{"SuiteAndNumbers", [](sa::AddSa& sa) { sa.set_suite("aes256-gcm"); }, kInvalid,
                 "add_sa.suite: stands beside transform numbers"},
        BadField{"NoAlgorithm",
                 [](sa::AddSa& sa) {
                   sa.clear_encryption_algorithm();
                   sa.clear_integrity_algorithm();
                 },
                 kInvalid, "add_sa.suite: is missing; expected a suite's name or encryption"},
        BadField{"WideAlgorithm", [](sa::AddSa& sa) { sa.set_encryption_algorithm(70'000); },
                 kInvalid, "add_sa.encryption_algorithm: 70000 is too large"},
        BadField{"LongKey", [](sa::AddSa& sa) { sa.set_integrity_key(std::string(257, 'k')); },
                 kInvalid, "add_sa.integrity_key: a key of 257 bytes; expected at most 256"},
        BadField{"SmallWindow", [](sa::AddSa& sa) { sa.set_replay_window(31); }, kInvalid,
                 "add_sa.replay_window: 31 is out of range; expected 0 (off) or 32 to 65536"},
        BadField{"LargeWindow", [](sa::AddSa& sa) { sa.set_replay_window(65'537); }, kInvalid,
                 "add_sa.replay_window: 65537 is out of range"},
        BadField{"SequenceWithoutEsn", [](sa::AddSa& sa) { sa.set_esn(false); }, kInvalid,
                 "add_sa.initial_sequence: 8589934592 is too large; expected at most 4294967295"},
        BadField{"Df", [](sa::AddSa& sa) { sa.set_df(static_cast<sa::DfBit>(3)); }, kInvalid,
                 "add_sa.df: 3 is no value of it; expected 0 to 2"},
        BadField{"CopyDscp",
                 [](sa::AddSa& sa) { sa.set_copy_dscp(static_cast<sa::CopyDscp>(-1)); }, kInvalid,
                 "add_sa.copy_dscp: -1 is no value of it"},
        BadField{"Dscp", [](sa::AddSa& sa) { sa.set_dscp(64); }, kInvalid,
                 "add_sa.dscp: 64 is too large; expected at most 63"},
        BadField{"Tfc", [](sa::AddSa& sa) { sa.set_tfc(65'536); }, kInvalid,
                 "add_sa.tfc: 65536 is no packet's length"},
        BadField{"CheckSourceOutbound", [](sa::AddSa& sa) { sa.set_inbound(false); }, kInvalid,
                 "add_sa.check_source: is set on an outbound SA"},
        BadField{"NoPort", [](sa::AddSa& sa) { sa.set_source_port(0); }, kInvalid,
                 "add_sa.source_port: 0 is no UDP port"},
        BadField{"WidePort", [](sa::AddSa& sa) { sa.set_destination_port(65'536); }, kInvalid,
                 "add_sa.destination_port: 65536 is too large"},
        BadField{"LongLife",
                 [](sa::AddSa& sa) {
                   sa.mutable_lifetime()->mutable_time()->set_life(1ull << 32);
                 },
                 kInvalid, "add_sa.lifetime.time.life: 4294967296 is too large"},
        BadField{"HostBits",
                 [](sa::AddSa& sa) { sa.mutable_source_selectors(0)->set_prefix_length(8); },
                 kInvalid,
                 "add_sa.source_selectors[0]: 10.1.0.0/8 has host bits set; did you mean "
                 "10.0.0.0/8"},
        BadField{"PrefixLength",
                 [](sa::AddSa& sa) { sa.mutable_source_selectors(1)->set_prefix_length(129); },
                 kInvalid, "add_sa.source_selectors[1].prefix_length: 129 is too large"},
        BadField{"NoSelectorAddress",
                 [](sa::AddSa& sa) { sa.mutable_destination_selectors(0)->clear_address(); },
                 kInvalid, "add_sa.destination_selectors[0].address: is missing"},
        BadField{"OpaquePorts",
                 [](sa::AddSa& sa) {
                   sa.mutable_destination_selectors(0)->set_first_port(65'535);
                   sa.mutable_destination_selectors(0)->set_last_port(0);
                 },
                 kUnsupported, "ports 65535 to 0 are not a range; OPAQUE ports"},
        BadField{"ManySelectors",
                 [](sa::AddSa& sa) {
                   for (int i = 0; i < 257; ++i) {
                     *sa.add_source_selectors() = sa.destination_selectors(0);
                   }
                 },
                 kInvalid, "add_sa.source_selectors: 259 selectors; expected at most 256"}),
    [](const ::testing::TestParamInfo<BadField>& field) { return std::string(field.param.name); });

TEST(SaMessagesTest, NeverQuotesAKey) {
  sa::Request request = ExampleRequest();
  request.mutable_add_sa()->set_encryption_key(std::string(300, 'K'));
  EXPECT_EQ(ParseSaRequest(Encode(request)).error().message.find("KK"), std::string::npos);
}

TEST(SaMessagesTest, RefusesFieldsThatItDoesNotKnow) {
  sa::ClientMessage message;
  *message.mutable_request() = ExampleRequest();
  sa::SaId& id = *message.mutable_request()->mutable_add_sa()->mutable_id();
  id.GetReflection()->MutableUnknownFields(&id)->AddVarint(77, 1);
  Result<SaRequest> parsed = ParseSaRequest(message.SerializeAsString());
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message, "field number 77 of SaId is unknown to protocol version 1");
}

TEST(SaMessagesTest, RefusesWhatIsNoMessage) {
  uint64_t id = 5;
  EXPECT_THAT(ParseSaRequest("\xff\xff\xff", &id).error().message,
              HasSubstr("a frame of 3 bytes is not a message"));
  EXPECT_EQ(id, 0u);
  EXPECT_THAT(ParseSaRequest("").error().message, HasSubstr("the message is empty"));
  EXPECT_THAT(ParseSaRequest(Encode(sa::Request())).error().message,
              HasSubstr("no operation is set"));
}

TEST(SaMessagesTest, SurvivesEveryCutAndManyFlips) {
  const std::string frame = Encode(ExampleRequest());
  for (size_t size = 0; size < frame.size(); ++size) {
    (void)ParseSaRequest(std::string_view(frame).substr(0, size));
  }
  std::mt19937 random(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string spoiled = frame;
    for (unsigned flips = 1 + random() % 4; flips > 0; --flips) {
      spoiled[random() % spoiled.size()] ^= static_cast<char>(1 << random() % 8);
    }
    Result<SaRequest> parsed = ParseSaRequest(spoiled);
    EXPECT_TRUE(parsed || !parsed.error().message.empty());
  }
}

TEST(SaMessagesTest, CarriesPolicies) {
  sa::Request request;
  *request.mutable_add_policy() = ToMessage(ExamplePolicy());
  Result<SaRequest> parsed = ParseSaRequest(Encode(request));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(std::get<AddPolicyRequest>(parsed->operation).policy, ExamplePolicy());
}

TEST(SaMessagesTest, RefusesPoliciesThatCannotBe) {
  const auto error_of = [](const std::function<void(sa::AddPolicy&)>& spoil) {
    sa::Request request;
    *request.mutable_add_policy() = ToMessage(ExamplePolicy());
    spoil(*request.mutable_add_policy());
    Result<SaRequest> parsed = ParseSaRequest(Encode(request));
    return parsed ? std::string() : parsed.error().message;
  };
  EXPECT_EQ(error_of([](sa::AddPolicy& policy) { policy.mutable_id()->clear_direction(); }),
            "add_policy.id.direction: 0 is no value of it; expected 1 to 3");
  EXPECT_THAT(error_of([](sa::AddPolicy& policy) {
                policy.mutable_id()->mutable_source()->set_protocol(6);
                policy.mutable_id()->mutable_destination()->set_protocol(17);
              }),
              HasSubstr("add_policy.id.destination.protocol: 17 differs from the source's 6"));
  EXPECT_THAT(error_of([](sa::AddPolicy& policy) {
                policy.mutable_id()->mutable_destination()->set_address(std::string(16, '\0'));
                policy.mutable_id()->mutable_destination()->set_prefix_length(0);
              }),
              HasSubstr("different families"));
  EXPECT_THAT(error_of([](sa::AddPolicy& policy) { policy.set_mode(sa::MODE_TRANSPORT); }),
              HasSubstr("add_policy.mode: transport mode"));
  EXPECT_EQ(error_of([](sa::AddPolicy& policy) {
              policy.set_type(sa::POLICY_TYPE_BYPASS);
              policy.set_mode(sa::MODE_TRANSPORT);  // says nothing about a bypass
            }),
            "");
}

TEST(PolicyPriorityTest, PrefersClassesThenNarrowness) {
  const ike::TrafficSelector any = Selector("0.0.0.0/0");
  const ike::TrafficSelector host = Selector("2001:db8::1/128");
  ike::TrafficSelector web = Selector("10.0.0.0/8");
  const uint32_t net_to_any = PolicyPriority(1, web, any);
  web.protocol = 6;
  const uint32_t tcp_to_any = PolicyPriority(1, web, any);
  web.port_first = web.port_last = 443;
  EXPECT_LT(PolicyPriority(0, any, any), PolicyPriority(1, host, host));
  EXPECT_LT(PolicyPriority(1, any, any), PolicyPriority(2, host, host));
  EXPECT_LT(PolicyPriority(2, any, any), PolicyPriority(3, host, host));
  EXPECT_LT(net_to_any, PolicyPriority(1, any, any));
  EXPECT_LT(tcp_to_any, net_to_any);
  EXPECT_LT(PolicyPriority(1, web, any), tcp_to_any);
  EXPECT_LT(PolicyPriority(1, host, host), PolicyPriority(1, web, any));
}

TEST(WipeKeysTest, OverwritesTheKeysInPlace) {
  sa::AddSa message = ToMessage(ExampleSa());
  WipeKeys(message);
  EXPECT_EQ(message.encryption_key(), std::string(36, '\0'));
  EXPECT_EQ(message.integrity_key(), std::string(9, '\0'));
}

}  // namespace
}  // namespace penstock
