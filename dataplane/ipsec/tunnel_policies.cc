#include "dataplane/ipsec/tunnel_policies.h"

#include "dataplane/ipsec/selector_ports.h"

namespace penstock {

const TunnelPolicies::Entry* TunnelPolicies::Find(Packet* packet) const {
  const SelectorPorts ports = PortsOf(packet);
  const FlowAddresses flow = AddressesOf(packet);
  for (const Entry& entry : entries) {
    if (entry.selector.Matches(flow.source, flow.destination, NotesOf(packet).protocol,
                               ports.source, ports.destination, ports.known)) {
      return &entry;
    }
  }
  return nullptr;
}

}  // namespace penstock
