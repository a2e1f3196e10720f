#include "dataplane/control/server.h"

#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/base/secret.h"
#include "dataplane/control/handlers.h"

namespace penstock {
namespace {

constexpr size_t kPauseAbove = 1u << 20;  // bytes that wait for the client

// AddSa carries a key; what protobuf parsed is wiped before its memory goes back.
void WipeKey(control::Request& request) {
  if (request.has_add_sa()) {
    std::string* key = request.mutable_add_sa()->mutable_key();
    WipeMemory(key->data(), key->size());
  }
}

}  // namespace

ControlClient::~ControlClient() {
  streams_.clear();
  pages_.clear();
}

void ControlClient::Send(uint32_t id, control::Reply reply) {
  reply.set_id(id);
  peer_.Send(reply);
}

void ControlClient::SendError(uint32_t id, const Error& error) {
  control::Reply reply;
  reply.mutable_error()->set_code(ErrcName(error.code));
  reply.mutable_error()->set_message(error.message);
  Send(id, std::move(reply));
}

void ControlClient::SendPages(uint32_t id, PageSource next) {
  pages_[id] = std::move(next);
  Pump();
}

void ControlClient::Pump() {
  if (std::exchange(pumping_, true)) {
    return;
  }
  while (!pages_.empty() && peer_.queued_bytes() < kPauseAbove) {
    const auto page = pages_.begin();
    const uint32_t id = page->first;
    control::Reply reply = page->second();
    if (!reply.more()) {
      pages_.erase(page);
    }
    Send(id, std::move(reply));
  }
  pumping_ = false;
  if (!pages_.empty()) {
    peer_.OnDrained([this] { Pump(); });
  }
}

void ControlClient::AddStream(uint32_t id, std::unique_ptr<ControlStream> stream) {
  streams_[id] = std::move(stream);
}

void ControlClient::EndStream(uint32_t id) {
  const auto found = streams_.find(id);
  if (found != streams_.end()) {
    const std::unique_ptr<ControlStream> last = std::move(found->second);
    streams_.erase(found);
    control::Reply reply;
    reply.mutable_done();
    Send(id, std::move(reply));
  }
}

void ControlClient::StopId(uint32_t id) {
  if (pages_.erase(id) != 0) {
    control::Reply reply;
    reply.mutable_done();
    Send(id, std::move(reply));
  }
  EndStream(id);
}

Status ControlClient::Handle(std::string_view frame) {
  control::Request request;
  if (!request.ParseFromArray(frame.data(), static_cast<int>(frame.size()))) {
    return Fail(Errc::kInvalidArgument, "control socket: {} bytes are no request", frame.size());
  }
  if (request.id() == 0) {
    return Fail(Errc::kInvalidArgument, "control socket: a request's id must not be 0");
  }
  Answer(request);
  WipeKey(request);
  gateway_.model().Settle();
  return {};
}

void ControlClient::Answer(const control::Request& request) {
  const uint32_t id = request.id();
  control::Reply reply;
  Status done;
  // Takes a handler's Result into the reply's field, or its error.
  const auto take = [&](auto&& result, auto* field) {
    if (result) {
      *field = std::move(*result);
    } else {
      done = tl::unexpected(result.error());
    }
  };
  using Body = control::Request;
  switch (request.body_case()) {
    case Body::kShowStatus:
      *reply.mutable_status() = ShowStatus(gateway_);
      break;
    case Body::kShowPorts:
      take(ShowPorts(gateway_, request.show_ports()), reply.mutable_ports());
      break;
    case Body::kShowWorkers:
      *reply.mutable_workers() = ShowWorkers(gateway_);
      break;
    case Body::kShowTunnels:
      take(ShowTunnels(gateway_, request.show_tunnels()), reply.mutable_tunnels());
      break;
    case Body::kShowPolicies:
      *reply.mutable_policies() = ShowPolicies(gateway_);
      break;
    case Body::kShowGroups:
      *reply.mutable_groups() = ShowGroups(gateway_);
      break;
    case Body::kShowFpm:
      *reply.mutable_fpm() = ShowFpm(gateway_);
      break;
    case Body::kShowNeighbors:
      *reply.mutable_neighbors() = ShowNeighbors(gateway_);
      break;
    case Body::kShowCounters:
      *reply.mutable_counters() = ShowCounters(gateway_);
      break;
    case Body::kShowDrops:
      *reply.mutable_drops() = ShowDrops(gateway_, request.show_drops());
      break;
    case Body::kShowStages:
      *reply.mutable_stages() = ShowStages(gateway_);
      break;
    case Body::kLookup:
      take(LookupAddress(gateway_, request.lookup()), reply.mutable_lookup());
      break;
    case Body::kReload:
      take(ReloadConfiguration(gateway_), reply.mutable_reloaded());
      break;
    case Body::kAddTunnel:
      done = AddTunnel(gateway_, request.add_tunnel());
      break;
    case Body::kDeleteTunnel:
      done = DeleteTunnel(gateway_, request.delete_tunnel());
      break;
    case Body::kAddSa:
      done = AddSa(gateway_, request.add_sa());
      break;
    case Body::kDeleteSa:
      done = DeleteSa(gateway_, request.delete_sa());
      break;
    case Body::kAddRoute:
      done = AddRoute(gateway_, request.add_route());
      break;
    case Body::kDeleteRoute:
      done = DeleteRoute(gateway_, request.delete_route());
      break;
    case Body::kSetLogLevel:
      done = SetLogLevel(request.set_log_level());
      break;
    case Body::kSetCycleCounting:
      gateway_.workers().SetCycleCounting(request.set_cycle_counting().on());
      break;
    case Body::kShowSas:
    case Body::kShowRoutes: {
      Result<PageSource> pages = request.has_show_sas()
                                     ? ShowSas(gateway_, request.show_sas())
                                     : ShowRoutes(gateway_, request.show_routes());
      if (pages) {
        SendPages(id, std::move(*pages));
        return;
      }
      done = tl::unexpected(pages.error());
      break;
    }
    case Body::kStartCapture: {
      auto stream = StartCapture(gateway_, *this, id, request.start_capture());
      if (stream) {
        AddStream(id, std::move(*stream));
        return;
      }
      done = tl::unexpected(stream.error());
      break;
    }
    case Body::kWatchEvents:
      AddStream(id, WatchEvents(gateway_, *this, id));
      return;
    case Body::kStop:
      StopId(request.stop().id());
      break;
    case Body::BODY_NOT_SET:
      done = Fail(Errc::kUnsupported, "this daemon does not know the request");
      break;
  }
  if (!done) {
    SendError(id, done.error());
    return;
  }
  if (reply.body_case() == control::Reply::BODY_NOT_SET) {
    reply.mutable_done();
  }
  Send(id, std::move(reply));
}

Result<std::unique_ptr<ControlServer>> ControlServer::Listen(Gateway& gateway,
                                                             const MessageServerOptions& options) {
  std::unique_ptr<ControlServer> server(new ControlServer(gateway));
  ControlServer* self = server.get();
  MessageServer::Handlers handlers;
  handlers.on_connect = [self](MessagePeer& peer) {
    control::Hello hello;
    hello.set_protocol(kControlProtocol);
    hello.set_version(PENSTOCK_VERSION);
    hello.set_instance(self->gateway_.config().instance());
    peer.Send(hello);
    self->clients_[&peer] = std::make_unique<ControlClient>(self->gateway_, peer);
  };
  handlers.on_message = [self](MessagePeer& peer, std::string_view frame) {
    return self->clients_.at(&peer)->Handle(frame);
  };
  handlers.on_disconnect = [self](MessagePeer& peer) { self->clients_.erase(&peer); };
  Result<std::unique_ptr<MessageServer>> listening =
      MessageServer::Listen(gateway.loop(), options, std::move(handlers));
  if (!listening) {
    return tl::unexpected(listening.error());
  }
  server->server_ = std::move(*listening);
  return server;
}

}  // namespace penstock
