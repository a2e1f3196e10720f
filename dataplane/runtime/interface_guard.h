// Takes a kernel interface away from Linux while a port uses it, and gives it back as it was.
//
// A packet socket sees a copy of each frame; Linux itself would receive the frame too and answer
// beside our mirror device. So an nftables chain at the interface's ingress hook, which lies behind
// packet sockets, drops whatever arrives. Offloads are turned off, so that frames arrive as they
// were on the wire; where the interface is one end of a veth pair, checksum and segmentation
// offloads of the other end must be turned off there (ethtool -K IFACE tx off), or frames arrive
// with unfinished checksums.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/result.h"

namespace penstock {

struct InterfaceGuardOptions {
  uint16_t mtu = 1500;
  bool block_input = true;  // af_packet; not for af_xdp, which takes the frames itself
};

// Control thread, in the network namespace of the interface.
class InterfaceGuard {
 public:
  // Claims the interface (one user at a time, over all daemons of this network namespace), blocks
  // its input, silences IPv6 (its IPv6 addresses go), sets MTU and offloads, and brings it up.
  // Replaces what a crashed daemon left. Errors: no such interface, in use, missing CAP_NET_ADMIN,
  // MTU not possible.
  static Result<std::unique_ptr<InterfaceGuard>> Claim(const std::string& interface,
                                                       const InterfaceGuardOptions& options);
  ~InterfaceGuard();  // restores flags, MTU, offloads and IPv6, and removes the chain
  InterfaceGuard(const InterfaceGuard&) = delete;
  InterfaceGuard& operator=(const InterfaceGuard&) = delete;

  const std::string& interface() const { return interface_; }
  // True while the interface is up and has a carrier. One that was deleted is down for good, even
  // if another of its name comes: sockets stay bound to the old one. Logged once.
  bool LinkUp();
  // The netdev table that holds the dropping chain, e.g. "penstock_eth1".
  static std::string TableName(const std::string& interface);

 private:
  explicit InterfaceGuard(std::string interface) : interface_(std::move(interface)) {}
  Status Reserve();
  Status BlockInput();
  Status SetMtu(uint16_t mtu);
  Status BringUp();
  void SilenceIpv6();
  void TurnOffOffloads();

  std::string interface_;
  unsigned index_ = 0;  // in the kernel
  bool gone_ = false;
  int reservation_ = -1;  // bound abstract socket: the claim, gone when the process is
  int control_ = -1;      // any socket, for ioctl
  bool blocked_ = false;
  int original_mtu_ = 0;  // 0: unchanged
  bool was_down_ = false;
  std::string original_ipv6_;  // content of disable_ipv6; empty: unchanged
  std::vector<std::pair<uint32_t, uint32_t>>
      original_offloads_;  // ethtool command that sets, value
};

}  // namespace penstock
