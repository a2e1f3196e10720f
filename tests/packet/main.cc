// Packet buffers need the EAL: plain memory, no devices, no files.
#include <gtest/gtest.h>

#include <cstdio>

#include "dataplane/runtime/eal.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  penstock::EalConfig config;
  config.instance = "packet";
  config.workers = 1;
  config.pin = false;
  config.hugepages = penstock::Hugepages::kNo;
  config.memory_mebibytes = 256;
  if (const penstock::Status status = penstock::InitEal(config); !status) {
    std::fprintf(stderr, "%s\n", status.error().message.c_str());
    return 1;
  }
  return RUN_ALL_TESTS();
}
