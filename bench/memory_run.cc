#include "bench/memory_run.h"

#include <rte_cycles.h>

#include <algorithm>
#include <atomic>
#include <latch>

#include "dataplane/runtime/eal.h"

namespace penstock {
namespace {

constexpr double kWarmUpShare = 0.2;

// An input queue over an array of packets.
struct Feed {
  Packet** packets = nullptr;
  unsigned count = 0;
  unsigned next = 0;
  unsigned burst = 0;

  static uint16_t Receive(void* context, uint16_t, uint16_t, Packet** packets, uint16_t count) {
    auto& feed = *static_cast<Feed*>(context);
    const unsigned taken = std::min({unsigned{count}, feed.burst, feed.count - feed.next});
    std::copy_n(feed.packets + feed.next, taken, packets);
    feed.next += taken;
    return static_cast<uint16_t>(taken);
  }
};

// An output queue that keeps the packets.
struct Sink {
  std::vector<Packet*> packets;
  unsigned count = 0;

  static uint16_t Send(void* context, uint16_t, uint16_t, Packet** packets, uint16_t count) {
    auto& sink = *static_cast<Sink*>(context);
    std::copy_n(packets, count, sink.packets.data() + sink.count);
    sink.count += count;
    return count;
  }
};

// One gateway's share of a batch, run by the appliance's own worker loop.
class Passage {
 public:
  Passage(Site& site, unsigned worker, unsigned batch, unsigned burst)
      : epoch_(site.tables().epoch),
        worker_(site.worker(worker)),
        pipeline_(site.pipeline(worker)) {
    feed_.burst = burst;
    sink_.packets.resize(batch);
    worker_.inputs[0] = {.receive = Feed::Receive, .context = &feed_, .index = kInputPort};
    worker_.input_count = 1;
    OutputQueue& output = worker_.outputs[kOutputPort];
    output.send = Sink::Send;
    output.context = &sink_;
    output.up = true;
  }

  // Takes all packets through; TSC cycles from the first poll to the end of the last. The packets
  // that came out are in `packets` afterwards.
  uint64_t Run(std::vector<Packet*>& packets) {
    for (unsigned stage = 0; stage < kStageCount; ++stage) {
      stages_before_[stage] = worker_.counters.stages[stage].cycles.Read();
    }
    feed_.packets = packets.data();
    feed_.count = static_cast<unsigned>(packets.size());
    feed_.next = 0;
    sink_.count = 0;
    start_ = 0;
    stop_.store(false, std::memory_order_relaxed);
    RunWorkerLoop(worker_, epoch_, {.polling = Polling::kBusy}, stop_, -1, Poll, this);
    std::swap(packets, sink_.packets);
    packets.resize(sink_.count);
    sink_.packets.resize(packets.capacity());
    return end_ - start_;
  }

  // Cycles of a stage in the last run; 0 unless they are being counted.
  uint64_t StageCycles(unsigned stage) const {
    return worker_.counters.stages[stage].cycles.Read() - stages_before_[stage];
  }
  WorkerContext& worker() { return worker_; }

 private:
  static unsigned Poll(void* passage) {
    auto& self = *static_cast<Passage*>(passage);
    if (self.start_ == 0) {
      self.start_ = rte_rdtsc();
    }
    const unsigned handled = self.pipeline_.Poll();
    if (self.feed_.next == self.feed_.count) {
      self.end_ = rte_rdtsc();
      self.stop_.store(true, std::memory_order_relaxed);
    }
    return handled;
  }

  Epoch& epoch_;
  WorkerContext& worker_;
  Pipeline& pipeline_;
  Feed feed_;
  Sink sink_;
  uint64_t start_ = 0;
  uint64_t end_ = 0;
  uint64_t stages_before_[kStageCount] = {};
  std::atomic<bool> stop_{false};
};

struct Gateways {
  std::unique_ptr<Site> encrypts;
  std::unique_ptr<Site> decrypts;  // null unless the mode needs it
};

// What one worker does, on its own core.
struct WorkerRun {
  BenchMode mode;
  const BenchOptions* options;
  const Traffic* traffic;
  Gateways* gateways;
  rte_mempool* pool;
  unsigned worker;
  bool measure_stages;

  std::vector<double> samples = {};  // cycles per packet of each batch
  std::vector<double> stage_samples[kStageCount] = {};
  uint64_t packets = 0;
  std::string failure = {};
  std::latch* finished = nullptr;

  static int Main(void* run) {
    auto& self = *static_cast<WorkerRun*>(run);
    self.Go();
    self.finished->count_down();
    return 0;
  }

  void Go() {
    std::vector<Packet*> packets_in_flight(options->batch);
    if (rte_pktmbuf_alloc_bulk(pool, packets_in_flight.data(), options->batch) != 0) {
      failure = "not enough packet buffers; lower --batch";
      return;
    }
    Loop(packets_in_flight);
    rte_pktmbuf_free_bulk(packets_in_flight.data(),
                          static_cast<unsigned>(packets_in_flight.size()));
  }

  void Loop(std::vector<Packet*>& batch) {
    Passage encrypts(*gateways->encrypts, worker, options->batch, options->burst);
    std::optional<Passage> decrypts;
    if (gateways->decrypts != nullptr) {
      decrypts.emplace(*gateways->decrypts, worker, options->batch, options->burst);
    }
    const auto length =
        static_cast<uint64_t>(options->seconds * static_cast<double>(rte_get_tsc_hz()));
    const uint64_t start = rte_rdtsc();
    const auto warm = start + static_cast<uint64_t>(kWarmUpShare * static_cast<double>(length));
    uint64_t series = worker * 7919;
    do {
      for (Packet* packet : batch) {
        traffic->Restore(packet, series++);
      }
      const bool counted = rte_rdtsc() >= warm;
      SwitchStages(encrypts, decrypts, counted && measure_stages);
      uint64_t cycles = encrypts.Run(batch);
      if (mode == BenchMode::kDecap) {
        cycles = 0;
      }
      if (decrypts && batch.size() == options->batch) {
        cycles += decrypts->Run(batch);
      }
      if (batch.size() != options->batch) {
        failure = "packets were lost";
        return;
      }
      if (counted && measure_stages) {
        SampleStages(encrypts, decrypts);
      }
      if (counted) {
        samples.push_back(static_cast<double>(cycles) / options->batch);
        packets += options->batch;
      }
    } while (rte_rdtsc() - start < length);
  }

  void SampleStages(const Passage& encrypts, const std::optional<Passage>& decrypts) {
    for (unsigned stage = 0; stage < kStageCount; ++stage) {
      uint64_t cycles = mode == BenchMode::kDecap ? 0 : encrypts.StageCycles(stage);
      cycles += decrypts ? decrypts->StageCycles(stage) : 0;
      stage_samples[stage].push_back(static_cast<double>(cycles) / options->batch);
    }
  }

  static void SwitchStages(Passage& encrypts, std::optional<Passage>& decrypts, bool on) {
    encrypts.worker().measure_cycles.store(on, std::memory_order_relaxed);
    if (decrypts) {
      decrypts->worker().measure_cycles.store(on, std::memory_order_relaxed);
    }
  }
};

Result<Gateways> MakeGateways(BenchMode mode, const BenchOptions& options, const Suite& suite,
                              unsigned frame) {
  Gateways gateways;
  for (const Role role : {Role::kEncrypts, Role::kDecrypts}) {
    if (role == Role::kDecrypts && mode == BenchMode::kEncap) {
      break;
    }
    Result<std::unique_ptr<Site>> site = Site::Make(role, options, suite, frame);
    if (!site) {
      return tl::unexpected<Error>(site.error());
    }
    (role == Role::kEncrypts ? gateways.encrypts : gateways.decrypts) = std::move(*site);
  }
  return gateways;
}

// Runs all workers at the same time and joins them.
Result<std::vector<WorkerRun>> RunWorkers(const WorkerRun& pattern) {
  std::vector<WorkerRun> runs(pattern.options->workers, pattern);
  std::latch finished(static_cast<ptrdiff_t>(runs.size()));
  for (unsigned i = 0; i < runs.size(); ++i) {
    runs[i].worker = i;
    runs[i].finished = &finished;
    if (Status status = LaunchWorker(i, WorkerRun::Main, &runs[i]); !status) {
      return tl::unexpected<Error>(status.error());
    }
  }
  finished.wait();  // asleep: DPDK's own way to wait spins, next to the worker that is measured
  for (unsigned i = 0; i < runs.size(); ++i) {
    WaitWorker(i);
  }
  for (const WorkerRun& run : runs) {
    if (!run.failure.empty()) {
      std::string losses = run.gateways->encrypts->Losses();
      if (run.gateways->decrypts != nullptr) {
        losses += run.gateways->decrypts->Losses();
      }
      return Fail(Errc::kInternal, "worker {}: {}{}{}", run.worker, run.failure,
                  losses.empty() ? "" : ": ", losses);
    }
  }
  return runs;
}

// Medians over batches, as for the whole path; the mean of the workers.
Status MeasureStages(WorkerRun pattern, std::vector<StageCost>& costs) {
  pattern.measure_stages = true;
  Result<std::vector<WorkerRun>> runs = RunWorkers(pattern);
  if (!runs) {
    return tl::unexpected<Error>(runs.error());
  }
  for (unsigned stage = 0; stage < kStageCount; ++stage) {
    StageCost cost{kStageNames[stage], 0};
    for (WorkerRun& run : *runs) {
      cost.cycles +=
          Quantile(run.stage_samples[stage], 0.5) / static_cast<double>(pattern.options->workers);
    }
    if (cost.cycles > 0) {
      costs.push_back(cost);
    }
  }
  return {};
}

void Summarize(std::vector<WorkerRun>& runs, Measurement& measurement) {
  const auto workers = static_cast<double>(runs.size());
  for (WorkerRun& run : runs) {
    measurement.packets += run.packets;
    const double median = Quantile(run.samples, 0.5);
    measurement.cycles += median / workers;
    measurement.cycles_low += Quantile(run.samples, 0.1) / workers;
    measurement.cycles_high += Quantile(run.samples, 0.9) / workers;
    measurement.packets_per_second += static_cast<double>(rte_get_tsc_hz()) / median;
  }
}

}  // namespace

double Quantile(std::vector<double>& samples, double share) {
  if (samples.empty()) {
    return 0;
  }
  const auto at =
      samples.begin() + static_cast<ptrdiff_t>(share * static_cast<double>(samples.size() - 1));
  std::nth_element(samples.begin(), at, samples.end());
  return *at;
}

Result<Measurement> MeasureInMemory(BenchMode mode, const BenchOptions& options, const Suite& suite,
                                    unsigned frame, rte_mempool* pool) {
  Result<Gateways> gateways = MakeGateways(mode, options, suite, frame);
  if (!gateways) {
    return tl::unexpected<Error>(gateways.error());
  }
  const Traffic traffic(options, frame);
  Measurement measurement;
  measurement.mode = mode;
  measurement.suite = &suite;
  measurement.frame = frame;
  const WorkerRun pattern = {.mode = mode,
                             .options = &options,
                             .traffic = &traffic,
                             .gateways = &*gateways,
                             .pool = pool,
                             .worker = 0,
                             .measure_stages = false,
                             .failure = {}};
  Result<std::vector<WorkerRun>> runs = RunWorkers(pattern);
  if (!runs) {
    return tl::unexpected<Error>(runs.error());
  }
  Summarize(*runs, measurement);
  if (options.stages) {
    if (Status status = MeasureStages(pattern, measurement.stages); !status) {
      return tl::unexpected<Error>(status.error());
    }
  }
  return measurement;
}

Result<std::vector<std::vector<uint8_t>>> EncryptedFrames(const BenchOptions& options,
                                                          const Suite& suite, unsigned frame,
                                                          rte_mempool* pool) {
  Result<Gateways> gateways = MakeGateways(BenchMode::kEncap, options, suite, frame);
  if (!gateways) {
    return tl::unexpected<Error>(gateways.error());
  }
  const Traffic traffic(options, frame);
  Passage encrypts(*gateways->encrypts, 0, 1, 1);
  std::vector<std::vector<uint8_t>> frames;
  std::vector<Packet*> packets(1);
  if (rte_pktmbuf_alloc_bulk(pool, packets.data(), 1) != 0) {
    return Fail(Errc::kExhausted, "no packet buffer");
  }
  for (uint32_t flow = 0; flow < options.flows; ++flow) {
    traffic.Restore(packets[0], flow);
    encrypts.Run(packets);
    if (packets.empty()) {
      return Fail(Errc::kInternal, "flow {} was not encrypted: {}", flow,
                  gateways->encrypts->Losses());
    }
    const uint8_t* data = DataAt(packets[0]);
    frames.emplace_back(data, data + packets[0]->data_len);
  }
  rte_pktmbuf_free(packets[0]);
  return frames;
}

}  // namespace penstock
