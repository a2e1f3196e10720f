// rte_acl and the rings live in the EAL's memory, so these tests start one: no hugepages, devices
// or files.
#include <gtest/gtest.h>
#include <rte_eal.h>
#include <sched.h>

#include <cstdio>

#include "dataplane/base/log.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!penstock::ConfigureLog({.level = "error", .file = ""})) {
    return 1;
  }
  cpu_set_t cores;
  sched_getaffinity(0, sizeof(cores), &cores);
  const char* arguments[] = {
      "unit_control",   "--no-huge",        "--no-shconf", "-m", "256", "--no-pci", "-l", "0",
      "--no-telemetry", "--log-level=error"};
  if (rte_eal_init(std::size(arguments), const_cast<char**>(arguments)) < 0) {
    std::fprintf(stderr, "the EAL did not start\n");
    return 1;
  }
  // Threads of the tests shall run at the same time, not on the EAL's one core.
  sched_setaffinity(0, sizeof(cores), &cores);
  return RUN_ALL_TESTS();
}
