#include "dataplane/control/worker_set.h"

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/runtime/eal.h"

namespace penstock {
namespace {

constexpr unsigned kHostRing = 512;  // packets to Linux and from Linux, each worker
constexpr unsigned kEventRing = 1024;
constexpr unsigned kPoolCache = 384;        // a worker's cache of free buffers may hold so many
constexpr unsigned kInFlight = 8 * kBurst;  // lanes and output bursts of one worker
constexpr unsigned kWaiting = 1536;         // held for neighbours, SAs or reassembly, each worker
constexpr unsigned kSpare = 1024;           // the host path's own, captures
constexpr unsigned kJumboBuffer = 16 * 1024;
constexpr unsigned kJumboBuffersPerWorker = 96;

}  // namespace

unsigned PacketBuffersFor(unsigned ports, unsigned descriptors, unsigned workers) {
  const unsigned devices = ports * descriptors * 2 * std::max(workers, 1u);
  const unsigned each_worker = 2 * kHostRing + kPoolCache + kInFlight + kWaiting;
  return devices + workers * each_worker + kSpare;
}

struct WorkerSet::Running {
  WorkerContext* worker = nullptr;
  Epoch* epoch = nullptr;
  WorkerLoopOptions options;
  const std::atomic<bool>* stop = nullptr;
  int wake_descriptor = -1;
  std::unique_ptr<Pipeline> pipeline;
};

Result<std::unique_ptr<WorkerSet>> WorkerSet::Make(const WorkerSetOptions& options) {
  std::unique_ptr<WorkerSet> set(new WorkerSet);
  set->options_ = options;
  const Result<rte_mempool*> pool =
      MakePacketPool("packets", options.packet_buffers, options.largest_frame, SOCKET_ID_ANY);
  if (!pool) {
    return tl::unexpected(pool.error());
  }
  set->pool_ = *pool;
  const Result<rte_mempool*> jumbo = MakePacketPool(
      "jumbo", kJumboBuffersPerWorker * options.workers + 32, kJumboBuffer, SOCKET_ID_ANY);
  if (!jumbo) {
    return tl::unexpected(jumbo.error());
  }
  set->jumbo_pool_ = *jumbo;
  const uint64_t hertz = rte_get_tsc_hz();
  for (unsigned id = 0; id < options.workers; ++id) {
    auto worker = std::make_unique<WorkerContext>();
    worker->id = id;
    worker->hertz = hertz;
    worker->pool = set->pool_;
    worker->jumbo_pool = set->jumbo_pool_;
    const uint32_t punt = options.settings.punt_packets_per_second;
    const uint32_t icmp = options.settings.icmp_errors_per_second;
    worker->punt_bucket = TokenBucket(punt, std::max(punt / 10, 64u), hertz);
    worker->icmp_bucket = TokenBucket(icmp, std::max(icmp / 10, 10u), hertz);
    if (const Status rings = MakeWorkerRings(*worker, kHostRing, kEventRing, SOCKET_ID_ANY);
        !rings) {
      return tl::unexpected(rings.error());
    }
    set->pointers_.push_back(worker.get());
    set->contexts_.push_back(std::move(worker));
  }
  return set;
}

WorkerSet::~WorkerSet() {
  Stop();
  for (const auto& worker : contexts_) {
    FreeWorkerRings(*worker);
  }
  contexts_.clear();
  rte_mempool_free(jumbo_pool_);
  rte_mempool_free(pool_);
}

void WorkerSet::AddPort(const Port& port) {
  for (uint16_t queue = 0; queue < port.receive_queues(); ++queue) {
    WorkerContext& worker = *contexts_[(port.index() + queue) % contexts_.size()];
    worker.inputs[worker.input_count++] = port.input(queue);
  }
  for (const auto& worker : contexts_) {
    worker->outputs[port.index()] = port.output(static_cast<uint16_t>(worker->id));
  }
}

void WorkerSet::SetPortUp(uint16_t port, bool up) {
  for (const auto& worker : contexts_) {
    worker->outputs[port].up = up;
  }
}

int WorkerSet::Run(void* argument) {
  auto* running = static_cast<Running*>(argument);
  RunWorkerLoop(*running->worker, *running->epoch, running->options, *running->stop,
                running->wake_descriptor, Pipeline::PollFunction, running->pipeline.get());
  return 0;
}

Status WorkerSet::Start(EventLoop& loop, GatewayTables& tables, HostPath* host_path,
                        std::function<void()> on_events) {
  wake_descriptor_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_descriptor_ < 0) {
    return Fail(Errc::kInternal, "eventfd: {}", std::strerror(errno));
  }
  const int descriptor = wake_descriptor_;
  wake_watch_ = loop.OnReadable(descriptor, [descriptor, on_events = std::move(on_events)] {
    uint64_t count = 0;
    (void)!read(descriptor, &count, sizeof(count));  // empty is fine: the events are in the rings
    on_events();
  });
  const auto wake = [](void* path) { static_cast<HostPath*>(path)->Wake(); };
  for (const auto& worker : contexts_) {
    Result<std::unique_ptr<Engine>> engine = MakeEngine(options_.engine);
    if (!engine) {
      return tl::unexpected(engine.error());
    }
    auto running = std::make_unique<Running>();
    running->worker = worker.get();
    running->epoch = &tables.epoch;
    running->options = options_.loop;
    running->stop = &stop_;
    running->wake_descriptor = wake_descriptor_;
    running->pipeline = std::make_unique<Pipeline>(
        *worker, tables, std::move(*engine), host_path != nullptr ? +wake : nullptr, host_path);
    if (const Status launched = LaunchWorker(worker->id, &Run, running.get()); !launched) {
      return launched;
    }
    running_.push_back(std::move(running));
  }
  return {};
}

void WorkerSet::Stop() {
  stop_.store(true);
  for (const auto& running : running_) {
    WaitWorker(running->worker->id);
  }
  running_.clear();  // pipelines drop what they hold
  wake_watch_.reset();
  if (wake_descriptor_ >= 0) {
    close(std::exchange(wake_descriptor_, -1));
  }
}

void WorkerSet::SetCycleCounting(bool on) {
  for (const auto& worker : contexts_) {
    worker->measure_cycles.store(on, std::memory_order_relaxed);
  }
}

unsigned WorkerSet::buffers_free() const { return rte_mempool_avail_count(pool_); }
unsigned WorkerSet::buffers() const { return pool_->size; }

}  // namespace penstock
