// The control socket: hello with version, requests, pages and streams. What each request does is in
// the handlers; this file knows only how answers travel.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "config/control.pb.h"
#include "dataplane/base/message_socket.h"
#include "dataplane/control/gateway.h"

namespace penstock {

inline constexpr uint32_t kControlProtocol = 1;

// One answer that comes in parts: each call gives the next one, nothing when it is over. `more` in
// the reply says whether further ones follow.
using PageSource = std::function<control::Reply()>;

// A stream that goes on until the client leaves or stops it.
class ControlStream {
 public:
  virtual ~ControlStream() = default;
};

// One connected client.
class ControlClient {
 public:
  ControlClient(Gateway& gateway, MessagePeer& peer) : gateway_(gateway), peer_(peer) {}
  ~ControlClient();
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  Status Handle(std::string_view frame);

  // For handlers and streams.
  void Send(uint32_t id, control::Reply reply);
  void SendError(uint32_t id, const Error& error);
  // Sends page after page, pausing while the client does not read.
  void SendPages(uint32_t id, PageSource next);
  void AddStream(uint32_t id, std::unique_ptr<ControlStream> stream);
  void EndStream(uint32_t id);  // sends the last reply
  size_t queued_bytes() const { return peer_.queued_bytes(); }

 private:
  void Answer(const control::Request& request);
  void Pump();
  void StopId(uint32_t id);

  Gateway& gateway_;
  MessagePeer& peer_;
  std::map<uint32_t, PageSource> pages_;
  std::map<uint32_t, std::unique_ptr<ControlStream>> streams_;
  bool pumping_ = false;
};

class ControlServer {
 public:
  static Result<std::unique_ptr<ControlServer>> Listen(Gateway& gateway,
                                                       const MessageServerOptions& options);

 private:
  explicit ControlServer(Gateway& gateway) : gateway_(gateway) {}
  Gateway& gateway_;
  std::map<MessagePeer*, std::unique_ptr<ControlClient>> clients_;
  std::unique_ptr<MessageServer> server_;
};

}  // namespace penstock
