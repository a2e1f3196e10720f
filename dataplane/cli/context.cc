#include "dataplane/cli/context.h"

#include "dataplane/base/secret.h"
#include "dataplane/cli/json.h"

namespace penstock::cli {
namespace {

// The key has been sent; nothing of it stays in this process.
void WipeKey(control::Request& request) {
  if (request.has_add_sa()) {
    std::string& key = *request.mutable_add_sa()->mutable_key();
    WipeMemory(key.data(), key.size());
    key.clear();
  }
}

}  // namespace

Output& Context::out() {
  if (!out_) {
    out_.emplace(environment_.output, options.color);
  }
  return *out_;
}

Output& Context::errors() {
  if (!errors_) {
    errors_.emplace(environment_.errors, options.color);
  }
  return *errors_;
}

Outcome<Connection> Context::Connect() const {
  const Outcome<std::string> path =
      FindSocket(options.socket, options.instance, environment_.run_directory);
  if (!path) {
    return tl::make_unexpected(path.error());
  }
  return Connection::Open(
      *path, std::chrono::milliseconds(static_cast<int64_t>(options.timeout_seconds * 1000)));
}

Outcome<void> Context::Show(control::Request& request, bool detail) {
  Outcome<Connection> connection = Connect();
  if (!connection) {
    return tl::make_unexpected(connection.error());
  }
  const Outcome<control::Reply> reply = connection->Call(request);
  if (!reply) {
    return tl::make_unexpected(reply.error());
  }
  out().Write(options.json ? ToJson(BodyOf(*reply)) : ReplyText(*reply, detail, view()));
  return {};
}

Outcome<void> Context::Change(control::Request& request, const std::string& done) {
  Outcome<Connection> connection = Connect();
  if (!connection) {
    WipeKey(request);
    return tl::make_unexpected(connection.error());
  }
  const Outcome<control::Reply> reply = connection->Call(request);
  WipeKey(request);
  if (!reply) {
    return tl::make_unexpected(reply.error());
  }
  out().Write(options.json ? ToJson(BodyOf(*reply)) : done + "\n");
  return {};
}

}  // namespace penstock::cli
