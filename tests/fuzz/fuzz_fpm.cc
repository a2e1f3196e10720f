// Any bytes as the stream of an FPM connection, read in pieces and taken in by the whole client:
// never a crash, never a call of the gateway that its header forbids, and in the end nothing is
// left but what the stream says.
#include <algorithm>
#include <cstdint>
#include <map>

#include "dataplane/base/event_loop.h"
#include "dataplane/base/log.h"
#include "fpm_client/frame.h"
#include "fpm_client/route_message.h"
#include "fpm_client/route_receiver.h"

namespace {

using namespace penstock;

void Require(bool holds) {
  if (!holds) {
    __builtin_trap();
  }
}

// A gateway that keeps what it is told, and checks that it may be told so.
class CheckingSink : public fpm::RouteSink {
 public:
  Status SetPath(fpm::PathId id, const fpm::Path& path) override {
    Require(id < 1u << 20);
    for (const fpm::Hop& hop : path.hops) {
      Require(hop.weight >= 1);
    }
    paths_.insert_or_assign(id, path);
    return {};
  }
  void RemovePath(fpm::PathId id) override { Require(paths_.erase(id) == 1); }
  void Apply(std::span<const fpm::RouteUpdate> updates) override {
    for (const fpm::RouteUpdate& update : updates) {
      Require(update.prefix == Prefix(update.prefix.address(), update.prefix.length()));
      if (update.withdraw) {
        routes_.erase(update.prefix);
      } else {
        Require(paths_.contains(update.path));
        routes_.insert_or_assign(update.prefix, true);
      }
    }
  }
  void MarkAll() override {
    for (auto& [prefix, fresh] : routes_) {
      fresh = false;
    }
  }
  size_t Sweep(size_t most) override {
    size_t removed = 0;
    for (auto route = routes_.begin(); route != routes_.end() && removed < most;) {
      route = route->second ? std::next(route) : (++removed, routes_.erase(route));
    }
    return removed;
  }
  size_t stale() const override { return 0; }
  size_t size() const override { return routes_.size(); }
  bool Alive(fpm::PathId id) const override { return paths_.contains(id); }
  void OnAlive(std::function<void(fpm::PathId, bool)>) override {}
  void VisitRoutes(fpm::PathId, const std::function<void(const Prefix&)>&) const override {}

 private:
  std::map<fpm::PathId, fpm::Path> paths_;
  std::map<Prefix, bool> routes_;  // fresh or stale
};

// What the parser makes of each message, by itself.
void CheckMessages(std::span<const uint8_t> payload) {
  fpm::RouteChange route;
  fpm::NextHopChange next_hop;
  for (;;) {
    const size_t before = payload.size();
    const auto message = fpm::NextMessage(payload);
    if (!message || !*message) {
      Require(message.has_value() || !message.error().message.empty());
      return;
    }
    Require(payload.size() < before);
    const auto kind = fpm::ParseMessage(**message, route, next_hop);
    Require(kind.has_value() || !kind.error().message.empty());
    if (kind && *kind == fpm::MessageKind::kRoute) {
      std::vector<uint8_t> answer;
      fpm::AppendAcknowledgement(route.prefix, route.protocol, route.table, route.priority, true,
                                 answer);
      Require(answer.size() > fpm::kFrameHeaderLength);
    }
  }
}

// Cuts the bytes into frames as a connection does; false when the stream makes no sense.
bool ReadStream(std::span<const uint8_t> bytes, size_t piece, fpm::RouteReceiver& receiver) {
  fpm::FrameReader reader;
  while (!bytes.empty()) {
    const std::span<uint8_t> space = reader.Space();
    const size_t some = std::min({piece, bytes.size(), space.size()});
    Require(some > 0);
    std::copy_n(bytes.begin(), some, space.begin());
    reader.Wrote(some);
    bytes = bytes.subspan(some);
    for (;;) {
      const auto frame = reader.Next();
      if (!frame) {
        Require(!frame.error().message.empty());
        return false;
      }
      if (!*frame) {
        break;
      }
      CheckMessages(**frame);
      receiver.Frame(**frame);
    }
  }
  return true;
}

}  // namespace

// The first byte: how large the pieces are. The second: how long withdrawals are held.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static EventLoop loop;
  static const bool quiet = SetLogLevel("error", "").has_value();
  Require(quiet);
  if (size < 2) {
    return 0;
  }
  CheckingSink sink;
  fpm::RouteReceiver receiver(loop, sink, std::chrono::milliseconds(data[1] % 2 * 1000));
  const std::span<const uint8_t> bytes(data + 2, size - 2);
  const size_t half = bytes.size() / 2;
  receiver.Begin();
  if (ReadStream(bytes.first(half), size_t{data[0]} + 1, receiver)) {
    receiver.Begin();  // a second connection, which tells all anew
  }
  (void)ReadStream(bytes, size_t{data[0]} + 1, receiver);
  while (!receiver.SweepSome()) {
  }
  return 0;
}
