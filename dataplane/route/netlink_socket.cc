#include "dataplane/route/netlink_socket.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "dataplane/base/log.h"

namespace penstock {
namespace {

constexpr size_t kBufferBytes = 64 * 1024;   // the kernel's dumps come in at most 32 KiB
constexpr int kReceiveQueueBytes = 4 << 20;  // a burst of notifications that we can lag behind
constexpr int kDumpAttempts = 8;

Errc CodeOf(int error) {
  switch (error) {
    case EEXIST:
      return Errc::kAlreadyExists;
    case ENODEV:
    case ENOENT:
    case ESRCH:
    case EADDRNOTAVAIL:
      return Errc::kNotFound;
    case EPERM:
    case EACCES:
      return Errc::kPermission;
    case EINVAL:
    case ERANGE:
      return Errc::kInvalidArgument;
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
      return Errc::kUnsupported;
    case ENOBUFS:
    case ENOMEM:
    case ENFILE:
      return Errc::kExhausted;
    default:
      return Errc::kInternal;
  }
}

tl::unexpected<Error> SystemError(const std::string& what, int error) {
  return Fail(CodeOf(error), "{}: {}", what, std::strerror(error));
}

}  // namespace

NetlinkSocket::NetlinkSocket(mnl_socket* socket) : socket_(socket), buffer_(kBufferBytes) {}

NetlinkSocket::~NetlinkSocket() { mnl_socket_close(socket_); }

Result<std::unique_ptr<NetlinkSocket>> NetlinkSocket::Open(const std::vector<unsigned>& groups) {
  mnl_socket* raw = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
  if (raw == nullptr) {
    return SystemError("opening an rtnetlink socket", errno);
  }
  std::unique_ptr<NetlinkSocket> socket(new NetlinkSocket(raw));
  if (mnl_socket_bind(raw, 0, MNL_SOCKET_AUTOPID) != 0) {
    return SystemError("binding an rtnetlink socket", errno);
  }
  for (unsigned group : groups) {
    if (mnl_socket_setsockopt(raw, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0) {
      return SystemError(fmt::format("subscribing to rtnetlink group {}", group), errno);
    }
  }
  // Both are improvements only: a larger queue, and an answer that never comes must not hang us.
  const int size = kReceiveQueueBytes;
  (void)setsockopt(socket->descriptor(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
  const timeval patience{2, 0};
  (void)setsockopt(socket->descriptor(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  return socket;
}

// One datagram into buffer_: its size, or -1 with errno. EBADMSG: not from the kernel, or cut off.
ssize_t NetlinkSocket::Receive(int flags) {
  sockaddr_nl sender{};
  iovec part{buffer_.data(), buffer_.size()};
  msghdr message{};
  message.msg_name = &sender;
  message.msg_namelen = sizeof(sender);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ssize_t size;
  do {
    size = recvmsg(descriptor(), &message, flags);
  } while (size < 0 && errno == EINTR);
  if (size >= 0 && (sender.nl_pid != 0 || (message.msg_flags & MSG_TRUNC) != 0)) {
    ++malformed_;
    errno = EBADMSG;
    return -1;
  }
  return size;
}

Status NetlinkSocket::Execute(NetlinkRequest& request, const std::string& what) {
  request.header()->nlmsg_flags |= NLM_F_ACK;
  bool interrupted = false;
  return Transact(request.header(), what, nullptr, interrupted);
}

Status NetlinkSocket::Dump(uint16_t type, const OnMessage& on_message) {
  const std::string what = fmt::format("dump of rtnetlink type {}", type);
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    NetlinkRequest request(type, NLM_F_DUMP, sizeof(rtgenmsg));
    std::vector<char> answer;
    const auto keep = [&answer](const nlmsghdr& message) {
      const size_t at = answer.size();
      answer.resize(at + NLMSG_ALIGN(message.nlmsg_len));
      std::memcpy(answer.data() + at, &message, message.nlmsg_len);
    };
    bool interrupted = false;
    if (const Status status = Transact(request.header(), what, keep, interrupted); !status) {
      return status;
    }
    if (!interrupted) {
      int left = static_cast<int>(answer.size());
      const auto* message = reinterpret_cast<const nlmsghdr*>(answer.data());
      for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        on_message(*message);
      }
      return {};
    }
  }
  return Fail(Errc::kUnavailable, "{}: the table kept changing under {} attempts", what,
              kDumpAttempts);
}

Status NetlinkSocket::Transact(nlmsghdr* request, const std::string& what,
                               const OnMessage& on_message, bool& interrupted) {
  request->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_, request, request->nlmsg_len) < 0) {
    return SystemError(what, errno);
  }
  for (;;) {
    const ssize_t size = Receive(0);
    if (size < 0) {
      return errno == EAGAIN ? Fail(Errc::kUnavailable, "{}: the kernel does not answer", what)
                             : SystemError(what, errno);
    }
    int left = static_cast<int>(size);
    const auto* message = reinterpret_cast<const nlmsghdr*>(buffer_.data());
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_seq != sequence_) {
        continue;  // the late answer of an abandoned request
      }
      interrupted |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
      if (message->nlmsg_type == NLMSG_DONE) {
        return {};
      }
      if (message->nlmsg_type == NLMSG_ERROR) {
        if (mnl_nlmsg_get_payload_len(message) < sizeof(nlmsgerr)) {
          ++malformed_;
          return SystemError(what, EBADMSG);
        }
        const auto* answer = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
        return answer->error == 0 ? Status{} : SystemError(what, -answer->error);
      }
      if (on_message) {
        on_message(*message);
      }
    }
    malformed_ += left > 0 ? 1 : 0;
  }
}

NetlinkSocket::Received NetlinkSocket::ReceiveNotifications(const OnMessage& on_message) {
  const ssize_t size = Receive(MSG_DONTWAIT);
  if (size < 0) {
    if (errno == EAGAIN) {
      return Received::kNothing;
    }
    if (errno != ENOBUFS) {
      Log("route").warn("rtnetlink notification: {}", std::strerror(errno));
    }
    return Received::kLost;
  }
  int left = static_cast<int>(size);
  const auto* message = reinterpret_cast<const nlmsghdr*>(buffer_.data());
  for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
    on_message(*message);
  }
  malformed_ += left > 0 ? 1 : 0;
  return Received::kMessages;
}

}  // namespace penstock
