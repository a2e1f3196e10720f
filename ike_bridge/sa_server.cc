#include "ike_bridge/sa_server.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/log.h"
#include "ike_bridge/sa_wire.h"

namespace penstock {
namespace {

sa::ServerMessage MakeReply(uint64_t id) {
  sa::ServerMessage message;
  message.mutable_reply()->set_id(id);
  return message;
}

void SendError(MessagePeer& peer, uint64_t id, const Error& error) {
  sa::ServerMessage message = MakeReply(id);
  message.mutable_reply()->mutable_error()->set_code(ErrcName(error.code));
  message.mutable_reply()->mutable_error()->set_message(error.message);
  peer.Send(message);
}

void FillReply(sa::Reply& reply, uint32_t spi) { reply.mutable_spi()->set_spi(spi); }

void FillReply(sa::Reply& reply, const ike::Usage& usage) {
  reply.mutable_usage()->set_bytes(usage.bytes);
  reply.mutable_usage()->set_packets(usage.packets);
  reply.mutable_usage()->set_last_use_nanoseconds(static_cast<uint64_t>(usage.last_use.count()));
}

void FillReply(sa::Reply& reply, Nanoseconds last_use) {
  reply.mutable_policy_usage()->set_last_use_nanoseconds(static_cast<uint64_t>(last_use.count()));
}

// Performs one operation and fills in the answer.
class Performer {
 public:
  Performer(SaSink& sink, PolicyReferences& policies, const MessagePeer& peer, bool& subscribed,
            sa::Reply& reply)
      : sink_(sink), policies_(policies), peer_(peer), subscribed_(subscribed), reply_(reply) {}

  Status operator()(HelloMessage&) { return {}; }  // not an operation; handled before
  Status operator()(ike::GetSpi& request) { return Answer(sink_.GetSpi(request)); }
  Status operator()(ike::AddSa& request) { return Answer(sink_.AddSa(std::move(request))); }
  Status operator()(ike::UpdateSa& request) { return Answer(sink_.UpdateSa(request)); }
  Status operator()(QuerySaRequest& request) { return Answer(sink_.QuerySa(request.id)); }
  Status operator()(DeleteSaRequest& request) { return Answer(sink_.DeleteSa(request.id)); }
  Status operator()(FlushSasRequest&) { return Answer(sink_.FlushSas()); }
  Status operator()(AddPolicyRequest& request) {
    return Answer(policies_.Add(request.policy, &peer_));
  }
  Status operator()(DeletePolicyRequest& request) {
    return Answer(policies_.Delete(request.policy));
  }
  Status operator()(QueryPolicyRequest& request) { return Answer(sink_.QueryPolicy(request.id)); }
  Status operator()(FlushPoliciesRequest&) { return Answer(policies_.Flush()); }
  Status operator()(SubscribeRequest&) {
    subscribed_ = true;
    return Answer(Status());
  }

 private:
  Status Answer(const Status& status) {
    reply_.mutable_done();
    return status;
  }
  template <typename T>
  Status Answer(const Result<T>& result) {
    if (!result) {
      return tl::make_unexpected(result.error());
    }
    FillReply(reply_, *result);
    return {};
  }

  SaSink& sink_;
  PolicyReferences& policies_;
  const MessagePeer& peer_;
  bool& subscribed_;
  sa::Reply& reply_;
};

}  // namespace

Result<std::unique_ptr<SaServer>> SaServer::Listen(EventLoop& loop,
                                                   const MessageServerOptions& options,
                                                   SaSink& sink, std::string software) {
  std::unique_ptr<SaServer> server(new SaServer(sink, std::move(software)));
  SaServer* self = server.get();
  Result<std::unique_ptr<MessageServer>> listening = MessageServer::Listen(
      loop, options,
      {.on_connect = [self](MessagePeer& peer) { self->Greet(peer); },
       .on_message = [self](MessagePeer& peer,
                            std::string_view frame) { return self->Handle(peer, frame); },
       .on_disconnect =
           [self](MessagePeer& peer) {
             self->clients_.erase(&peer);
             self->policies_.Disown(&peer);
           }});
  if (!listening) {
    return tl::make_unexpected(listening.error());
  }
  server->server_ = std::move(*listening);
  return server;
}

SaServer::SaServer(SaSink& sink, std::string software)
    : sink_(sink), policies_(sink), software_(std::move(software)) {}

void SaServer::Greet(MessagePeer& peer) {
  clients_.emplace(&peer, Client{});
  sa::ServerMessage message;
  message.mutable_hello()->set_protocol_version(kSaProtocolVersion);
  message.mutable_hello()->set_software(software_);
  peer.Send(message);
}

Status SaServer::Handle(MessagePeer& peer, std::string_view frame) {
  Client& client = clients_[&peer];
  uint64_t id = 0;
  Result<SaRequest> request = ParseSaRequest(frame, &id);
  if (!client.greeted) {
    if (!request || !std::holds_alternative<HelloMessage>(request->operation)) {
      const Error error{Errc::kInvalidArgument, "the first message is not a hello; expected one"};
      SendError(peer, id, error);
      return tl::make_unexpected(error);
    }
  }
  if (request) {
    if (const auto* hello = std::get_if<HelloMessage>(&request->operation)) {
      return HandleHello(peer, *hello);
    }
    sa::ServerMessage message = MakeReply(id);
    Performer performer(sink_, policies_, peer, client.subscribed, *message.mutable_reply());
    Status performed = std::visit(performer, request->operation);
    if (performed) {
      peer.Send(message);
      return {};
    }
    request = tl::make_unexpected(performed.error());
  }
  Log("sa").info("refused a request of process {}: {}", peer.pid(), request.error().message);
  SendError(peer, id, request.error());
  return {};
}

Status SaServer::HandleHello(MessagePeer& peer, const HelloMessage& hello) {
  if (hello.protocol_version != kSaProtocolVersion) {
    const Error error{Errc::kUnsupported,
                      fmt::format("hello.protocol_version: {} is not spoken here; expected {} ({})",
                                  hello.protocol_version, kSaProtocolVersion, software_)};
    SendError(peer, 0, error);
    return tl::make_unexpected(error);
  }
  clients_[&peer].greeted = true;
  return {};
}

template <typename Event>
void SaServer::Push(const Event& event) {
  sa::ServerMessage message;
  *message.mutable_event() = ToMessage(event);
  server_->Broadcast(message, [this](MessagePeer& peer) {
    const auto found = clients_.find(&peer);
    return found != clients_.end() && found->second.subscribed;
  });
}

void SaServer::OnExpire(const ike::Expire& event) { Push(event); }
bool SaServer::OnAcquire(const ike::Acquire& event) {
  Push(event);
  return std::any_of(clients_.begin(), clients_.end(),
                     [](const auto& client) { return client.second.subscribed; });
}
void SaServer::OnMappingChanged(const ike::MappingChanged& event) { Push(event); }

}  // namespace penstock
