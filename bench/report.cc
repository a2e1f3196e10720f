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

std::string JsonOfMeasurement(const Measurement& measurement) {
  std::string text = fmt::format(
      "{{\"mode\": {}, \"suite\": {}, \"frame\": {}, \"packets\": {}, \"cycles\": {:.2f}, "
      "\"cycles_p10\": {:.2f}, \"cycles_p90\": {:.2f}, \"packets_per_second\": {:.0f}, "
      "\"gigabits_per_second\": {:.3f}, \"stages\": {{",
      Quoted(BenchModeName(measurement.mode)), Quoted(SuiteName(measurement)), measurement.frame,
      measurement.packets, measurement.cycles, measurement.cycles_low, measurement.cycles_high,
      measurement.packets_per_second, measurement.gigabits_per_second());
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
      "\"outer_ipv6\": {}, \"burst\": {}, \"batch\": {}, \"seconds\": {}}}",
      options.ports, options.sas, options.routes, options.flows, options.ecmp, options.workers,
      options.replay_window, options.esn, options.udp, options.inner_v6, options.outer_v6,
      options.burst, options.batch, options.seconds);
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
  return text + StageTable(measurements);
}

std::string JsonOf(const MachineFacts& machine, const BenchOptions& options,
                   const std::vector<Measurement>& measurements) {
  std::string text = "{\n  \"machine\": {";
  const char* separator = "";
  for (const auto& [name, value] : machine) {
    text += fmt::format("{}\n    {}: {}", separator, Quoted(name), Quoted(value));
    separator = ",";
  }
  text += fmt::format("\n  }},\n  \"options\": {},\n  \"results\": [", JsonOfOptions(options));
  separator = "";
  for (const Measurement& measurement : measurements) {
    text += fmt::format("{}\n    {}", separator, JsonOfMeasurement(measurement));
    separator = ",";
  }
  return text + "\n  ]\n}\n";
}

}  // namespace penstock
