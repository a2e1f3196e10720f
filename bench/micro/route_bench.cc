// A million routes of a routing protocol: how fast they go in, change and out, what they weigh, and
// what a change of their path costs.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <random>
#include <vector>

#include "dataplane/control/routes.h"

namespace penstock {
namespace {

constexpr uint32_t kRoutes = 1'000'000;
constexpr uint32_t kPaths = 64;

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Lengths as in the Internet's table; in the order of a replay, by address, or in no order.
std::vector<Prefix> Routes(bool shuffled) {
  std::vector<Prefix> routes;
  for (uint32_t i = 0; i < kRoutes; ++i) {
    const uint8_t length = i % 100 == 99 ? 32 : i % 8 == 7 ? 23 : 24;
    routes.emplace_back(IpAddress::V4((i * 8 + 0x10000) << 8), length);
  }
  if (shuffled) {
    std::shuffle(routes.begin(), routes.end(), std::mt19937(1));
  }
  return routes;
}

struct Table {
  Table() : tables(epoch), routes(tables) {
    for (uint32_t i = 0; i < kPaths; ++i) {
      RouteVia one, two;
      one.port = static_cast<uint16_t>(i % 8);
      two.port = static_cast<uint16_t>((i + 1 + i / 8) % 8);
      paths.push_back(routes.AddPath());
      (void)routes.SetPath(paths.back(), {RouteAction::kForward, {one, two}});
    }
  }
  Epoch epoch;
  GatewayTables tables;
  RouteTable routes;
  std::vector<RouteTable::PathId> paths;
};

void BM_LearnedRoutes(benchmark::State& state) {
  const std::vector<Prefix> prefixes = Routes(state.range(0) != 0);
  double install = 0, replace = 0, withdraw = 0, path_change = 0;
  size_t memory = 0;
  for (auto _ : state) {
    Table table;
    const auto all = [&](auto&& change) {
      const double start = ThreadSeconds();
      for (uint32_t i = 0; i < kRoutes; ++i) {
        table.routes.PrefetchLearned(prefixes[i + 8 < kRoutes ? i + 8 : i]);
        benchmark::DoNotOptimize(change(i));
      }
      return ThreadSeconds() - start;
    };
    install += all(
        [&](uint32_t i) { return table.routes.SetLearned(prefixes[i], table.paths[i % kPaths]); });
    memory = table.routes.memory_bytes() + table.tables.fib.memory_bytes();
    const double start = ThreadSeconds();
    RouteVia other;
    other.port = 9;
    (void)table.routes.SetPath(table.paths[0], {RouteAction::kForward, {other}});
    path_change += ThreadSeconds() - start;
    replace += all([&](uint32_t i) {
      return table.routes.SetLearned(prefixes[i], table.paths[(i + 1) % kPaths]);
    });
    withdraw +=
        all([&](uint32_t i) { return table.routes.Remove(prefixes[i], RouteSource::kBgp); });
  }
  const double count = static_cast<double>(kRoutes) * static_cast<double>(state.iterations());
  state.counters["installs_per_second"] = count / install;
  state.counters["replaces_per_second"] = count / replace;
  state.counters["withdrawals_per_second"] = count / withdraw;
  state.counters["path_change_microseconds"] =
      path_change / static_cast<double>(state.iterations()) * 1e6;
  state.counters["mebibytes"] = static_cast<double>(memory) / (1 << 20);
}

BENCHMARK(BM_LearnedRoutes)->ArgName("shuffled")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace penstock

BENCHMARK_MAIN();
