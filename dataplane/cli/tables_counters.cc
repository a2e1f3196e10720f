#include <fmt/format.h>

#include "dataplane/cli/tables.h"

namespace penstock::cli {
namespace {

uint64_t Sum(const control::Stages& stages) {
  uint64_t cycles = 0;
  for (const control::StageRow& stage : stages.stages()) {
    cycles += stage.cycles();
  }
  return cycles;
}

std::string Quotient(uint64_t value, uint64_t by) {
  return by == 0 ? "" : fmt::format("{:.1f}", static_cast<double>(value) / static_cast<double>(by));
}

}  // namespace

Cell BadCount(uint64_t count, const Units& units, Color color) {
  return {units.Count(count), count == 0 ? Color::kNone : color};
}

std::string CountersText(const control::Counters& counters, const View& view) {
  const Units& units = view.units;
  Table balance({{"IN"}, {"PACKETS", Align::kRight}, {"OUT"}, {"PACKETS", Align::kRight}});
  balance.Add({"received", units.Count(counters.received_packets()), "sent",
               units.Count(counters.sent_packets())});
  balance.Add({"from host", units.Count(counters.from_host_packets()), "to host",
               units.Count(counters.to_host_packets())});
  balance.Add({"generated", units.Count(counters.generated_packets()), "merged",
               units.Count(counters.merged_packets())});
  balance.Add({"fragments", units.Count(counters.fragments_packets()), "held now",
               units.Count(counters.held_packets())});
  balance.Add({" ", " ", "dropped", BadCount(counters.dropped_packets(), units)});

  Block more;
  const int64_t difference = counters.difference_packets();
  more.Add("difference", difference == 0
                             ? Cell("0 (every packet is accounted for)", Color::kGood)
                             : Cell(fmt::format("{} (0 at rest)", difference), Color::kWarning));
  more.Add("written to Linux",
           fmt::format("{}, {} failed", units.Count(counters.host_written_packets()),
                       units.Count(counters.host_write_failed_packets())));
  more.Add("read from Linux",
           fmt::format("{}, {} found the ring full", units.Count(counters.host_read_packets()),
                       units.Count(counters.host_ring_full_packets())));
  return balance.Render(view.style) + "\n" + more.Render(view.style);
}

std::string LastDropText(const control::LastDrop& last) {
  std::string text;
  if (!last.source().empty()) {
    text = fmt::format("{} -> {}", last.source(), last.destination());
    text += last.protocol() == 0 ? "" : " " + FormatProtocol(last.protocol());
  }
  const auto add = [&text](const std::string& part) { text += (text.empty() ? "" : " ") + part; };
  if (last.spi() != 0) {
    add(fmt::format("SPI {} sequence {}", FormatSpi(last.spi()), last.sequence()));
  }
  if (!last.port().empty()) {
    add("port " + last.port());
  }
  if (!last.tunnel().empty()) {
    add("tunnel " + last.tunnel());
  }
  return text;
}

std::string DropsText(const control::Drops& drops, const View& view) {
  Table table({{"REASON"},
               {"PACKETS", Align::kRight},
               {"LAST", Align::kRight},
               {"LAST PACKET", Align::kLeft, 2},
               {"EXPLANATION", Align::kLeft, 1}});
  for (const control::Drop& drop : drops.drops()) {
    table.Add({{drop.reason(), drop.packets() == 0 ? Color::kNone : Color::kBold},
               BadCount(drop.packets(), view.units),
               drop.has_last() ? FormatAge(drop.last().age_microseconds()) : "",
               drop.has_last() ? LastDropText(drop.last()) : "",
               {drop.help(), Color::kDim}});
  }
  return table.empty() ? "no packet was dropped\n" : table.Render(view.style);
}

std::string StagesText(const control::Stages& stages, const View& view) {
  const Units& units = view.units;
  const bool cycles = stages.cycle_counting();
  const uint64_t all_cycles = Sum(stages);
  Table table({{"STAGE"},
               {"PACKETS", Align::kRight},
               {"BURSTS", Align::kRight, 1},
               {"PACKETS/BURST", Align::kRight},
               {"CYCLES/PACKET", Align::kRight},
               {"SHARE", Align::kRight}});
  for (const control::StageRow& stage : stages.stages()) {
    const double share =
        all_cycles == 0 ? 0 : static_cast<double>(stage.cycles()) / static_cast<double>(all_cycles);
    table.Add({{stage.name(), Color::kBold},
               units.Count(stage.packets()),
               units.Count(stage.bursts()),
               Quotient(stage.packets(), stage.bursts()),
               cycles ? Quotient(stage.cycles(), stage.packets()) : "",
               cycles ? FormatPercent(share) : ""});
  }
  if (table.empty()) {
    return "no stages\n";
  }
  const std::string hint =
      cycles ? "" : "cycles are not counted; penstockctl set cycle-counting on\n";
  return table.Render(view.style) + Paint(hint, Color::kDim, view.style);
}

}  // namespace penstock::cli
