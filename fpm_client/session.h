// One connection of zebra's: reads always, cuts frames, and writes the answers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/base/event_loop.h"
#include "dataplane/base/result.h"
#include "fpm_client/acknowledger.h"
#include "fpm_client/frame.h"
#include "fpm_client/route_receiver.h"

namespace penstock::fpm {

// Control thread only. Owns the descriptor, which does not block.
class Session {
 public:
  using Ended = std::function<void(const std::string& why)>;
  // `acknowledger` is null where nobody wants answers. `ended` may destroy the session.
  Session(EventLoop& loop, int descriptor, RouteReceiver& receiver, Acknowledger* acknowledger,
          Ended ended);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Answers wait.
  void Write();

 private:
  void Read();
  Status TakeFrames();

  EventLoop& loop_;
  int descriptor_;
  RouteReceiver& receiver_;
  Acknowledger* acknowledger_;
  Ended ended_;
  FrameReader frames_;
  std::vector<uint8_t> out_;
  size_t written_ = 0;
  EventLoop::Handle readable_;
  EventLoop::Handle writable_;  // while the socket takes no more
};

}  // namespace penstock::fpm
