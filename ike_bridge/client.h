// The client library of the SA socket: for the IKE daemon's plugin (by its C face, client_c.h), the
// command line and tests.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "dataplane/base/message_socket.h"
#include "ike_bridge/sa_wire.h"

namespace penstock {

// Calls block until the daemon has answered; errors of the daemon come back as they are, and
// kUnavailable means that there is no connection (any more): Connect again. What was installed
// before stays installed. Not thread safe.
class SaClient {
 public:
  struct Options {
    std::string path;
    std::string software;                       // who we are, for the daemon's log
    std::chrono::milliseconds timeout{10'000};  // of each call
  };

  explicit SaClient(Options options) : options_(std::move(options)) {}

  // Connects and exchanges greetings; drops an old connection first, and subscribes again if there
  // was a subscription. Error kUnsupported: the daemon speaks another version.
  Status Connect();
  bool connected() const { return connection_.has_value(); }
  const std::string& daemon_software() const { return daemon_software_; }

  Result<uint32_t> GetSpi(const ike::GetSpi& request);
  Status AddSa(const ike::AddSa& request);
  Status UpdateSa(const ike::UpdateSa& request);
  Result<ike::Usage> QuerySa(const ike::SaId& id);
  Status DeleteSa(const ike::SaId& id);
  Status FlushSas();
  Status AddPolicy(const ike::Policy& policy);
  Status DeletePolicy(const ike::Policy& policy);  // as it was added; addresses do not matter
  Result<Nanoseconds> QueryPolicy(const ike::PolicyId& id);
  Status FlushPolicies();

  // For a request with fields that the values leave out because they are refused. Wipes its keys.
  Result<sa::Reply> Call(sa::Request request);

  // Events are gathered from now on, also while other calls wait for their answers.
  Status Subscribe();
  // Waits at most `timeout` until there is an event; false if none came. What came before the
  // connection ended is there first; then comes the error.
  Result<bool> WaitForEvent(std::chrono::milliseconds timeout);
  std::optional<SaEvent> NextEvent();  // of those that have come; does not read the socket
  bool has_events() const { return !events_.empty(); }
  // Waits like WaitForEvent, then hands over all events that have come. Returns how many. A
  // readable descriptor() means that a Poll is due; so does has_events().
  Result<size_t> Poll(std::chrono::milliseconds timeout,
                      const std::function<void(const SaEvent&)>& callback);
  // -1 without a connection.
  int descriptor() const { return connection_ ? connection_->descriptor() : -1; }

 private:
  Status Greet();
  Result<sa::Reply> Exchange(sa::Request& request);
  Result<std::optional<sa::ServerMessage>> Receive(std::chrono::milliseconds timeout);
  void Keep(const sa::Event& event);

  Options options_;
  std::optional<MessageClient> connection_;
  std::string daemon_software_;
  uint64_t next_id_ = 1;
  bool subscribed_ = false;
  std::deque<SaEvent> events_;
};

}  // namespace penstock
