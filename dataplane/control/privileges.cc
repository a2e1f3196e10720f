#include "dataplane/control/privileges.h"

#include <cap-ng.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace penstock {

Status LowerPrivileges(bool physical) {
  const rlimit no_core = {0, 0};
  if (setrlimit(RLIMIT_CORE, &no_core) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0) {
    return Fail(Errc::kInternal, "forbidding core dumps: {}", std::strerror(errno));
  }
  if (geteuid() != 0) {
    return {};
  }
  // NET_ADMIN: devices, nftables; NET_RAW: packet sockets; IPC_LOCK: key and packet memory;
  // SYS_NICE: CPU binding; CHOWN, DAC_OVERRIDE, FOWNER: sockets, log and configuration files of
  // other owners.
  std::vector<unsigned> wanted = {CAP_NET_ADMIN, CAP_NET_RAW,      CAP_IPC_LOCK, CAP_SYS_NICE,
                                  CAP_CHOWN,     CAP_DAC_OVERRIDE, CAP_FOWNER};
  if (physical) {
    // VFIO and /proc/self/pagemap; AF_XDP's BPF programs and locked memory.
    wanted.insert(wanted.end(),
                  {CAP_SYS_ADMIN, CAP_SYS_RAWIO, CAP_SYS_RESOURCE, CAP_BPF, CAP_PERFMON});
  }
  // A container may lack some of them, and asking for what is not there fails as a whole. Whoever
  // needs a missing one later says so better.
  capng_get_caps_process();
  std::erase_if(wanted, [](unsigned capability) {
    return capng_have_capability(CAPNG_PERMITTED, capability) == 0;
  });
  capng_clear(CAPNG_SELECT_CAPS);
  const auto kept = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED);
  int failed = 0;
  for (const unsigned capability : wanted) {
    failed += capng_update(CAPNG_ADD, kept, capability);
  }
  if (failed != 0 || capng_apply(CAPNG_SELECT_CAPS) != 0) {
    return Fail(Errc::kPermission,
                "giving up capabilities: {}; start as root or with CAP_NET_ADMIN",
                std::strerror(errno));
  }
  return {};
}

}  // namespace penstock
