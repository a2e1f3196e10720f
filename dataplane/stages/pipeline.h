// The order of the stages: the packet's way, in one screen (see pipeline.cc).
#pragma once

#include <memory>

#include "dataplane/stages/context.h"

namespace penstock {

// One worker's pipeline. Everything runs on the worker's thread.
class Pipeline {
 public:
  // `wake_host` is called at most once a poll, when packets were queued to the host path; may be
  // null.
  Pipeline(WorkerContext& worker, GatewayTables& tables, std::unique_ptr<Engine> engine,
           void (*wake_host)(void*), void* wake_argument);
  ~Pipeline();  // drops what is still held, with reason shutdown

  // One turn: every input queue, what Linux sent, what waits. Returns how many packets were
  // handled.
  unsigned Poll();
  static unsigned PollFunction(void* pipeline) { return static_cast<Pipeline*>(pipeline)->Poll(); }

  // One burst of at most kBurst frames received on a port, through all stages; for Poll, tests and
  // the benchmark.
  void ProcessFrames(uint16_t port, Packet** packets, unsigned count);
  // IP packets that Linux sent into a tunnel's device, or that start inside; l3_offset is 0.
  void ProcessInner(Packet** packets, unsigned count);
  void FlushOutputs();

  StageContext& context() { return context_; }

 private:
  void RunLanes();
  std::unique_ptr<Engine> engine_;
  StageContext context_;
  void (*wake_host_)(void*);
  void* wake_argument_;
};

}  // namespace penstock
