// One worker core: the memory that only it writes, and the loop that polls its queues.
#pragma once

#include <rte_ring.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/packet/lane.h"
#include "dataplane/runtime/capture.h"
#include "dataplane/runtime/counters.h"
#include "dataplane/runtime/epoch.h"

namespace penstock {

// Something a worker noticed that the control thread acts on; small, sent by a ring.
struct WorkerEvent {
  enum class Kind : uint8_t {
    kSoftLifetime,       // slot: the SA
    kHardLifetime,       // slot: the SA
    kSequenceExhausted,  // slot: the SA
    kResolveNeighbor,    // next_hop: index of a forward or glean next hop; address: who to resolve
    kMappingChanged,     // slot; address, port: an authentic packet came from a new source
    kAcquire,            // tunnel or policy without SA: tunnel, packet's selectors
  };
  Kind kind;
  uint8_t protocol = 0;
  uint8_t has_ports = 0;     // acquire: source_port and destination_port are known
  uint16_t port = 0;         // source port, host order (mapping); port index (neighbour)
  uint16_t source_port = 0;  // acquire: of the packet, host order
  uint16_t destination_port = 0;
  uint32_t slot = 0;
  uint32_t tunnel = 0;
  uint32_t next_hop = 0;
  uint32_t policy = 0;
  IpAddress address{};      // neighbour, new peer address, or the packet's source (acquire)
  IpAddress destination{};  // of the packet (acquire)
};

// Where a worker's packets leave. `send` takes up to `count` packets of an array and returns how
// many it took, as rte_eth_tx_burst does; the benchmark puts a memory sink here.
struct OutputQueue {
  uint16_t (*send)(void* context, uint16_t port, uint16_t queue, Packet** packets,
                   uint16_t count) = nullptr;
  void* context = nullptr;
  uint16_t port = kNoPort;  // DPDK port id
  uint16_t queue = 0;
  uint16_t mtu = 1500;            // largest IP packet that the port sends
  bool up = false;                // link and administrative state, written by the control thread
  bool checksum_offload = false;  // the device computes IPv4 header checksums on transmit
  uint16_t count = 0;
  Packet* packets[kBurst];
};

struct InputQueue {
  uint16_t (*receive)(void* context, uint16_t port, uint16_t queue, Packet** packets,
                      uint16_t count) = nullptr;
  void* context = nullptr;
  uint16_t port = kNoPort;  // DPDK port id
  uint16_t queue = 0;
  uint16_t index = kNoPort;  // port index: ours
};

// A token bucket in TSC time, owned by one worker.
class TokenBucket {
 public:
  TokenBucket() = default;
  // `burst` tokens at once, `per_second` in the long run; `hertz` is the TSC's frequency.
  TokenBucket(uint64_t per_second, uint64_t burst, uint64_t hertz)
      : cost_(per_second == 0 ? UINT64_MAX : hertz / per_second), depth_(cost_ * burst) {}
  bool Take(uint64_t now) {
    const uint64_t level = now - empty_at_ > depth_ ? depth_ : now - empty_at_;
    if (level < cost_) {
      return false;
    }
    empty_at_ = now - level + cost_;
    return true;
  }

 private:
  uint64_t cost_ = 0;
  uint64_t depth_ = 0;
  uint64_t empty_at_ = 0;
};

enum class Polling : uint8_t { kAdaptive, kBusy };

// Everything of one worker that the stages use; no other thread writes it, but for `up` of an
// output and the rings' other ends.
struct WorkerContext {
  unsigned id = 0;     // 0, 1, ...: index of counters and epoch
  uint64_t now = 0;    // TSC at the start of this poll
  uint64_t hertz = 0;  // TSC frequency
  WorkerCounters counters;
  rte_mempool* pool = nullptr;        // for packets made here
  rte_mempool* jumbo_pool = nullptr;  // 16 KiB buffers: linearised jumbo frames
  InputQueue inputs[kMaxPorts];
  unsigned input_count = 0;
  OutputQueue outputs[kMaxPorts];  // by port index
  rte_ring* to_host = nullptr;     // packets for Linux; notes say by which device
  rte_ring* from_host = nullptr;   // packets from Linux; notes say from which device
  rte_ring* events = nullptr;      // WorkerEvent elements
  std::atomic<bool> event_pending{
      false};  // set when events were queued; loop wakes the control thread
  TokenBucket punt_bucket;
  TokenBucket icmp_bucket;
  std::atomic<bool> measure_cycles{false};
  std::atomic<Capture*> capture{nullptr};  // set by the control thread while somebody listens

  // Queues an event for the control thread. Never waits: when the ring is full the event is lost,
  // so what must not be missed also leaves a mark that the control thread finds by a scan (the soft
  // and hard flags of a Lifetime, the state of a next hop).
  void PushEvent(const WorkerEvent& event);
};
static_assert(sizeof(WorkerEvent) % 4 == 0, "rte_ring moves elements in words of four bytes");

// Creates the worker's three rings (sizes are powers of two); FreeWorkerRings frees them with the
// packets left inside. Control thread, while nobody uses them. Errors: no memory, or the rings of a
// worker with the same id exist.
Status MakeWorkerRings(WorkerContext& worker, unsigned packets, unsigned events, int socket);
void FreeWorkerRings(WorkerContext& worker);

// Control thread: takes one event; false when there is none.
bool PopEvent(WorkerContext& worker, WorkerEvent& event);

// Frees the packet (the whole chain) and counts it under `reason`, keeping what is known of it as
// the last drop. A null packet is counted only: there was no buffer for it.
void Drop(WorkerContext& worker, Packet* packet, DropReason reason);

// Sends what waits on the output; what the driver refuses is counted as transmit_full and freed.
void FlushOutput(WorkerContext& worker, OutputQueue& output);

// Puts a packet, complete with its link header, on a port's output; a full burst is sent.
inline void Transmit(WorkerContext& worker, OutputQueue& output, Packet* packet) {
  output.packets[output.count++] = packet;
  if (output.count == kBurst) {
    FlushOutput(worker, output);
  }
}

struct WorkerLoopOptions {
  Polling polling = Polling::kAdaptive;
  uint32_t idle_polls_before_sleep = 64;
  uint32_t sleep_microseconds = 200;  // longest sleep while idle
};

// Runs `poll` until `stop`: quiet points between bursts, sleeps when idle, wakes the control thread
// through `wake_descriptor` (an eventfd) after events. `poll` returns how many packets it handled.
void RunWorkerLoop(WorkerContext& worker, Epoch& epoch, const WorkerLoopOptions& options,
                   const std::atomic<bool>& stop, int wake_descriptor,
                   unsigned (*poll)(void* pipeline), void* pipeline);

}  // namespace penstock
