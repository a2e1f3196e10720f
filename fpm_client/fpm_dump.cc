// Prints what zebra sends over its FPM, a line for each message; keeps the raw stream if asked to.
//   fpm-dump [--listen PORT] [--record FILE]
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "fpm_client/frame.h"
#include "fpm_client/route_message.h"

namespace penstock::fpm {
namespace {

constexpr uint16_t kUsualPort = 2620;

struct Options {
  uint16_t port = kUsualPort;
  const char* record = nullptr;
};

const char* ActionName(PathAction action) {
  switch (action) {
    case PathAction::kForward:
      return "forward";
    case PathAction::kBlackhole:
      return "blackhole";
    case PathAction::kUnreachable:
      return "unreachable";
    case PathAction::kProhibit:
      return "prohibit";
  }
  return "unknown";
}

std::string HopText(const Hop& hop) {
  return fmt::format("{}{}interface {}{}", hop.gateway ? "via " + hop.gateway->ToString() : "",
                     hop.gateway ? " " : "", hop.interface,
                     hop.weight == 1 ? "" : fmt::format(" weight {}", hop.weight));
}

std::string RouteText(const RouteChange& route) {
  std::string text = fmt::format("route {}{} {} table {} metric {}", route.withdraw ? "- " : "+ ",
                                 route.prefix.ToString(), ProtocolName(route.protocol), route.table,
                                 route.priority);
  if (route.path.action != PathAction::kForward) {
    text += fmt::format(" {}", ActionName(route.path.action));
  } else if (route.next_hop_id != 0) {
    text += fmt::format(" next hop {}", route.next_hop_id);
  }
  for (const Hop& hop : route.path.hops) {
    text += " " + HopText(hop);
  }
  return text;
}

std::string NextHopText(const NextHopChange& change) {
  std::string text = fmt::format("next hop {}{}", change.remove ? "- " : "+ ", change.id);
  if (change.remove) {
    return text;
  }
  if (change.group.empty()) {
    return text + (change.action == PathAction::kForward
                       ? " " + HopText(change.hop)
                       : fmt::format(" {}", ActionName(change.action)));
  }
  text += " group of";
  for (const GroupMemberId& member : change.group) {
    text += fmt::format(" {} weight {}", member.id, member.weight);
  }
  return text;
}

void PrintFrame(std::span<const uint8_t> payload) {
  RouteChange route;
  NextHopChange next_hop;
  for (;;) {
    const auto message = NextMessage(payload);
    if (!message) {
      fmt::print("malformed: {}\n", message.error().message);
      return;
    }
    if (!*message) {
      return;
    }
    const Result<MessageKind> kind = ParseMessage(**message, route, next_hop);
    if (!kind) {
      fmt::print("malformed: {}\n", kind.error().message);
    } else if (*kind == MessageKind::kRoute) {
      fmt::print("{}\n", RouteText(route));
    } else if (*kind == MessageKind::kNextHop) {
      fmt::print("{}\n", NextHopText(next_hop));
    }
  }
}

// Until the connection ends.
Status PrintStream(int connection, std::FILE* record) {
  FrameReader reader;
  for (;;) {
    const std::span<uint8_t> space = reader.Space();
    const ssize_t size = recv(connection, space.data(), space.size(), 0);
    if (size < 0) {
      return Fail(Errc::kUnavailable, "connection: {}", strerror(errno));
    }
    if (size == 0) {
      return {};
    }
    if (record != nullptr) {
      (void)std::fwrite(space.data(), 1, static_cast<size_t>(size), record);
      (void)std::fflush(record);
    }
    reader.Wrote(static_cast<size_t>(size));
    for (;;) {
      const auto frame = reader.Next();
      if (!frame) {
        return tl::unexpected(frame.error());
      }
      if (!*frame) {
        break;
      }
      PrintFrame(**frame);
    }
    (void)std::fflush(stdout);
  }
}

Result<Options> ParseOptions(int count, char** words) {
  Options options;
  for (int i = 1; i < count; i += 2) {
    const std::string_view name = words[i];
    if (i + 1 == count || (name != "--listen" && name != "--record")) {
      return Fail(Errc::kInvalidArgument, "usage: fpm-dump [--listen PORT] [--record FILE]");
    }
    if (name == "--record") {
      options.record = words[i + 1];
      continue;
    }
    char* end = nullptr;
    const unsigned long port = std::strtoul(words[i + 1], &end, 10);
    if (*end != '\0' || port == 0 || port > UINT16_MAX) {
      return Fail(Errc::kInvalidArgument, "--listen {}: expected a port from 1 to 65535",
                  words[i + 1]);
    }
    options.port = static_cast<uint16_t>(port);
  }
  return options;
}

Result<int> Listen(uint16_t port) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
      bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener, 1) != 0) {
    return Fail(Errc::kUnavailable, "127.0.0.1:{}: {}", port, strerror(errno));
  }
  return listener;
}

Status Run(int count, char** words) {
  const Result<Options> options = ParseOptions(count, words);
  if (!options) {
    return tl::unexpected(options.error());
  }
  std::FILE* record = nullptr;
  if (options->record != nullptr) {
    record = std::fopen(options->record, "wb");
    if (record == nullptr) {
      return Fail(Errc::kUnavailable, "{}: {}", options->record, strerror(errno));
    }
  }
  const Result<int> listener = Listen(options->port);
  if (!listener) {
    return tl::unexpected(listener.error());
  }
  for (;;) {
    const int connection = accept(*listener, nullptr, nullptr);
    if (connection < 0) {
      return Fail(Errc::kUnavailable, "accept: {}", strerror(errno));
    }
    fmt::print("connected\n");
    const Status ended = PrintStream(connection, record);
    fmt::print("ended{}\n", ended ? "" : ": " + ended.error().message);
    (void)std::fflush(stdout);
    close(connection);
  }
}

}  // namespace
}  // namespace penstock::fpm

int main(int count, char** words) {
  const penstock::Status done = penstock::fpm::Run(count, words);
  fmt::print(stderr, "fpm-dump: {}\n", done ? "done" : done.error().message);
  return 1;  // it goes on until it is killed or cannot
}
