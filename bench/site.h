// A gateway built for a measurement: real tables, real keys, one pipeline for each worker.
#pragma once

#include <memory>
#include <vector>

#include "bench/options.h"
#include "dataplane/stages/pipeline.h"

namespace penstock {

// Frames come in by the first port and leave by the second.
inline constexpr uint16_t kInputPort = 0;
inline constexpr uint16_t kOutputPort = 1;

// Who the frames are for: the station address of every input port.
inline constexpr uint8_t kStationMac[6] = {0x02, 0, 0, 0, 0, 0x01};
inline constexpr uint8_t kSourceMac[6] = {0x02, 0, 0, 0, 0, 0x02};

// SPIs and keys, the same on both sides and in every run, so that other programs can be given them:
// SA i has SPI kFirstSpi + i, and key bytes 1, 2, 3, ... (cipher, with salt) and 101, 102, ...
inline constexpr uint32_t kFirstSpi = 0x00100100;

enum class Role : uint8_t { kEncrypts, kDecrypts };

class Site {
 public:
  static Result<std::unique_ptr<Site>> Make(Role role, const BenchOptions& options,
                                            const Suite& suite, unsigned frame);
  ~Site();

  GatewayTables& tables() { return *tables_; }
  WorkerContext& worker(unsigned index) { return *workers_[index]; }
  Pipeline& pipeline(unsigned index) { return *pipelines_[index]; }
  unsigned workers() const { return static_cast<unsigned>(workers_.size()); }

  // For rekeys, on the control thread while workers run.
  uint32_t tunnel_count() const { return static_cast<uint32_t>(tunnels_.size()); }
  uint32_t outbound_spi(uint32_t tunnel) const { return outbound_[tunnel]->config.spi; }
  Status AddInbound(uint32_t tunnel, uint32_t spi);
  // The old SA goes after a grace period.
  Status ReplaceOutbound(uint32_t tunnel, uint32_t spi);
  Status RemoveInbound(uint32_t spi) { return tables_->sad.RemoveInbound(spi); }

  // Packets that got lost on the way, by reason, for people; empty if none was.
  std::string Losses() const;

 private:
  Site() = default;
  Status Build(Role role, const BenchOptions& options, const Suite& suite, uint16_t mtu);
  Status AddTunnel(Role role, uint32_t index);
  Result<std::unique_ptr<OutboundSa>> MakeOutbound(uint32_t tunnel, uint32_t spi);
  Status AddRoutes(Role role, const BenchOptions& options, uint32_t clear);
  Status AddWorkers(const BenchOptions& options, uint16_t mtu);

  const BenchOptions* options_ = nullptr;  // outlives the site
  const Suite* suite_ = nullptr;
  uint16_t inner_mtu_ = 0;
  uint32_t outer_hop_ = 0;
  Epoch epoch_;
  std::unique_ptr<GatewayTables> tables_;
  std::unique_ptr<Engine> engine_;  // makes keys
  std::vector<uint32_t> tunnels_;   // their ids
  std::vector<uint32_t> tunnel_hops_;
  std::vector<std::unique_ptr<OutboundSa>> outbound_;
  std::vector<std::unique_ptr<WorkerContext>> workers_;
  std::vector<std::unique_ptr<Pipeline>> pipelines_;
};

// The prefix of route `index`, and an address inside.
Prefix RoutePrefix(bool v6, uint32_t index);

}  // namespace penstock
