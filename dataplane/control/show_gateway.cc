// Status, ports, workers, counters, drops and stages.
#include <rte_cycles.h>

#include <algorithm>
#include <map>

#include "dataplane/control/handlers.h"
#include "dataplane/runtime/eal.h"

namespace penstock {
namespace {

IpAddress AddressOf(uint8_t family, const uint8_t* bytes) {
  return family == 6 ? IpAddress::V6(bytes) : IpAddress::V4(bytes);
}

uint64_t TicksToMicroseconds(uint64_t ticks) {
  return static_cast<uint64_t>(static_cast<double>(ticks) * 1e6 /
                               static_cast<double>(rte_get_tsc_hz()));
}

uint64_t DropsOf(const WorkerContext& worker) {
  uint64_t sum = 0;
  for (const Counter& counter : worker.counters.drops) {
    sum += counter.Read();
  }
  return sum;
}

void FillLastDrop(Gateway& gateway, const LastDrop& last, control::LastDrop& out) {
  const uint64_t now = rte_rdtsc();
  out.set_age_microseconds(now > last.tsc ? TicksToMicroseconds(now - last.tsc) : 0);
  out.set_spi(last.spi);
  out.set_sequence(last.sequence);
  if (last.family != 0) {
    out.set_source(AddressOf(last.family, last.source).ToString());
    out.set_destination(AddressOf(last.family, last.destination).ToString());
    out.set_protocol(last.protocol);
  }
  out.set_port(gateway.ports().NameOf(last.port));
  if (const TunnelRecord* tunnel = gateway.model().tunnels.Find(last.tunnel)) {
    out.set_tunnel(tunnel->spec.config.name);
  }
}

// What share of its time a worker was busy since the last answer, at first since the start.
double BusyShare(const Gateway& gateway, const WorkerContext& worker) {
  struct Sample {
    uint64_t tsc = 0;
    uint64_t busy = 0;
    double share = 0;
  };
  static std::map<const WorkerContext*, Sample> samples;
  Sample& sample = samples[&worker];
  const uint64_t now = rte_rdtsc();
  const uint64_t busy = worker.counters.busy_cycles.Read();
  if (sample.tsc == 0) {
    const int64_t up = SystemClock().Now().count() - gateway.started_nanoseconds();
    sample.tsc = now - static_cast<uint64_t>(static_cast<double>(up) / 1e9 *
                                             static_cast<double>(rte_get_tsc_hz()));
  }
  if (now - sample.tsc > rte_get_tsc_hz() / 10) {
    sample.share = std::min(
        1.0, static_cast<double>(busy - sample.busy) / static_cast<double>(now - sample.tsc));
    sample.tsc = now;
    sample.busy = busy;
  }
  return sample.share;
}

}  // namespace

uint64_t TimestampMicroseconds() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(SystemClock().Now()).count());
}

control::Status ShowStatus(Gateway& gateway) {
  control::Status status;
  Model& model = gateway.model();
  status.set_version(PENSTOCK_VERSION);
  status.set_instance(gateway.config().instance());
  status.set_uptime_seconds(
      static_cast<uint64_t>(SystemClock().Now().count() - gateway.started_nanoseconds()) /
      1'000'000'000u);
  status.set_engine(gateway.engine().description());
  status.set_workers(static_cast<uint32_t>(model.workers().size()));
  status.set_polling(gateway.config().workers().polling());
  status.set_hugepages(EalUsesHugepages());
  for (const PortSet::Entry& entry : gateway.ports().entries()) {
    status.set_ports(status.ports() + 1);
    status.set_ports_up(status.ports_up() + (entry.up ? 1 : 0));
  }
  for (const auto& [id, record] : model.tunnels.records()) {
    status.set_tunnels(status.tunnels() + 1);
    status.set_tunnels_up(status.tunnels_up() + (record.up ? 1 : 0));
  }
  status.set_inbound_sas(static_cast<uint32_t>(model.sas.inbound().size()));
  status.set_outbound_sas(static_cast<uint32_t>(model.sas.outbound().size()));
  const Fib& fib = model.tables().fib;
  status.set_routes_ipv4(fib.size(Family::kIpv4));
  status.set_routes_ipv6(fib.size(Family::kIpv6));
  status.set_route_table_bytes(fib.memory_bytes() + gateway.model().routes.memory_bytes());
  status.set_packet_buffers(gateway.workers().buffers());
  status.set_packet_buffers_free(gateway.workers().buffers_free());
  for (const WorkerContext* worker : model.workers()) {
    status.set_received_packets(status.received_packets() + worker->counters.received.Read());
    status.set_sent_packets(status.sent_packets() + worker->counters.sent.Read());
    status.set_dropped_packets(status.dropped_packets() + DropsOf(*worker));
  }
  status.set_config_file(gateway.config_file());
  for (const Prefix& prefix : model.routes.protected_prefixes()) {
    status.add_protected_prefixes(prefix.ToString());
  }
  status.set_timestamp_microseconds(TimestampMicroseconds());
  for (const std::string& warning : gateway.Warnings()) {
    status.add_warnings(warning);
  }
  return status;
}

Result<control::Ports> ShowPorts(Gateway& gateway, const control::ShowPorts& request) {
  control::Ports ports;
  if (!request.name().empty() && !gateway.ports().FindByName(request.name())) {
    return Fail(Errc::kNotFound, "there is no port named {}", request.name());
  }
  for (const PortSet::Entry& entry : gateway.ports().entries()) {
    const PortConfig& config = entry.spec.config;
    if (!request.name().empty() && request.name() != config.name) {
      continue;
    }
    const Port& port = *entry.port;
    control::Port& out = *ports.add_ports();
    out.set_name(config.name);
    out.set_index(port.index());
    out.set_device(config.device);
    out.set_driver(port.driver());
    out.set_mac(port.mac().ToString());
    for (const InterfaceAddress& address :
         gateway.model().addresses.Of({port.index(), kNoTunnel})) {
      out.add_addresses(address.ToString());
    }
    out.set_link_up(entry.up);
    out.set_link(port.link_text());
    out.set_mtu(config.mtu);
    out.set_queues(port.receive_queues());
    out.set_rss(port.rss());
    out.set_transmit_checksum_offload(port.transmit_checksum());
    out.set_mirror(entry.mirror != nullptr);
    for (const WorkerContext* worker : gateway.model().workers()) {
      const PortCounters& counters = worker->counters.ports[port.index()];
      out.set_received_packets(out.received_packets() + counters.received_packets.Read());
      out.set_received_bytes(out.received_bytes() + counters.received_bytes.Read());
      out.set_sent_packets(out.sent_packets() + counters.sent_packets.Read());
      out.set_sent_bytes(out.sent_bytes() + counters.sent_bytes.Read());
      out.set_to_host_packets(out.to_host_packets() + counters.punted_packets.Read());
      out.set_from_host_packets(out.from_host_packets() + counters.host_packets.Read());
    }
    const Port::DeviceCounters device = port.device_counters();
    out.set_missed_packets(device.missed);
    out.set_receive_errors(device.receive_errors);
    out.set_transmit_errors(device.transmit_errors);
    out.set_no_buffer_packets(device.no_buffer);
  }
  ports.set_timestamp_microseconds(TimestampMicroseconds());
  return ports;
}

control::Workers ShowWorkers(Gateway& gateway) {
  control::Workers workers;
  const config::Workers& config = gateway.config().workers();
  for (const WorkerContext* worker : gateway.model().workers()) {
    const WorkerCounters& counters = worker->counters;
    control::Worker& out = *workers.add_workers();
    out.set_id(worker->id);
    const bool bound = config.pin() && static_cast<int>(worker->id) < config.cpus_size();
    out.set_cpu(bound ? static_cast<int>(config.cpus(static_cast<int>(worker->id))) : -1);
    out.set_busy_share(BusyShare(gateway, *worker));
    out.set_polls(counters.polls.Read());
    out.set_idle_polls(counters.idle_polls.Read());
    out.set_sleeps(counters.sleeps.Read());
    out.set_busy_cycles(counters.busy_cycles.Read());
    out.set_received_packets(counters.received.Read());
    out.set_sent_packets(counters.sent.Read());
    out.set_dropped_packets(DropsOf(*worker));
    out.set_to_host_packets(counters.to_host.Read());
    out.set_from_host_packets(counters.from_host.Read());
    const uint64_t bursts = counters.bursts.Read();
    out.set_packets_per_burst(bursts == 0 ? 0.0
                                          : static_cast<double>(counters.burst_packets.Read()) /
                                                static_cast<double>(bursts));
    for (const PortSet::Entry& entry : gateway.ports().entries()) {
      const auto* first = worker->inputs;
      if (std::any_of(first, first + worker->input_count, [&](const InputQueue& input) {
            return input.port == entry.port->ethdev();
          })) {
        out.add_ports(entry.spec.config.name);
      }
    }
  }
  workers.set_timestamp_microseconds(TimestampMicroseconds());
  workers.set_tsc_hertz(rte_get_tsc_hz());
  return workers;
}

control::Counters ShowCounters(Gateway& gateway) {
  uint64_t received = 0, from_host = 0, generated = 0, fragments = 0;
  uint64_t sent = 0, to_host = 0, merged = 0, held = 0, dropped = 0;
  for (const WorkerContext* worker : gateway.model().workers()) {
    const WorkerCounters& counters = worker->counters;
    received += counters.received.Read();
    from_host += counters.from_host.Read();
    generated += counters.generated.Read();
    fragments += counters.fragments.Read();
    sent += counters.sent.Read();
    to_host += counters.to_host.Read();
    merged += counters.merged.Read();
    held += counters.held.Read();
    dropped += DropsOf(*worker);
  }
  control::Counters out;
  out.set_received_packets(received);
  out.set_from_host_packets(from_host);
  out.set_generated_packets(generated);
  out.set_fragments_packets(fragments);
  out.set_sent_packets(sent);
  out.set_to_host_packets(to_host);
  out.set_merged_packets(merged);
  out.set_held_packets(held);
  out.set_dropped_packets(dropped);
  out.set_difference_packets(static_cast<int64_t>(received + from_host + generated + fragments) -
                             static_cast<int64_t>(sent + to_host + merged + held + dropped));
  const HostPathCounters& host = gateway.host_path().counters();
  out.set_host_written_packets(host.written.Read());
  out.set_host_write_failed_packets(host.write_failed.Read());
  out.set_host_read_packets(host.read.Read());
  out.set_host_ring_full_packets(host.ring_full.Read());
  out.set_timestamp_microseconds(TimestampMicroseconds());
  return out;
}

control::Drops ShowDrops(Gateway& gateway, const control::ShowDrops& request) {
  control::Drops drops;
  for (unsigned reason = 0; reason < kDropReasonCount; ++reason) {
    uint64_t packets = 0;
    LastDrop latest;
    for (const WorkerContext* worker : gateway.model().workers()) {
      packets += worker->counters.drops[reason].Read();
      const auto last = ReadLastDrop(worker->counters.last_drops[reason]);
      if (last && last->tsc > latest.tsc) {
        latest = *last;
      }
    }
    if (packets == 0 && !request.all()) {
      continue;
    }
    control::Drop& out = *drops.add_drops();
    out.set_reason(kDropReasonInfo[reason].name);
    out.set_help(kDropReasonInfo[reason].help);
    out.set_packets(packets);
    if (latest.tsc != 0) {
      FillLastDrop(gateway, latest, *out.mutable_last());
    }
  }
  drops.set_timestamp_microseconds(TimestampMicroseconds());
  return drops;
}

control::Stages ShowStages(Gateway& gateway) {
  control::Stages stages;
  for (unsigned stage = 0; stage < kStageCount; ++stage) {
    control::StageRow& out = *stages.add_stages();
    out.set_name(kStageNames[stage]);
    for (const WorkerContext* worker : gateway.model().workers()) {
      const StageCounters& counters = worker->counters.stages[stage];
      out.set_packets(out.packets() + counters.packets.Read());
      out.set_bursts(out.bursts() + counters.bursts.Read());
      out.set_cycles(out.cycles() + counters.cycles.Read());
    }
  }
  for (const WorkerContext* worker : gateway.model().workers()) {
    stages.set_cycle_counting(worker->measure_cycles.load(std::memory_order_relaxed));
  }
  stages.set_tsc_hertz(rte_get_tsc_hz());
  return stages;
}

}  // namespace penstock
