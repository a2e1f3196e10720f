#include <fmt/format.h>

#include "dataplane/cli/tables.h"

namespace penstock::cli {
namespace {

Cell UpOf(uint32_t up, uint32_t all, const std::string& more = "") {
  return {fmt::format("{} up of {}{}", up, all, more), up == all ? Color::kGood : Color::kWarning};
}

std::string Join(const google::protobuf::RepeatedPtrField<std::string>& items) {
  return fmt::format("{}", fmt::join(items, ", "));
}

}  // namespace

std::string StatusText(const control::Status& status, const View& view) {
  const Units& units = view.units;
  Block block;
  block.Add("instance", {status.instance(), Color::kBold});
  block.Add("version", status.version());
  block.Add("up for", FormatDuration(status.uptime_seconds()));
  block.Add("configuration", status.config_file());
  block.Add("crypto", status.engine());
  block.Add("workers", fmt::format("{}, {} polling", status.workers(), status.polling()));
  block.Add("ports", UpOf(status.ports_up(), status.ports()));
  block.Add("tunnels", UpOf(status.tunnels_up(), status.tunnels()));
  block.Add("SAs", fmt::format("{} in, {} out", status.inbound_sas(), status.outbound_sas()));
  block.Add("routes", fmt::format("{} IPv4, {} IPv6 ({})", units.Count(status.routes_ipv4()),
                                  units.Count(status.routes_ipv6()),
                                  units.Bytes(status.route_table_bytes())));
  block.Add("protected",
            status.protected_prefixes().empty() ? "none" : Join(status.protected_prefixes()));
  block.Add("packet buffers",
            fmt::format("{} free of {}, in {}", units.Count(status.packet_buffers_free()),
                        units.Count(status.packet_buffers()),
                        status.hugepages() ? "hugepages" : "plain memory"));
  block.Add("packets",
            fmt::format("{} received, {} sent, {} dropped", units.Count(status.received_packets()),
                        units.Count(status.sent_packets()), units.Count(status.dropped_packets())));
  for (const std::string& warning : status.warnings()) {
    block.Add("warning", {warning, Color::kWarning});
  }
  return block.Render(view.style);
}

std::string PortsText(const control::Ports& ports, const View& view) {
  const Units& units = view.units;
  Table table({{"PORT"},
               {"LINK"},
               {"SPEED", Align::kLeft, 4},
               {"RX PACKETS", Align::kRight},
               {"RX BYTES", Align::kRight, 2},
               {"TX PACKETS", Align::kRight},
               {"TX BYTES", Align::kRight, 2},
               {"MISSED", Align::kRight},
               {"ERRORS", Align::kRight},
               {"TO HOST", Align::kRight, 3},
               {"FROM HOST", Align::kRight, 3},
               {"MTU", Align::kRight, 5},
               {"QUEUES", Align::kRight, 7},
               {"DEVICE", Align::kLeft, 8},
               {"MAC", Align::kLeft, 9},
               {"ADDRESSES", Align::kLeft, 6}});
  for (const control::Port& port : ports.ports()) {
    const uint64_t errors =
        port.receive_errors() + port.transmit_errors() + port.no_buffer_packets();
    table.Add({{port.name(), Color::kBold},
               {port.link_up() ? "up" : "down", port.link_up() ? Color::kGood : Color::kBad},
               port.link(),
               units.Count(port.received_packets()),
               units.Count(port.received_bytes()),
               units.Count(port.sent_packets()),
               units.Count(port.sent_bytes()),
               BadCount(port.missed_packets(), units),
               BadCount(errors, units),
               units.Count(port.to_host_packets()),
               units.Count(port.from_host_packets()),
               std::to_string(port.mtu()),
               std::to_string(port.queues()),
               port.device(),
               port.mac(),
               Join(port.addresses())});
  }
  return table.empty() ? "no ports\n" : table.Render(view.style);
}

std::string WorkersText(const control::Workers& workers, const View& view) {
  const Units& units = view.units;
  Table table({{"WORKER", Align::kRight},
               {"CPU", Align::kRight},
               {"BUSY", Align::kRight},
               {"RX PACKETS", Align::kRight},
               {"TX PACKETS", Align::kRight},
               {"DROPPED", Align::kRight},
               {"TO HOST", Align::kRight, 2},
               {"FROM HOST", Align::kRight, 2},
               {"PACKETS/BURST", Align::kRight, 1},
               {"POLLS", Align::kRight, 3},
               {"IDLE POLLS", Align::kRight, 4},
               {"SLEEPS", Align::kRight, 5},
               {"PORTS", Align::kLeft, 3}});
  for (const control::Worker& worker : workers.workers()) {
    table.Add({std::to_string(worker.id()),
               worker.cpu() < 0 ? "any" : std::to_string(worker.cpu()),
               {FormatPercent(worker.busy_share()),
                worker.busy_share() > 0.9 ? Color::kWarning : Color::kNone},
               units.Count(worker.received_packets()),
               units.Count(worker.sent_packets()),
               units.Count(worker.dropped_packets()),
               units.Count(worker.to_host_packets()),
               units.Count(worker.from_host_packets()),
               fmt::format("{:.1f}", worker.packets_per_burst()),
               units.Count(worker.polls()),
               units.Count(worker.idle_polls()),
               units.Count(worker.sleeps()),
               Join(worker.ports())});
  }
  return table.empty() ? "no workers\n" : table.Render(view.style);
}

}  // namespace penstock::cli
