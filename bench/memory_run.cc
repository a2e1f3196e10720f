#include "bench/memory_run.h"

#include <rte_cycles.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <random>
#include <ranges>

#include "bench/machine.h"
#include "bench/passage.h"
#include "bench/rate_search.h"
#include "bench/rekey.h"
#include "dataplane/runtime/eal.h"

namespace penstock {
namespace {

constexpr double kWarmUpShare = 0.2;

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
  double seconds;
  double rate = 0;  // packets that arrive each second; 0: they are always there

  std::vector<double> samples = {};  // cycles per packet of each batch
  std::vector<double> stage_samples[kStageCount] = {};
  uint64_t packets = 0;
  std::string failure = {};
  std::optional<Pace> pace = {};
  std::latch* finished = nullptr;
  std::atomic<uint64_t>* batches = nullptr;  // that were finished

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
    const auto length = static_cast<uint64_t>(seconds * static_cast<double>(rte_get_tsc_hz()));
    const uint64_t start = rte_rdtsc();
    const auto warm = start + static_cast<uint64_t>(kWarmUpShare * static_cast<double>(length));
    uint64_t series = worker * 7919;
    std::vector<Packet*> aside;
    std::mt19937 random(worker + 1);
    do {
      for (Packet* packet : batch) {
        traffic->Restore(packet, series++);
      }
      const bool counted = rte_rdtsc() >= warm;
      SwitchStages(encrypts, decrypts, counted && measure_stages);
      if (counted && rate > 0 && !pace) {
        pace.emplace(rate);
        (mode == BenchMode::kDecap ? *decrypts : encrypts).SetPace(&*pace);
      }
      uint64_t cycles = encrypts.Run(batch);
      if (mode == BenchMode::kDecap) {
        cycles = 0;
      }
      if (decrypts && batch.size() == options->batch) {
        Disturb(batch, aside, random);
        cycles += decrypts->Run(batch);
      }
      batch.insert(batch.end(), aside.begin(), aside.end());
      aside.clear();
      if (batch.size() != options->batch) {
        failure = "packets were lost";
        return;
      }
      batches->fetch_add(1, std::memory_order_release);
      if (counted && measure_stages) {
        SampleStages(encrypts, decrypts);
      }
      if (counted) {
        samples.push_back(static_cast<double>(cycles) / options->batch);
        packets += options->batch;
      }
    } while (rte_rdtsc() - start < length);
  }

  // What a network does to ESP packets: some are lost, neighbours change places.
  void Disturb(std::vector<Packet*>& batch, std::vector<Packet*>& aside,
               std::mt19937& random) const {
    if (options->lose > 0) {
      std::bernoulli_distribution loses(options->lose);
      std::erase_if(batch, [&](Packet* packet) {
        const bool lost = loses(random);
        if (lost) {
          aside.push_back(packet);
        }
        return lost;
      });
    }
    const auto block = static_cast<ptrdiff_t>(options->reorder);
    for (auto from = batch.begin(); block != 0 && from != batch.end();) {
      const auto to = from + std::min(block, batch.end() - from);
      std::shuffle(from, to, random);
      from = to;
    }
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

Status ReplaceSas(const WorkerRun& pattern, const std::vector<std::atomic<uint64_t>>& batches,
                  const std::latch& finished, double& per_second) {
  RekeyStorm storm(*pattern.gateways->encrypts, pattern.gateways->decrypts.get(),
                   pattern.options->rekeys, [&batches] {
                     const auto read = [](const auto& count) { return count.load(); };
                     return RekeyStorm::Progress{
                         std::ranges::min(batches | std::views::transform(read)),
                         std::ranges::max(batches | std::views::transform(read))};
                   });
  const Status status = storm.Run([&finished] { return finished.try_wait(); });
  per_second = storm.per_second();
  return status;
}

// Runs all workers at the same time and joins them; SAs are replaced meanwhile if `rekeys` is
// given.
Result<std::vector<WorkerRun>> RunWorkers(const WorkerRun& pattern, double* rekeys = nullptr) {
  std::vector<WorkerRun> runs(pattern.options->workers, pattern);
  std::latch finished(static_cast<ptrdiff_t>(runs.size()));
  std::vector<std::atomic<uint64_t>> batches(runs.size());
  for (unsigned i = 0; i < runs.size(); ++i) {
    runs[i].worker = i;
    runs[i].finished = &finished;
    runs[i].batches = &batches[i];
    if (Status status = LaunchWorker(i, WorkerRun::Main, &runs[i]); !status) {
      return tl::unexpected<Error>(status.error());
    }
  }
  Status replaced;
  if (rekeys != nullptr) {
    replaced = ReplaceSas(pattern, batches, finished, *rekeys);
  }
  finished.wait();  // asleep: DPDK's own way to wait spins, next to the worker that is measured
  for (unsigned i = 0; i < runs.size(); ++i) {
    WaitWorker(i);
  }
  if (!replaced) {
    return tl::unexpected<Error>(replaced.error());
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

// A trial of the search: the share of packets that the workers' rings lost.
struct Offered {
  double loss = 1;
  Histogram latency;
};

Result<Offered> Offer(WorkerRun pattern, double rate, double seconds) {
  pattern.rate = rate / pattern.options->workers;
  pattern.seconds = seconds / (1 - kWarmUpShare);
  const Result<std::vector<WorkerRun>> runs = RunWorkers(pattern);
  if (!runs) {
    return tl::unexpected<Error>(runs.error());
  }
  Offered offered;
  uint64_t taken = 0;
  uint64_t lost = 0;
  for (const WorkerRun& run : *runs) {
    if (run.pace) {
      taken += run.pace->taken();
      lost += run.pace->lost();
      offered.latency.Add(run.pace->latency());
    }
  }
  if (taken != 0) {
    offered.loss = static_cast<double>(lost) / static_cast<double>(taken + lost);
  }
  return offered;
}

SearchResult::Latency LatencyOf(double load, const Histogram& cycles) {
  const double scale = 1e6 / static_cast<double>(rte_get_tsc_hz());
  const auto at = [&](double share) { return static_cast<double>(cycles.Quantile(share)) * scale; };
  return {load,     at(0.5),   at(0.9),
          at(0.99), at(0.999), static_cast<double>(cycles.largest()) * scale};
}

Result<SearchResult> Search(const WorkerRun& pattern, double highest) {
  SearchResult found;
  Status status;
  const RateTrial trial = [&](double rate, double seconds) {
    Result<Offered> offered = Offer(pattern, rate, seconds);
    if (!offered) {
      status = tl::unexpected<Error>(offered.error());
      return 1.0;
    }
    return offered->loss;
  };
  const double seconds = pattern.options->seconds / 4;
  found.ndr = SearchRate(highest, {.loss = 0, .seconds = seconds}, trial);
  found.pdr = SearchRate(highest, {.loss = pattern.options->tolerance, .seconds = seconds}, trial);
  for (const double load : {0.1, 0.5, 0.9}) {
    if (found.pdr == 0 || !status) {
      break;
    }
    const Result<Offered> offered = Offer(pattern, found.pdr * load, seconds);
    if (!offered) {
      return tl::unexpected<Error>(offered.error());
    }
    found.latencies.push_back(LatencyOf(load, offered->latency));
  }
  if (!status) {
    return tl::unexpected<Error>(status.error());
  }
  return found;
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
  const uint64_t bytes_before = ResidentBytes();
  Result<Gateways> gateways = MakeGateways(mode, options, suite, frame);
  if (!gateways) {
    return tl::unexpected<Error>(gateways.error());
  }
  Measurement measurement;
  const uint64_t bytes_after = ResidentBytes();
  measurement.site_bytes = bytes_after > bytes_before ? bytes_after - bytes_before : 0;
  const Traffic traffic(options, frame);
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
                             .seconds = options.seconds,
                             .failure = {}};
  Result<std::vector<WorkerRun>> runs =
      RunWorkers(pattern, options.rekeys > 0 ? &measurement.rekeys_per_second : nullptr);
  if (!runs) {
    return tl::unexpected<Error>(runs.error());
  }
  Summarize(*runs, measurement);
  if (options.search) {
    Result<SearchResult> search = Search(pattern, 1.2 * measurement.packets_per_second);
    if (!search) {
      return tl::unexpected<Error>(search.error());
    }
    measurement.search = std::move(*search);
  }
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
