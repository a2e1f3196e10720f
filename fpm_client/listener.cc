#include "fpm_client/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/base/ip_address.h"
#include "dataplane/base/log.h"

namespace penstock::fpm {
namespace {

constexpr std::string_view kUnix = "unix:";
constexpr int kReceiveBuffer = 4 << 20;  // bytes, so that zebra's replay is taken in long strides
constexpr std::chrono::microseconds kBetweenSweeps{1000};

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;
};

tl::unexpected<Error> BadListen(const std::string& text) {
  return Fail(Errc::kInvalidArgument,
              "fpm: cannot listen on '{}': expected ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH",
              text);
}

Result<SocketAddress> ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) {
    return BadListen(text);
  }
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  const Result<IpAddress> address = IpAddress::Parse(host);
  char* end = nullptr;
  const unsigned long port = strtoul(text.c_str() + colon + 1, &end, 10);
  if (!address || *end != 0 || port == 0 || port > UINT16_MAX) {
    return BadListen(text);
  }
  SocketAddress result;
  const in_port_t wire_port = htons(static_cast<uint16_t>(port));
  if (address->is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&result.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = wire_port;
    memcpy(&v4->sin_addr, address->data(), address->size());
    result.size = sizeof(*v4);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&result.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = wire_port;
    memcpy(&v6->sin6_addr, address->data(), address->size());
    result.size = sizeof(*v6);
  }
  return result;
}

std::string PeerName(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    return fmt::format("{}:{}", IpAddress::V4(&v4.sin_addr).ToString(), ntohs(v4.sin_port));
  }
  if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    return fmt::format("[{}]:{}", IpAddress::V6(&v6.sin6_addr).ToString(), ntohs(v6.sin6_port));
  }
  return "the Unix socket";
}

}  // namespace

Listener::Listener(EventLoop& loop, RouteSink& sink, const ListenerOptions& options)
    : loop_(loop), sink_(sink), options_(options), receiver_(loop, sink, options.withdraw_hold) {
  if (!options_.acknowledge) {
    return;
  }
  acknowledger_ = std::make_unique<Acknowledger>(sink_);
  receiver_.OnAnnounced([this](std::span<const RouteUpdate> updates, uint8_t protocol) {
    acknowledger_->Announced(updates, protocol);
  });
  sink_.OnAlive([this](PathId path, bool alive) {
    if (session_ != nullptr) {
      acknowledger_->Changed(path, alive);
      session_->Write();
    }
  });
}

Listener::~Listener() {
  sink_.OnAlive(nullptr);
  session_.reset();
  acceptable_.reset();
  if (!unix_ && descriptor_ >= 0) {
    close(descriptor_);
  }
}

Result<std::unique_ptr<Listener>> Listener::Start(EventLoop& loop, RouteSink& sink,
                                                  const ListenerOptions& options) {
  std::unique_ptr<Listener> listener(new Listener(loop, sink, options));
  if (const Status opened = listener->Open(); !opened) {
    return tl::make_unexpected(opened.error());
  }
  Log("fpm").info("zebra may dial {}", options.listen);
  return listener;
}

Status Listener::Open() {
  if (options_.listen.starts_with(kUnix)) {
    Result<UnixListener> listener =
        UnixListener::Listen(options_.listen.substr(kUnix.size()), 0660, "");
    if (!listener) {
      return Prefixed("fpm", listener.error());
    }
    unix_.emplace(std::move(*listener));
    descriptor_ = unix_->descriptor();
  } else if (const Status opened = OpenTcp(); !opened) {
    return opened;
  }
  acceptable_ = loop_.OnReadable(descriptor_, [this] { Accept(); });
  return {};
}

Status Listener::OpenTcp() {
  const Result<SocketAddress> address = ParseAddress(options_.listen);
  if (!address) {
    return tl::make_unexpected(address.error());
  }
  descriptor_ = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  // Before listen, so that connections inherit it and the window is scaled for it.
  setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof(kReceiveBuffer));
  if (descriptor_ < 0 ||
      bind(descriptor_, reinterpret_cast<const sockaddr*>(&address->storage), address->size) != 0 ||
      listen(descriptor_, 4) != 0) {
    const int error = errno;
    return Fail(error == EADDRINUSE ? Errc::kAlreadyExists : Errc::kInternal,
                "fpm: cannot listen on {}: {}{}", options_.listen, strerror(error),
                error == EADDRINUSE ? "; another daemon has it: give this one another port" : "");
  }
  return {};
}

// zebra has one connection. A second one means that the first has died unheard, or that zebra was
// started anew: the newest counts.
void Listener::Accept() {
  sockaddr_storage from = {};
  socklen_t size = sizeof(from);
  const int descriptor =
      accept4(descriptor_, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (descriptor < 0) {
    return;  // gone already
  }
  if (session_ != nullptr) {
    Ended("another connection came");
  }
  peer_ = PeerName(from);
  FpmStatus& counters = receiver_.counters();
  ++counters.connections;
  counters.connected_at = SystemClock().Now();
  receiver_.Begin();
  Log("fpm").info("zebra connected from {}; {} routes of before stay until it repeats them", peer_,
                  sink_.size());
  session_ = std::make_unique<Session>(loop_, descriptor, receiver_, acknowledger_.get(),
                                       [this](const std::string& why) { Ended(why); });
  SweepWhenQuiet();
  options_.on_connected();
}

void Listener::Ended(const std::string& why) {
  Log("fpm").info("the connection from {} has ended: {}; its {} routes stay", peer_, why,
                  sink_.size());
  sweep_.reset();
  session_.reset();
  peer_.clear();
  if (acknowledger_ != nullptr) {
    acknowledger_->Clear();
  }
}

void Listener::SweepWhenQuiet() {
  const Nanoseconds last = receiver_.last_route();
  const Nanoseconds quiet = SystemClock().Now() - last;
  if (last.count() != 0 && quiet >= options_.sweep) {
    SweepOn();
    return;
  }
  const Nanoseconds wait =
      last.count() == 0 ? Nanoseconds(options_.sweep) : Nanoseconds(options_.sweep) - quiet;
  sweep_ = loop_.After(
      std::chrono::duration_cast<std::chrono::microseconds>(wait) + std::chrono::milliseconds(1),
      [this] {
        const EventLoop::Handle done = std::move(sweep_);
        SweepWhenQuiet();
      });
}

void Listener::SweepOn() {
  if (sink_.stale() != 0) {
    Log("fpm").info("{} routes of before were not repeated: they go", sink_.stale());
  }
  sweep_ = loop_.Every(kBetweenSweeps, [this] {
    if (receiver_.SweepSome()) {
      const EventLoop::Handle done = std::move(sweep_);
    }
  });
}

FpmStatus Listener::GetStatus() const {
  FpmStatus status;
  receiver_.FillStatus(status);
  status.listen = options_.listen;
  status.peer = peer_;
  status.acknowledge = options_.acknowledge;
  if (acknowledger_ != nullptr) {
    status.acknowledged = acknowledger_->offloaded();
    status.failed = acknowledger_->failed();
  }
  return status;
}

}  // namespace penstock::fpm
