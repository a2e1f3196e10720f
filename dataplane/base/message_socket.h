// Protobuf messages over a Unix stream socket: framed, greeted with a version, peers checked.
//
// Frame: 4 bytes length (network order, at most kMaxMessage), then that many bytes of one message.
// A stream rather than SOCK_SEQPACKET: a table of a million routes is answered in several large
// frames, and a datagram socket would bound a message by its send buffer.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/event_loop.h"
#include "dataplane/base/message_frame.h"
#include "dataplane/base/result.h"

namespace penstock {

// The server's end of one accepted client. Lives on the loop's thread.
class MessagePeer {
 public:
  virtual ~MessagePeer() = default;
  // Queues a message and sends what the socket takes now. A peer that lets more than 64 MiB queue
  // up is disconnected, so that no client can hold the daemon's memory.
  virtual void Send(const google::protobuf::MessageLite& message) = 0;
  // Bytes still queued; a long answer pauses above 1 MiB and goes on from OnDrained.
  virtual size_t queued_bytes() const = 0;
  // Calls back once, from the loop, when nothing is queued any more. A new callback replaces the
  // old.
  virtual void OnDrained(std::function<void()> callback) = 0;
  // No further callbacks but on_disconnect, which comes later from the loop; the peer is gone after
  // it.
  virtual void Close() = 0;
  virtual uid_t uid() const = 0;
  virtual pid_t pid() const = 0;
};

struct MessageServerOptions {
  std::string path;  // removed on destruction; a stale one of a dead daemon is replaced
  mode_t mode = 0660;
  std::string group{};                // group name that owns the socket; empty: unchanged
  std::vector<uid_t> allowed_uids{};  // empty: root and the daemon's own user
};

class MessageServer {
 public:
  // `on_message` gets each frame's bytes, which are wiped afterwards. Returning an error closes the
  // peer after logging it. Any handler may be empty.
  struct Handlers {
    std::function<void(MessagePeer&)> on_connect;
    std::function<Status(MessagePeer&, std::string_view)> on_message;
    std::function<void(MessagePeer&)> on_disconnect;
  };
  static Result<std::unique_ptr<MessageServer>> Listen(EventLoop& loop,
                                                       const MessageServerOptions& options,
                                                       Handlers handlers);
  // Closes all peers without calling back, and removes the socket file.
  virtual ~MessageServer() = default;
  // Sends to every connected peer for which `wants` is true (null: all).
  virtual void Broadcast(const google::protobuf::MessageLite& message,
                         const std::function<bool(MessagePeer&)>& wants) = 0;
};

// A blocking client end for tools: connect, send, receive with a deadline. One thread.
class MessageClient {
 public:
  static Result<MessageClient> Connect(const std::string& path, std::chrono::milliseconds timeout);
  MessageClient(MessageClient&& other) noexcept;
  MessageClient& operator=(MessageClient&& other) noexcept;
  ~MessageClient();

  // Waits while the socket is full, at most as long as Connect was allowed to. What was encoded is
  // wiped afterwards. After an error the connection is of no more use.
  Status Send(const google::protobuf::MessageLite& message);
  // One whole frame's bytes. Errors: kUnavailable when the daemon closed or the deadline passed;
  // after a passed deadline the next call goes on where this one stopped.
  Result<std::string> Receive(std::chrono::milliseconds timeout);
  // The same, but a passed deadline is no error: nothing came.
  Result<std::optional<std::string>> TryReceive(std::chrono::milliseconds timeout);
  int descriptor() const { return descriptor_; }

 private:
  explicit MessageClient(int descriptor);
  int descriptor_ = -1;
  std::unique_ptr<FrameReader> reader_;
};

}  // namespace penstock
