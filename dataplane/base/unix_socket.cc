#include "dataplane/base/unix_socket.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

namespace penstock {
namespace {

constexpr int kBacklog = 64;

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) {
      close(value_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int Release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

tl::unexpected<Error> SystemFailure(const std::string& path, const char* action) {
  const int error = errno;
  const Errc code = error == EACCES || error == EPERM ? Errc::kPermission : Errc::kInternal;
  return Fail(code, "socket {}: cannot {}: {}", path, action, std::strerror(error));
}

Result<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return Fail(Errc::kInvalidArgument, "socket path \"{}\" has {} bytes; expected 1 to {}", path,
                path.size(), sizeof(address.sun_path) - 1);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

int Connect(int descriptor, const sockaddr_un& address) {
  return connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

// Makes way for our own socket file: nothing there, or one that nobody listens on.
Status RemoveStale(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) {
    return {};  // bind says better what is wrong
  }
  if (!S_ISSOCK(status.st_mode)) {
    return Fail(Errc::kAlreadyExists, "socket {}: a file that is not a socket is in the way", path);
  }
  const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (Connect(probe.get(), address) == 0 || errno == EAGAIN) {
    return Fail(Errc::kAlreadyExists, "socket {}: another daemon is listening", path);
  }
  if (errno != ECONNREFUSED) {
    return SystemFailure(path, "ask whether a daemon is listening");
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return SystemFailure(path, "remove the stale file");
  }
  return {};
}

Status SetOwner(const std::string& path, mode_t mode, const std::string& group) {
  if (!group.empty()) {
    ::group entry{};
    ::group* found = nullptr;
    std::vector<char> buffer(16 * 1024);
    getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr) {
      return Fail(Errc::kNotFound, "socket {}: there is no group named \"{}\"", path, group);
    }
    if (chown(path.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0) {
      return SystemFailure(path, "set the group");
    }
  }
  if (chmod(path.c_str(), mode) != 0) {
    return SystemFailure(path, "set the mode");
  }
  return {};
}

}  // namespace

Result<UnixListener> UnixListener::Listen(const std::string& path, mode_t mode,
                                          const std::string& group) {
  Result<sockaddr_un> address = AddressOf(path);
  if (!address) {
    return tl::make_unexpected(address.error());
  }
  // Daemons that start at the same moment must not each take the other's socket for stale. The lock
  // is the folder's own, so that no lock file stays behind.
  const std::string parent = std::filesystem::path(path).parent_path();
  const Descriptor folder(
      open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) {
    return SystemFailure(path, "open its folder");
  }
  flock(folder.get(), LOCK_EX);
  if (Status removed = RemoveStale(path, *address); !removed) {
    return tl::make_unexpected(removed.error());
  }
  Descriptor descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (descriptor.get() < 0) {
    return SystemFailure(path, "create");
  }
  // The file is born with these rights, so there is no moment at which others may connect.
  fchmod(descriptor.get(), 0600);
  if (bind(descriptor.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0) {
    return SystemFailure(path, "bind");
  }
  UnixListener listener(descriptor.Release(), path);
  struct stat status {};
  lstat(path.c_str(), &status);
  listener.device_ = status.st_dev;
  listener.inode_ = status.st_ino;
  if (Status owned = SetOwner(path, mode, group); !owned) {
    return tl::make_unexpected(owned.error());
  }
  if (listen(listener.descriptor_, kBacklog) != 0) {
    return SystemFailure(path, "listen");
  }
  return listener;
}

UnixListener::UnixListener(UnixListener&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::move(other.path_)),
      device_(other.device_),
      inode_(other.inode_) {}

UnixListener::~UnixListener() {
  if (descriptor_ < 0) {
    return;
  }
  struct stat status {};
  if (lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) {
    unlink(path_.c_str());
  }
  close(descriptor_);
}

Result<int> ConnectUnixSocket(const std::string& path, std::chrono::milliseconds timeout) {
  Result<sockaddr_un> address = AddressOf(path);
  if (!address) {
    return tl::make_unexpected(address.error());
  }
  Descriptor descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (descriptor.get() < 0) {
    return SystemFailure(path, "create");
  }
  // Bounds connect (a full backlog) as well as later writes.
  const timeval limit{.tv_sec = timeout.count() / 1000, .tv_usec = timeout.count() % 1000 * 1000};
  setsockopt(descriptor.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  if (Connect(descriptor.get(), *address) == 0) {
    return descriptor.Release();
  }
  if (errno == ENOENT || errno == ECONNREFUSED) {
    return Fail(Errc::kUnavailable, "socket {}: nobody is listening; is penstockd running?", path);
  }
  if (errno == EAGAIN) {
    return Fail(Errc::kUnavailable, "socket {}: no answer within {} ms", path, timeout.count());
  }
  return SystemFailure(path, "connect");
}

}  // namespace penstock
