#include "dataplane/runtime/interface_guard.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "dataplane/base/log.h"

namespace penstock {
namespace {

struct Offload {
  uint32_t get;
  uint32_t set;
};
constexpr Offload kOffloads[] = {
    {ETHTOOL_GGRO, ETHTOOL_SGRO},
    {ETHTOOL_GTSO, ETHTOOL_STSO},
    {ETHTOOL_GGSO, ETHTOOL_SGSO},
    {ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM},
};

ifreq RequestFor(const std::string& interface) {
  ifreq request = {};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

Errc CodeOf(int error) {
  return error == EPERM || error == EACCES ? Errc::kPermission : Errc::kInternal;
}

bool EthtoolValue(int control, const std::string& interface, ethtool_value& value) {
  ifreq request = RequestFor(interface);
  request.ifr_data = reinterpret_cast<char*>(&value);
  return ioctl(control, SIOCETHTOOL, &request) == 0;
}

Status RunNft(const std::string& commands) {
  nft_ctx* context = nft_ctx_new(NFT_CTX_DEFAULT);
  if (context == nullptr) {
    return Fail(Errc::kInternal, "libnftables did not start");
  }
  nft_ctx_buffer_output(context);
  nft_ctx_buffer_error(context);
  Status status;
  if (nft_run_cmd_from_buffer(context, commands.c_str()) != 0) {
    std::string message = nft_ctx_get_error_buffer(context);
    message.resize(std::min(message.find('\n'), message.size()));
    status = Fail(message.find("Operation not permitted") != std::string::npos ? Errc::kPermission
                                                                               : Errc::kInternal,
                  "nftables: {}", message);
  }
  nft_ctx_free(context);
  return status;
}

std::string Ipv6Switch(const std::string& interface) {
  return "/proc/sys/net/ipv6/conf/" + interface + "/disable_ipv6";
}

}  // namespace

std::string InterfaceGuard::TableName(const std::string& interface) {
  std::string name = "penstock_";
  for (const char letter : interface) {
    // Interface names may hold almost any character, nftables' identifiers only some.
    if (std::isalnum(static_cast<unsigned char>(letter)) || letter == '_') {
      name += letter;
    } else {
      name += fmt::format("_{:02x}", static_cast<unsigned char>(letter));
    }
  }
  return name;
}

Result<std::unique_ptr<InterfaceGuard>> InterfaceGuard::Claim(
    const std::string& interface, const InterfaceGuardOptions& options) {
  if (interface.find_first_of("\"\\\n/") != std::string::npos || interface.size() >= IFNAMSIZ ||
      if_nametoindex(interface.c_str()) == 0) {
    return Fail(Errc::kNotFound,
                "interface \"{}\" does not exist in this network namespace; ip link lists those "
                "that do",
                interface);
  }
  std::unique_ptr<InterfaceGuard> guard(new InterfaceGuard(interface));
  guard->index_ = if_nametoindex(interface.c_str());
  Status status = guard->Reserve();
  if (status && options.block_input) {
    status = guard->BlockInput();
  }
  if (status) {
    guard->SilenceIpv6();
    guard->TurnOffOffloads();
    status = guard->SetMtu(options.mtu);
  }
  if (status) {
    status = guard->BringUp();
  }
  if (!status) {
    return Prefixed("interface " + interface, status.error());
  }
  return guard;
}

bool InterfaceGuard::LinkUp() {
  ifreq request = RequestFor(interface_);
  if (gone_ || if_nametoindex(interface_.c_str()) != index_) {
    if (!std::exchange(gone_, true)) {
      Log("ports").error("interface {} is gone; restart penstockd when it is back", interface_);
    }
    return false;
  }
  if (ioctl(control_, SIOCGIFFLAGS, &request) != 0 || (request.ifr_flags & IFF_UP) == 0) {
    return false;
  }
  // The carrier itself: IFF_RUNNING follows it up to a second late, and what is sent until then
  // would be lost, the first ARP requests among it.
  ethtool_value link = {.cmd = ETHTOOL_GLINK, .data = 0};
  return EthtoolValue(control_, interface_, link) ? link.data != 0
                                                  : (request.ifr_flags & IFF_RUNNING) != 0;
}

InterfaceGuard::~InterfaceGuard() {
  if (if_nametoindex(interface_.c_str()) == index_) {
    ifreq request = RequestFor(interface_);
    if (was_down_ && ioctl(control_, SIOCGIFFLAGS, &request) == 0) {
      request.ifr_flags = static_cast<short>(request.ifr_flags & ~IFF_UP);
      ioctl(control_, SIOCSIFFLAGS, &request);
    }
    if (original_mtu_ != 0) {
      request = RequestFor(interface_);
      request.ifr_mtu = original_mtu_;
      ioctl(control_, SIOCSIFMTU, &request);
    }
    for (const auto& [command, setting] : original_offloads_) {
      ethtool_value value = {command, setting};
      EthtoolValue(control_, interface_, value);
    }
    if (!original_ipv6_.empty()) {
      std::ofstream(Ipv6Switch(interface_)) << original_ipv6_;
    }
  }
  if (blocked_) {
    // A table of a vanished interface stays behind without its hook, so it is removed in any case.
    const Status removed = RunNft("delete table netdev " + TableName(interface_));
    if (!removed) {
      Log("ports").warn("interface {}: its dropping chain stays: {}", interface_,
                        removed.error().message);
    }
  }
  if (reservation_ >= 0) {
    close(reservation_);
  }
  if (control_ >= 0) {
    close(control_);
  }
}

Status InterfaceGuard::Reserve() {
  control_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  reservation_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  // Abstract names belong to the network namespace, as interfaces do, and vanish with the process.
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string name = "penstock-port-" + interface_;
  name.copy(address.sun_path + 1, sizeof(address.sun_path) - 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(reservation_, reinterpret_cast<sockaddr*>(&address), length) != 0) {
    if (errno == EADDRINUSE) {
      return Fail(Errc::kAlreadyExists, "in use by another port or another penstockd");
    }
    return Fail(CodeOf(errno), "could not be claimed: {}", strerror(errno));
  }
  return {};
}

Status InterfaceGuard::BlockInput() {
  const std::string table = TableName(interface_);
  // One transaction. The first two commands remove what a crashed daemon left, whether or not it
  // did.
  const Status status = RunNft(fmt::format(
      "add table netdev {0}\n"
      "delete table netdev {0}\n"
      "add table netdev {0}\n"
      "add chain netdev {0} ingress {{ type filter hook ingress device \"{1}\" priority -500; "
      "policy drop; }}\n",
      table, interface_));
  blocked_ = status.has_value();
  return status;
}

void InterfaceGuard::SilenceIpv6() {
  std::string before;
  if (!(std::ifstream(Ipv6Switch(interface_)) >> before) || before == "1") {
    return;  // no IPv6 in this kernel, or off already
  }
  if (std::ofstream(Ipv6Switch(interface_)) << "1" << std::flush) {
    original_ipv6_ = before;
  } else {
    Log("ports").warn("interface {}: IPv6 of Linux stays on: {} is not writable", interface_,
                      Ipv6Switch(interface_));
  }
}

void InterfaceGuard::TurnOffOffloads() {
  for (const Offload& offload : kOffloads) {
    ethtool_value value = {offload.get, 0};
    if (!EthtoolValue(control_, interface_, value) || value.data == 0) {
      continue;  // the interface does not have it, or it is off
    }
    const uint32_t before = value.data;
    value = {offload.set, 0};
    if (EthtoolValue(control_, interface_, value)) {
      original_offloads_.emplace_back(offload.set, before);
    }
  }
}

Status InterfaceGuard::SetMtu(uint16_t mtu) {
  ifreq request = RequestFor(interface_);
  if (ioctl(control_, SIOCGIFMTU, &request) != 0) {
    return Fail(CodeOf(errno), "MTU unknown: {}", strerror(errno));
  }
  if (request.ifr_mtu == mtu) {
    return {};
  }
  const int before = request.ifr_mtu;
  request.ifr_mtu = mtu;
  if (ioctl(control_, SIOCSIFMTU, &request) != 0) {
    return Fail(errno == EPERM ? Errc::kPermission : Errc::kInvalidArgument,
                "MTU {} refused: {}; it is {} now", mtu, strerror(errno), before);
  }
  original_mtu_ = before;
  return {};
}

Status InterfaceGuard::BringUp() {
  ifreq request = RequestFor(interface_);
  if (ioctl(control_, SIOCGIFFLAGS, &request) != 0) {
    return Fail(CodeOf(errno), "flags unknown: {}", strerror(errno));
  }
  if ((request.ifr_flags & IFF_UP) != 0) {
    return {};
  }
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (ioctl(control_, SIOCSIFFLAGS, &request) != 0) {
    return Fail(CodeOf(errno), "cannot be brought up: {}", strerror(errno));
  }
  was_down_ = true;
  return {};
}

}  // namespace penstock
