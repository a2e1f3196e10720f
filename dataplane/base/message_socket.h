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
#include <string>
#include <vector>

#include "dataplane/base/event_loop.h"
#include "dataplane/base/result.h"

namespace google::protobuf {
class MessageLite;
}

namespace penstock {

inline constexpr uint32_t kMaxMessage = 16u << 20;

// The server's end of one accepted client. Lives on the loop's thread.
class MessagePeer {
 public:
  virtual ~MessagePeer() = default;
  // Queues a message and sends what the socket takes now. A peer that lets more than 64 MiB queue up
  // is disconnected, so that no client can hold the daemon's memory.
  virtual void Send(const google::protobuf::MessageLite& message) = 0;
  // Bytes still queued; a long answer pauses above 1 MiB and goes on from OnDrained.
  virtual size_t queued_bytes() const = 0;
  virtual void OnDrained(std::function<void()> callback) = 0;
  virtual void Close() = 0;
  virtual uid_t uid() const = 0;
  virtual pid_t pid() const = 0;
};

struct MessageServerOptions {
  std::string path;         // removed on destruction; a stale one of a dead daemon is replaced
  mode_t mode = 0660;
  std::string group;        // group name that owns the socket; empty: unchanged
  std::vector<uid_t> allowed_uids;  // empty: root and the daemon's own user
};

class MessageServer {
 public:
  // `on_message` gets each frame's bytes. Returning an error closes the peer after logging it.
  struct Handlers {
    std::function<void(MessagePeer&)> on_connect;
    std::function<Status(MessagePeer&, std::string_view)> on_message;
    std::function<void(MessagePeer&)> on_disconnect;
  };
  static Result<std::unique_ptr<MessageServer>> Listen(EventLoop& loop,
                                                       const MessageServerOptions& options,
                                                       Handlers handlers);
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

  Status Send(const google::protobuf::MessageLite& message);
  // One whole frame's bytes. Errors: kUnavailable when the daemon closed or the deadline passed.
  Result<std::string> Receive(std::chrono::milliseconds timeout);
  int descriptor() const { return descriptor_; }

 private:
  explicit MessageClient(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace penstock
