#include "dataplane/control/port_set.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/control/sysctl.h"

namespace penstock {
namespace {

// Devices without a station address of their own take whatever comes.
bool TakesAnyMac(const PortConfig& config) {
  for (const char* kind : {"pcap", "null", "ring"}) {
    if (config.device.starts_with(kind) || config.device.starts_with(std::string("net_") + kind)) {
      return true;
    }
  }
  return config.promiscuous;
}

}  // namespace

Status PortSet::Open(const std::vector<PortSpec>& specs, WorkerSet& workers,
                     GatewayTables& tables) {
  for (const PortSpec& spec : specs) {
    const auto index = static_cast<uint16_t>(ports_.size());
    Result<std::unique_ptr<Port>> port = Port::Open(
        spec.config, index, static_cast<unsigned>(workers.contexts().size()), workers.pool());
    if (!port) {
      return tl::unexpected(port.error());
    }
    Entry entry;
    entry.spec = spec;
    entry.port = std::move(*port);
    entry.up = entry.port->link_up();
    PortInfo& info = tables.ports[index];
    const MacAddress mac = entry.port->mac();
    std::memcpy(info.mac, mac.bytes.data(), sizeof(info.mac));
    info.any_mac.store(TakesAnyMac(spec.config) ? 1 : 0, std::memory_order_relaxed);
    info.in_use.store(1, std::memory_order_release);
    workers.AddPort(*entry.port);
    ports_.push_back(std::move(entry));
  }
  return {};
}

Status PortSet::OpenMirrors(Model& model, HostPath& host_path) {
  for (Entry& entry : ports_) {
    const uint16_t index = entry.port->index();
    model.sas.SetPortMtu(index, entry.spec.config.mtu);
    model.sas.SetPortUp(index, entry.up);
    model.neighbors.SetPortMac(index, entry.port->mac());
    Status opened;
    if (entry.spec.config.mirror) {
      opened = OpenMirror(entry, model, host_path);
    } else {
      for (const InterfaceAddress& address : entry.spec.addresses) {
        model.addresses.Add({index, kNoTunnel}, address);
      }
    }
    if (!opened) {
      return Prefixed("port " + entry.spec.config.name, opened.error());
    }
  }
  return {};
}

Status PortSet::OpenMirror(Entry& entry, Model& model, HostPath& host_path) {
  const std::string& name = entry.spec.config.name;
  const uint16_t index = entry.port->index();
  Result<std::unique_ptr<HostDevice>> device =
      HostDevice::OpenTap(name, entry.port->mac(), entry.spec.config.mtu);
  if (!device) {
    return tl::unexpected(device.error());
  }
  entry.mirror = std::move(*device);
  const int kernel_index = entry.mirror->interface();
  GuardDevice(name);
  model.addresses.Bind(kernel_index, {index, kNoTunnel});
  if (const Status up = model.host.kernel->SetUp(kernel_index, true); !up) {
    return up;
  }
  for (const InterfaceAddress& address : entry.spec.addresses) {
    if (const Status added = model.host.kernel->AddAddress(kernel_index, address); !added) {
      return Prefixed("address " + address.ToString(), added.error());
    }
    model.addresses.Add({index, kNoTunnel}, address);
  }
  return host_path.AddPort(index, *entry.mirror);
}

void PortSet::CloseMirrors(Model& model, HostPath& host_path) {
  for (Entry& entry : ports_) {
    if (entry.mirror != nullptr) {
      model.addresses.Unbind(entry.mirror->interface());
      host_path.RemovePort(entry.port->index());
      entry.mirror.reset();
    }
  }
}

void PortSet::PollLinks(Model& model, WorkerSet& workers) {
  for (Entry& entry : ports_) {
    const bool up = entry.port->link_up();
    if (up == entry.up) {
      continue;
    }
    entry.up = up;
    const uint16_t index = entry.port->index();
    workers.SetPortUp(index, up);
    NextHopTable& next_hops = model.tables().next_hops;
    for (const uint32_t next_hop : next_hops.indices()) {
      const NextHop& hop = next_hops[next_hop];
      if (hop.kind == NextHopKind::kForward && hop.port == index) {
        next_hops.SetAlive(next_hop, up);
      }
    }
    model.sas.SetPortUp(index, up);
    GatewayEvent event;
    event.kind = up ? "port_up" : "port_down";
    event.port = entry.spec.config.name;
    event.text = fmt::format("port {} is {}", event.port, up ? "up" : "down");
    Log("ports").info("{}", event.text);
    if (events_) {
      events_(event);
    }
  }
}

std::optional<uint16_t> PortSet::FindByName(const std::string& name) const {
  for (const Entry& entry : ports_) {
    if (entry.spec.config.name == name) {
      return entry.port->index();
    }
  }
  return std::nullopt;
}

std::string PortSet::NameOf(uint16_t port) const {
  return port < ports_.size() ? ports_[port].spec.config.name : std::string();
}

int PortSet::KernelIndexOf(uint16_t port) const {
  return port < ports_.size() && ports_[port].mirror != nullptr ? ports_[port].mirror->interface()
                                                                : 0;
}

}  // namespace penstock
