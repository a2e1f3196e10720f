#include "dataplane/runtime/host_device.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace penstock {
namespace {

Status SetMtu(int socket, const std::string& name, uint16_t mtu) {
  ifreq request = {};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_mtu = mtu;
  if (ioctl(socket, SIOCSIFMTU, &request) != 0) {
    return Fail(Errc::kInvalidArgument, "device {}: MTU {}: {}", name, mtu, strerror(errno));
  }
  return {};
}

// Opens a new device. Without IFF_VNET_HDR Linux finishes checksums and segments before it hands
// packets over, so that what is read can go on the wire as it is.
Result<int> OpenTunTap(const std::string& name, short mode) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return Fail(Errc::kInvalidArgument, "device name \"{}\": 1 to {} characters are possible", name,
                IFNAMSIZ - 1);
  }
  if (if_nametoindex(name.c_str()) != 0) {
    return Fail(
        Errc::kAlreadyExists,
        "device {} exists already; choose another name or remove it with: ip link delete {}", name,
        name);
  }
  const int descriptor = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) {
    return Fail(errno == EACCES || errno == EPERM ? Errc::kPermission : Errc::kUnsupported,
                "device {}: /dev/net/tun: {}", name, strerror(errno));
  }
  ifreq request = {};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = static_cast<short>(mode | IFF_NO_PI | IFF_TUN_EXCL);
  if (ioctl(descriptor, TUNSETIFF, &request) != 0) {
    const int error = errno;
    close(descriptor);
    return Fail(error == EPERM ? Errc::kPermission : Errc::kInternal, "device {}: {}{}", name,
                strerror(error), error == EPERM ? "; CAP_NET_ADMIN is needed" : "");
  }
  return descriptor;
}

}  // namespace

Status SetInterfaceMac(const std::string& name, const MacAddress& mac) {
  ifreq request = {};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  memcpy(request.ifr_hwaddr.sa_data, mac.bytes.data(), mac.bytes.size());
  const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int error = ioctl(control, SIOCSIFHWADDR, &request) == 0 ? 0 : errno;
  close(control);
  if (error != 0) {
    return Fail(Errc::kInvalidArgument, "device {}: MAC address {}: {}", name, mac.ToString(),
                strerror(error));
  }
  return {};
}

Result<std::unique_ptr<HostDevice>> HostDevice::Open(const std::string& name, bool tap,
                                                     const MacAddress* mac, uint16_t mtu) {
  const Result<int> descriptor = OpenTunTap(name, static_cast<short>(tap ? IFF_TAP : IFF_TUN));
  if (!descriptor) {
    return tl::unexpected<Error>(descriptor.error());
  }
  std::unique_ptr<HostDevice> device(new HostDevice);
  device->descriptor_ = *descriptor;
  device->interface_ = static_cast<int>(if_nametoindex(name.c_str()));
  device->name_ = name;
  device->tap_ = tap;
  const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  Status status = mac == nullptr ? Status() : SetInterfaceMac(name, *mac);
  if (status) {
    status = SetMtu(control, name, mtu);
  }
  close(control);
  if (!status) {
    return tl::unexpected<Error>(status.error());
  }
  return device;
}

Result<std::unique_ptr<HostDevice>> HostDevice::OpenTap(const std::string& name,
                                                        const MacAddress& mac, uint16_t mtu) {
  return Open(name, true, &mac, mtu);
}

Result<std::unique_ptr<HostDevice>> HostDevice::OpenTun(const std::string& name, uint16_t mtu) {
  return Open(name, false, nullptr, mtu);
}

HostDevice::~HostDevice() {
  if (descriptor_ >= 0) {
    close(descriptor_);
  }
}

}  // namespace penstock
