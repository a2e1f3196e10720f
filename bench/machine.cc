#include "bench/machine.h"

#include <openssl/crypto.h>
#include <rte_cycles.h>
#include <rte_version.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "dataplane/runtime/eal.h"

namespace penstock {
namespace {

// Instruction sets that make a difference here.
constexpr const char* kFlags[] = {"aes",          "avx2", "avx512f",   "avx512bw",
                                  "avx512_vbmi2", "bmi2", "gfni",      "pclmulqdq",
                                  "sha_ni",       "vaes", "vpclmulqdq"};

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The value behind "key : " in a file such as /proc/cpuinfo; the first one.
std::string ValueOf(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) {
      const size_t colon = line.find(':');
      const size_t value =
          colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
      return value == std::string::npos ? "" : line.substr(value);
    }
  }
  return {};
}

std::string FlagsOfInterest() {
  std::istringstream all(ValueOf("/proc/cpuinfo", "flags"));
  std::string found;
  for (std::string flag; all >> flag;) {
    if (std::ranges::find(kFlags, flag) != std::end(kFlags)) {
      found += (found.empty() ? "" : " ") + flag;
    }
  }
  return found;
}

std::string OrNone(const std::string& text) { return text.empty() ? "none" : text; }

}  // namespace

std::vector<std::pair<std::string, std::string>> DescribeMachine(const Engine& engine) {
  utsname system = {};
  uname(&system);
  const std::string family = ValueOf("/proc/cpuinfo", "cpu family");
  return {
      {"processor", fmt::format("{} (family {} model {})", ValueOf("/proc/cpuinfo", "model name"),
                                family, ValueOf("/proc/cpuinfo", "model\t"))},
      {"flags", FlagsOfInterest()},
      {"tsc_mhz", fmt::format("{:.1f}", static_cast<double>(rte_get_tsc_hz()) / 1e6)},
      {"kernel", system.release},
      {"hypervisor", OrNone(FirstLine("/sys/hypervisor/type"))},
      {"governor", OrNone(FirstLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))},
      {"hugepages", EalUsesHugepages() ? ValueOf("/proc/meminfo", "HugePages_Total") : "not used"},
      {"load", FirstLine("/proc/loadavg")},
      {"dpdk", rte_version()},
      {"engine", engine.description()},
      {"openssl", OpenSSL_version(OPENSSL_VERSION)},
      {"march", PENSTOCK_MARCH},
  };
}

uint64_t ResidentBytes() {
  uint64_t kibibytes = 0;
  for (const char* key : {"VmRSS:", "HugetlbPages:"}) {
    kibibytes += std::strtoull(ValueOf("/proc/self/status", key).c_str(), nullptr, 10);
  }
  return kibibytes << 10;
}

}  // namespace penstock
