// The ports and their mirror devices: opened, told to the stages, followed in Linux and by link
// state.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/control/addresses.h"
#include "dataplane/control/gateway_event.h"
#include "dataplane/control/model.h"
#include "dataplane/control/worker_set.h"
#include "dataplane/runtime/host_device.h"
#include "dataplane/runtime/port.h"

namespace penstock {

struct PortSpec {
  PortConfig config;
  std::vector<InterfaceAddress> addresses;
};

using PortByName = std::function<std::optional<uint16_t>(const std::string& name)>;

// Control thread only.
class PortSet {
 public:
  explicit PortSet(EventSink events) : events_(std::move(events)) {}

  // Opens all ports and gives their queues to the workers. Errors name the port.
  Status Open(const std::vector<PortSpec>& specs, WorkerSet& workers, GatewayTables& tables);
  // Mirror devices with the configured addresses; after the host path has started.
  Status OpenMirrors(Model& model, HostPath& host_path);
  void CloseMirrors(Model& model, HostPath& host_path);
  void Close() { ports_.clear(); }
  // Takes changes of link state over; called by a timer.
  void PollLinks(Model& model, WorkerSet& workers);

  struct Entry {
    PortSpec spec;
    std::unique_ptr<Port> port;
    std::unique_ptr<HostDevice> mirror;
    bool up = false;
  };
  const std::vector<Entry>& entries() const { return ports_; }
  std::optional<uint16_t> FindByName(const std::string& name) const;
  std::string NameOf(uint16_t port) const;  // empty: none
  // The mirror device's index in the kernel; 0: none.
  int KernelIndexOf(uint16_t port) const;

 private:
  Status OpenMirror(Entry& entry, Model& model, HostPath& host_path);

  EventSink events_;
  std::vector<Entry> ports_;
};

}  // namespace penstock
