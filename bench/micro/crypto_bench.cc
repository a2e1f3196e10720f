// Cycles per packet of the crypto engines, bursts of 64 in cache. "cycles" is the median over
// bursts and counts the time stamp counter, whose rate is the processor's nominal one, not the one
// that it happens to run at.
//
//   crypto_bench --benchmark_filter=aes-gcm --benchmark_repetitions=5
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "dataplane/crypto/engine.h"
#include "dataplane/crypto/imb_engine.h"
#include "dataplane/crypto/imb_key.h"
#include "dataplane/crypto/imb_library.h"
#include "dataplane/crypto/openssl_engine.h"

namespace penstock {
namespace {

constexpr size_t kBurst = 64;
// As packet buffers lie: not at multiples of the cache's ways.
constexpr size_t kStride = 2368;
constexpr size_t kOffset = 64 + 34;  // ESP behind Ethernet and IPv4, as in a packet buffer
constexpr int64_t kSizes[] = {64, 256, 512, 1024, 1408};

template <typename T>
T Must(Result<T> result) {
  if (!result) {
    fprintf(stderr, "crypto_bench: %s\n", result.error().message.c_str());
    exit(1);
  }
  return std::move(*result);
}

CryptoKeyPtr MakeKey(Engine& engine, const Suite& suite) {
  const std::vector<uint8_t> cipher_key(suite.key_length(), 1);
  const std::vector<uint8_t> integrity_key(suite.integrity_key_length, 2);
  return Must(engine.MakeKey(suite, cipher_key, integrity_key));
}

// 64 packets of one key.
struct Burst {
  Burst(const CryptoKey& key, size_t text_length) : memory(kBurst * kStride + 64) {
    const size_t skip = 64 - reinterpret_cast<uintptr_t>(memory.data()) % 64;
    for (size_t i = 0; i < kBurst; ++i) {
      Job job{};
      job.key = &key;
      job.esp = memory.data() + skip + i * kStride + kOffset;
      memset(job.esp, static_cast<int>(i), 8);
      job.text_length = static_cast<uint32_t>(text_length);
      jobs.push_back(job);
    }
  }
  std::vector<uint8_t> memory;
  std::vector<Job> jobs;
};

// Collects cycles per burst; the median leaves out bursts that something else interrupted.
class Meter {
 public:
  Meter() { bursts_.reserve(kMost); }
  void Start() { start_ = __rdtsc(); }
  void Stop() {
    if (bursts_.size() < kMost) {
      bursts_.push_back(__rdtsc() - start_);
    }
  }
  void Report(benchmark::State& state) {
    if (bursts_.empty()) {
      return;
    }
    const auto middle = bursts_.begin() + static_cast<ptrdiff_t>(bursts_.size() / 2);
    std::nth_element(bursts_.begin(), middle, bursts_.end());
    const double cycles = static_cast<double>(*middle) / kBurst;
    state.counters["cycles"] = benchmark::Counter(cycles, benchmark::Counter::kAvgThreads);
  }

 private:
  static constexpr size_t kMost = 1 << 18;
  std::vector<uint64_t> bursts_;
  uint64_t start_ = 0;
};

void RunEncrypt(benchmark::State& state, Engine& engine, const Suite& suite) {
  const CryptoKeyPtr key = MakeKey(engine, suite);
  Burst burst(*key, static_cast<size_t>(state.range(0)));
  Meter meter;
  for (auto _ : state) {
    meter.Start();
    engine.Encrypt(burst.jobs);
    meter.Stop();
  }
  meter.Report(state);
}

// Decryption is in place, so each round needs the sealed packets again; copying is not counted.
void RunDecrypt(benchmark::State& state, Engine& engine, const Suite& suite) {
  const CryptoKeyPtr key = MakeKey(engine, suite);
  Burst burst(*key, static_cast<size_t>(state.range(0)));
  engine.Encrypt(burst.jobs);
  const std::vector<uint8_t> sealed = burst.memory;
  Meter meter;
  for (auto _ : state) {
    memcpy(burst.memory.data(), sealed.data(), sealed.size());
    meter.Start();
    engine.Decrypt(burst.jobs);
    meter.Stop();
    if (!burst.jobs[0].ok || !burst.jobs[kBurst - 1].ok) {
      state.SkipWithError("a valid packet was refused");
    }
  }
  meter.Report(state);
}

// What the library needs without the engine's loop: nonce and AAD stand ready.
void RunBareGcm(benchmark::State& state, IMB_MGR* manager, const Suite& suite) {
  const std::vector<uint8_t> cipher_key(suite.key_length(), 1);
  const CryptoKeyPtr key = Must(MakeImbKey(manager, suite, cipher_key, {}, false));
  const auto& gcm = static_cast<const ImbGcmKey&>(*key);
  const aes_gcm_enc_dec_t encrypt =
      gcm.kind == kImbGcm128 ? manager->gcm128_enc : manager->gcm256_enc;
  Burst burst(*key, static_cast<size_t>(state.range(0)));
  gcm_context_data context = {};
  alignas(16) uint8_t nonce[16] = {};
  Meter meter;
  for (auto _ : state) {
    meter.Start();
    for (const Job& job : burst.jobs) {
      uint8_t* text = job.esp + 16;
      encrypt(&gcm.data, &context, text, text, job.text_length, nonce, job.esp, 8,
              text + job.text_length, 16);
    }
    meter.Stop();
  }
  meter.Report(state);
}

void RunSharing(benchmark::State& state, ImbSharing sharing, const Suite& suite) {
  const std::unique_ptr<Engine> engine = Must(MakeImbEngine(sharing));
  RunEncrypt(state, *engine, suite);
}

void RegisterEngine(Engine& engine, const std::string& label) {
  for (const Suite& suite : AllSuites()) {
    const std::string name = label + "/" + std::string(suite.name);
    for (int64_t size : kSizes) {
      benchmark::RegisterBenchmark((name + "/encrypt").c_str(), [&](benchmark::State& state) {
        RunEncrypt(state, engine, suite);
      })->Arg(size);
      benchmark::RegisterBenchmark((name + "/decrypt").c_str(), [&](benchmark::State& state) {
        RunDecrypt(state, engine, suite);
      })->Arg(size);
    }
  }
}

void RegisterLibrary(IMB_MGR* manager) {
  for (std::string_view name : {"aes-gcm-16-128", "aes-gcm-16-256"}) {
    const Suite* suite = Must(FindSuite(name));
    for (int64_t size : kSizes) {
      benchmark::RegisterBenchmark(
          ("bare/" + std::string(name)).c_str(),
          [=](benchmark::State& state) { RunBareGcm(state, manager, *suite); })
          ->Arg(size);
    }
  }
  for (std::string_view name : {"aes-gcm-16-128", "aes-cbc-256-hmac-sha1-96"}) {
    const Suite* suite = Must(FindSuite(name));
    for (ImbSharing sharing : {ImbSharing::kShared, ImbSharing::kPrivate}) {
      const std::string kind = sharing == ImbSharing::kShared ? "shared/" : "private/";
      for (int threads : {1, 2}) {
        benchmark::RegisterBenchmark(
            (kind + std::string(name)).c_str(),
            [=](benchmark::State& state) { RunSharing(state, sharing, *suite); })
            ->Arg(64)
            ->Threads(threads)
            ->UseRealTime();
      }
    }
  }
}

}  // namespace
}  // namespace penstock

int main(int argc, char** argv) {
  using namespace penstock;  // NOLINT(google-build-using-namespace)
  const std::unique_ptr<Engine> openssl = Must(MakeOpensslEngine());
  const Result<std::unique_ptr<ImbLibrary>> library = ImbLibrary::Load();
  std::unique_ptr<Engine> imb;
  std::unique_ptr<Engine> imb_library;
  if (library) {
    imb = Must(MakeImbEngine());
    benchmark::AddCustomContext("engine", imb->description());
    RegisterEngine(*imb, "ipsec-mb");
    imb_library = Must(MakeImbEngine(ImbSharing::kAuto, ImbLoops::kLibrary));
    RegisterEngine(*imb_library, "library");
    RegisterLibrary((*library)->manager());
  } else {
    fprintf(stderr, "crypto_bench: without ipsec-mb: %s\n", library.error().message.c_str());
  }
  RegisterEngine(*openssl, "openssl");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
