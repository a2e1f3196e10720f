#include "dataplane/stages/pipeline.h"

#include <rte_cycles.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "dataplane/stages/capture_hook.h"
#include "dataplane/stages/from_host.h"
#include "dataplane/stages/slow_path.h"
#include "dataplane/stages/stages.h"

namespace penstock {
namespace {

static_assert(kMaxPorts <= 32, "filled_outputs has a bit for each port");

// Runs a stage over its lane, unless that is empty, and counts what it did.
template <typename Run>
inline void Step(StageContext& context, Stage stage, unsigned packets, Run run) {
  if (packets == 0) {
    return;
  }
  StageCounters& counters = context.worker.counters.stages[static_cast<unsigned>(stage)];
  counters.packets.Add(packets);
  counters.bursts.Add(1);
  if (!context.measure) [[likely]] {
    run(context);
    return;
  }
  const uint64_t start = rte_rdtsc();
  run(context);
  counters.cycles.Add(rte_rdtsc() - start);
}

// Everything from esp and ip to the outputs and Linux: each packet once.
void RunOnce(StageContext& context) {
  const Spd& spd = context.tables.spd;
  Step(context, Stage::kInboundSa, context.esp.count, RunInboundSa);
  Step(context, Stage::kEspDecrypt, context.esp.count, RunEspDecrypt);
  Step(context, Stage::kRoute, context.ip.count, RunRoute);
  if (spd.HasInbound()) [[unlikely]] {
    Step(context, Stage::kInboundPolicy, context.ip.count, RunInboundPolicy);
  }
  if (spd.HasOutbound()) [[unlikely]] {
    Step(context, Stage::kOutboundPolicy, context.ip.count, RunOutboundPolicy);
  }
  Step(context, Stage::kRoute, context.ip.count, RunDispatch);
  Step(context, Stage::kEspEncrypt, context.tunnel.count, RunEspEncrypt);
  Step(context, Stage::kForward, context.forward.count, RunForward);
  Step(context, Stage::kPunt, context.punt.count, RunPunt);
}

// What the last turn left for a further one goes to the front. One lane at a time: each may be
// full.
bool Refill(StageContext& context) {
  if (!context.generated.empty()) {
    std::swap(context.ip, context.generated);
    return true;
  }
  if (!context.again.empty()) {
    std::swap(context.esp, context.again);
    return true;
  }
  return false;
}

void CountReceived(WorkerCounters& counters, uint16_t port, unsigned count, uint64_t bytes) {
  counters.received.Add(count);
  counters.bursts.Add(1);
  counters.burst_packets.Add(count);
  counters.ports[port].received_packets.Add(count);
  counters.ports[port].received_bytes.Add(bytes);
}

void OfferReceived(WorkerContext& worker, uint16_t port, Packet** packets, unsigned count) {
  if (Capture* capture = CaptureFor(worker, CapturePoint::kPort, port)) [[unlikely]] {
    for (unsigned i = 0; i < count; ++i) {
      NotesOf(packets[i]).input_port = port;
      OfferFrame(*capture, worker, packets[i], false, port);
    }
  }
}

unsigned PollInputs(Pipeline& pipeline) {
  WorkerContext& worker = pipeline.context().worker;
  unsigned handled = 0;
  Packet** packets = pipeline.context().received.packets;
  for (unsigned i = 0; i < worker.input_count; ++i) {
    const InputQueue& input = worker.inputs[i];
    unsigned count = 0;
    const auto receive = [&](StageContext&) {
      count = input.receive(input.context, input.port, input.queue, packets, kBurst);
    };
    Step(pipeline.context(), Stage::kReceive, 1, receive);
    if (count != 0) {
      pipeline.ProcessFrames(input.index, packets, count);
      handled += count;
    }
  }
  return handled;
}

unsigned PollHost(Pipeline& pipeline) {
  StageContext& context = pipeline.context();
  WorkerContext& worker = context.worker;
  if (worker.from_host == nullptr) {
    return 0;
  }
  void* taken[kBurst];
  const unsigned count = rte_ring_sc_dequeue_burst(worker.from_host, taken, kBurst, nullptr);
  Packet* inner[kBurst];
  unsigned inner_count = 0;
  for (unsigned i = 0; i < count; ++i) {
    auto* packet = static_cast<Packet*>(taken[i]);
    if (NotesOf(packet).input_tunnel != kNoTunnel) {
      inner[inner_count++] = packet;
    } else {
      worker.counters.from_host.Add(1);
      SendHostFrame(context, packet);
    }
  }
  if (inner_count != 0) {
    pipeline.ProcessInner(inner, inner_count);
  }
  return count;
}

}  // namespace

Pipeline::Pipeline(WorkerContext& worker, GatewayTables& tables, std::unique_ptr<Engine> engine,
                   void (*wake_host)(void*), void* wake_argument)
    : engine_(std::move(engine)),
      context_{worker, tables, *engine_},
      wake_host_(wake_host),
      wake_argument_(wake_argument) {
  context_.hold = MakeHoldQueue(tables.settings);
  context_.reassembly = MakeReassembly(tables.settings, worker.hertz);
  context_.sa_hold = MakeSaHold(tables.settings);
}

Pipeline::~Pipeline() {
  DropHeld(context_);
  DropHeldForSas(context_);
}

unsigned Pipeline::Poll() {
  context_.measure = context_.worker.measure_cycles.load(std::memory_order_relaxed);
  unsigned handled = PollInputs(*this);
  handled += PollHost(*this);
  // Each fills a lane that the next one's packets would overflow.
  if (ReleaseForOutboundSas(context_)) {
    handled += context_.tunnel.count;
    RunLanes();
  }
  if (ReleaseForInboundSas(context_)) {
    handled += context_.esp.count;
    RunLanes();
  }
  ReleaseHeld(context_);
  ExpireFragments(context_);
  handled += context_.forward.count + context_.generated.count;
  RunLanes();
  FlushOutputs();
  if (context_.wake_host && wake_host_ != nullptr) {
    wake_host_(wake_argument_);
  }
  context_.wake_host = false;
  return handled;
}

void Pipeline::ProcessFrames(uint16_t port, Packet** packets, unsigned count) {
  OfferReceived(context_.worker, port, packets, count);
  if (packets != context_.received.packets) {
    std::copy_n(packets, count, context_.received.packets);
  }
  context_.received.count = count;
  Step(context_, Stage::kClassify, count, [port, count](StageContext& context) {
    CountReceived(context.worker.counters, port, count, RunClassify(context, port));
  });
  RunLanes();
}

void Pipeline::ProcessInner(Packet** packets, unsigned count) {
  context_.worker.counters.from_host.Add(count);
  for (unsigned i = 0; i < count; ++i) {
    AcceptInner(context_, packets[i]);
  }
  RunLanes();
}

void Pipeline::RunLanes() {
  do {
    RunOnce(context_);
  } while (Refill(context_));
}

void Pipeline::FlushOutputs() {
  for (uint32_t ports = std::exchange(context_.filled_outputs, 0); ports != 0; ports &= ports - 1) {
    OutputQueue& output = context_.worker.outputs[std::countr_zero(ports)];
    Step(context_, Stage::kTransmit, output.count,
         [&output](StageContext& context) { FlushOutput(context.worker, output); });
  }
}

}  // namespace penstock
