// The way to and from Linux: a TAP device that mirrors a port, a TUN device for a tunnel.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "dataplane/base/ip_address.h"
#include "dataplane/base/result.h"

namespace penstock {

// An open TAP or TUN descriptor; the device goes when it is closed, also when the process dies.
class HostDevice {
 public:
  // TAP: Ethernet frames, with the port's MAC. Existing devices of that name are an error that says
  // so.
  static Result<std::unique_ptr<HostDevice>> OpenTap(const std::string& name, const MacAddress& mac,
                                                     uint16_t mtu);
  // TUN: IP packets.
  static Result<std::unique_ptr<HostDevice>> OpenTun(const std::string& name, uint16_t mtu);
  ~HostDevice();
  HostDevice(const HostDevice&) = delete;
  HostDevice& operator=(const HostDevice&) = delete;

  int descriptor() const { return descriptor_; }  // non-blocking
  int interface() const { return interface_; }    // ifindex
  const std::string& name() const { return name_; }
  bool is_tap() const { return tap_; }

 private:
  HostDevice() = default;
  static Result<std::unique_ptr<HostDevice>> Open(const std::string& name, bool tap,
                                                  const MacAddress* mac, uint16_t mtu);
  int descriptor_ = -1;
  int interface_ = 0;
  std::string name_;
  bool tap_ = false;
};

// Gives an interface of this network namespace another link address.
Status SetInterfaceMac(const std::string& name, const MacAddress& mac);

}  // namespace penstock
