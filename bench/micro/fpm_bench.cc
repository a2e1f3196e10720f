// Frames of zebra's, a million routes in them, taken in by the whole client into the live FIB: what
// a route costs from the frame's bytes to the workers' table.
#include <benchmark/benchmark.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/event_loop.h"
#include "dataplane/control/fpm_sink.h"
#include "dataplane/control/model.h"
#include "fpm_client/route_receiver.h"

namespace penstock {
namespace {

constexpr uint32_t kRoutes = 1'000'000;
constexpr uint32_t kNextHops = 32;
constexpr size_t kFrameBytes = 60'000;
constexpr int kPortDevice = 10;  // the interface of port 0's mirror

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Payloads of frames, filled one after the other.
class Payloads {
 public:
  // A message: its header, a struct, and attributes of four bytes.
  template <typename Header>
  void Add(uint16_t type, const Header& header,
           std::initializer_list<std::pair<uint16_t, uint32_t>> attributes) {
    const size_t size = sizeof(nlmsghdr) + sizeof(header) + attributes.size() * 8;
    if (frames_.empty() || frames_.back().size() + size > kFrameBytes) {
      frames_.emplace_back();
      frames_.back().reserve(kFrameBytes);
    }
    nlmsghdr message{};
    message.nlmsg_len = static_cast<uint32_t>(size);
    message.nlmsg_type = type;
    Append(message);
    Append(header);
    for (const auto& [name, value] : attributes) {
      rtattr attribute{};
      attribute.rta_len = 8;
      attribute.rta_type = name;
      Append(attribute);
      Append(value);
    }
  }
  const std::vector<std::vector<uint8_t>>& frames() const { return frames_; }

 private:
  template <typename T>
  void Append(const T& value) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    frames_.back().insert(frames_.back().end(), bytes, bytes + sizeof(value));
  }
  std::vector<std::vector<uint8_t>> frames_;
};

void AddNextHops(Payloads& out) {
  for (uint32_t i = 1; i <= kNextHops; ++i) {
    nhmsg header{};
    header.nh_family = AF_INET;
    const uint32_t gateway = Be32::FromHost(0xc0000200u + i).raw();
    out.Add(RTM_NEWNEXTHOP, header, {{NHA_ID, i}, {NHA_OIF, kPortDevice}, {NHA_GATEWAY, gateway}});
  }
}

Payloads MakeRoutes(bool shuffled, bool withdraw, uint32_t shift) {
  std::vector<uint32_t> order(kRoutes);
  for (uint32_t i = 0; i < kRoutes; ++i) {
    order[i] = i;
  }
  if (shuffled) {
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
  }
  Payloads out;
  for (const uint32_t i : order) {
    rtmsg header{};
    header.rtm_family = AF_INET;
    header.rtm_dst_len = i % 100 == 99 ? 32 : i % 8 == 7 ? 23 : 24;
    header.rtm_table = RT_TABLE_MAIN;
    header.rtm_protocol = 186;  // bgp
    header.rtm_type = RTN_UNICAST;
    const uint32_t destination = Be32::FromHost((i * 8 + 0x10000) << 8).raw();
    out.Add(withdraw ? RTM_DELROUTE : RTM_NEWROUTE, header,
            {{RTA_DST, destination}, {RTA_PRIORITY, 20}, {RTA_NH_ID, (i + shift) % kNextHops + 1}});
  }
  return out;
}

void BM_FpmRoutes(benchmark::State& state) {
  const bool shuffled = state.range(0) != 0;
  Payloads next_hops;
  AddNextHops(next_hops);
  const Payloads routes = MakeRoutes(shuffled, false, 0);
  const Payloads others = MakeRoutes(shuffled, false, 1);
  const Payloads withdrawals = MakeRoutes(shuffled, true, 0);
  double install = 0, replace = 0, withdraw = 0;
  size_t memory = 0;
  for (auto _ : state) {
    Epoch epoch;
    GatewayTables tables(epoch);
    const std::unique_ptr<Engine> engine = MakeEngine(EngineChoice::kOpenssl).value();
    Model model(tables, *engine, SystemClock(), {}, {});
    model.addresses.Bind(kPortDevice, {0, kNoTunnel});
    model.addresses.Add({0, kNoTunnel}, InterfaceAddress::Parse("192.0.2.254/24").value());
    FpmSink sink(model);
    EventLoop loop;
    fpm::RouteReceiver receiver(loop, sink, std::chrono::milliseconds(0));
    const auto take = [&](const Payloads& payloads) {
      const double start = ThreadSeconds();
      for (const std::vector<uint8_t>& frame : payloads.frames()) {
        receiver.Frame(frame);
      }
      return ThreadSeconds() - start;
    };
    receiver.Begin();
    take(next_hops);
    install += take(routes);
    PENSTOCK_CHECK(sink.size() == kRoutes);
    memory = model.routes.memory_bytes() + tables.fib.memory_bytes();
    replace += take(others);
    withdraw += take(withdrawals);
    PENSTOCK_CHECK(sink.size() == 0);
  }
  const double count = static_cast<double>(kRoutes) * static_cast<double>(state.iterations());
  state.counters["installs_per_second"] = count / install;
  state.counters["replaces_per_second"] = count / replace;
  state.counters["withdrawals_per_second"] = count / withdraw;
  state.counters["mebibytes"] = static_cast<double>(memory) / (1 << 20);
}

BENCHMARK(BM_FpmRoutes)->ArgName("shuffled")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace penstock

BENCHMARK_MAIN();
