#include "dataplane/base/message_socket.h"

#include <google/protobuf/message_lite.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/base/unix_socket.h"

namespace penstock {
namespace {

constexpr size_t kMostQueued = 64u << 20;
constexpr size_t kPauseQueued = 1u << 20;  // a client that does not read answers is not read either
constexpr size_t kMostPeers = 256;
constexpr std::chrono::seconds kAcceptPause{1};

using Frame = std::shared_ptr<const std::string>;

class Server;

class Peer final : public MessagePeer {
 public:
  Peer(Server& server, int descriptor, const ucred& credentials);
  ~Peer() override {
    if (descriptor_ >= 0) {
      close(descriptor_);
    }
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void Send(const google::protobuf::MessageLite& message) override;
  size_t queued_bytes() const override { return queued_; }
  void OnDrained(std::function<void()> callback) override;
  void Close() override;
  uid_t uid() const override { return credentials_.uid; }
  pid_t pid() const override { return credentials_.pid; }

  bool closed() const { return descriptor_ < 0; }
  void SendFrame(Frame frame);

 private:
  void WatchReadable();
  void Read();
  void HandleFrames();
  void Write();
  void Drained();

  Server& server_;
  int descriptor_;  // -1 once closed
  ucred credentials_;
  FrameReader reader_;
  std::deque<Frame> queue_;
  size_t sent_of_first_ = 0;
  size_t queued_ = 0;
  std::function<void()> on_drained_;
  EventLoop::Handle readable_;
  EventLoop::Handle writable_;
  EventLoop::Handle soon_;
};

class Server final : public MessageServer {
 public:
  Server(EventLoop& loop, const MessageServerOptions& options, Handlers handlers,
         UnixListener listener)
      : loop_(loop),
        options_(options),
        handlers_(std::move(handlers)),
        listener_(std::move(listener)) {
    WatchListener();
  }

  void Broadcast(const google::protobuf::MessageLite& message,
                 const std::function<bool(MessagePeer&)>& wants) override {
    Result<std::string> encoded = EncodeFrame(message);
    if (!encoded) {
      Log("socket").error("{}: broadcast: {}", options_.path, encoded.error().message);
      return;
    }
    const Frame frame = std::make_shared<const std::string>(std::move(*encoded));
    for (auto& [key, peer] : peers_) {
      if (!peer->closed() && (wants == nullptr || wants(*peer))) {
        peer->SendFrame(frame);
      }
    }
  }

  EventLoop& loop() { return loop_; }
  const std::string& path() const { return options_.path; }
  const Handlers& handlers() const { return handlers_; }

  // The peer may be deep in its own calls: it goes when the loop comes round.
  void Forget(Peer* peer) {
    closing_.push_back(peer);
    if (sweep_ == nullptr) {
      sweep_ = loop_.After(std::chrono::microseconds(0), [this] { Sweep(); });
    }
  }

 private:
  void WatchListener() {
    accept_pause_.reset();
    accept_ = loop_.OnReadable(listener_.descriptor(), [this] { Accept(); });
  }

  void Accept() {
    const int descriptor =
        accept4(listener_.descriptor(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      Welcome(descriptor);
      return;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      // The client stays in the backlog; without a pause the loop would spin on it.
      Log("socket").error("{}: cannot accept a client: {}", path(), std::strerror(errno));
      accept_pause_ = loop_.After(kAcceptPause, [this] { WatchListener(); });
      accept_.reset();
    }
  }

  void Welcome(int descriptor) {
    ucred credentials{};
    socklen_t size = sizeof(credentials);
    const bool known = getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0;
    if (!known || !IsAllowed(credentials.uid) || peers_.size() >= kMostPeers) {
      Log("socket").warn("{}: refused process {} of user {}: {}", path(), credentials.pid,
                         credentials.uid,
                         peers_.size() >= kMostPeers ? "too many clients" : "user not allowed");
      close(descriptor);
      return;
    }
    auto owned = std::make_unique<Peer>(*this, descriptor, credentials);
    Peer& peer = *owned;
    peers_.emplace(&peer, std::move(owned));
    if (handlers_.on_connect) {
      handlers_.on_connect(peer);
    }
  }

  bool IsAllowed(uid_t uid) const {
    const std::vector<uid_t>& allowed = options_.allowed_uids;
    if (allowed.empty()) {
      return uid == 0 || uid == geteuid();
    }
    return std::find(allowed.begin(), allowed.end(), uid) != allowed.end();
  }

  void Sweep() {
    sweep_.reset();
    for (Peer* peer : std::exchange(closing_, {})) {
      if (handlers_.on_disconnect) {
        handlers_.on_disconnect(*peer);
      }
      peers_.erase(peer);
    }
  }

  EventLoop& loop_;
  const MessageServerOptions options_;
  const Handlers handlers_;
  UnixListener listener_;
  std::unordered_map<Peer*, std::unique_ptr<Peer>> peers_;
  std::vector<Peer*> closing_;
  EventLoop::Handle accept_;
  EventLoop::Handle accept_pause_;
  EventLoop::Handle sweep_;
};

Peer::Peer(Server& server, int descriptor, const ucred& credentials)
    : server_(server), descriptor_(descriptor), credentials_(credentials) {
  WatchReadable();
}

void Peer::WatchReadable() {
  if (readable_ == nullptr) {
    readable_ = server_.loop().OnReadable(descriptor_, [this] { Read(); });
  }
}

void Peer::Send(const google::protobuf::MessageLite& message) {
  Result<std::string> frame = EncodeFrame(message);
  if (!frame) {
    Log("socket").error("{}: closing process {}: {}", server_.path(), pid(), frame.error().message);
    Close();
    return;
  }
  SendFrame(std::make_shared<const std::string>(std::move(*frame)));
}

void Peer::SendFrame(Frame frame) {
  if (closed()) {
    return;
  }
  if (queued_ + frame->size() > kMostQueued) {
    Log("socket").warn("{}: closing process {}: it does not read, {} bytes are waiting",
                       server_.path(), pid(), queued_);
    Close();
    return;
  }
  queued_ += frame->size();
  queue_.push_back(std::move(frame));
  if (writable_ == nullptr) {
    Write();
  }
}

void Peer::OnDrained(std::function<void()> callback) {
  on_drained_ = std::move(callback);
  if (queue_.empty() && !closed()) {
    soon_ = server_.loop().After(std::chrono::microseconds(0), [this] { Drained(); });
  }
}

void Peer::Close() {
  if (closed()) {
    return;
  }
  readable_.reset();
  writable_.reset();
  soon_.reset();
  on_drained_ = nullptr;
  close(std::exchange(descriptor_, -1));
  server_.Forget(this);
}

void Peer::Read() {
  const std::span<char> space = reader_.Space();
  const ssize_t received = recv(descriptor_, space.data(), space.size(), 0);
  if (received > 0) {
    reader_.Filled(static_cast<size_t>(received));
    HandleFrames();
  } else if (received == 0 || (errno != EAGAIN && errno != EINTR)) {
    Close();
  }
}

void Peer::HandleFrames() {
  while (!closed() && queued_ <= kPauseQueued) {
    Result<std::optional<std::string_view>> frame = reader_.Next();
    if (frame && !frame->has_value()) {
      WatchReadable();
      return;
    }
    Status handled;
    if (!frame) {
      handled = tl::make_unexpected(frame.error());
    } else if (server_.handlers().on_message) {
      handled = server_.handlers().on_message(*this, **frame);
    }
    if (!handled) {
      Log("socket").warn("{}: closing process {}: {}", server_.path(), pid(),
                         handled.error().message);
      Close();
    }
  }
  readable_.reset();  // until what is queued has been read
}

void Peer::Write() {
  while (!queue_.empty()) {
    const std::string& frame = *queue_.front();
    const ssize_t sent = send(descriptor_, frame.data() + sent_of_first_,
                              frame.size() - sent_of_first_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent < 0 && errno == EAGAIN) {
      if (writable_ == nullptr) {
        writable_ = server_.loop().OnWritable(descriptor_, [this] { Write(); });
      }
      return;
    }
    if (sent < 0) {
      Close();
      return;
    }
    queued_ -= static_cast<size_t>(sent);
    sent_of_first_ += static_cast<size_t>(sent);
    if (sent_of_first_ == frame.size()) {
      queue_.pop_front();
      sent_of_first_ = 0;
    }
  }
  if (writable_ != nullptr || on_drained_ != nullptr) {
    writable_.reset();
    soon_ = server_.loop().After(std::chrono::microseconds(0), [this] { Drained(); });
  }
}

// Called from the loop only, so that nothing that is sent from here nests.
void Peer::Drained() {
  soon_.reset();
  if (!queue_.empty()) {
    return;  // more was sent meanwhile; the socket tells when it is gone
  }
  if (std::function<void()> callback = std::exchange(on_drained_, nullptr)) {
    callback();
  }
  if (!closed() && readable_ == nullptr) {
    HandleFrames();
  }
}

}  // namespace

Result<std::unique_ptr<MessageServer>> MessageServer::Listen(EventLoop& loop,
                                                             const MessageServerOptions& options,
                                                             Handlers handlers) {
  Result<UnixListener> listener = UnixListener::Listen(options.path, options.mode, options.group);
  if (!listener) {
    return tl::make_unexpected(listener.error());
  }
  return std::make_unique<Server>(loop, options, std::move(handlers), std::move(*listener));
}

}  // namespace penstock
