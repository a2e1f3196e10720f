#include "bench/port_run.h"

#include <pcap/pcap.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "bench/memory_run.h"
#include "bench/traffic.h"
#include "dataplane/runtime/eal.h"
#include "dataplane/runtime/port.h"

namespace penstock {
namespace {

constexpr auto kWindow = std::chrono::milliseconds(100);
constexpr double kWarmUpSeconds = 0.3;
constexpr double kPatienceSeconds = 5;
constexpr unsigned kOuterHeaders = 128;
constexpr int kSnapLength = 65535;

// A file that goes when the measurement is over.
class TemporaryFile {
 public:
  TemporaryFile() {
    char name[] = "/tmp/penstock-bench-XXXXXX";
    const int descriptor = mkstemp(name);
    if (descriptor >= 0) {
      close(descriptor);
      path_ = name;
    }
  }
  ~TemporaryFile() {
    if (!path_.empty()) {
      unlink(path_.c_str());
    }
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Status WritePcap(const std::string& path, const std::vector<std::vector<uint8_t>>& frames) {
  pcap_t* handle = pcap_open_dead(DLT_EN10MB, kSnapLength);
  pcap_dumper_t* dumper = handle == nullptr ? nullptr : pcap_dump_open(handle, path.c_str());
  if (dumper == nullptr) {
    const std::string reason = handle == nullptr ? "no memory" : pcap_geterr(handle);
    if (handle != nullptr) {
      pcap_close(handle);
    }
    return Fail(Errc::kPermission, "{}: not written: {}", path, reason);
  }
  for (const std::vector<uint8_t>& frame : frames) {
    pcap_pkthdr header = {};
    header.caplen = header.len = static_cast<bpf_u_int32>(frame.size());
    pcap_dump(reinterpret_cast<u_char*>(dumper), &header, frame.data());
  }
  const bool written = pcap_dump_flush(dumper) == 0;
  pcap_dump_close(dumper);
  pcap_close(handle);
  return written ? Status{} : Fail(Errc::kExhausted, "{}: not written completely", path);
}

Result<std::vector<std::vector<uint8_t>>> ClearFrames(const BenchOptions& options, unsigned frame,
                                                      rte_mempool* pool) {
  const Traffic traffic(options, frame);
  Packet* packet = rte_pktmbuf_alloc(pool);
  if (packet == nullptr) {
    return Fail(Errc::kExhausted, "no packet buffer");
  }
  std::vector<std::vector<uint8_t>> frames;
  for (uint32_t flow = 0; flow < options.flows; ++flow) {
    traffic.Restore(packet, flow);
    frames.emplace_back(DataAt(packet), DataAt(packet) + frame);
  }
  rte_pktmbuf_free(packet);
  return frames;
}

struct Ports {
  std::unique_ptr<Port> input;
  std::unique_ptr<Port> output;
};

Result<Ports> OpenPorts(const std::string& input, const BenchOptions& options, unsigned frame,
                        rte_mempool* pool) {
  const auto mtu = static_cast<uint16_t>(std::max(1500u, frame + kOuterHeaders));
  PortConfig in;
  in.name = "in";
  in.device = "pcap";
  for (unsigned i = 0; i < options.workers; ++i) {
    in.device += ",rx_pcap=" + input;
  }
  in.device += ",infinite_rx=1";
  in.queues = static_cast<uint16_t>(options.workers);
  in.mtu = mtu;
  PortConfig out;
  out.name = "out";
  out.device = "null,no-rx=1";
  out.mtu = mtu;
  Ports ports;
  Result<std::unique_ptr<Port>> opened = Port::Open(in, kInputPort, options.workers, pool);
  if (opened) {
    ports.input = std::move(*opened);
    opened = Port::Open(out, kOutputPort, options.workers, pool);
  }
  if (!opened) {
    return tl::unexpected<Error>(opened.error());
  }
  ports.output = std::move(*opened);
  return ports;
}

// One worker between its queues.
struct PortWorker {
  Site* site = nullptr;
  unsigned index = 0;
  bool io = false;
  const std::atomic<bool>* stop = nullptr;
  clockid_t clock = 0;  // of its thread's processor time
  std::atomic<bool> running{false};

  static int Main(void* argument) {
    auto& self = *static_cast<PortWorker*>(argument);
    pthread_getcpuclockid(pthread_self(), &self.clock);
    self.running = true;
    RunWorkerLoop(self.site->worker(self.index), self.site->tables().epoch,
                  {.polling = Polling::kBusy}, *self.stop, -1,
                  self.io ? PollIo : Pipeline::PollFunction,
                  self.io ? static_cast<void*>(&self) : &self.site->pipeline(self.index));
    return 0;
  }

  // From queue to queue, as dpdk-testpmd's io mode.
  static unsigned PollIo(void* argument) {
    auto& self = *static_cast<PortWorker*>(argument);
    WorkerContext& worker = self.site->worker(self.index);
    const InputQueue& input = worker.inputs[0];
    OutputQueue& output = worker.outputs[kOutputPort];
    output.count = input.receive(input.context, input.port, input.queue, output.packets, kBurst);
    const unsigned handled = output.count;
    FlushOutput(worker, output);
    return handled;
  }
};

// What all workers have done so far.
struct Work {
  uint64_t packets = 0;
  double seconds = 0;  // of processor time: what else ran on the core is not counted
};

Work WorkOf(const std::vector<PortWorker>& workers) {
  Work work;
  for (const PortWorker& worker : workers) {
    timespec time = {};
    clock_gettime(worker.clock, &time);
    work.seconds += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
    work.packets += worker.site->worker(worker.index).counters.sent.Read();
  }
  return work;
}

// Cycles per packet and worker of each window; adds to `packets`.
std::vector<double> Watch(const std::vector<PortWorker>& workers, double seconds,
                          uint64_t& packets) {
  const auto hertz = static_cast<double>(rte_get_tsc_hz());
  const uint64_t end = rte_rdtsc() + static_cast<uint64_t>(seconds * hertz);
  std::vector<double> samples;
  // On a crowded machine a worker may wait long for its core.
  const uint64_t last = end + static_cast<uint64_t>(kPatienceSeconds * hertz);
  Work before = WorkOf(workers);
  while (rte_rdtsc() < (samples.empty() ? last : end)) {
    std::this_thread::sleep_for(kWindow);
    const Work work = WorkOf(workers);
    if (work.packets != before.packets) {
      samples.push_back((work.seconds - before.seconds) * hertz /
                        static_cast<double>(work.packets - before.packets));
    }
    packets += work.packets - before.packets;
    before = work;
  }
  return samples;
}

void WatchStages(const std::vector<PortWorker>& workers, double seconds,
                 std::vector<StageCost>& costs) {
  for (const PortWorker& worker : workers) {
    worker.site->worker(worker.index).measure_cycles.store(true, std::memory_order_relaxed);
  }
  uint64_t packets = 0;
  Watch(workers, seconds, packets);
  for (unsigned stage = 0; stage < kStageCount && packets != 0; ++stage) {
    uint64_t cycles = 0;
    for (const PortWorker& worker : workers) {
      cycles += worker.site->worker(worker.index).counters.stages[stage].cycles.Read();
    }
    if (cycles != 0) {
      costs.push_back(
          {kStageNames[stage], static_cast<double>(cycles) / static_cast<double>(packets)});
    }
  }
}

void Measure(const std::vector<PortWorker>& workers, const BenchOptions& options,
             Measurement& measurement) {
  uint64_t ignored = 0;
  Watch(workers, kWarmUpSeconds, ignored);
  std::vector<double> samples = Watch(workers, options.seconds, measurement.packets);
  measurement.cycles = Quantile(samples, 0.5);
  measurement.cycles_low = Quantile(samples, 0.1);
  measurement.cycles_high = Quantile(samples, 0.9);
  if (options.stages && measurement.mode != BenchMode::kIo) {
    WatchStages(workers, options.seconds / 2, measurement.stages);
  }
}

// Starts the workers, watches them, stops them.
Status RunOnPorts(Site& site, const Ports& ports, const BenchOptions& options,
                  Measurement& measurement) {
  std::atomic<bool> stop{false};
  std::vector<PortWorker> workers(options.workers);
  unsigned launched = 0;
  Status status;
  for (; status && launched < options.workers; ++launched) {
    const auto queue = static_cast<uint16_t>(launched);
    WorkerContext& context = site.worker(launched);
    context.inputs[0] = ports.input->input(queue);
    context.input_count = 1;
    context.outputs[kOutputPort] = ports.output->output(queue);
    context.outputs[kOutputPort].up = true;
    PortWorker& worker = workers[launched];
    worker.site = &site;
    worker.index = launched;
    worker.io = measurement.mode == BenchMode::kIo;
    worker.stop = &stop;
    status = LaunchWorker(launched, PortWorker::Main, &worker);
    while (status && !worker.running) {
      std::this_thread::yield();
    }
  }
  if (status) {
    Measure(workers, options, measurement);
  }
  stop = true;
  for (unsigned i = 0; i < launched; ++i) {
    WaitWorker(i);
  }
  return status;
}

}  // namespace

Status WriteInputFile(BenchMode mode, const BenchOptions& options, const Suite& suite,
                      unsigned frame, rte_mempool* pool, const std::string& path) {
  const auto frames = mode == BenchMode::kDecap ? EncryptedFrames(options, suite, frame, pool)
                                                : ClearFrames(options, frame, pool);
  return frames ? WritePcap(path, *frames) : Status(tl::unexpected<Error>(frames.error()));
}

Result<Measurement> MeasureOnPorts(BenchMode mode, const BenchOptions& options, const Suite& suite,
                                   unsigned frame, rte_mempool* pool) {
  const TemporaryFile file;
  std::string input = options.input;
  Measurement measurement;
  measurement.mode = mode;
  measurement.suite = &suite;
  measurement.frame = frame;
  Status status;
  if (input.empty()) {
    input = file.path();
    status = WriteInputFile(mode, options, suite, frame, pool, input);
  }
  const Role role = mode == BenchMode::kDecap ? Role::kDecrypts : Role::kEncrypts;
  Result<std::unique_ptr<Site>> site = Site::Make(role, options, suite, frame);
  if (status && !site) {
    status = tl::unexpected<Error>(site.error());
  }
  if (status) {
    const Result<Ports> ports = OpenPorts(input, options, frame, pool);
    status = ports ? RunOnPorts(**site, *ports, options, measurement)
                   : Status(tl::unexpected<Error>(ports.error()));
  }
  if (status && measurement.packets == 0) {
    status = Fail(Errc::kInternal, "no packet came out; dropped: [{}]", (*site)->Losses());
  } else if (status && !(*site)->Losses().empty()) {
    status = Fail(Errc::kInternal, "packets were lost: {}", (*site)->Losses());
  }
  if (!status) {
    return tl::unexpected<Error>(status.error());
  }
  measurement.packets_per_second =
      static_cast<double>(rte_get_tsc_hz()) / measurement.cycles * options.workers;
  return measurement;
}

}  // namespace penstock
