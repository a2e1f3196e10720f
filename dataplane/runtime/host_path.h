// The host-path thread: moves packets between the workers' rings and the mirror and tunnel devices.
//
// It is the only thread that reads or writes these devices. A flood towards Linux ends at the
// worker's token bucket or at a full ring; the workers never wait for this thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/runtime/host_device.h"
#include "dataplane/runtime/worker.h"

namespace penstock {

// What the notes of a packet on the rings mean.
//   to_host: input_tunnel != kNoTunnel: that tunnel's TUN device, from l3_offset on; else the
//   mirror
//     device of input_port, the whole frame from the start of the data.
//   from_host: TAP of a port: notes.output_port = port index, the whole frame is to be sent there
//   as it is.
//     TUN of a tunnel: notes.input_tunnel = id, data starts at the IP header; flags has
//     kPacketFromHost.
struct HostPathCounters {
  Counter written;       // packets given to Linux
  Counter write_failed;  // counted as drops host_write_failed
  Counter read;          // packets taken from Linux
  Counter
      ring_full;  // taken from Linux, but the worker's ring was full: dropped here (transmit_full)
};

class HostPath {
 public:
  static Result<std::unique_ptr<HostPath>> Start(std::vector<WorkerContext*> workers,
                                                 rte_mempool* pool);
  virtual ~HostPath() = default;  // stops and joins the thread; frees what is queued
  // Control thread. The devices stay the caller's and must outlive their registration; Remove waits
  // until the thread no longer uses them.
  virtual Status AddPort(uint16_t port, const HostDevice& device) = 0;
  virtual Status AddTunnel(uint32_t tunnel, const HostDevice& device) = 0;
  virtual void RemovePort(uint16_t port) = 0;
  virtual void RemoveTunnel(uint32_t tunnel) = 0;
  // Called on the thread with each BFD control packet of a tunnel, from its IP header on; null: no
  // more, and no call is under way when this returns.
  using BfdObserver =
      std::function<void(uint32_t tunnel, bool from_host, std::span<const uint8_t> ip)>;
  virtual void ObserveBfd(BfdObserver observer) = 0;
  virtual const HostPathCounters& counters() const = 0;
  // Wakes the thread; a worker calls it (at most once a poll) after it queued packets.
  virtual void Wake() = 0;
};

}  // namespace penstock
