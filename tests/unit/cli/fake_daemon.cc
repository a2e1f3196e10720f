#include "tests/unit/cli/fake_daemon.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "dataplane/base/message_frame.h"
#include "dataplane/cli/command_line.h"

namespace penstock::cli {
namespace {

void SendFrame(int peer, const google::protobuf::MessageLite& message) {
  const std::string frame = EncodeFrame(message).value();
  for (size_t sent = 0; sent < frame.size();) {
    const ssize_t now = send(peer, frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL);
    if (now <= 0) {
      return;  // the client has left
    }
    sent += static_cast<size_t>(now);
  }
}

std::string Contents(std::FILE* file) {
  std::string text;
  std::rewind(file);
  for (int character = std::fgetc(file); character != EOF; character = std::fgetc(file)) {
    text += static_cast<char>(character);
  }
  std::fclose(file);
  return text;
}

}  // namespace

FakeDaemon::FakeDaemon(std::string path, Answer answer, uint32_t protocol)
    : path_(std::move(path)), answer_(std::move(answer)), protocol_(protocol) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(listen(listener_, 8), 0);
  thread_ = std::thread([this] { Serve(); });
}

FakeDaemon::~FakeDaemon() {
  shutdown(listener_, SHUT_RDWR);
  if (const int peer = peer_; peer >= 0) {
    shutdown(peer, SHUT_RDWR);
  }
  thread_.join();
  close(listener_);
  unlink(path_.c_str());
}

std::vector<control::Request> FakeDaemon::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void FakeDaemon::Serve() {
  for (;;) {
    const int peer = accept(listener_, nullptr, nullptr);
    if (peer < 0) {
      return;
    }
    peer_ = peer;
    Converse(peer);
    peer_ = -1;
    close(peer);
  }
}

void FakeDaemon::Converse(int peer) {
  control::Hello hello;
  hello.set_protocol(protocol_);
  hello.set_version("9.9");
  hello.set_instance("fake");
  SendFrame(peer, hello);
  FrameReader reader;
  for (;;) {
    const auto space = reader.Space();
    const ssize_t got = recv(peer, space.data(), space.size(), 0);
    if (got <= 0) {
      return;
    }
    reader.Filled(static_cast<size_t>(got));
    for (auto frame = reader.Next(); frame && frame->has_value(); frame = reader.Next()) {
      control::Request request;
      EXPECT_TRUE(request.ParseFromArray((*frame)->data(), static_cast<int>((*frame)->size())));
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      for (control::Reply& reply : answer_(request)) {
        if (reply.id() == 0) {
          reply.set_id(request.id());
        }
        SendFrame(peer, reply);
      }
    }
  }
}

Ended RunTool(std::vector<std::string> arguments, const std::string& input,
              const std::string& run_directory) {
  signal(SIGPIPE, SIG_IGN);
  std::FILE* in = std::tmpfile();
  std::FILE* out = std::tmpfile();
  std::FILE* errors = std::tmpfile();
  std::fwrite(input.data(), 1, input.size(), in);
  std::rewind(in);
  Ended ended;
  ended.status = static_cast<int>(
      RunCommandLine(arguments, {fileno(in), fileno(out), fileno(errors), run_directory}));
  std::fclose(in);
  ended.output = Contents(out);
  ended.errors = Contents(errors);
  return ended;
}

}  // namespace penstock::cli
