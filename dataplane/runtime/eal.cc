#include "dataplane/runtime/eal.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "dataplane/base/log.h"

namespace penstock {
namespace {

struct EalState {
  bool initialised = false;
  bool hugepages = false;
  std::mutex log_mutex;
  std::string partial_line;
  std::vector<std::string> arguments;  // DPDK keeps pointers into these
  std::vector<char*> argument_pointers;
  std::string last_error;  // what DPDK said last at error level: quoted when it fails
};

EalState& State() {
  static EalState* state = new EalState;  // DPDK may log until the process ends
  return *state;
}

void LogLine(const std::string& line, int level) {
  if (line.empty()) {
    return;
  }
  if (level <= static_cast<int>(RTE_LOG_ERR)) {
    // Drivers call many things errors that they then live with; ours decide what is one and quote
    // this.
    State().last_error = line;
    Log("eal").warn("{}", line);
  } else {
    Log("eal").debug("{}", line);
  }
}

// The write function of DPDK's log stream: whole lines go to our log.
ssize_t WriteLog(void* /*cookie*/, const char* text, size_t size) {
  EalState& state = State();
  const std::lock_guard<std::mutex> lock(state.log_mutex);
  const int level = rte_log_cur_msg_loglevel();
  for (size_t i = 0; i < size; ++i) {
    if (text[i] == '\n') {
      LogLine(state.partial_line, level);
      state.partial_line.clear();
    } else if (state.partial_line.size() < 1000) {
      state.partial_line += text[i];
    }
  }
  return static_cast<ssize_t>(size);
}

void RedirectLog() {
  cookie_io_functions_t functions = {};
  functions.write = WriteLog;
  FILE* stream = fopencookie(nullptr, "w", functions);
  if (stream != nullptr) {
    setvbuf(stream, nullptr, _IOLBF, 0);
    rte_openlog_stream(stream);
  }
  const bool verbose = Log("eal").should_log(spdlog::level::debug);
  rte_log_set_global_level(verbose ? RTE_LOG_INFO : RTE_LOG_WARNING);
}

uint64_t FreeHugeMebibytes() {
  uint64_t total = 0;
  for (const unsigned kibibytes : {2048u, 1048576u}) {
    std::ifstream file(
        fmt::format("/sys/kernel/mm/hugepages/hugepages-{}kB/free_hugepages", kibibytes));
    uint64_t pages = 0;
    if (file >> pages) {
      total += pages * kibibytes / 1024;
    }
  }
  return total;
}

uint64_t AvailableMebibytes() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  uint64_t kibibytes = 0;
  for (std::string unit; file >> key >> kibibytes; std::getline(file, unit)) {
    if (key == "MemAvailable:") {
      return kibibytes / 1024;
    }
  }
  return UINT64_MAX;
}

// Decides between hugepages and plain memory, or says what is missing.
Result<bool> ChooseHugepages(const EalConfig& config) {
  const uint64_t free = FreeHugeMebibytes();
  const unsigned wanted = config.memory_mebibytes;
  if (config.hugepages != Hugepages::kNo && free >= wanted) {
    return true;
  }
  if (config.hugepages == Hugepages::kYes) {
    return Fail(Errc::kExhausted,
                "2 MiB hugepages: {} MiB wanted, {} free; set workers.hugepages: no, or reserve "
                "with sysctl vm.nr_hugepages={}",
                wanted, free, (wanted + 1) / 2);
  }
  if (const uint64_t available = AvailableMebibytes(); available < wanted) {
    return Fail(Errc::kExhausted, "memory: {} MiB wanted, {} available; set workers.memory lower",
                wanted, available);
  }
  return false;
}

std::vector<unsigned> AllowedCpus() {
  std::vector<unsigned> cpus;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) {
        cpus.push_back(cpu);
      }
    }
  }
  return cpus;
}

// "0@(0,1),1@0,2@1": the control thread floats, worker i is lcore i + 1 on its CPU.
Result<std::string> LcoreMap(const EalConfig& config) {
  if (config.workers == 0 || config.workers > kMaxWorkers) {
    return Fail(Errc::kInvalidArgument, "{} workers; 1 to {} are possible", config.workers,
                kMaxWorkers);
  }
  const std::vector<unsigned> allowed = AllowedCpus();
  for (const unsigned cpu : config.worker_cpus) {
    if (std::find(allowed.begin(), allowed.end(), cpu) == allowed.end()) {
      return Fail(Errc::kInvalidArgument, "worker CPU {}: not among this process's CPUs {}", cpu,
                  fmt::join(allowed, ","));
    }
  }
  const std::vector<unsigned>& cpus = config.worker_cpus.empty() ? allowed : config.worker_cpus;
  const std::string all = fmt::format("({})", fmt::join(allowed, ","));
  std::string map = "0@" + all;
  for (unsigned worker = 0; worker < config.workers; ++worker) {
    map += config.pin ? fmt::format(",{}@{}", worker + 1, cpus[worker % cpus.size()])
                      : fmt::format(",{}@{}", worker + 1, all);
  }
  return map;
}

std::vector<std::string> Arguments(const EalConfig& config, const std::string& lcores,
                                   bool hugepages) {
  std::vector<std::string> arguments = {
      "penstockd",
      // --in-memory refuses --no-huge (DPDK takes the latter for legacy memory); without hugepage
      // files
      // --no-shconf alone leaves nothing shared.
      hugepages ? "--in-memory" : "--no-shconf",
      fmt::format("--file-prefix=penstock-{}-{}", config.instance, getpid()),
      "--lcores=" + lcores,
      "-m",
      std::to_string(config.memory_mebibytes),
  };
  if (!hugepages) {
    arguments.push_back("--no-huge");
  }
  if (config.pci_devices.empty()) {
    arguments.push_back("--no-pci");
  }
  for (const std::string& device : config.pci_devices) {
    arguments.insert(arguments.end(), {"-a", device});
  }
  if (!config.telemetry) {
    arguments.push_back("--no-telemetry");
  }
  arguments.insert(arguments.end(), config.extra.begin(), config.extra.end());
  return arguments;
}

}  // namespace

Status InitEal(const EalConfig& config) {
  EalState& state = State();
  if (state.initialised) {
    return Fail(Errc::kAlreadyExists, "DPDK is initialised already; it can be only once a process");
  }
  const Result<std::string> lcores = LcoreMap(config);
  if (!lcores) {
    return tl::unexpected<Error>(lcores.error());
  }
  const Result<bool> hugepages = ChooseHugepages(config);
  if (!hugepages) {
    return tl::unexpected<Error>(hugepages.error());
  }
  RedirectLog();
  state.arguments = Arguments(config, *lcores, *hugepages);
  state.argument_pointers.clear();
  for (std::string& argument : state.arguments) {
    state.argument_pointers.push_back(argument.data());
  }
  state.argument_pointers.push_back(nullptr);
  if (rte_eal_init(static_cast<int>(state.arguments.size()), state.argument_pointers.data()) < 0) {
    return Fail(rte_errno == EACCES ? Errc::kPermission : Errc::kInternal,
                "DPDK did not start ({}): {}; arguments: {}", rte_strerror(rte_errno),
                state.last_error.empty() ? "no further message" : state.last_error,
                fmt::join(state.arguments, " "));
  }
  state.initialised = true;
  state.hugepages = *hugepages;
  return {};
}

bool EalUsesHugepages() { return State().hugepages; }

Status LaunchWorker(unsigned worker, int (*function)(void*), void* argument) {
  const int error = rte_eal_remote_launch(function, argument, worker + 1);
  if (error != 0) {
    return Fail(Errc::kInternal, "worker {}: {}", worker,
                error == -EBUSY ? "still runs" : rte_strerror(-error));
  }
  return {};
}

void WaitWorker(unsigned worker) { rte_eal_wait_lcore(worker + 1); }

void CleanupEal() {
  if (State().initialised) {
    // DPDK makes the folder even when it shares nothing, and leaves it.
    const std::string folder = rte_eal_get_runtime_dir();
    rte_eal_cleanup();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
}

}  // namespace penstock
