// The workers: their packet memory, contexts, pipelines and threads.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/event_loop.h"
#include "dataplane/crypto/engine.h"
#include "dataplane/runtime/host_path.h"
#include "dataplane/runtime/port.h"
#include "dataplane/runtime/worker.h"
#include "dataplane/stages/pipeline.h"

namespace penstock {

// Buffers for `ports` ports with `descriptors` each way and `workers` queues: what the devices, the
// rings to and from Linux, the pools' caches and the waiting queues can hold at once, and room to
// move.
unsigned PacketBuffersFor(unsigned ports, unsigned descriptors, unsigned workers);

struct WorkerSetOptions {
  unsigned workers = 1;
  unsigned packet_buffers = 8192;
  unsigned largest_frame = 1518;
  EngineChoice engine = EngineChoice::kAuto;
  GatewaySettings settings;
  WorkerLoopOptions loop;
};

// Control thread only.
class WorkerSet {
 public:
  // Pools and contexts; nothing runs yet. The EAL is up. Errors: too little memory.
  static Result<std::unique_ptr<WorkerSet>> Make(const WorkerSetOptions& options);
  ~WorkerSet();  // stops first
  WorkerSet(const WorkerSet&) = delete;
  WorkerSet& operator=(const WorkerSet&) = delete;

  const std::vector<WorkerContext*>& contexts() const { return pointers_; }
  rte_mempool* pool() const { return pool_; }
  // Gives the port's queues to the workers, in turn.
  void AddPort(const Port& port);
  void SetPortUp(uint16_t port, bool up);
  // Pipelines and threads. `on_events` runs on the loop when a worker has queued events.
  Status Start(EventLoop& loop, GatewayTables& tables, HostPath* host_path,
               std::function<void()> on_events);
  void Stop();
  void SetCycleCounting(bool on);

  unsigned buffers_free() const;
  unsigned buffers() const;

 private:
  struct Running;
  WorkerSet() = default;
  static int Run(void* running);

  WorkerSetOptions options_;
  std::vector<std::unique_ptr<WorkerContext>> contexts_;
  std::vector<WorkerContext*> pointers_;
  std::vector<std::unique_ptr<Running>> running_;
  rte_mempool* pool_ = nullptr;
  rte_mempool* jumbo_pool_ = nullptr;
  std::atomic<bool> stop_{false};
  int wake_descriptor_ = -1;
  EventLoop::Handle wake_watch_;
};

}  // namespace penstock
