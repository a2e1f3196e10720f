// Ports: NICs and virtual devices under DPDK's ethdev, brought up with queues, RSS and offloads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/ip_address.h"
#include "dataplane/base/result.h"
#include "dataplane/runtime/interface_guard.h"
#include "dataplane/runtime/worker.h"

namespace penstock {

struct PortConfig {
  std::string name;  // ours: "p0"; its mirror device has this name too
  std::string
      device;  // "0000:3b:00.0", or a virtual device: "af_packet,iface=eth1",
               // "af_xdp,iface=eth1", "tap,iface=t0", "memif,...", "pcap,...", "null", "ring"
  uint16_t queues = 0;  // receive queues; 0: one per worker, as far as the device has them
  uint16_t mtu = 1500;  // largest IP packet
  uint16_t descriptors = 1024;
  bool promiscuous = false;
  bool mirror = true;  // a mirror device in Linux
};

// A pool whose packets carry PacketNotes; `data_size` is the largest frame of one segment, rounded
// up to whole KiB and at least 2 KiB. Ports without scattered receive (af_packet) need the MTU and
// 118 bytes.
Result<rte_mempool*> MakePacketPool(const std::string& name, unsigned packets, unsigned data_size,
                                    int socket);

// One started port. Control thread, but for what the queues' functions do.
class Port {
 public:
  // Attaches (virtual devices and PCI by address, hot-plugged), configures and starts it. Errors
  // name the port, the device and what would be right, e.g. the interface that does not exist.
  static Result<std::unique_ptr<Port>> Open(const PortConfig& config, uint16_t index,
                                            unsigned workers, rte_mempool* pool);
  ~Port();  // stops, closes and detaches: leaves nothing behind

  uint16_t index() const { return index_; }    // ours, 0 to kMaxPorts - 1
  uint16_t ethdev() const { return ethdev_; }  // DPDK's port id
  const PortConfig& config() const { return config_; }
  uint16_t receive_queues() const { return receive_queues_; }
  MacAddress mac() const;
  bool link_up() const;
  uint16_t max_mtu() const;
  std::string driver() const;
  std::string link_text() const;  // "10 Gbps full duplex"
  bool rss() const { return rss_; }
  bool transmit_checksum() const { return transmit_checksum_; }
  struct DeviceCounters {
    uint64_t missed = 0, receive_errors = 0, transmit_errors = 0, no_buffer = 0;
  };
  DeviceCounters device_counters() const;
  // A queue pair for a worker's context.
  InputQueue input(uint16_t queue) const;
  OutputQueue output(uint16_t queue) const;

 private:
  Port() = default;
  Status Attach(const std::string& arguments);
  Status Configure(unsigned workers, rte_mempool* pool);
  Status SetUpQueues(uint16_t descriptors, rte_mempool* pool);
  Status Start();
  Status SeparateTapMac();

  PortConfig config_;
  uint16_t index_ = 0;
  uint16_t ethdev_ = 0;
  uint16_t receive_queues_ = 0;
  uint16_t transmit_queues_ = 0;
  uint16_t max_mtu_ = 0;
  bool rss_ = false;
  bool transmit_checksum_ = false;
  bool shared_transmit_ = false;  // fewer transmit queues than workers: sending takes a lock
  bool attached_ = false;
  std::unique_ptr<InterfaceGuard> guard_;  // kernel interface taken from Linux (af_packet, af_xdp)
};

}  // namespace penstock
