#include "dataplane/runtime/port.h"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <rte_spinlock.h>

#include <algorithm>

#include "dataplane/base/log.h"
#include "dataplane/runtime/host_device.h"
#include "dataplane/runtime/packet_fanout.h"
#include "dataplane/runtime/port_device.h"

namespace penstock {
namespace {

constexpr unsigned kPoolCache = 256;
constexpr unsigned kMaxQueuesWithLock = 256;
constexpr unsigned kLinkHeader = 22;  // Ethernet, two VLAN tags

uint16_t Receive(void* /*context*/, uint16_t port, uint16_t queue, Packet** packets,
                 uint16_t count) {
  return rte_eth_rx_burst(port, queue, packets, count);
}

uint16_t Send(void* /*context*/, uint16_t port, uint16_t queue, Packet** packets, uint16_t count) {
  return rte_eth_tx_burst(port, queue, packets, count);
}

// For devices with fewer transmit queues than workers (pcap, memif with one ring).
uint16_t SendLocked(void* context, uint16_t port, uint16_t queue, Packet** packets,
                    uint16_t count) {
  auto* lock = static_cast<rte_spinlock_t*>(context);
  rte_spinlock_lock(lock);
  const uint16_t sent = rte_eth_tx_burst(port, queue, packets, count);
  rte_spinlock_unlock(lock);
  return sent;
}

rte_spinlock_t* TransmitLock(uint16_t port, uint16_t queue) {
  static rte_spinlock_t locks[kMaxPorts][kMaxQueuesWithLock] = {};
  return &locks[port][queue % kMaxQueuesWithLock];
}

unsigned BufferSize(rte_mempool* pool) {
  return rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
}

// What DPDK probes: "net_af_packet0,iface=eth1,qpairs=2,framesz=2048,...".
Result<std::string> ProbeArguments(const PortConfig& config, const PortDevice& device,
                                   uint16_t index, unsigned workers, rte_mempool* pool) {
  if (device.driver == "pci") {
    return config.device;
  }
  std::string text = fmt::format("net_{}{}", device.driver, index);
  if (!device.options.empty()) {
    text += "," + device.options;
  }
  if (device.driver == "af_packet") {
    const Result<FrameRing> ring = PlanFrameRing(config.mtu, BufferSize(pool), config.descriptors);
    if (!ring) {
      return tl::unexpected<Error>(ring.error());
    }
    // Linux spreads frames over all sockets of the interface, so there is one pair for each worker.
    text += fmt::format(",qpairs={},framesz={},blocksz={},framecnt={}",
                        std::max<unsigned>(config.queues, workers), ring->frame_size,
                        ring->block_size, ring->frame_count);
  } else if (device.driver == "af_xdp" && config.queues != 0 &&
             device.options.find("queue_count=") == std::string::npos) {
    text += fmt::format(",queue_count={}", config.queues);
  }
  return text;
}

bool IsAfPacket(const rte_eth_dev_info& info) {
  return std::string_view(info.driver_name) == "net_af_packet";
}

}  // namespace

Result<rte_mempool*> MakePacketPool(const std::string& name, unsigned packets, unsigned data_size,
                                    int socket) {
  const unsigned size = std::max(2048u, (data_size + 1023) / 1024 * 1024);
  if (size + RTE_PKTMBUF_HEADROOM > UINT16_MAX) {
    return Fail(Errc::kInvalidArgument,
                "packet pool {}: buffers of {} bytes; at most {} are possible", name, data_size,
                63 * 1024);
  }
  // Workers may share a CPU and be preempted in the middle of a put or get: the relaxed tail
  // synchronisation of this ring keeps the others going where the default one spins.
  rte_mempool* pool = rte_pktmbuf_pool_create_by_ops(
      name.c_str(), packets, std::min(kPoolCache, packets / 4), sizeof(PacketNotes),
      static_cast<uint16_t>(size + RTE_PKTMBUF_HEADROOM), socket, "ring_mt_rts");
  if (pool == nullptr) {
    const uint64_t bytes = uint64_t{packets} * (size + RTE_PKTMBUF_HEADROOM + sizeof(Packet) + 128);
    return Fail(Errc::kExhausted,
                "packet pool {}: {} packets of {} bytes need about {} MiB: {}; raise "
                "workers.memory or lower the number of packets",
                name, packets, size, bytes >> 20, rte_strerror(rte_errno));
  }
  return pool;
}

Result<std::unique_ptr<Port>> Port::Open(const PortConfig& config, uint16_t index, unsigned workers,
                                         rte_mempool* pool) {
  const std::string context = fmt::format("port {} ({})", config.name, config.device);
  const auto fail = [&](const Error& error) { return Prefixed(context, error); };
  if (index >= kMaxPorts) {
    return fail({Errc::kExhausted, fmt::format("at most {} ports are possible", kMaxPorts)});
  }
  const Result<PortDevice> device = ParsePortDevice(config.device);
  if (!device) {
    return fail(device.error());
  }
  std::unique_ptr<Port> port(new Port);
  port->config_ = config;
  port->index_ = index;
  if (device->takes_interface()) {
    Result<std::unique_ptr<InterfaceGuard>> guard = InterfaceGuard::Claim(
        device->interface, {.mtu = config.mtu, .block_input = device->driver == "af_packet"});
    if (!guard) {
      return fail(guard.error());
    }
    port->guard_ = std::move(*guard);
  }
  const Result<std::string> arguments = ProbeArguments(config, *device, index, workers, pool);
  if (!arguments) {
    return fail(arguments.error());
  }
  Status status = port->Attach(*arguments);
  if (status) {
    status = port->Configure(workers, pool);
  }
  if (status) {
    status = port->Start();
  }
  if (!status) {
    return fail(status.error());
  }
  Log("ports").info("{}: {}, {} receive and {} transmit queues, MTU {}, {}", context,
                    port->driver(), port->receive_queues_, port->transmit_queues_, config.mtu,
                    port->link_text());
  return port;
}

Port::~Port() {
  if (attached_) {
    rte_eth_dev_info info = {};
    const bool known = rte_eth_dev_info_get(ethdev_, &info) == 0;
    rte_eth_dev_stop(ethdev_);
    rte_eth_dev_close(ethdev_);
    if (known && rte_dev_remove(info.device) != 0) {
      Log("ports").warn("port {} ({}): not detached: {}", config_.name, config_.device,
                        rte_strerror(rte_errno));
    }
  }
}

Status Port::Attach(const std::string& arguments) {
  const std::string name = arguments.substr(0, arguments.find(','));
  // PCI devices that the EAL was told of are probed already.
  if (rte_eth_dev_get_port_by_name(name.c_str(), &ethdev_) != 0) {
    const FragmentsStayApart fragments;
    const int error = rte_dev_probe(arguments.c_str());
    if (error != 0 && error != -EEXIST) {
      const bool denied = error == -EPERM || error == -EACCES;
      return Fail(denied ? Errc::kPermission : Errc::kUnavailable,
                  "DPDK did not take it ({}); probed as \"{}\"{}", rte_strerror(-error), arguments,
                  config_.device.find("af_xdp") != std::string::npos
                      ? "; queues must not exceed the combined ones of ethtool -l"
                  : config_.device.find(':') != std::string::npos
                      ? "; is it bound to vfio-pci, and in the list of PCI ports?"
                      : "");
    }
    if (rte_eth_dev_get_port_by_name(name.c_str(), &ethdev_) != 0) {
      return Fail(Errc::kNotFound, "DPDK made no Ethernet port of \"{}\"", arguments);
    }
  }
  attached_ = true;
  return {};
}

Status Port::Configure(unsigned workers, rte_mempool* pool) {
  rte_eth_dev_info info = {};
  if (const int error = rte_eth_dev_info_get(ethdev_, &info); error != 0) {
    return Fail(Errc::kInternal, "no device information: {}", rte_strerror(-error));
  }
  const unsigned wanted = config_.queues != 0 ? config_.queues : workers;
  receive_queues_ = static_cast<uint16_t>(std::min<unsigned>(wanted, info.max_rx_queues));
  transmit_queues_ = static_cast<uint16_t>(std::min<unsigned>(workers, info.max_tx_queues));
  if (IsAfPacket(info)) {
    receive_queues_ = info.max_rx_queues;
  }
  shared_transmit_ = transmit_queues_ < workers;

  rte_eth_conf conf = {};
  if (receive_queues_ > 1 && info.flow_type_rss_offloads != 0) {
    rss_ = true;
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf =
        (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_ESP) &
        info.flow_type_rss_offloads;
  }
  conf.txmode.offloads =
      info.tx_offload_capa & (RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
  transmit_checksum_ = (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
  // af_packet reports the classic frame limit whatever its ring's slots hold; the interface's own
  // MTU and the plan of the ring decide there.
  if (IsAfPacket(info)) {
    max_mtu_ = config_.mtu;
  } else {
    max_mtu_ = info.max_mtu;
    if (config_.mtu > info.max_mtu || config_.mtu < info.min_mtu) {
      return Fail(Errc::kInvalidArgument, "MTU {}: the device takes {} to {}", config_.mtu,
                  info.min_mtu, info.max_mtu);
    }
    conf.rxmode.mtu = config_.mtu;
    if (config_.mtu + kLinkHeader > BufferSize(pool)) {
      conf.rxmode.offloads |= info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
    }
  }
  const int error = rte_eth_dev_configure(ethdev_, receive_queues_, transmit_queues_, &conf);
  if (error != 0) {
    return Fail(Errc::kInvalidArgument, "refused: {} receive and {} transmit queues, MTU {}: {}",
                receive_queues_, transmit_queues_, config_.mtu, rte_strerror(-error));
  }
  return SetUpQueues(config_.descriptors, pool);
}

Status Port::SetUpQueues(uint16_t descriptors, rte_mempool* pool) {
  uint16_t receive = descriptors;
  uint16_t transmit = descriptors;
  if (const int error = rte_eth_dev_adjust_nb_rx_tx_desc(ethdev_, &receive, &transmit);
      error != 0) {
    return Fail(Errc::kInvalidArgument, "{} descriptors: {}", descriptors, rte_strerror(-error));
  }
  const int node = rte_eth_dev_socket_id(ethdev_);
  const auto socket = static_cast<unsigned>(node < 0 ? SOCKET_ID_ANY : node);
  for (uint16_t queue = 0; queue < receive_queues_; ++queue) {
    const int error = rte_eth_rx_queue_setup(ethdev_, queue, receive, socket, nullptr, pool);
    if (error != 0) {
      return Fail(error == -EBUSY ? Errc::kUnavailable : Errc::kInternal, "receive queue {}: {}{}",
                  queue, rte_strerror(-error), error == -EBUSY ? "; another program has it" : "");
    }
  }
  for (uint16_t queue = 0; queue < transmit_queues_; ++queue) {
    const int error = rte_eth_tx_queue_setup(ethdev_, queue, transmit, socket, nullptr);
    if (error != 0) {
      return Fail(Errc::kInternal, "transmit queue {}: {}", queue, rte_strerror(-error));
    }
  }
  return {};
}

Status Port::Start() {
  if (const int error = rte_eth_dev_start(ethdev_); error != 0) {
    return Fail(Errc::kInternal, "not started: {}", rte_strerror(-error));
  }
  if (config_.promiscuous) {
    if (const int error = rte_eth_promiscuous_enable(ethdev_); error != 0) {
      return Fail(Errc::kUnsupported, "promiscuous mode: {}", rte_strerror(-error));
    }
  }
  // Routing protocols and neighbour discovery need multicast; not every driver has the switch.
  rte_eth_allmulticast_enable(ethdev_);
  return SeparateTapMac();
}

// A tap port has two ends: ours and the device in Linux. DPDK gives both the same address, and
// Linux takes frames to an address of its own for itself instead of passing them over a bridge.
Status Port::SeparateTapMac() {
  const Result<PortDevice> device = ParsePortDevice(config_.device);
  if (!device || device->driver != "tap" || device->interface.empty()) {
    return {};
  }
  MacAddress address = mac();
  address.bytes[5] ^= 1;
  return SetInterfaceMac(device->interface, address);
}

MacAddress Port::mac() const {
  MacAddress mac;
  rte_ether_addr address = {};
  if (rte_eth_macaddr_get(ethdev_, &address) == 0) {
    if (rte_is_zero_ether_addr(&address)) {
      // ring ports have none, and Linux takes none like that for a mirror device
      return MacAddress{{0x02, 0x50, 0x53, 0, 0, static_cast<uint8_t>(index_)}};
    }
    std::copy(std::begin(address.addr_bytes), std::end(address.addr_bytes), mac.bytes.begin());
  }
  return mac;
}

bool Port::link_up() const {
  // af_packet and af_xdp say "up" whatever happens to their interface.
  if (guard_ != nullptr && !guard_->LinkUp()) {
    return false;
  }
  rte_eth_link link = {};
  return rte_eth_link_get_nowait(ethdev_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

uint16_t Port::max_mtu() const { return max_mtu_; }

std::string Port::driver() const {
  rte_eth_dev_info info = {};
  return rte_eth_dev_info_get(ethdev_, &info) == 0 ? info.driver_name : "";
}

std::string Port::link_text() const {
  rte_eth_link link = {};
  if (!link_up() || rte_eth_link_get_nowait(ethdev_, &link) != 0) {
    return "down";
  }
  return fmt::format("{} {} duplex", rte_eth_link_speed_to_str(link.link_speed),
                     link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX ? "full" : "half");
}

Port::DeviceCounters Port::device_counters() const {
  rte_eth_stats stats = {};
  if (rte_eth_stats_get(ethdev_, &stats) != 0) {
    return {};
  }
  return {stats.imissed, stats.ierrors, stats.oerrors, stats.rx_nombuf};
}

InputQueue Port::input(uint16_t queue) const {
  return {.receive = Receive, .context = nullptr, .port = ethdev_, .queue = queue, .index = index_};
}

OutputQueue Port::output(uint16_t queue) const {
  OutputQueue output;
  output.port = ethdev_;
  output.queue = static_cast<uint16_t>(queue % transmit_queues_);
  output.send = shared_transmit_ ? SendLocked : Send;
  output.context = shared_transmit_ ? TransmitLock(index_, output.queue) : nullptr;
  output.mtu = config_.mtu;
  output.up = link_up();
  output.checksum_offload = transmit_checksum_;
  return output;
}

}  // namespace penstock
