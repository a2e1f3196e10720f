// The FIB: what a lookup costs by table size and locality, how fast routes go in and out, what they
// weigh.
#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "dataplane/route/fib.h"

namespace penstock {
namespace {

constexpr size_t kDestinations = 1u << 20;

// Lengths as in the Internet's table: mostly /24, some /32 of our own.
Prefix RouteV4(uint32_t i) {
  const uint32_t bits = (i * 0x9e3779b1u) & 0xffffffu;  // odd multiplier: all different
  if (i % 100 == 99) {
    return Prefix(IpAddress::V4((bits << 8) | (i & 0xff)), 32);
  }
  return Prefix(IpAddress::V4(bits << 8), 24);
}

Prefix RouteV6(uint32_t i) {
  const uint32_t bits = i * 0x9e3779b1u;
  uint8_t bytes[16] = {0x20, 0x01};
  // 4,096 holders of a /32, and /48s inside of them.
  bytes[2] = static_cast<uint8_t>(bits >> 28);
  bytes[3] = static_cast<uint8_t>(bits >> 20);
  bytes[4] = static_cast<uint8_t>(bits >> 12);
  bytes[5] = static_cast<uint8_t>(bits >> 4);
  return Prefix(IpAddress::V6(bytes), 48);
}

void Fill(Fib& fib, uint32_t routes, Prefix (*route)(uint32_t)) {
  for (uint32_t i = 0; i < routes; ++i) {
    if (const Status set = fib.Set(route(i), i % 4096 + 1); !set) {
      std::fprintf(stderr, "%s\n", set.error().message.c_str());
      std::abort();
    }
  }
}

// Local: 256 destinations again and again, as the flows of a site; random: another route each time.
std::vector<IpAddress> Destinations(uint32_t routes, bool local, Prefix (*route)(uint32_t)) {
  std::mt19937 random(1);
  std::vector<IpAddress> flows;
  for (int i = 0; i < 256; ++i) {
    flows.push_back(route(static_cast<uint32_t>(random()) % routes).address());
  }
  std::vector<IpAddress> destinations;
  destinations.reserve(kDestinations);
  for (size_t i = 0; i < kDestinations; ++i) {
    destinations.push_back(local ? flows[random() % flows.size()]
                                 : route(static_cast<uint32_t>(random()) % routes).address());
  }
  return destinations;
}

void ReportCycles(benchmark::State& state, uint64_t cycles) {
  const auto lookups = static_cast<double>(state.iterations()) * kBurst;
  state.counters["tsc_per_lookup"] = static_cast<double>(cycles) / lookups;
  state.SetItemsProcessed(static_cast<int64_t>(lookups));
}

void BM_LookupV4(benchmark::State& state) {
  const auto routes = static_cast<uint32_t>(state.range(0));
  Epoch epoch;
  Fib fib(epoch);
  Fill(fib, routes, RouteV4);
  std::vector<uint32_t> words(kDestinations);
  const auto destinations = Destinations(routes, state.range(1) != 0, RouteV4);
  for (size_t i = 0; i < kDestinations; ++i) {
    std::memcpy(&words[i], destinations[i].data(), 4);
  }
  uint32_t next_hops[kBurst];
  size_t at = 0;
  const uint64_t start = rte_rdtsc();
  for (auto _ : state) {
    fib.LookupV4(&words[at], next_hops, kBurst);
    benchmark::DoNotOptimize(next_hops);
    benchmark::ClobberMemory();
    at = (at + kBurst) % kDestinations;
  }
  ReportCycles(state, rte_rdtsc() - start);
}

void BM_LookupV6(benchmark::State& state) {
  const auto routes = static_cast<uint32_t>(state.range(0));
  Epoch epoch;
  Fib fib(epoch);
  Fill(fib, routes, RouteV6);
  struct Address {
    uint8_t bytes[16];
  };
  std::vector<Address> addresses(kDestinations);
  const auto destinations = Destinations(routes, state.range(1) != 0, RouteV6);
  for (size_t i = 0; i < kDestinations; ++i) {
    std::memcpy(addresses[i].bytes, destinations[i].data(), 16);
  }
  uint32_t next_hops[kBurst];
  size_t at = 0;
  const uint64_t start = rte_rdtsc();
  for (auto _ : state) {
    fib.LookupV6(&addresses[at].bytes, next_hops, kBurst);
    benchmark::DoNotOptimize(next_hops);
    benchmark::ClobberMemory();
    at = (at + kBurst) % kDestinations;
  }
  ReportCycles(state, rte_rdtsc() - start);
}

// Processor time of this thread: what others do on the machine does not count.
double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Installs and withdraws a whole table; the resident size is that of the full one.
void ChangeAll(benchmark::State& state, Prefix (*route)(uint32_t)) {
  const auto routes = static_cast<uint32_t>(state.range(0));
  double install_seconds = 0;
  double withdraw_seconds = 0;
  size_t memory = 0;
  std::vector<Prefix> prefixes;
  for (uint32_t i = 0; i < routes; ++i) {
    prefixes.push_back(route(i));
  }
  for (auto _ : state) {
    Epoch epoch;
    Fib fib(epoch);
    const double start = ThreadSeconds();
    for (uint32_t i = 0; i < routes; ++i) {
      benchmark::DoNotOptimize(fib.Set(prefixes[i], i % 4096 + 1));
    }
    const double full = ThreadSeconds();
    memory = fib.memory_bytes();
    const double again = ThreadSeconds();
    for (uint32_t i = 0; i < routes; ++i) {
      benchmark::DoNotOptimize(fib.Remove(prefixes[i]));
    }
    const double empty = ThreadSeconds();
    install_seconds += full - start;
    withdraw_seconds += empty - again;
  }
  const double all = static_cast<double>(routes) * static_cast<double>(state.iterations());
  state.counters["installs_per_second"] = all / install_seconds;
  state.counters["withdrawals_per_second"] = all / withdraw_seconds;
  state.counters["mebibytes"] = static_cast<double>(memory) / (1 << 20);
}

void BM_ChangesV4(benchmark::State& state) { ChangeAll(state, RouteV4); }
void BM_ChangesV6(benchmark::State& state) { ChangeAll(state, RouteV6); }

BENCHMARK(BM_LookupV4)->ArgNames({"routes", "local"})->ArgsProduct({{1, 1'000, 1'000'000}, {1, 0}});
BENCHMARK(BM_LookupV6)->ArgNames({"routes", "local"})->ArgsProduct({{1, 1'000, 200'000}, {1, 0}});
BENCHMARK(BM_ChangesV4)->ArgName("routes")->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_ChangesV6)->ArgName("routes")->Arg(200'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace penstock

BENCHMARK_MAIN();
