#include "bench/report.h"

#include <algorithm>

namespace penstock {
namespace {

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') {
      quoted += '\\';
      quoted += letter;
    } else if (static_cast<unsigned char>(letter) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(letter));
    } else {
      quoted += letter;
    }
  }
  return quoted + '"';
}

std::string SuiteName(const Measurement& measurement) {
  return measurement.mode == BenchMode::kIo ? "-" : std::string(measurement.suite->name);
}

// Every stage that any measurement has, in the packet's order.
std::vector<std::string> StageColumns(const std::vector<Measurement>& measurements) {
  std::vector<std::string> columns;
  for (const char* name : kStageNames) {
    const auto has = [name](const Measurement& measurement) {
      return std::ranges::count(measurement.stages, name, &StageCost::name) != 0;
    };
    if (std::ranges::any_of(measurements, has)) {
      columns.emplace_back(name);
    }
  }
  return columns;
}

std::string StageTable(const std::vector<Measurement>& measurements) {
  const std::vector<std::string> columns = StageColumns(measurements);
  if (columns.empty()) {
    return {};
  }
  std::string text = "\ncycles per packet of each stage (a pass of its own: counting costs some)\n";
  text += fmt::format("{:<10} {:<28} {:>5}", "mode", "suite", "frame");
  for (const std::string& column : columns) {
    text += fmt::format(" {:>{}}", column, std::max<size_t>(column.size(), 5));
  }
  text += '\n';
  for (const Measurement& measurement : measurements) {
    text += fmt::format("{:<10} {:<28} {:>5}", BenchModeName(measurement.mode),
                        SuiteName(measurement), measurement.frame);
    for (const std::string& column : columns) {
      const auto cost = std::ranges::find(measurement.stages, column, &StageCost::name);
      const size_t width = std::max<size_t>(column.size(), 5);
      text += cost == measurement.stages.end() ? fmt::format(" {:>{}}", "-", width)
                                               : fmt::format(" {:>{}.1f}", cost->cycles, width);
    }
    text += '\n';
  }
  return text;
}

// Rekeys, rates found and latencies, where they were asked for.
std::string ExtrasOf(const Measurement& measurement) {
  std::string text;
  const std::string what = fmt::format("{} {} {}", BenchModeName(measurement.mode),
                                       SuiteName(measurement), measurement.frame);
  if (measurement.rekeys_per_second > 0) {
    text += fmt::format("\n{}: {:.0f} SAs a second replaced, no packet lost\n", what,
                        measurement.rekeys_per_second);
  }
  if (measurement.search) {
    text += fmt::format("\n{}: NDR {:.2f} Mpps, PDR {:.2f} Mpps\n", what,
                        measurement.search->ndr / 1e6, measurement.search->pdr / 1e6);
    text += fmt::format("{:>10} {:>8} {:>8} {:>8} {:>8} {:>8}  latency in microseconds\n", "of PDR",
                        "p50", "p90", "p99", "p99.9", "largest");
    for (const SearchResult::Latency& latency : measurement.search->latencies) {
      text += fmt::format("{:>9.0f}% {:>8.1f} {:>8.1f} {:>8.1f} {:>8.1f} {:>8.1f}\n",
                          latency.load * 100, latency.p50, latency.p90, latency.p99, latency.p999,
                          latency.largest);
    }
  }
  return text;
}

std::string JsonOfSearch(const SearchResult& search) {
  std::string text =
      fmt::format("{{\"ndr\": {:.0f}, \"pdr\": {:.0f}, \"latencies\": [", search.ndr, search.pdr);
  const char* separator = "";
  for (const SearchResult::Latency& latency : search.latencies) {
    text += fmt::format(
        "{}{{\"load\": {}, \"p50\": {:.2f}, \"p90\": {:.2f}, \"p99\": {:.2f}, \"p999\": {:.2f}, "
        "\"largest\": {:.2f}}}",
        separator, latency.load, latency.p50, latency.p90, latency.p99, latency.p999,
        latency.largest);
    separator = ", ";
  }
  return text + "]}";
}

std::string JsonOfMeasurement(const Measurement& measurement) {
  std::string text = fmt::format(
      "{{\"mode\": {}, \"suite\": {}, \"frame\": {}, \"packets\": {}, \"cycles\": {:.2f}, "
      "\"cycles_p10\": {:.2f}, \"cycles_p90\": {:.2f}, \"packets_per_second\": {:.0f}, "
      "\"gigabits_per_second\": {:.3f}, \"site_bytes\": {}, \"rekeys_per_second\": {:.0f}, "
      "\"search\": {}, \"stages\": {{",
      Quoted(BenchModeName(measurement.mode)), Quoted(SuiteName(measurement)), measurement.frame,
      measurement.packets, measurement.cycles, measurement.cycles_low, measurement.cycles_high,
      measurement.packets_per_second, measurement.gigabits_per_second(), measurement.site_bytes,
      measurement.rekeys_per_second,
      measurement.search ? JsonOfSearch(*measurement.search) : "null");
  const char* separator = "";
  for (const StageCost& stage : measurement.stages) {
    text += fmt::format("{}{}: {:.2f}", separator, Quoted(stage.name), stage.cycles);
    separator = ", ";
  }
  return text + "}}";
}

std::string JsonOfOptions(const BenchOptions& options) {
  return fmt::format(
      "{{\"ports\": {}, \"sas\": {}, \"routes\": {}, \"flows\": {}, \"ecmp\": {}, \"workers\": {}, "
      "\"replay_window\": {}, \"esn\": {}, \"udp_encap\": {}, \"inner_ipv6\": {}, "
      "\"outer_ipv6\": {}, \"burst\": {}, \"batch\": {}, \"seconds\": {}, \"rekey\": {}, "
      "\"lose\": {}, \"reorder\": {}, \"loss_tolerance\": {}}}",
      options.ports, options.sas, options.routes, options.flows, options.ecmp, options.workers,
      options.replay_window, options.esn, options.udp, options.inner_v6, options.outer_v6,
      options.burst, options.batch, options.seconds, options.rekeys, options.lose, options.reorder,
      options.tolerance);
}

std::string JsonHead(const MachineFacts& machine, const BenchOptions& options) {
  std::string text = "{\n  \"machine\": {";
  const char* separator = "";
  for (const auto& [name, value] : machine) {
    text += fmt::format("{}\n    {}: {}", separator, Quoted(name), Quoted(value));
    separator = ",";
  }
  return text + fmt::format("\n  }},\n  \"options\": {},\n", JsonOfOptions(options));
}

}  // namespace

std::string TableOf(const std::vector<Measurement>& measurements) {
  std::string text = fmt::format("{:<10} {:<28} {:>5} {:>8} {:>8} {:>9} {:>7} {:>7}\n", "mode",
                                 "suite", "frame", "Mpps", "Gbps", "cycles/pk", "p10", "p90");
  for (const Measurement& measurement : measurements) {
    text += fmt::format("{:<10} {:<28} {:>5} {:>8.2f} {:>8.2f} {:>9.1f} {:>7.1f} {:>7.1f}\n",
                        BenchModeName(measurement.mode), SuiteName(measurement), measurement.frame,
                        measurement.packets_per_second / 1e6, measurement.gigabits_per_second(),
                        measurement.cycles, measurement.cycles_low, measurement.cycles_high);
  }
  for (const Measurement& measurement : measurements) {
    text += ExtrasOf(measurement);
  }
  return text + StageTable(measurements);
}

std::string JsonOf(const MachineFacts& machine, const BenchOptions& options, const IdleCost& idle) {
  return JsonHead(machine, options) +
         fmt::format(
             "  \"idle\": {{\"share\": {:.5f}, \"delay_p50\": {:.2f}, \"delay_p99\": {:.2f}, "
             "\"delay_largest\": {:.2f}, \"packets\": {}}}\n}}\n",
             idle.share, idle.delay_p50, idle.delay_p99, idle.delay_largest, idle.packets);
}

std::string JsonOf(const MachineFacts& machine, const BenchOptions& options,
                   const std::vector<Measurement>& measurements) {
  std::string text = JsonHead(machine, options) + "  \"results\": [";
  const char* separator = "";
  for (const Measurement& measurement : measurements) {
    text += fmt::format("{}\n    {}", separator, JsonOfMeasurement(measurement));
    separator = ",";
  }
  return text + "\n  ]\n}\n";
}

}  // namespace penstock
