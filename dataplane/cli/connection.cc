#include "dataplane/cli/connection.h"

#include <filesystem>
#include <system_error>
#include <utility>

namespace penstock::cli {
namespace {

// "/run/penstock/left/control.sock" belongs to the unit penstock@left.
std::string UnitOf(const std::string& path) {
  const std::string instance = std::filesystem::path(path).parent_path().filename();
  return instance.empty() || instance == "." ? "penstock@INSTANCE" : "penstock@" + instance;
}

tl::unexpected<Failure> CannotConnect(const std::string& path, const Error& error) {
  std::error_code problem;
  const bool is_there = std::filesystem::exists(path, problem);
  if (problem == std::errc::permission_denied || error.code == Errc::kPermission) {
    return Failed(ExitCode::kNoDaemon,
                  "no right to talk to the daemon at {}: use sudo, or join the group that the "
                  "configuration names under sockets",
                  path);
  }
  if (error.code != Errc::kUnavailable) {
    return Failed(ExitCode::kNoDaemon, "{}", error.message);
  }
  return Failed(ExitCode::kNoDaemon,
                "no daemon answers at {} ({}): is penstockd running? systemctl status {}", path,
                is_there ? "connection refused" : "no such socket", UnitOf(path));
}

tl::unexpected<Failure> Lost(const std::string& path, const Error& error) {
  return Failed(ExitCode::kNoDaemon, "{}: {}", path, error.message);
}

}  // namespace

Outcome<Connection> Connection::Open(const std::string& path, std::chrono::milliseconds timeout) {
  Result<MessageClient> client = MessageClient::Connect(path, timeout);
  if (!client) {
    return CannotConnect(path, client.error());
  }
  Connection connection(std::move(*client), path, timeout);
  if (Outcome<void> greeted = connection.Greet(); !greeted) {
    return tl::make_unexpected(greeted.error());
  }
  return connection;
}

Outcome<void> Connection::Greet() {
  const Result<std::string> frame = client_.Receive(timeout_);
  if (!frame) {
    return Lost(path_, frame.error());
  }
  if (!hello_.ParseFromString(*frame) || hello_.protocol() == 0) {
    return Failed(ExitCode::kNoDaemon,
                  "{}: what answers is no penstockd control socket; is it the SA socket?", path_);
  }
  if (hello_.protocol() != kProtocol) {
    return Failed(ExitCode::kNoDaemon,
                  "{}: the daemon (version {}) speaks control protocol {}, this penstockctl {}; "
                  "use the penstockctl that came with it",
                  path_, hello_.version(), hello_.protocol(), kProtocol);
  }
  return {};
}

Outcome<uint32_t> Connection::Start(control::Request& request) {
  request.set_id(++last_id_);
  if (Status sent = client_.Send(request); !sent) {
    return Lost(path_, sent.error());
  }
  return request.id();
}

Outcome<std::optional<control::Reply>> Connection::Next(uint32_t id,
                                                        std::chrono::milliseconds wait) {
  const auto deadline = std::chrono::steady_clock::now() + wait;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    Result<std::optional<std::string>> frame =
        client_.TryReceive(std::max(left, std::chrono::milliseconds(0)));
    if (!frame) {
      return Lost(path_, frame.error());
    }
    if (!frame->has_value()) {
      return std::nullopt;
    }
    control::Reply reply;
    if (!reply.ParseFromString(**frame)) {
      return Failed(ExitCode::kNoDaemon, "{}: the daemon sent what is no reply", path_);
    }
    if (reply.id() != id) {
      continue;  // the last words of a request that nobody waits for any more
    }
    if (reply.has_error()) {
      return Failed(ExitCode::kRefused, "{}", reply.error().message());
    }
    return reply;
  }
}

Outcome<control::Reply> Connection::Call(control::Request& request) {
  const Outcome<uint32_t> id = Start(request);
  if (!id) {
    return tl::make_unexpected(id.error());
  }
  control::Reply whole;
  for (;;) {
    Outcome<std::optional<control::Reply>> page = Next(*id, timeout_);
    if (!page) {
      return tl::make_unexpected(page.error());
    }
    if (!page->has_value()) {
      return Failed(ExitCode::kNoDaemon,
                    "{}: the daemon did not answer within {} s; allow more with --timeout", path_,
                    std::chrono::duration<double>(timeout_).count());
    }
    const bool more = (*page)->more();
    if (whole.body_case() == control::Reply::BODY_NOT_SET) {
      whole = std::move(**page);
    } else {
      whole.MergeFrom(**page);  // rows are appended, the body stays of one kind
    }
    if (!more) {
      whole.set_more(false);
      return whole;
    }
  }
}

Outcome<void> Connection::Stop(uint32_t id) {
  control::Request request;
  request.mutable_stop()->set_id(id);
  if (Outcome<uint32_t> sent = Start(request); !sent) {
    return tl::make_unexpected(sent.error());
  }
  return {};
}

}  // namespace penstock::cli
