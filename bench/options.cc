#include "bench/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "dataplane/packet/packet.h"
#include "dataplane/runtime/counters.h"

namespace penstock {
namespace {

constexpr std::pair<const char*, BenchMode> kModes[] = {
    {"esp-encap", BenchMode::kEncap},
    {"esp-decap", BenchMode::kDecap},
    {"esp-both", BenchMode::kBoth},
    {"io", BenchMode::kIo},
};
constexpr unsigned kSmallestFrame = 14 + 20 + 8;
constexpr unsigned kSmallestFrameV6 = 14 + 40 + 8;
constexpr unsigned kLargestFrame = 9018;

// Options as text, before they are checked.
struct Texts {
  std::vector<std::string> modes = {"esp-encap", "esp-decap"};
  std::vector<std::string> suites = {"aes-gcm-16-128"};
  std::string engine = "auto";
  bool ipv6 = false;
  bool no_stages = false;
};

void Declare(CLI::App& app, BenchOptions& options, Texts& texts) {
  options.frames = {64, 512, 1400};
  app.add_option("--forward-mode", texts.modes, "esp-encap, esp-decap, esp-both, io")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--suite", texts.suites, "cipher suites, or all")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--frame,--txpkts", options.frames,
                 "bytes of the clear Ethernet frames, without FCS")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--sas,--tunnels", options.sas, "tunnels, each with a pair of SAs")
      ->capture_default_str();
  app.add_option("--routes", options.routes, "routes to the tunnels")->capture_default_str();
  app.add_option("--flows", options.flows, "flows")->capture_default_str();
  app.add_option("--ecmp", options.ecmp, "tunnels that each route spreads over")
      ->capture_default_str();
  app.add_option("--workers,--nb-cores", options.workers, "worker cores")->capture_default_str();
  app.add_option("--cpus", options.cpus, "the workers' CPUs (default: the last ones)")
      ->delimiter(',');
  app.add_option("--replay-window", options.replay_window, "packets, 0: off")
      ->capture_default_str();
  app.add_flag("--esn", options.esn, "64-bit sequence numbers");
  app.add_flag("--udp-encap", options.udp, "ESP in UDP");
  app.add_flag("--ipv6", texts.ipv6, "IPv6 inside and outside");
  app.add_flag("--inner-ipv6", options.inner_v6, "IPv6 inside");
  app.add_flag("--outer-ipv6", options.outer_v6, "IPv6 outside");
  app.add_option("--engine", texts.engine, "auto, ipsec-mb, openssl")->capture_default_str();
  app.add_option("--burst", options.burst, "frames of each receive call (default: 64)");
  app.add_option("--batch", options.batch, "packets in flight (in memory)")->capture_default_str();
  app.add_option("--seconds", options.seconds, "time of each measurement")->capture_default_str();
  app.add_flag("--no-stages", texts.no_stages, "leave out the pass that measures stages");
  app.add_option("--rekey", options.rekeys, "SAs replaced a second while workers forward")
      ->capture_default_str();
  app.add_option("--lose", options.lose, "share of ESP packets lost before decapsulation")
      ->capture_default_str();
  app.add_option("--reorder", options.reorder, "shuffle ESP packets in blocks of so many")
      ->capture_default_str();
  app.add_flag("--search", options.search, "find the rates NDR and PDR, and latencies");
  app.add_option("--loss-tolerance", options.tolerance, "share of packets that PDR may lose")
      ->capture_default_str();
  app.add_flag("--idle", options.idle, "measure only what an idle worker costs");
  app.add_flag("--ports", options.ports, "through DPDK ports: net_pcap in, net_null out");
  app.add_option("--input", options.input, "pcap file for --ports")->check(CLI::ExistingFile);
  app.add_option("--write-input", options.write_input, "write such a file and measure nothing");
  app.add_option("--json", options.json, "write the results to a file, - for standard output");
}

Result<BenchMode> ParseMode(const std::string& text) {
  for (const auto& [name, mode] : kModes) {
    if (text == name) {
      return mode;
    }
  }
  return Fail(Errc::kInvalidArgument,
              "--forward-mode {}: expected esp-encap, esp-decap, esp-both or io", text);
}

Status ResolveTexts(const Texts& texts, BenchOptions& options) {
  for (const std::string& text : texts.modes) {
    const Result<BenchMode> mode = ParseMode(text);
    if (!mode) {
      return tl::unexpected<Error>(mode.error());
    }
    options.modes.push_back(*mode);
  }
  for (const std::string& text : texts.suites) {
    if (text == "all") {
      for (const Suite& suite : AllSuites()) {
        options.suites.push_back(&suite);
      }
      continue;
    }
    const Result<const Suite*> suite = FindSuite(text);
    if (!suite) {
      return tl::unexpected<Error>(suite.error());
    }
    options.suites.push_back(*suite);
  }
  const Result<EngineChoice> engine = ParseEngineChoice(texts.engine);
  if (!engine) {
    return tl::unexpected<Error>(engine.error());
  }
  options.engine = *engine;
  options.inner_v6 |= texts.ipv6;
  options.outer_v6 |= texts.ipv6;
  options.stages = !texts.no_stages;
  return {};
}

Status CheckRange(const char* name, uint64_t value, uint64_t least, uint64_t most) {
  if (value < least || value > most) {
    return Fail(Errc::kInvalidArgument, "{} {}: expected {} to {}", name, value, least, most);
  }
  return {};
}

Status CheckRanges(const BenchOptions& options) {
  const struct {
    const char* name;
    uint64_t value, least, most;
  } ranges[] = {
      {"--sas", options.sas, 1, kMaxTunnels - 1},     {"--routes", options.routes, 1, 1u << 20},
      {"--flows", options.flows, 1, 1u << 22},        {"--ecmp", options.ecmp, 1, 64},
      {"--workers", options.workers, 1, kMaxWorkers}, {"--burst", options.burst, 1, kBurst},
      {"--batch", options.batch, 1, 1u << 16},
  };
  for (const auto& range : ranges) {
    if (Status status = CheckRange(range.name, range.value, range.least, range.most); !status) {
      return status;
    }
  }
  for (const unsigned frame : options.frames) {
    const unsigned least = options.inner_v6 ? kSmallestFrameV6 : kSmallestFrame;
    if (Status status = CheckRange("--frame", frame, least, kLargestFrame); !status) {
      return status;
    }
  }
  if (options.replay_window != 0) {
    return CheckRange("--replay-window", options.replay_window, 32, 65536);
  }
  return {};
}

Status CheckShare(const char* name, double value) {
  if (value >= 0 && value < 1) {
    return {};
  }
  return Fail(Errc::kInvalidArgument, "{} {}: expected a share from 0 to below 1", name, value);
}

// What only packets in memory can be made to meet.
Status CheckMemoryOnly(const BenchOptions& options) {
  const auto wants = [&](BenchMode mode) { return std::ranges::count(options.modes, mode) != 0; };
  const bool disturbed = options.lose > 0 || options.reorder != 0;
  if (options.ports && (options.search || options.rekeys > 0 || disturbed || options.idle)) {
    return Fail(Errc::kInvalidArgument,
                "--search, --rekey, --lose, --reorder and --idle work in memory only; leave out "
                "--ports");
  }
  if (disturbed && wants(BenchMode::kEncap)) {
    return Fail(Errc::kInvalidArgument,
                "--lose and --reorder are done to ESP packets before decapsulation: add "
                "--forward-mode esp-decap or esp-both");
  }
  if (options.search && wants(BenchMode::kBoth)) {
    return Fail(
        Errc::kInvalidArgument,
        "--search offers packets to one gateway: add --forward-mode esp-encap or esp-decap");
  }
  if (options.rekeys < 0 || options.rekeys > 1e6) {
    return Fail(Errc::kInvalidArgument, "--rekey {}: expected 0 to 1000000", options.rekeys);
  }
  if (options.reorder > options.batch) {
    return Fail(Errc::kInvalidArgument, "--reorder {}: expected at most the batch, {}",
                options.reorder, options.batch);
  }
  Status status = CheckShare("--lose", options.lose);
  return status ? CheckShare("--loss-tolerance", options.tolerance) : status;
}

Status CheckTogether(BenchOptions& options) {
  const auto wants = [&](BenchMode mode) { return std::ranges::count(options.modes, mode) != 0; };
  if (!options.ports && wants(BenchMode::kIo)) {
    return Fail(Errc::kInvalidArgument,
                "--forward-mode io measures ports: there is nothing to measure without --ports");
  }
  if (options.ports && wants(BenchMode::kBoth)) {
    return Fail(Errc::kInvalidArgument,
                "--forward-mode esp-both works in memory only; leave out --ports");
  }
  if (options.ports && wants(BenchMode::kDecap) && options.replay_window != 0) {
    return Fail(Errc::kInvalidArgument,
                "esp-decap with --ports repeats its input, which a replay window refuses: add "
                "--replay-window 0, or leave out --ports");
  }
  if (!options.write_input.empty() &&
      options.modes.size() * options.suites.size() * options.frames.size() != 1) {
    return Fail(Errc::kInvalidArgument,
                "--write-input writes one file: give one mode, one suite and one frame size");
  }
  if (options.seconds <= 0 || options.seconds > 3600) {
    return Fail(Errc::kInvalidArgument, "--seconds {}: expected more than 0, at most 3600",
                options.seconds);
  }
  options.sas = std::max(options.sas, options.ecmp);
  if (options.ecmp == 1) {
    options.routes = std::max(options.routes, options.sas);
  }
  options.flows = std::max(options.flows, options.sas);
  return {};
}

// CPUs, memory files and the like are decided by the bench.
Status CheckEal(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    for (const char* ours : {"-l", "-c", "--lcores", "-m", "--no-huge"}) {
      if (argument.starts_with(ours)) {
        return Fail(Errc::kInvalidArgument,
                    "EAL argument {}: CPUs are chosen with --cpus behind the \"--\", and memory is "
                    "taken from hugepages where there are enough",
                    argument);
      }
    }
  }
  return {};
}

}  // namespace

const char* BenchModeName(BenchMode mode) { return kModes[static_cast<size_t>(mode)].first; }

Result<BenchOptions> ParseBenchOptions(int argc, char** argv) {
  BenchOptions options;
  Texts texts;
  options.burst = kBurst;
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto split = std::ranges::find(arguments, "--");
  if (split != arguments.end()) {
    options.eal.assign(arguments.begin(), split);
    arguments.erase(arguments.begin(), split + 1);
  }
  CLI::App app("Measures Penstock's packet path: penstock-bench [EAL arguments --] [options]",
               "penstock-bench");
  Declare(app, options, texts);
  std::ranges::reverse(arguments);  // as CLI11 wants them
  try {
    app.parse(arguments);
  } catch (const CLI::Success& asked) {
    std::exit(app.exit(asked));
  } catch (const CLI::ParseError& error) {
    return Fail(Errc::kInvalidArgument, "{}; see --help", error.what());
  }
  Status status = ResolveTexts(texts, options);
  if (status) {
    status = CheckRanges(options);
  }
  if (status) {
    status = CheckTogether(options);
  }
  if (status) {
    status = CheckMemoryOnly(options);
  }
  if (status) {
    status = CheckEal(options.eal);
  }
  if (!status) {
    return tl::unexpected<Error>(status.error());
  }
  return options;
}

}  // namespace penstock
