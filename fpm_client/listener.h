// Waits for zebra to dial in, keeps the newest connection, and keeps the routes between
// connections: marked when a new one begins, swept when it has told all of its own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "dataplane/base/event_loop.h"
#include "dataplane/base/result.h"
#include "dataplane/base/unix_socket.h"
#include "fpm_client/acknowledger.h"
#include "fpm_client/route_receiver.h"
#include "fpm_client/route_sink.h"
#include "fpm_client/session.h"
#include "fpm_client/status.h"

namespace penstock::fpm {

struct ListenerOptions {
  std::string listen = "127.0.0.1:2620";  // ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH
  // zebra tells no end of its table. What it has not repeated goes when it has been silent about
  // routes for so long, and has told one at least.
  std::chrono::milliseconds sweep{30'000};
  std::chrono::milliseconds withdraw_hold{250};
  bool acknowledge = false;
  std::function<void()> on_connected = [] {};
};

// Control thread only. `sink` outlives it, and keeps the routes when it goes.
class Listener {
 public:
  // Errors: the address is wrong, taken, or not this machine's.
  static Result<std::unique_ptr<Listener>> Start(EventLoop& loop, RouteSink& sink,
                                                 const ListenerOptions& options);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  FpmStatus GetStatus() const;

 private:
  Listener(EventLoop& loop, RouteSink& sink, const ListenerOptions& options);
  Status Open();
  Status OpenTcp();
  void Accept();
  void Ended(const std::string& why);
  void SweepWhenQuiet();
  void SweepOn();

  EventLoop& loop_;
  RouteSink& sink_;
  ListenerOptions options_;
  RouteReceiver receiver_;
  std::unique_ptr<Acknowledger> acknowledger_;
  std::optional<UnixListener> unix_;
  int descriptor_ = -1;
  EventLoop::Handle acceptable_;
  std::unique_ptr<Session> session_;
  std::string peer_;
  EventLoop::Handle sweep_;
};

}  // namespace penstock::fpm
