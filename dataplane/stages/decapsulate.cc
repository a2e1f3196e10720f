#include "dataplane/stages/decapsulate.h"

#include "dataplane/ipsec/selector_ports.h"

namespace penstock {

bool WithinSelectors(Packet* packet, const PacketNotes& notes, const InboundSa& sa) {
  const FlowAddresses flow = AddressesOf(packet);
  const SelectorPorts ports = PortsOf(packet);
  for (const Selector& selector : sa.selectors) {
    if (selector.Matches(flow.source, flow.destination, notes.protocol, ports.source,
                         ports.destination, ports.known)) {
      return true;
    }
  }
  return false;
}

bool LongPaddingIsRight(const uint8_t* padding, unsigned pad_length) {
  for (unsigned i = 0; i < pad_length; ++i) {
    if (padding[i] != i + 1) {
      return false;
    }
  }
  return true;
}

}  // namespace penstock
