#include "dataplane/stages/decapsulate.h"

namespace penstock {
namespace {

// A selector's view of the ports: for ICMP, type and code (RFC 4301 4.4.1.1).
struct SelectorPorts {
  uint16_t source = 0;
  uint16_t destination = 0;
  bool known = false;
};

SelectorPorts SelectorPortsOf(Packet* packet, const PacketNotes& notes) {
  if ((notes.flags & kPacketFragment) != 0 ||
      notes.l4_offset + 4u > notes.l3_offset + notes.l3_length ||
      notes.l4_offset + 4u > packet->data_len) {
    return {};
  }
  const auto* l4 = DataAt<Be16>(packet, notes.l4_offset);
  switch (notes.protocol) {
    case kProtocolTcp:
    case kProtocolUdp:
    case kProtocolSctp:
      return {l4[0].ToHost(), l4[1].ToHost(), true};
    case kProtocolIcmp:
    case kProtocolIcmpv6:
      return {l4[0].ToHost(), l4[0].ToHost(), true};
    default:
      return {};
  }
}

}  // namespace

bool WithinSelectors(Packet* packet, const PacketNotes& notes, const InboundSa& sa) {
  const bool v4 = notes.version == 4;
  const IpAddress source =
      v4 ? IpAddress::V4(&Ipv4Of(packet).source) : IpAddress::V6(Ipv6Of(packet).source);
  const IpAddress destination =
      v4 ? IpAddress::V4(&Ipv4Of(packet).destination) : IpAddress::V6(Ipv6Of(packet).destination);
  const SelectorPorts ports = SelectorPortsOf(packet, notes);
  for (const Selector& selector : sa.selectors) {
    if (selector.Matches(source, destination, notes.protocol, ports.source, ports.destination,
                         ports.known)) {
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
