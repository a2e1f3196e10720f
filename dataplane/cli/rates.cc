#include "dataplane/cli/rates.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace penstock::cli {
namespace {

// Divides differences of counters by the daemon's own time between the answers.
class Rate {
 public:
  Rate(uint64_t before_microseconds, uint64_t now_microseconds, const Units& units)
      : seconds_(now_microseconds > before_microseconds
                     ? static_cast<double>(now_microseconds - before_microseconds) / 1e6
                     : 0),
        units_(units) {}

  double Of(uint64_t before, uint64_t now) const {
    // A counter that went back was started again, with its object or with the daemon.
    const uint64_t gained = now >= before ? now - before : now;
    return seconds_ == 0 ? 0 : static_cast<double>(gained) / seconds_;
  }
  std::string Packets(uint64_t before, uint64_t now) const { return units_.Rate(Of(before, now)); }
  std::string Bits(uint64_t before, uint64_t now) const { return units_.Rate(8 * Of(before, now)); }
  Cell Bad(uint64_t before, uint64_t now) const {
    const double rate = Of(before, now);
    return {units_.Rate(rate), rate > 0 ? Color::kWarning : Color::kNone};
  }

 private:
  double seconds_;
  Units units_;
};

// The row of the same key in the earlier answer, or an empty one.
template <typename Rows, typename Row, typename Key>
const Row& Earlier(const Rows& rows, const Row& row, Key key) {
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [&](const Row& candidate) { return key(candidate) == key(row); });
  return found == rows.end() ? Row::default_instance() : *found;
}

std::string PortRates(const control::Ports& before, const control::Ports& now, const View& view) {
  const Rate rate(before.timestamp_microseconds(), now.timestamp_microseconds(), view.units);
  Table table({{"PORT"},
               {"LINK"},
               {"RX PACKETS/S", Align::kRight},
               {"RX BITS/S", Align::kRight},
               {"TX PACKETS/S", Align::kRight},
               {"TX BITS/S", Align::kRight},
               {"MISSED/S", Align::kRight, 1},
               {"ERRORS/S", Align::kRight, 2},
               {"TO HOST/S", Align::kRight, 3},
               {"FROM HOST/S", Align::kRight, 3}});
  const auto errors = [](const control::Port& port) {
    return port.receive_errors() + port.transmit_errors() + port.no_buffer_packets();
  };
  for (const control::Port& port : now.ports()) {
    const control::Port& old =
        Earlier(before.ports(), port, [](const control::Port& row) { return row.name(); });
    table.Add({{port.name(), Color::kBold},
               {port.link_up() ? "up" : "down", port.link_up() ? Color::kGood : Color::kBad},
               rate.Packets(old.received_packets(), port.received_packets()),
               rate.Bits(old.received_bytes(), port.received_bytes()),
               rate.Packets(old.sent_packets(), port.sent_packets()),
               rate.Bits(old.sent_bytes(), port.sent_bytes()),
               rate.Bad(old.missed_packets(), port.missed_packets()),
               rate.Bad(errors(old), errors(port)),
               rate.Packets(old.to_host_packets(), port.to_host_packets()),
               rate.Packets(old.from_host_packets(), port.from_host_packets())});
  }
  return table.empty() ? "no ports\n" : table.Render(view.style);
}

std::string TunnelRates(const control::Tunnels& before, const control::Tunnels& now,
                        const View& view) {
  const Rate rate(before.timestamp_microseconds(), now.timestamp_microseconds(), view.units);
  Table table({{"TUNNEL"},
               {"STATE"},
               {"IN PACKETS/S", Align::kRight},
               {"IN BITS/S", Align::kRight},
               {"OUT PACKETS/S", Align::kRight},
               {"OUT BITS/S", Align::kRight},
               {"IN DROPS/S", Align::kRight, 1},
               {"OUT DROPS/S", Align::kRight, 1},
               {"OUT SPI", Align::kLeft, 3}});
  for (const control::Tunnel& tunnel : now.tunnels()) {
    const control::Tunnel& old =
        Earlier(before.tunnels(), tunnel, [](const control::Tunnel& row) { return row.name(); });
    table.Add({{tunnel.name(), Color::kBold},
               {tunnel.state(), tunnel.up() ? Color::kGood : Color::kBad},
               rate.Packets(old.in_packets(), tunnel.in_packets()),
               rate.Bits(old.in_bytes(), tunnel.in_bytes()),
               rate.Packets(old.out_packets(), tunnel.out_packets()),
               rate.Bits(old.out_bytes(), tunnel.out_bytes()),
               rate.Bad(old.in_dropped_packets(), tunnel.in_dropped_packets()),
               rate.Bad(old.out_dropped_packets(), tunnel.out_dropped_packets()),
               FormatSpi(tunnel.current_outbound_spi())});
  }
  return table.empty() ? "no tunnels\n" : table.Render(view.style);
}

std::string WorkerRates(const control::Workers& before, const control::Workers& now,
                        const View& view) {
  const Rate rate(before.timestamp_microseconds(), now.timestamp_microseconds(), view.units);
  Table table({{"WORKER", Align::kRight},
               {"CPU", Align::kRight},
               {"BUSY", Align::kRight},
               {"RX PACKETS/S", Align::kRight},
               {"TX PACKETS/S", Align::kRight},
               {"DROPS/S", Align::kRight},
               {"TO HOST/S", Align::kRight, 2},
               {"FROM HOST/S", Align::kRight, 2},
               {"POLLS/S", Align::kRight, 3},
               {"SLEEPS/S", Align::kRight, 4}});
  for (const control::Worker& worker : now.workers()) {
    const control::Worker& old =
        Earlier(before.workers(), worker, [](const control::Worker& row) { return row.id(); });
    table.Add({std::to_string(worker.id()),
               worker.cpu() < 0 ? "any" : std::to_string(worker.cpu()),
               {FormatPercent(worker.busy_share()),
                worker.busy_share() > 0.9 ? Color::kWarning : Color::kNone},
               rate.Packets(old.received_packets(), worker.received_packets()),
               rate.Packets(old.sent_packets(), worker.sent_packets()),
               rate.Bad(old.dropped_packets(), worker.dropped_packets()),
               rate.Packets(old.to_host_packets(), worker.to_host_packets()),
               rate.Packets(old.from_host_packets(), worker.from_host_packets()),
               rate.Packets(old.polls(), worker.polls()),
               rate.Packets(old.sleeps(), worker.sleeps())});
  }
  return table.empty() ? "no workers\n" : table.Render(view.style);
}

std::string DropRates(const control::Drops& before, const control::Drops& now, const View& view) {
  const Rate rate(before.timestamp_microseconds(), now.timestamp_microseconds(), view.units);
  Table table({{"DROP REASON"},
               {"PACKETS/S", Align::kRight},
               {"PACKETS", Align::kRight},
               {"LAST", Align::kRight, 1},
               {"LAST PACKET", Align::kLeft, 2}});
  for (const control::Drop& drop : now.drops()) {
    const control::Drop& old =
        Earlier(before.drops(), drop, [](const control::Drop& row) { return row.reason(); });
    table.Add({{drop.reason(), Color::kBold},
               rate.Bad(old.packets(), drop.packets()),
               view.units.Count(drop.packets()),
               drop.has_last() ? FormatAge(drop.last().age_microseconds()) : "",
               drop.has_last() ? LastDropText(drop.last()) : ""});
  }
  return table.empty() ? "no packet was dropped\n" : table.Render(view.style);
}

}  // namespace

std::string RatesText(const control::Reply& before, const control::Reply& now, const View& view) {
  switch (now.body_case()) {
    case control::Reply::kPorts:
      return PortRates(before.ports(), now.ports(), view);
    case control::Reply::kTunnels:
      return TunnelRates(before.tunnels(), now.tunnels(), view);
    case control::Reply::kWorkers:
      return WorkerRates(before.workers(), now.workers(), view);
    case control::Reply::kDrops:
      return DropRates(before.drops(), now.drops(), view);
    default:
      return "";
  }
}

}  // namespace penstock::cli
