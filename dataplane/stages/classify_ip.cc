#include "dataplane/stages/classify_ip.h"

namespace penstock {
namespace {

constexpr unsigned kMaxExtensionHeaders = 8;
constexpr uint8_t kHopByHop = 0;
constexpr uint8_t kRouting = 43;
constexpr uint8_t kDestinationOptions = 60;

// Cuts off what stands behind the IP packet: Ethernet padding, TFC padding.
void TrimTo(Packet* packet, unsigned length) {
  if (packet->pkt_len == length) [[likely]] {
    return;
  }
  if (packet->nb_segs == 1) [[likely]] {
    packet->pkt_len = length;
    packet->data_len = static_cast<uint16_t>(length);
    return;
  }
  Packet* segment = packet;
  unsigned left = length;
  while (left > segment->data_len && segment->next != nullptr) {
    left -= segment->data_len;
    segment = segment->next;
  }
  Packet* rest = segment->next;
  segment->data_len = static_cast<uint16_t>(left);
  segment->next = nullptr;
  packet->pkt_len = length;
  while (rest != nullptr) {
    Packet* next = rest->next;
    rest->next = nullptr;
    rest->nb_segs = 1;
    --packet->nb_segs;
    rte_pktmbuf_free_seg(rest);
    rest = next;
  }
}

IpClass ClassifyIpv4(const GatewaySettings& settings, Packet* packet, unsigned offset,
                     uint8_t flags) {
  const auto* ip = DataAt<Ipv4Header>(packet, offset);
  const unsigned header_length = ip->header_length();
  const unsigned total = ip->total_length.ToHost();
  if (header_length < sizeof(Ipv4Header) || header_length > total ||
      offset + header_length > packet->data_len || offset + total > packet->pkt_len) [[unlikely]] {
    return IpClass::kMalformed;
  }
  if (!CheckedByDevice(packet, offset) &&
      !ChecksumIsRight(reinterpret_cast<const uint8_t*>(ip), header_length)) [[unlikely]] {
    return IpClass::kBadChecksum;
  }
  constexpr uint16_t kFragmentBits = Be16::FromHost(kIpv4MoreFragments | kIpv4OffsetMask).raw();
  const bool fragment = (ip->fragment.raw() & kFragmentBits) != 0;
  TrimTo(packet, offset + total);
  IpReading reading{.l3_offset = offset,
                    .l4_offset = offset + header_length,
                    .end = offset + total,
                    .readable = std::min<unsigned>(offset + total, packet->data_len),
                    .version = 4,
                    .protocol = ip->protocol,
                    .traffic_class = ip->tos,
                    .flags = static_cast<uint8_t>(flags | (fragment ? kPacketFragment : 0))};
  reading.ports = PortsOf(packet, reading);
  return WriteNotes(settings, packet, reading,
                    FlowHashV4(&ip->source, reading.ports, reading.protocol));
}

// Walks hop-by-hop, routing, destination and fragment headers (RFC 8200 4). Behind a fragment
// header the walk ends: the rest may be in another packet. False if the chain is broken.
bool WalkExtensionHeaders(Packet* packet, IpReading& reading) {
  for (unsigned count = 0; count < kMaxExtensionHeaders; ++count) {
    const bool options = reading.protocol == kHopByHop || reading.protocol == kRouting ||
                         reading.protocol == kDestinationOptions;
    if (!options && reading.protocol != kProtocolFragment) [[likely]] {
      return true;
    }
    if (reading.l4_offset + 8 > reading.readable) {
      return false;
    }
    const uint8_t* header = DataAt(packet, reading.l4_offset);
    const bool last = !options;
    const unsigned offset_flags = SwapBytes(LoadAs<uint16_t>(header + 2));
    reading.protocol = header[0];
    reading.l4_offset += options ? (header[1] + 1u) * 8 : 8;
    if (reading.l4_offset > reading.readable) {
      return false;
    }
    // An atomic fragment (RFC 6946) is whole.
    if (last && (offset_flags & 0xfff9) != 0) {
      reading.flags |= kPacketFragment;
      return true;
    }
  }
  return true;
}

IpClass ClassifyIpv6(const GatewaySettings& settings, Packet* packet, unsigned offset,
                     uint8_t flags) {
  if (offset + sizeof(Ipv6Header) > packet->data_len) [[unlikely]] {
    return IpClass::kMalformed;
  }
  const auto* ip = DataAt<Ipv6Header>(packet, offset);
  const unsigned total = static_cast<unsigned>(sizeof(Ipv6Header)) + ip->payload_length.ToHost();
  if (offset + total > packet->pkt_len || total > UINT16_MAX) [[unlikely]] {
    return IpClass::kMalformed;
  }
  TrimTo(packet, offset + total);
  IpReading reading{.l3_offset = offset,
                    .l4_offset = offset + static_cast<unsigned>(sizeof(Ipv6Header)),
                    .end = offset + total,
                    .readable = std::min<unsigned>(offset + total, packet->data_len),
                    .version = 6,
                    .protocol = ip->next_header,
                    .traffic_class = static_cast<uint8_t>(ip->version_class_flow.ToHost() >> 20),
                    .flags = flags};
  if (!WalkExtensionHeaders(packet, reading)) [[unlikely]] {
    return IpClass::kMalformed;
  }
  reading.ports = PortsOf(packet, reading);
  return WriteNotes(settings, packet, reading,
                    FlowHashV6(ip->source, reading.ports, reading.protocol));
}

}  // namespace

IpClass ClassifyUncommonIp(const GatewaySettings& settings, Packet* packet, unsigned offset,
                           uint8_t flags) {
  return *DataAt(packet, offset) >> 4 == 4   ? ClassifyIpv4(settings, packet, offset, flags)
         : *DataAt(packet, offset) >> 4 == 6 ? ClassifyIpv6(settings, packet, offset, flags)
                                             : IpClass::kMalformed;
}

IpClass ClassifyIp(const GatewaySettings& settings, Packet* packet, unsigned offset,
                   uint8_t flags) {
  return ClassifyIpInline(settings, packet, offset, flags);
}

}  // namespace penstock
