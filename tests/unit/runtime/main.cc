// Runs the tests on DPDK without hugepages, and as root in a network namespace of their own.
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "dataplane/runtime/eal.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (geteuid() == 0 && unshare(CLONE_NEWNET) == 0) {
    setenv("PENSTOCK_TEST_NAMESPACE", "1", 1);
  }
  penstock::EalConfig config;
  config.instance = "unit";
  config.workers = 2;
  config.hugepages = penstock::Hugepages::kNo;
  config.memory_mebibytes = 128;
  const penstock::Status status = penstock::InitEal(config);
  if (!status) {
    fprintf(stderr, "%s\n", status.error().message.c_str());
    return 1;
  }
  const int result = RUN_ALL_TESTS();
  penstock::CleanupEal();
  return result;
}
