#include "dataplane/control/sysctl.h"

#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/route/kernel_links.h"

namespace penstock {

void GuardDevice(const std::string& device) {
  const std::pair<std::string, const char*> settings[] = {
      {"net/ipv4/conf/" + device + "/forwarding", "0"},
      {"net/ipv4/conf/" + device + "/rp_filter", "2"},
      {"net/ipv6/conf/" + device + "/forwarding", "0"},
      {"net/ipv6/conf/" + device + "/accept_ra", "0"},
      // An address is ours or not: no time for Linux to find out while packets wait.
      {"net/ipv6/conf/" + device + "/accept_dad", "0"},
  };
  for (const auto& [name, value] : settings) {
    if (const Status written = WriteSysctl(name, value); !written) {
      Log("ports").debug("{}: {}", device, written.error().message);
    }
  }
}

}  // namespace penstock
