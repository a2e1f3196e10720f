// Server and client library together, over a real socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "ike_bridge/client.h"
#include "ike_bridge/client_c.h"
#include "ike_bridge/sa_server.h"
#include "tests/unit/ike_bridge/examples.h"
#include "tests/unit/ike_bridge/fake_sink.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr milliseconds kDeadline{10'000};

class SaSocketTest : public ::testing::Test {
 protected:
  SaSocketTest() { Start(); }
  ~SaSocketTest() override { Stop(); }

  void Start() {
    auto server =
        SaServer::Listen(loop_, {.path = path_, .mode = 0600, .group = {}, .allowed_uids = {}},
                         sink_, "penstockd test");
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    thread_ = std::jthread([this] { loop_.Run(); });
  }
  void Stop() {
    loop_.Stop();
    thread_ = {};
    server_.reset();
  }
  SaClient Connected() {
    SaClient client(options_);
    Status connected = client.Connect();
    EXPECT_TRUE(connected) << connected.error().message;
    return client;
  }

  const std::string path_ = ::testing::TempDir() + "sa_test." + std::to_string(getpid());
  const SaClient::Options options_{.path = path_, .software = "unit test", .timeout = kDeadline};
  EventLoop loop_;
  FakeSink sink_;  // used by the loop's thread; read here after an answer has come
  std::unique_ptr<SaServer> server_;
  std::jthread thread_;
};

TEST_F(SaSocketTest, GreetsWithItsName) {
  EXPECT_EQ(Connected().daemon_software(), "penstockd test");
}

TEST_F(SaSocketTest, CarriesEveryCallToTheGateway) {
  SaClient client = Connected();
  EXPECT_EQ(client.GetSpi({Address("192.0.2.2"), Address("192.0.2.1")}).value(), 0xc0000001u);
  EXPECT_EQ(sink_.spi_requests.at(0).destination, Address("192.0.2.1"));

  ASSERT_TRUE(client.AddSa(ExampleSa()));
  EXPECT_EQ(sink_.added.at(0).id, ExampleId());
  EXPECT_EQ(sink_.added.at(0).encryption_key.size(), 36u);

  const ike::UpdateSa update{ExampleId(), Address("192.0.2.9"), Address("192.0.2.2"), 4500, 7777,
                             true};
  ASSERT_TRUE(client.UpdateSa(update));
  EXPECT_EQ(sink_.updates.at(0).new_source, Address("192.0.2.9"));
  EXPECT_EQ(sink_.updates.at(0).new_destination_port, 7777);

  const ike::Usage usage = client.QuerySa(ExampleId()).value();
  EXPECT_EQ(usage.bytes, 1'000u);
  EXPECT_EQ(usage.packets, 10u);
  EXPECT_EQ(usage.last_use, Nanoseconds(77));

  ASSERT_TRUE(client.DeleteSa(ExampleId()));
  EXPECT_THAT(sink_.deleted, ElementsAre(ExampleId()));
  ASSERT_TRUE(client.FlushSas());
  EXPECT_EQ(sink_.sa_flushes, 1);

  ASSERT_TRUE(client.AddPolicy(ExamplePolicy()));
  EXPECT_EQ(sink_.policies.at(ExamplePolicy().id), ExamplePolicy());
  EXPECT_EQ(client.QueryPolicy(ExamplePolicy().id).value(), Nanoseconds(88));
  ASSERT_TRUE(client.DeletePolicy(ExamplePolicy()));
  EXPECT_TRUE(sink_.policies.empty());
  ASSERT_TRUE(client.AddPolicy(ExamplePolicy()));
  ASSERT_TRUE(client.FlushPolicies());
  EXPECT_TRUE(sink_.policies.empty());
}

TEST_F(SaSocketTest, PassesTheGatewaysErrorOnAndStaysUsable) {
  SaClient client = Connected();
  sink_.next_answer = Fail(Errc::kExhausted, "SA table is full");
  Status status = client.AddSa(ExampleSa());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::kExhausted);
  EXPECT_EQ(status.error().message, "SA table is full");
  ike::AddSa bad = ExampleSa();
  bad.replay_window = 5;
  EXPECT_THAT(client.AddSa(bad).error().message, HasSubstr("add_sa.replay_window: 5"));
  sink_.next_answer = {};
  EXPECT_TRUE(client.AddSa(ExampleSa()));
  EXPECT_EQ(sink_.added.size(), 1u);
}

TEST_F(SaSocketTest, AnswersGarbageWithAnErrorAndStaysUsable) {
  MessageClient raw = MessageClient::Connect(path_, kDeadline).value();
  sa::ServerMessage answer;
  ASSERT_TRUE(answer.ParseFromString(raw.Receive(kDeadline).value()));
  EXPECT_EQ(answer.hello().protocol_version(), 1u);
  sa::ClientMessage message;
  message.mutable_hello()->set_protocol_version(1);
  ASSERT_TRUE(raw.Send(message));
  const std::string garbage("\0\0\0\3\xff\xff\xff", 7);
  ASSERT_EQ(write(raw.descriptor(), garbage.data(), garbage.size()), 7);
  ASSERT_TRUE(answer.ParseFromString(raw.Receive(kDeadline).value()));
  EXPECT_EQ(answer.reply().error().code(), "invalid_argument");
  message.mutable_request()->set_id(5);
  message.mutable_request()->mutable_flush_sas();
  ASSERT_TRUE(raw.Send(message));
  ASSERT_TRUE(answer.ParseFromString(raw.Receive(kDeadline).value()));
  EXPECT_EQ(answer.reply().id(), 5u);
  EXPECT_TRUE(answer.reply().has_done());
}

TEST_F(SaSocketTest, SendsAwayWhoSpeaksAnotherVersionOrDoesNotGreet) {
  sa::ClientMessage other_version;
  other_version.mutable_hello()->set_protocol_version(2);
  sa::ClientMessage no_greeting;
  no_greeting.mutable_request()->mutable_flush_sas();
  for (const auto& [message, why] :
       {std::pair(other_version, "hello.protocol_version: 2 is not spoken here; expected 1"),
        std::pair(no_greeting, "the first message is not a hello")}) {
    MessageClient raw = MessageClient::Connect(path_, kDeadline).value();
    ASSERT_TRUE(raw.Receive(kDeadline));
    ASSERT_TRUE(raw.Send(message));
    sa::ServerMessage answer;
    ASSERT_TRUE(answer.ParseFromString(raw.Receive(kDeadline).value()));
    EXPECT_THAT(answer.reply().error().message(), HasSubstr(why));
    EXPECT_EQ(raw.Receive(kDeadline).error().message, "the daemon closed the connection");
  }
  EXPECT_EQ(sink_.sa_flushes, 0);
}

TEST_F(SaSocketTest, PushesEventsToSubscribersOnly) {
  SaClient subscriber = Connected();
  SaClient other = Connected();
  ASSERT_TRUE(subscriber.Subscribe());
  ike::Acquire acquire;
  acquire.reqid = 3;
  acquire.if_id = 7;
  acquire.remote = Address("192.0.2.2");
  acquire.source = Selector("10.1.0.0/16");
  acquire.destination = Selector("10.2.0.0/16");
  acquire.packet_source = Selector("10.1.0.5/32");
  acquire.packet_destination = Selector("10.2.0.6/32");
  loop_.Post([this, acquire] {
    server_->OnExpire({ExampleId(), 3, true, ike::ExpireReason::kPackets});
    server_->OnAcquire(acquire);
    server_->OnMappingChanged({ExampleId(), 3, Address("198.51.100.1"), 1234});
  });
  std::vector<SaEvent> events;
  while (events.size() < 3) {
    Result<size_t> count =
        subscriber.Poll(kDeadline, [&events](const SaEvent& event) { events.push_back(event); });
    ASSERT_TRUE(count && *count > 0);
  }
  const auto& expire = std::get<ike::Expire>(events[0]);
  EXPECT_EQ(expire.id, ExampleId());
  EXPECT_TRUE(expire.hard);
  EXPECT_EQ(expire.reason, ike::ExpireReason::kPackets);
  const auto& wanted = std::get<ike::Acquire>(events[1]);
  EXPECT_EQ(wanted.reqid, 3u);
  EXPECT_EQ(wanted.if_id, 7u);
  EXPECT_TRUE(wanted.local.is_unspecified());
  EXPECT_EQ(wanted.remote, acquire.remote);
  EXPECT_EQ(wanted.packet_destination, acquire.packet_destination);
  EXPECT_EQ(std::get<ike::MappingChanged>(events[2]).new_port, 1234);
  ASSERT_TRUE(other.FlushSas());  // anything sent to it came before this answer
  EXPECT_FALSE(other.has_events());
}

TEST_F(SaSocketTest, GathersEventsThatComeWhileACallWaits) {
  SaClient client = Connected();
  ASSERT_TRUE(client.Subscribe());
  loop_.Post([this] { server_->OnExpire({ExampleId(), 3, false, ike::ExpireReason::kTime}); });
  while (!client.has_events()) {
    ASSERT_TRUE(client.QuerySa(ExampleId()));
  }
  EXPECT_EQ(std::get<ike::Expire>(client.NextEvent().value()).reqid, 3u);
}

TEST_F(SaSocketTest, ComesBackAfterTheDaemonWasGone) {
  SaClient client = Connected();
  ASSERT_TRUE(client.Subscribe());
  Stop();
  Status status = client.FlushSas();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::kUnavailable);
  EXPECT_FALSE(client.connected());
  EXPECT_EQ(client.descriptor(), -1);
  EXPECT_EQ(client.Connect().error().code, Errc::kUnavailable);
  Start();
  ASSERT_TRUE(client.Connect());
  loop_.Post([this] { server_->OnExpire({ExampleId(), 4, false, ike::ExpireReason::kTime}); });
  EXPECT_TRUE(client.WaitForEvent(kDeadline).value());  // the subscription was renewed
}

class ClientCTest : public SaSocketTest {
 protected:
  ClientCTest() : client_(penstock_client_new(path_.c_str(), "c test", 10'000)) {
    EXPECT_EQ(penstock_client_connect(client_), PENSTOCK_OK) << penstock_client_error(client_);
  }
  ~ClientCTest() override { penstock_client_free(client_); }

  static penstock_address Plain(std::string_view text) {
    const IpAddress address = Address(text);
    penstock_address plain{};
    plain.size = static_cast<uint8_t>(address.size());
    std::memcpy(plain.bytes, address.data(), address.size());
    return plain;
  }
  static penstock_sa_id Id() {
    penstock_sa_id id{};
    id.source = Plain("192.0.2.1");
    id.destination = Plain("192.0.2.2");
    id.spi = 0x1234;
    id.if_id = 7;
    return id;
  }

  penstock_client* client_;
};

TEST_F(ClientCTest, InstallsAnSa) {
  const penstock_selector selectors[] = {{Plain("10.1.0.0"), 16, 0, 0, 65535}};
  penstock_new_sa sa{};
  sa.id = Id();
  sa.reqid = 3;
  sa.source_selectors = selectors;
  sa.source_selector_count = 1;
  sa.encryption_algorithm = 20;
  sa.encryption_key = {"0123456789abcdefsalt", 20};
  sa.integrity_algorithm = 1024;
  sa.replay_window = 32;
  sa.copy_df = sa.copy_ecn = true;
  sa.bytes.life = 1'000'000;
  ASSERT_EQ(penstock_add_sa(client_, &sa), PENSTOCK_OK) << penstock_client_error(client_);
  const ike::AddSa& added = sink_.added.at(0);
  EXPECT_EQ(added.id, ExampleId());
  EXPECT_EQ(added.encryption_key.size(), 20u);
  EXPECT_EQ(added.source_selectors.at(0), Selector("10.1.0.0/16"));
  EXPECT_EQ(added.lifetime.hard_bytes, 1'000'000u);
  EXPECT_TRUE(added.copy_ecn);
  EXPECT_EQ(added.df, ike::DfBit::kCopy);

  sa.mode = PENSTOCK_TRANSPORT;
  EXPECT_EQ(penstock_add_sa(client_, &sa), PENSTOCK_UNSUPPORTED);
  EXPECT_STREQ(penstock_client_error(client_),
               "add_sa.mode: transport mode is not supported; expected tunnel mode");
}

TEST_F(ClientCTest, MovesQueriesAndDeletesAnSa) {
  const penstock_address source = Plain("192.0.2.2"), destination = Plain("192.0.2.1");
  uint32_t spi = 0;
  EXPECT_EQ(penstock_get_spi(client_, &source, &destination, PENSTOCK_ESP, &spi), PENSTOCK_OK);
  EXPECT_EQ(spi, 0xc0000001u);
  penstock_moved_sa moved{};
  moved.id = Id();
  moved.new_source = Plain("192.0.2.9");
  moved.new_destination = Plain("192.0.2.2");
  EXPECT_EQ(penstock_update_sa(client_, &moved), PENSTOCK_OK);
  EXPECT_EQ(sink_.updates.at(0).new_source, Address("192.0.2.9"));
  const penstock_sa_id id = Id();
  penstock_usage usage{};
  EXPECT_EQ(penstock_query_sa(client_, &id, 0, &usage), PENSTOCK_OK);
  EXPECT_EQ(usage.bytes, 1'000u);
  EXPECT_EQ(usage.last_use_nanoseconds, 77u);
  EXPECT_EQ(penstock_delete_sa(client_, &id, 0), PENSTOCK_OK);
  EXPECT_EQ(sink_.deleted.at(0), ExampleId());
  sink_.next_answer = Fail(Errc::kNotFound, "no such SA");
  EXPECT_EQ(penstock_query_sa(client_, &id, 0, &usage), PENSTOCK_NOT_FOUND);
  EXPECT_STREQ(penstock_client_error(client_), "no such SA");
  sink_.next_answer = {};
  EXPECT_EQ(penstock_flush_sas(client_), PENSTOCK_OK);
}

TEST_F(ClientCTest, InstallsAndTakesBackAPolicy) {
  penstock_policy policy{};
  policy.id.direction = PENSTOCK_FORWARD;
  policy.id.source = {Plain("10.1.0.0"), 16, 0, 0, 65535};
  policy.id.destination = {Plain("10.2.0.0"), 16, 0, 0, 65535};
  policy.id.if_id = 7;
  policy.id.manual_priority = 1234;
  policy.source = Plain("192.0.2.1");
  policy.destination = Plain("192.0.2.2");
  policy.reqid = 3;
  ASSERT_EQ(penstock_add_policy(client_, &policy), PENSTOCK_OK) << penstock_client_error(client_);
  EXPECT_EQ(sink_.policies.at(ExamplePolicy().id), ExamplePolicy());
  uint64_t last_use = 0;
  EXPECT_EQ(penstock_query_policy(client_, &policy.id, &last_use), PENSTOCK_OK);
  EXPECT_EQ(last_use, 88u);
  EXPECT_EQ(penstock_delete_policy(client_, &policy), PENSTOCK_OK);
  EXPECT_TRUE(sink_.policies.empty());
  EXPECT_EQ(penstock_flush_policies(client_), PENSTOCK_OK);
}

TEST_F(ClientCTest, HandsOverEventsOneByOne) {
  ASSERT_EQ(penstock_subscribe(client_), PENSTOCK_OK);
  EXPECT_GE(penstock_client_descriptor(client_), 0);
  penstock_event event{};
  EXPECT_EQ(penstock_next_event(client_, 0, &event), 0);
  loop_.Post([this] {
    server_->OnExpire({ExampleId(), 3, true, ike::ExpireReason::kTime});
    server_->OnMappingChanged({ExampleId(), 3, Address("2001:db8::1"), 1234});
  });
  ASSERT_EQ(penstock_next_event(client_, 10'000, &event), 1);
  EXPECT_EQ(event.type, PENSTOCK_EVENT_EXPIRE);
  EXPECT_TRUE(event.hard);
  EXPECT_EQ(event.id.spi, 0x1234u);
  ASSERT_EQ(penstock_next_event(client_, 10'000, &event), 1);
  EXPECT_EQ(event.type, PENSTOCK_EVENT_MAPPING_CHANGED);
  EXPECT_EQ(event.new_address.size, 16);
  EXPECT_EQ(event.new_port, 1234);
  Stop();
  EXPECT_EQ(penstock_next_event(client_, 10'000, &event), PENSTOCK_UNAVAILABLE);
}

}  // namespace
}  // namespace penstock
