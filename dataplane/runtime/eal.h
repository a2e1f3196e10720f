// DPDK's environment from our configuration, with clear errors.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/runtime/worker.h"

namespace penstock {

enum class Hugepages : uint8_t { kAuto, kNo, kYes };

struct EalConfig {
  std::string instance;  // file prefix: several daemons side by side
  std::vector<unsigned>
      worker_cpus;  // one per worker; repeated or fewer CPUs than workers are allowed
  unsigned workers = 1;
  bool pin = true;  // false: workers float over the process's CPUs
  Hugepages hugepages =
      Hugepages::kAuto;  // auto: used where enough are free, plain memory otherwise
  unsigned memory_mebibytes = 512;
  std::vector<std::string> pci_devices;  // addresses of PCI ports; empty: the PCI bus is left alone
  bool telemetry = false;                // DPDK's own telemetry socket under /run/dpdk
  std::vector<std::string> extra;        // further EAL arguments, last
};

// Initialises the EAL; once per process. Always in memory (no files shared between daemons). Lcore
// i + 1 is worker i, lcore 0 the control thread. Errors say which setting to change.
Status InitEal(const EalConfig& config);
bool EalUsesHugepages();
// Starts fn(worker) on the worker's lcore; WaitWorker joins it.
Status LaunchWorker(unsigned worker, int (*function)(void*), void* argument);
void WaitWorker(unsigned worker);
void CleanupEal();

}  // namespace penstock
