// What every stage is given: the worker's own memory, the shared tables, and the lanes between
// stages.
#pragma once

#include <rte_ip_frag.h>

#include <atomic>
#include <memory>
#include <optional>

#include "dataplane/crypto/engine.h"
#include "dataplane/ipsec/sad.h"
#include "dataplane/ipsec/spd.h"
#include "dataplane/ipsec/tunnel.h"
#include "dataplane/packet/lane.h"
#include "dataplane/route/fib.h"
#include "dataplane/route/next_hop.h"
#include "dataplane/runtime/worker.h"

namespace penstock {

// What the stages know of a port, by port index. Written by the control thread; addresses are
// replaced whole by storing the `valid` byte last and clearing it first.
struct alignas(kCacheLine) PortInfo {
  uint8_t mac[6];
  std::atomic<uint8_t> in_use;
  std::atomic<uint8_t> has_v4, has_v6;
  std::atomic<uint8_t>
      any_mac;                // take frames for other stations too (no MAC of its own: pcap, null)
  uint8_t icmp_source_v4[4];  // the port's own first address, source of ICMP errors
  uint8_t icmp_source_v6[16];
};

struct GatewaySettings {
  // UDP ports on which ESP in UDP is expected, host order; the first is 4500.
  uint16_t encapsulation_ports[4] = {kPortNatT, 0, 0, 0};
  uint16_t ike_ports[4] = {kPortIke, 0, 0, 0};  // of IKE without ESP
  uint32_t icmp_errors_per_second = 1000;       // per worker
  uint32_t punt_packets_per_second =
      20000;                             // per worker: of IKE, of BGP and the like, and of the rest
  uint32_t reassembly_datagrams = 1024;  // per worker
  uint32_t reassembly_milliseconds = 2000;
  uint32_t hold_packets = 256;  // per worker: waiting for neighbours
  uint32_t hold_milliseconds = 1000;
  // Per worker, each: packets that wait for an outbound SA, and ESP whose inbound SA is negotiated.
  uint32_t sa_hold_packets = 256;
  uint32_t sa_hold_packets_of_tunnel = 64;
  uint32_t acquire_milliseconds = 10'000;  // as long as a slow negotiation
  uint32_t awaited_milliseconds = 5000;    // how late our own IKE daemon may be
};

// Shared by all workers; owned by the control side, outlives them.
struct GatewayTables {
  explicit GatewayTables(Epoch& shared_epoch)
      : epoch(shared_epoch),
        sad(shared_epoch),
        tunnels(shared_epoch),
        spd(shared_epoch),
        fib(shared_epoch),
        next_hops(shared_epoch) {}
  Epoch& epoch;
  Sad sad;
  TunnelTable tunnels;
  Spd spd;
  Fib fib;
  NextHopTable next_hops;
  PortInfo ports[kMaxPorts] = {};
  GatewaySettings settings;  // before workers start
};

// When an acquire was last told.
struct AcquireSeen {
  uint64_t key = 0;
  uint64_t tsc = 0;
};

struct HoldQueue;
struct Reassembly;
struct SaHold;

// One worker's pipeline state. Lanes hold packets only while the pipeline runs; `again` and
// `generated` are drained within the same poll.
struct StageContext {
  WorkerContext& worker;
  GatewayTables& tables;
  Engine& engine;

  // Lanes, named after what waits on them.
  Lane received{};   // complete frames of one input
  Lane esp{};        // ESP candidates: esp_offset and l3 notes set
  Lane ip{};         // to be routed: notes describe the (inner) IP packet
  Lane tunnel{};     // next hop is a tunnel
  Lane forward{};    // next hop is a port; the IP packet starts at l3_offset
  Lane punt{};       // for Linux
  Lane again{};      // ESP inside ESP, reassembled ESP: a further pass in this poll
  Lane generated{};  // ICMP errors and the like: complete IP packets at l3_offset, from ourselves

  Job jobs[kBurst] = {};
  std::unique_ptr<HoldQueue, void (*)(HoldQueue*)> hold{nullptr, nullptr};
  std::unique_ptr<Reassembly, void (*)(Reassembly*)> reassembly{nullptr, nullptr};
  std::unique_ptr<SaHold, void (*)(SaHold*)> sa_hold{nullptr, nullptr};
  std::optional<TokenBucket> punt_control_bucket{};  // see punt.cc
  std::optional<TokenBucket> punt_ike_bucket{};
  uint32_t next_identification = 0;  // of IPv6 packets that we fragment
  AcquireSeen acquires[64] = {};
  uint32_t filled_outputs = 0;  // bit i: port i's output may hold packets
  bool measure = false;         // count cycles in this poll
  bool wake_host = false;       // packets were queued to the host path in this poll
};

inline void DropPacket(StageContext& context, Packet* packet, DropReason reason) {
  Drop(context.worker, packet, reason);
}

}  // namespace penstock
