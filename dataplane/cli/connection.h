// A connection to one daemon's control socket: requests, paged answers and streams.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "config/control.pb.h"
#include "dataplane/base/message_socket.h"
#include "dataplane/cli/failure.h"

namespace penstock::cli {

inline constexpr uint32_t kProtocol = 1;

class Connection {
 public:
  // Connects and reads the greeting. The timeout is for this and for every later answer.
  static Outcome<Connection> Open(const std::string& path, std::chrono::milliseconds timeout);

  const control::Hello& hello() const { return hello_; }

  // Sends the request and waits for the whole answer; the pages of a long one become one message.
  // An answer that is an error is a failure with the daemon's sentence.
  Outcome<control::Reply> Call(control::Request& request);

  // The same for streams: Start sends, Next gives one reply of the stream or nothing if none came
  // in time; the last one has `more` unset. Stop asks for the end.
  Outcome<uint32_t> Start(control::Request& request);
  Outcome<std::optional<control::Reply>> Next(uint32_t id, std::chrono::milliseconds wait);
  Outcome<void> Stop(uint32_t id);

  std::chrono::milliseconds timeout() const { return timeout_; }

 private:
  Connection(MessageClient client, std::string path, std::chrono::milliseconds timeout)
      : client_(std::move(client)), path_(std::move(path)), timeout_(timeout) {}
  Outcome<void> Greet();

  MessageClient client_;
  std::string path_;
  std::chrono::milliseconds timeout_;
  control::Hello hello_;
  uint32_t last_id_ = 0;
};

}  // namespace penstock::cli
