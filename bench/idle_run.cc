#include "bench/idle_run.h"

#include <pthread.h>
#include <rte_cycles.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "bench/histogram.h"
#include "bench/traffic.h"
#include "dataplane/runtime/eal.h"

namespace penstock {
namespace {

constexpr auto kPauseBetweenPackets = std::chrono::milliseconds(4);
constexpr auto kPatience = std::chrono::seconds(10);
constexpr unsigned kSmallFrame = 64;

// A worker whose only input brings a packet now and then.
class IdleWorker {
 public:
  IdleWorker(Site& site, Packet* packet) : site_(site), packet_(packet) {
    WorkerContext& worker = site.worker(0);
    worker.inputs[0] = {.receive = Receive, .context = this, .index = kInputPort};
    worker.input_count = 1;
    OutputQueue& output = worker.outputs[kOutputPort];
    output.send = Send;
    output.context = this;
    output.up = true;
  }

  static int Main(void* argument) {
    auto& self = *static_cast<IdleWorker*>(argument);
    pthread_getcpuclockid(pthread_self(), &self.clock_);
    self.running_ = true;
    RunWorkerLoop(self.site_.worker(0), self.site_.tables().epoch, {.polling = Polling::kAdaptive},
                  self.stop_, -1, Pipeline::PollFunction, &self.site_.pipeline(0));
    return 0;
  }

  void Stop() { stop_ = true; }
  bool waiting() const { return !returned_; }  // for a packet that was posted
  bool running() const { return running_; }
  // Puts the packet into the input; false while the one before is still on its way.
  bool Post(const Traffic& traffic, uint64_t index) {
    if (!returned_.exchange(false, std::memory_order_acquire)) {
      return false;
    }
    traffic.Restore(packet_, index);
    posted_.store(rte_rdtsc(), std::memory_order_release);
    return true;
  }
  double ProcessorSeconds() const {
    timespec time = {};
    clock_gettime(clock_, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  }
  const Histogram& delays() const { return delays_; }  // once the worker has stopped

 private:
  static uint16_t Receive(void* context, uint16_t, uint16_t, Packet** packets, uint16_t) {
    auto& self = *static_cast<IdleWorker*>(context);
    const uint64_t posted = self.posted_.exchange(0, std::memory_order_acquire);
    if (posted == 0) {
      return 0;
    }
    self.delays_.Record(rte_rdtsc() - posted);
    packets[0] = self.packet_;
    return 1;
  }

  static uint16_t Send(void* context, uint16_t, uint16_t, Packet**, uint16_t count) {
    static_cast<IdleWorker*>(context)->returned_.store(true, std::memory_order_release);
    return count;
  }

  Site& site_;
  Packet* packet_;
  clockid_t clock_ = 0;
  std::atomic<bool> running_{false};
  std::atomic<bool> stop_{false};
  std::atomic<bool> returned_{true};
  std::atomic<uint64_t> posted_{0};  // when; 0: no packet waits
  Histogram delays_;
};

// Half of the time nothing comes; in the other half a packet after each pause.
void Watch(IdleWorker& worker, const BenchOptions& options, IdleCost& cost) {
  using Clock = std::chrono::steady_clock;
  const std::chrono::duration<double> half(options.seconds / 2);
  const auto start = Clock::now();
  const double before = worker.ProcessorSeconds();
  std::this_thread::sleep_for(half);
  const double used = worker.ProcessorSeconds() - before;
  cost.share = used / std::chrono::duration<double>(Clock::now() - start).count();
  const Traffic traffic(options, kSmallFrame + (options.inner_v6 ? 20 : 0));
  const auto middle = Clock::now();
  do {
    cost.packets += worker.Post(traffic, cost.packets) ? 1 : 0;
    std::this_thread::sleep_for(kPauseBetweenPackets);
  } while (Clock::now() - middle < half);
  for (const auto end = Clock::now(); worker.waiting() && Clock::now() - end < kPatience;) {
    std::this_thread::sleep_for(kPauseBetweenPackets);
  }
}

}  // namespace

Result<IdleCost> MeasureIdle(const BenchOptions& options, rte_mempool* pool) {
  Result<std::unique_ptr<Site>> site =
      Site::Make(Role::kEncrypts, options, *options.suites.front(), options.frames.front());
  if (!site) {
    return tl::unexpected<Error>(site.error());
  }
  Packet* packet = rte_pktmbuf_alloc(pool);
  if (packet == nullptr) {
    return Fail(Errc::kExhausted, "no packet buffer");
  }
  IdleWorker worker(**site, packet);
  if (Status status = LaunchWorker(0, IdleWorker::Main, &worker); !status) {
    return tl::unexpected<Error>(status.error());
  }
  while (!worker.running()) {
    std::this_thread::yield();
  }
  IdleCost cost;
  Watch(worker, options, cost);
  worker.Stop();
  WaitWorker(0);
  if (const std::string losses = (*site)->Losses(); !losses.empty()) {
    return Fail(Errc::kInternal, "packets were lost: {}", losses);
  }
  rte_pktmbuf_free(packet);
  const double scale = 1e6 / static_cast<double>(rte_get_tsc_hz());
  cost.delay_p50 = static_cast<double>(worker.delays().Quantile(0.5)) * scale;
  cost.delay_p99 = static_cast<double>(worker.delays().Quantile(0.99)) * scale;
  cost.delay_largest = static_cast<double>(worker.delays().largest()) * scale;
  return cost;
}

std::string TextOf(const IdleCost& cost) {
  return fmt::format(
      "idle worker: {:.2f} % of a core\n"
      "first packet after a pause: fetched after {:.1f} us (p50), {:.1f} us (p99), {:.1f} us "
      "(largest of {})\n",
      cost.share * 100, cost.delay_p50, cost.delay_p99, cost.delay_largest, cost.packets);
}

}  // namespace penstock
