#include "ike_bridge/client.h"

#include <array>
#include <utility>

#include "dataplane/base/log.h"
#include "ike_bridge/sa_messages.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The daemon's code, by its name on the wire.
Errc CodeOf(const std::string& name) {
  constexpr std::array kCodes = {Errc::kInvalidArgument, Errc::kNotFound,  Errc::kAlreadyExists,
                                 Errc::kUnsupported,     Errc::kExhausted, Errc::kPermission,
                                 Errc::kUnavailable};
  for (const Errc code : kCodes) {
    if (name == ErrcName(code)) {
      return code;
    }
  }
  return Errc::kInternal;
}

milliseconds Left(steady_clock::time_point deadline) {
  return std::max(std::chrono::ceil<milliseconds>(deadline - steady_clock::now()), milliseconds(0));
}

Status Ignore(const Result<sa::Reply>& reply) {
  if (!reply) {
    return tl::make_unexpected(reply.error());
  }
  return {};
}

Nanoseconds ToNanoseconds(uint64_t count) { return Nanoseconds(static_cast<int64_t>(count)); }

}  // namespace

Status SaClient::Connect() {
  connection_.reset();
  events_.clear();
  Result<MessageClient> connection = MessageClient::Connect(options_.path, options_.timeout);
  if (!connection) {
    return tl::make_unexpected(connection.error());
  }
  connection_ = std::move(*connection);
  if (Status greeted = Greet(); !greeted) {
    connection_.reset();
    return greeted;
  }
  return subscribed_ ? Subscribe() : Status();
}

Status SaClient::Greet() {
  Result<std::optional<sa::ServerMessage>> greeting = Receive(options_.timeout);
  if (!greeting) {
    return tl::make_unexpected(greeting.error());
  }
  if (!greeting->has_value() || !(*greeting)->has_hello()) {
    return Fail(Errc::kUnavailable, "socket {}: no greeting of an SA socket came", options_.path);
  }
  const sa::Hello& theirs = (*greeting)->hello();
  if (theirs.protocol_version() != kSaProtocolVersion) {
    return Fail(Errc::kUnsupported, "socket {}: {} speaks version {} of the SA protocol, not {}",
                options_.path, theirs.software(), theirs.protocol_version(), kSaProtocolVersion);
  }
  daemon_software_ = theirs.software();
  sa::ClientMessage ours;
  ours.mutable_hello()->set_protocol_version(kSaProtocolVersion);
  ours.mutable_hello()->set_software(options_.software);
  return connection_->Send(ours);
}

Result<std::optional<sa::ServerMessage>> SaClient::Receive(milliseconds timeout) {
  Result<std::optional<std::string>> frame = connection_->TryReceive(timeout);
  if (!frame) {
    return tl::make_unexpected(frame.error());
  }
  if (!frame->has_value()) {
    return std::nullopt;
  }
  sa::ServerMessage message;
  if (!message.ParseFromString(**frame)) {
    return Fail(Errc::kUnavailable, "the daemon sent what is not a message of this protocol");
  }
  return message;
}

// An event that cannot be read is no reason to lose the connection.
void SaClient::Keep(const sa::Event& message) {
  Result<SaEvent> event = FromMessage(message);
  if (event) {
    events_.push_back(std::move(*event));
  } else {
    Log("sa").warn("event: {}", event.error().message);
  }
}

Result<sa::Reply> SaClient::Call(sa::Request request) {
  if (!connection_) {
    return Fail(Errc::kUnavailable, "socket {}: not connected", options_.path);
  }
  Result<sa::Reply> reply = Exchange(request);
  if (!reply) {
    connection_.reset();  // the stream may hold half a message
    return reply;
  }
  if (reply->has_error()) {
    return tl::make_unexpected(Error{CodeOf(reply->error().code()), reply->error().message()});
  }
  return reply;
}

Result<sa::Reply> SaClient::Exchange(sa::Request& request) {
  const uint64_t id = next_id_++;
  const steady_clock::time_point deadline = steady_clock::now() + options_.timeout;
  request.set_id(id);
  sa::ClientMessage message;
  message.mutable_request()->Swap(&request);
  Status sent = connection_->Send(message);
  WipeKeys(message);
  if (!sent) {
    return tl::make_unexpected(sent.error());
  }
  for (;;) {
    Result<std::optional<sa::ServerMessage>> received = Receive(Left(deadline));
    if (!received) {
      return tl::make_unexpected(received.error());
    }
    if (!received->has_value()) {
      return Fail(Errc::kUnavailable, "the daemon did not answer within {} ms",
                  options_.timeout.count());
    }
    sa::ServerMessage& answer = **received;
    if (answer.has_event()) {
      Keep(answer.event());
    } else if (answer.has_reply() && answer.reply().id() == id) {
      return std::move(*answer.mutable_reply());
    } else if (answer.has_reply() && answer.reply().has_error()) {
      // Of no request: the daemon did not take our greeting.
      return Fail(Errc::kUnavailable, "{}", answer.reply().error().message());
    }
  }
}

Result<uint32_t> SaClient::GetSpi(const ike::GetSpi& request) {
  sa::Request message;
  *message.mutable_get_spi() = ToMessage(request);
  return Call(std::move(message)).map([](const sa::Reply& reply) { return reply.spi().spi(); });
}

Status SaClient::AddSa(const ike::AddSa& request) {
  sa::Request message;
  *message.mutable_add_sa() = ToMessage(request);
  return Ignore(Call(std::move(message)));
}

Status SaClient::UpdateSa(const ike::UpdateSa& request) {
  sa::Request message;
  *message.mutable_update_sa() = ToMessage(request);
  return Ignore(Call(std::move(message)));
}

Result<ike::Usage> SaClient::QuerySa(const ike::SaId& id) {
  sa::Request message;
  *message.mutable_query_sa()->mutable_id() = ToMessage(id);
  return Call(std::move(message)).map([](const sa::Reply& reply) {
    const sa::Usage& usage = reply.usage();
    return ike::Usage{usage.bytes(), usage.packets(), ToNanoseconds(usage.last_use_nanoseconds())};
  });
}

Status SaClient::DeleteSa(const ike::SaId& id) {
  sa::Request message;
  *message.mutable_delete_sa()->mutable_id() = ToMessage(id);
  return Ignore(Call(std::move(message)));
}

Status SaClient::FlushSas() {
  sa::Request message;
  message.mutable_flush_sas();
  return Ignore(Call(std::move(message)));
}

Status SaClient::AddPolicy(const ike::Policy& policy) {
  sa::Request message;
  *message.mutable_add_policy() = ToMessage(policy);
  return Ignore(Call(std::move(message)));
}

Status SaClient::DeletePolicy(const ike::Policy& policy) {
  sa::Request message;
  const sa::AddPolicy added = ToMessage(policy);
  *message.mutable_delete_policy()->mutable_id() = added.id();
  message.mutable_delete_policy()->set_type(added.type());
  message.mutable_delete_policy()->set_reqid(added.reqid());
  return Ignore(Call(std::move(message)));
}

Result<Nanoseconds> SaClient::QueryPolicy(const ike::PolicyId& id) {
  sa::Request message;
  *message.mutable_query_policy()->mutable_id() = ToMessage(id);
  return Call(std::move(message)).map([](const sa::Reply& reply) {
    return ToNanoseconds(reply.policy_usage().last_use_nanoseconds());
  });
}

Status SaClient::FlushPolicies() {
  sa::Request message;
  message.mutable_flush_policies();
  return Ignore(Call(std::move(message)));
}

Status SaClient::Subscribe() {
  subscribed_ = true;
  sa::Request message;
  message.mutable_subscribe();
  return Ignore(Call(std::move(message)));
}

Result<bool> SaClient::WaitForEvent(milliseconds timeout) {
  const steady_clock::time_point deadline = steady_clock::now() + timeout;
  while (events_.empty()) {
    if (!connection_) {
      return Fail(Errc::kUnavailable, "socket {}: not connected", options_.path);
    }
    Result<std::optional<sa::ServerMessage>> received = Receive(Left(deadline));
    if (!received) {
      connection_.reset();
      return tl::make_unexpected(received.error());
    }
    if (!received->has_value()) {
      return false;
    }
    if ((*received)->has_event()) {
      Keep((*received)->event());
    }
  }
  return true;
}

Result<size_t> SaClient::Poll(milliseconds timeout,
                              const std::function<void(const SaEvent&)>& callback) {
  size_t count = 0;
  for (;;) {
    Result<bool> waited = WaitForEvent(count == 0 ? timeout : milliseconds(0));
    if (!waited && count == 0) {
      return tl::make_unexpected(waited.error());
    }
    if (!waited || !*waited) {
      return count;
    }
    for (std::optional<SaEvent> event = NextEvent(); event; event = NextEvent()) {
      callback(*event);
      ++count;
    }
  }
}

std::optional<SaEvent> SaClient::NextEvent() {
  if (events_.empty()) {
    return std::nullopt;
  }
  SaEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

}  // namespace penstock
