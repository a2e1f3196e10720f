// The SA socket's server: greets, reads requests, calls the gateway's SaSink, answers, and passes
// events to those who subscribed.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "dataplane/base/message_socket.h"
#include "ike_bridge/policy_references.h"
#include "ike_bridge/sa_messages.h"
#include "ike_bridge/sa_sink.h"

namespace penstock {

// Lives on the loop's thread, where the sink is called too. What clients have installed outlives
// their connections.
class SaServer : public SaEvents {
 public:
  // `loop` and `sink` must outlive the server; `software` is for people: "penstockd 0.1.0".
  static Result<std::unique_ptr<SaServer>> Listen(EventLoop& loop,
                                                  const MessageServerOptions& options, SaSink& sink,
                                                  std::string software);

  void OnExpire(const ike::Expire& event) override;
  bool OnAcquire(const ike::Acquire& event) override;
  void OnMappingChanged(const ike::MappingChanged& event) override;

 private:
  struct Client {
    bool greeted = false;
    bool subscribed = false;
  };

  SaServer(SaSink& sink, std::string software);
  void Greet(MessagePeer& peer);
  Status Handle(MessagePeer& peer, std::string_view frame);
  Status HandleHello(MessagePeer& peer, const HelloMessage& hello);
  template <typename Event>
  void Push(const Event& event);

  SaSink& sink_;
  PolicyReferences policies_;
  std::string software_;
  std::unordered_map<MessagePeer*, Client> clients_;
  std::unique_ptr<MessageServer> server_;
};

}  // namespace penstock
