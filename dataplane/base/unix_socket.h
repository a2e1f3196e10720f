// Listening and connecting Unix stream sockets; what is under MessageServer and MessageClient.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "dataplane/base/result.h"

namespace penstock {

// A listening socket that owns its file: the file goes with it, unless someone else has replaced
// it.
class UnixListener {
 public:
  // Replaces the stale file of a daemon that died. Errors: kAlreadyExists if a daemon still answers
  // there, or if something other than a socket lies at `path`.
  static Result<UnixListener> Listen(const std::string& path, mode_t mode,
                                     const std::string& group);
  UnixListener(UnixListener&& other) noexcept;
  UnixListener& operator=(UnixListener&&) = delete;
  ~UnixListener();
  int descriptor() const { return descriptor_; }  // not blocking

 private:
  UnixListener(int descriptor, std::string path)
      : descriptor_(descriptor), path_(std::move(path)) {}
  int descriptor_;
  std::string path_;
  dev_t device_ = 0;  // of the file, to know it again
  ino_t inode_ = 0;
};

// A connected, blocking socket whose writes give up after `timeout`; the caller closes it.
Result<int> ConnectUnixSocket(const std::string& path, std::chrono::milliseconds timeout);

}  // namespace penstock
