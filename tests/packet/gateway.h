// One gateway in memory: real tables, real crypto, one worker's pipeline, and ports that are
// vectors.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/stages/pipeline.h"
#include "tests/packet/frames.h"

namespace penstock {

struct SentFrame {
  uint16_t port = 0;
  Bytes bytes;
};

// Everything runs on the caller's thread. The destructor checks that every packet is accounted for
// and that no buffer is lost.
class Gateway {
 public:
  static constexpr uint16_t kLan = 0;
  static constexpr uint16_t kWan = 1;

  explicit Gateway(unsigned number, EngineChoice engine = EngineChoice::kAuto);
  ~Gateway();

  // The port's own MAC address.
  Bytes Mac(uint16_t port) const;
  // A neighbour on a port with a known link address; the next hop's index.
  uint32_t AddNeighbor(uint16_t port, const std::string& address, const Bytes& mac);
  void Route(const std::string& prefix, uint32_t next_hop);
  uint32_t AddTunnel(const TunnelConfig& config);
  // The next hop that leads into a tunnel.
  uint32_t TunnelNextHop(uint32_t tunnel);
  // Publishes the SA; the old one of the tunnel stays alive until the gateway goes.
  OutboundSa* InstallOutbound(uint32_t tunnel, SaConfig config, uint32_t outer_next_hop);
  InboundSa* InstallInbound(uint32_t tunnel, SaConfig config);

  // Frames to a port, in bursts; `segment` bytes in each segment of a chain, 0: one segment.
  void Receive(uint16_t port, const std::vector<Bytes>& frames, unsigned segment = 0);
  void ReceiveIp(uint16_t port, const std::vector<Bytes>& packets, unsigned segment = 0);
  // Packets that Linux sends into a tunnel's device.
  void SendFromTun(uint32_t tunnel, const std::vector<Bytes>& packets);
  void SendFromTap(uint16_t port, const Bytes& frame);
  void Poll();

  // What has left since the last call; frames to Linux likewise.
  std::vector<SentFrame> TakeSent();
  std::vector<Bytes> TakeSentIp(uint16_t port);
  std::vector<Bytes> TakePunted();
  std::vector<WorkerEvent> TakeEvents();
  // Drop reasons that are not zero, by name.
  std::map<std::string, uint64_t> Drops() const;
  void ExpectBalance() const;
  void AdvanceMilliseconds(uint64_t milliseconds);

  const SaCounters& counters(const OutboundSa& sa) const { return worker_->counters.sas[sa.slot]; }
  const SaCounters& counters(const InboundSa& sa) const { return worker_->counters.sas[sa.slot]; }
  WorkerContext& worker() { return *worker_; }
  GatewayTables& tables() { return tables_; }
  Engine& engine() { return *control_engine_; }
  StageContext& context() { return pipeline_->context(); }
  Pipeline& pipeline() { return *pipeline_; }

 private:
  static uint16_t Collect(void* gateway, uint16_t port, uint16_t queue, Packet** packets,
                          uint16_t count);
  Packet* MakePacket(const Bytes& bytes, unsigned segment) const;

  unsigned number_;
  Epoch epoch_;
  GatewayTables tables_{epoch_};
  std::unique_ptr<WorkerContext> worker_;
  std::unique_ptr<Engine> control_engine_;
  std::vector<std::unique_ptr<OutboundSa>> outbound_;
  std::unique_ptr<Pipeline> pipeline_;
  std::vector<SentFrame> sent_;
};

// Pools that all gateways of the program share.
rte_mempool* PacketPool();
rte_mempool* JumboPool();
Bytes BytesOf(const Packet* packet, unsigned offset = 0);

}  // namespace penstock
