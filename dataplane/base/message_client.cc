#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/base/message_socket.h"
#include "dataplane/base/secret.h"
#include "dataplane/base/unix_socket.h"

namespace penstock {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// Waits until there is something to read; false when the deadline has passed.
bool WaitReadable(int descriptor, SteadyTime deadline) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd entry{.fd = descriptor, .events = POLLIN, .revents = 0};
    const int ready = poll(&entry, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready > 0) {
      return true;
    }
    if (ready == 0 || errno != EINTR) {
      return false;
    }
  }
}

Status SendAll(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      return Fail(Errc::kUnavailable, "the daemon does not read what is sent to it");
    } else if (errno != EINTR) {
      return Fail(Errc::kUnavailable, "cannot send to the daemon: {}", std::strerror(errno));
    }
  }
  return {};
}

}  // namespace

Result<MessageClient> MessageClient::Connect(const std::string& path,
                                             std::chrono::milliseconds timeout) {
  Result<int> descriptor = ConnectUnixSocket(path, timeout);
  if (!descriptor) {
    return tl::make_unexpected(descriptor.error());
  }
  return MessageClient(*descriptor);
}

MessageClient::MessageClient(int descriptor)
    : descriptor_(descriptor), reader_(std::make_unique<FrameReader>()) {}

MessageClient::MessageClient(MessageClient&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), reader_(std::move(other.reader_)) {}

MessageClient& MessageClient::operator=(MessageClient&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(reader_, other.reader_);
  return *this;
}

MessageClient::~MessageClient() {
  if (descriptor_ >= 0) {
    close(descriptor_);
  }
}

Status MessageClient::Send(const google::protobuf::MessageLite& message) {
  Result<std::string> frame = EncodeFrame(message);
  if (!frame) {
    return tl::make_unexpected(frame.error());
  }
  Status sent = SendAll(descriptor_, *frame);
  WipeMemory(frame->data(), frame->size());
  return sent;
}

Result<std::string> MessageClient::Receive(std::chrono::milliseconds timeout) {
  Result<std::optional<std::string>> frame = TryReceive(timeout);
  if (!frame) {
    return tl::make_unexpected(frame.error());
  }
  if (!frame->has_value()) {
    return Fail(Errc::kUnavailable, "the daemon did not answer within {} ms", timeout.count());
  }
  return std::move(**frame);
}

Result<std::optional<std::string>> MessageClient::TryReceive(std::chrono::milliseconds timeout) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    Result<std::optional<std::string_view>> frame = reader_->Next();
    if (!frame) {
      return tl::make_unexpected(frame.error());
    }
    if (frame->has_value()) {
      return std::string(**frame);
    }
    if (!WaitReadable(descriptor_, deadline)) {
      return std::nullopt;
    }
    const std::span<char> space = reader_->Space();
    const ssize_t received = recv(descriptor_, space.data(), space.size(), 0);
    if (received > 0) {
      reader_->Filled(static_cast<size_t>(received));
    } else if (received == 0) {
      return Fail(Errc::kUnavailable, "the daemon closed the connection");
    } else if (errno != EINTR) {
      return Fail(Errc::kUnavailable, "cannot receive from the daemon: {}", std::strerror(errno));
    }
  }
}

}  // namespace penstock
