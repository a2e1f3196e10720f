// A daemon's end of the control socket, on a real socket and a thread of its own.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/control.pb.h"

namespace penstock::cli {

class FakeDaemon {
 public:
  // What it says to a request; the ids are filled in. Nothing: it stays silent.
  using Answer = std::function<std::vector<control::Reply>(const control::Request&)>;

  FakeDaemon(std::string path, Answer answer, uint32_t protocol = 1);
  ~FakeDaemon();

  const std::string& path() const { return path_; }
  std::vector<control::Request> requests() const;

 private:
  void Serve();
  void Converse(int peer);

  std::string path_;
  Answer answer_;
  uint32_t protocol_;
  int listener_;
  std::atomic<int> peer_{-1};
  mutable std::mutex mutex_;
  std::vector<control::Request> requests_;
  std::thread thread_;
};

// What a command line printed and how it ended, against the daemon of a socket.
struct Ended {
  int status = -1;
  std::string output;
  std::string errors;
};
Ended RunTool(std::vector<std::string> arguments, const std::string& input = "",
              const std::string& run_directory = "/nonexistent");

}  // namespace penstock::cli
