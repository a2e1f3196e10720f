// Captures and events: answers that go on until the client has enough.
#include <chrono>
#include <utility>

#include "dataplane/control/handlers.h"
#include "dataplane/runtime/capture.h"

namespace penstock {
namespace {

constexpr auto kReadEvery = std::chrono::milliseconds(50);
constexpr size_t kPauseAbove =
    1u << 20;  // bytes that wait for the client: the ring fills, traffic goes on
constexpr size_t kEventsPauseAbove = 4u << 20;

class CaptureStream : public ControlStream {
 public:
  CaptureStream(Gateway& gateway, ControlClient& client, uint32_t id,
                std::unique_ptr<Capture> capture)
      : gateway_(gateway), client_(client), id_(id), capture_(std::move(capture)) {
    for (WorkerContext* worker : gateway_.model().workers()) {
      worker->capture.store(capture_.get(), std::memory_order_release);
    }
    timer_ = gateway_.loop().Every(kReadEvery, [this] { Read(); });
  }
  ~CaptureStream() override {
    timer_.reset();
    for (WorkerContext* worker : gateway_.model().workers()) {
      worker->capture.store(nullptr, std::memory_order_release);
    }
    // Workers may be in the middle of offering a packet.
    gateway_.model().tables().epoch.Defer([old = capture_.release()] { delete old; });
  }

 private:
  void Read() {
    if (client_.queued_bytes() > kPauseAbove) {
      return;
    }
    control::Reply reply;
    control::CaptureChunk& chunk = *reply.mutable_capture();
    const bool more = capture_->Read(*chunk.mutable_pcapng());
    chunk.set_captured_packets(capture_->captured());
    chunk.set_lost_packets(capture_->lost());
    if (!chunk.pcapng().empty()) {
      reply.set_more(true);
      client_.Send(id_, std::move(reply));
    }
    if (!more) {
      client_.EndStream(id_);  // destroys this
    }
  }

  Gateway& gateway_;
  ControlClient& client_;
  uint32_t id_;
  std::unique_ptr<Capture> capture_;
  EventLoop::Handle timer_;
};

class EventStream : public ControlStream {
 public:
  EventStream(Gateway& gateway, ControlClient& client, uint32_t id) : client_(client), id_(id) {
    subscription_ = gateway.Subscribe([this](const GatewayEvent& event) { Send(event); });
  }

 private:
  void Send(const GatewayEvent& event) {
    // Who does not read loses events, and is told how many once there is room.
    if (client_.queued_bytes() > kEventsPauseAbove) {
      ++lost_;
      return;
    }
    if (lost_ != 0) {
      GatewayEvent lost;
      lost.kind = "lost";
      lost.text = fmt::format("{} events were lost: the client did not read", lost_);
      lost_ = 0;
      Send(lost);
    }
    control::Reply reply;
    reply.set_more(true);
    control::Event& out = *reply.mutable_event();
    out.set_unix_microseconds(std::chrono::duration_cast<std::chrono::microseconds>(
                                  std::chrono::system_clock::now().time_since_epoch())
                                  .count());
    out.set_kind(event.kind);
    out.set_tunnel(event.tunnel);
    out.set_port(event.port);
    out.set_spi(event.spi);
    out.set_direction(event.direction);
    out.set_text(event.text);
    client_.Send(id_, std::move(reply));
  }

  ControlClient& client_;
  uint32_t id_;
  uint64_t lost_ = 0;
  Gateway::Subscription subscription_;
};

Result<int> DropReasonOf(const std::string& name) {
  if (name.empty()) {
    return -1;
  }
  for (unsigned reason = 0; reason < kDropReasonCount; ++reason) {
    if (name == kDropReasonInfo[reason].name) {
      return static_cast<int>(reason);
    }
  }
  return Fail(Errc::kNotFound, "there is no drop reason named {}", name);
}

Result<CaptureOptions> OptionsOf(Gateway& gateway, const control::StartCapture& request) {
  CaptureOptions options;
  options.filter = request.filter();
  options.packet_limit = request.packet_limit();
  if (request.snap_length_bytes() != 0) {
    options.snap_length = request.snap_length_bytes();
  }
  if (request.point() == "port") {
    options.point = CapturePoint::kPort;
    if (!request.name().empty()) {
      const std::optional<uint16_t> port = gateway.ports().FindByName(request.name());
      if (!port) {
        return Fail(Errc::kNotFound, "there is no port named {}", request.name());
      }
      options.port = *port;
    }
  } else if (request.point() == "tunnel") {
    options.point = CapturePoint::kTunnel;
    if (!request.name().empty()) {
      const TunnelRecord* record = gateway.model().tunnels.FindByName(request.name());
      if (record == nullptr) {
        return Fail(Errc::kNotFound, "there is no tunnel named {}", request.name());
      }
      options.tunnel = record->id;
    }
  } else if (request.point() == "drop") {
    options.point = CapturePoint::kDrop;
    const Result<int> reason = DropReasonOf(request.name());
    if (!reason) {
      return tl::unexpected(reason.error());
    }
    options.drop_reason = *reason;
  } else {
    return Fail(Errc::kInvalidArgument, "capture point \"{}\": use port, tunnel or drop",
                request.point());
  }
  return options;
}

}  // namespace

Result<std::unique_ptr<ControlStream>> StartCapture(Gateway& gateway, ControlClient& client,
                                                    uint32_t id,
                                                    const control::StartCapture& request) {
  for (const WorkerContext* worker : gateway.model().workers()) {
    if (worker->capture.load(std::memory_order_relaxed) != nullptr) {
      return Fail(Errc::kUnavailable, "another capture is running; one at a time is possible");
    }
  }
  const Result<CaptureOptions> options = OptionsOf(gateway, request);
  if (!options) {
    return tl::unexpected(options.error());
  }
  Result<std::unique_ptr<Capture>> capture = Capture::Make(*options);
  if (!capture) {
    return tl::unexpected(capture.error());
  }
  return std::make_unique<CaptureStream>(gateway, client, id, std::move(*capture));
}

std::unique_ptr<ControlStream> WatchEvents(Gateway& gateway, ControlClient& client, uint32_t id) {
  return std::make_unique<EventStream>(gateway, client, id);
}

}  // namespace penstock
