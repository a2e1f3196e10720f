// penstock-bench: how many cycles a packet costs.
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "bench/idle_run.h"
#include "bench/machine.h"
#include "bench/memory_run.h"
#include "bench/options.h"
#include "bench/port_run.h"
#include "bench/report.h"
#include "dataplane/base/log.h"
#include "dataplane/runtime/eal.h"
#include "dataplane/runtime/port.h"

namespace penstock {
namespace {

constexpr unsigned kPortBuffers = 16383;
constexpr unsigned kSpareRoom = 256;  // outer headers, padding and ICV around the largest frame
constexpr unsigned kMemoryMebibytes = 256;

// The last CPUs of the process: interrupts and other people's work gather on the first.
std::vector<unsigned> LastCpus(unsigned count) {
  std::vector<unsigned> cpus;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (unsigned cpu = CPU_SETSIZE; cpu-- > 0 && cpus.size() < count;) {
      if (CPU_ISSET(cpu, &set)) {
        cpus.push_back(cpu);
      }
    }
  }
  return cpus;
}

Status StartEal(const BenchOptions& options) {
  EalConfig config;
  config.instance = "bench";
  config.workers = options.workers;
  config.worker_cpus = options.cpus.empty() ? LastCpus(options.workers) : options.cpus;
  config.memory_mebibytes = kMemoryMebibytes;
  config.extra = options.eal;
  return InitEal(config);
}

Result<rte_mempool*> MakePool(const BenchOptions& options) {
  const unsigned largest = *std::max_element(options.frames.begin(), options.frames.end());
  const unsigned in_memory = options.batch * options.workers + 512 * options.workers;
  const unsigned count = options.ports ? kPortBuffers : in_memory;
  return MakePacketPool("bench", count, largest + kSpareRoom, SOCKET_ID_ANY);
}

void ShowProgress(BenchMode mode, const Suite& suite, unsigned frame) {
  if (isatty(STDERR_FILENO) != 0) {
    fmt::print(stderr, "\r\033[Kmeasuring {} {} {}", BenchModeName(mode), suite.name, frame);
  }
}

void ClearProgress() {
  if (isatty(STDERR_FILENO) != 0) {
    fmt::print(stderr, "\r\033[K");
  }
}

Result<std::vector<Measurement>> MeasureAll(const BenchOptions& options, rte_mempool* pool) {
  std::vector<Measurement> measurements;
  const auto measure = options.ports ? MeasureOnPorts : MeasureInMemory;
  for (const Suite* suite : options.suites) {
    for (const BenchMode mode : options.modes) {
      for (const unsigned frame : options.frames) {
        ShowProgress(mode, *suite, frame);
        Result<Measurement> measurement = measure(mode, options, *suite, frame, pool);
        if (!measurement) {
          ClearProgress();
          return Prefixed(fmt::format("{} {} {}", BenchModeName(mode), suite->name, frame),
                          measurement.error());
        }
        measurements.push_back(std::move(*measurement));
      }
    }
  }
  ClearProgress();
  return measurements;
}

Status WriteJson(const std::string& path, const std::string& json) {
  if (path == "-") {
    std::fputs(json.c_str(), stdout);
    return {};
  }
  std::ofstream file(path);
  file << json;
  file.close();
  return file ? Status{} : Fail(Errc::kPermission, "{}: not written", path);
}

Status RunIdle(const BenchOptions& options, const MachineFacts& machine, rte_mempool* pool) {
  const Result<IdleCost> cost = MeasureIdle(options, pool);
  if (!cost) {
    return tl::unexpected<Error>(cost.error());
  }
  if (options.json != "-") {
    std::fputs(TextOf(*cost).c_str(), stdout);
  }
  return options.json.empty() ? Status{} : WriteJson(options.json, JsonOf(machine, options, *cost));
}

Status Run(int argc, char** argv) {
  const Result<BenchOptions> options = ParseBenchOptions(argc, argv);
  if (!options) {
    return tl::unexpected<Error>(options.error());
  }
  Status status = ConfigureLog({.level = "error", .file = ""});
  if (status) {
    status = StartEal(*options);
  }
  if (!status) {
    return status;
  }
  const Result<std::unique_ptr<Engine>> engine = MakeEngine(options->engine);
  const Result<rte_mempool*> pool = MakePool(*options);
  if (!engine || !pool) {
    return tl::unexpected<Error>(engine ? pool.error() : engine.error());
  }
  if (!options->write_input.empty()) {
    return WriteInputFile(options->modes.front(), *options, *options->suites.front(),
                          options->frames.front(), *pool, options->write_input);
  }
  const MachineFacts machine = DescribeMachine(**engine);
  if (options->idle) {
    return RunIdle(*options, machine, *pool);
  }
  const Result<std::vector<Measurement>> measurements = MeasureAll(*options, *pool);
  if (!measurements) {
    return tl::unexpected<Error>(measurements.error());
  }
  if (options->json != "-") {
    std::fputs(TableOf(*measurements).c_str(), stdout);
  }
  return options->json.empty() ? Status{}
                               : WriteJson(options->json, JsonOf(machine, *options, *measurements));
}

}  // namespace
}  // namespace penstock

int main(int argc, char** argv) {
  const penstock::Status status = penstock::Run(argc, argv);
  if (!status) {
    std::fprintf(stderr, "penstock-bench: %s\n", status.error().message.c_str());
  }
  penstock::CleanupEal();
  return status ? 0 : 1;
}
