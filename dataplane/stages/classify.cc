#include "dataplane/stages/classify.h"

#include "dataplane/stages/flow_hash.h"
#include "dataplane/stages/lane_writer.h"
#include "dataplane/stages/slow_path.h"

namespace penstock {
namespace {

// A chained packet whose first segment is shorter than this is made linear, so that nobody behind
// has to gather headers from several segments.
constexpr unsigned kContiguousHeaders = 256;
constexpr unsigned kMaxExtensionHeaders = 8;
constexpr unsigned kVlanTag = 4;

constexpr uint8_t kHopByHop = 0;
constexpr uint8_t kRouting = 43;
constexpr uint8_t kDestinationOptions = 60;
constexpr uint8_t kSctp = 132;

// RFC 1071. 2^16 is 1 modulo 65535, so the sum of a correct header's words, of any size, is a
// multiple of 65535; it is never zero, since the version is not.
inline bool ChecksumIsRight(const uint8_t* header, unsigned length) {
  uint64_t sum = uint64_t{LoadAs<uint32_t>(header)} + LoadAs<uint32_t>(header + 4) +
                 LoadAs<uint32_t>(header + 8) + LoadAs<uint32_t>(header + 12) +
                 LoadAs<uint32_t>(header + 16);
  for (unsigned at = sizeof(Ipv4Header); at < length; at += 4) [[unlikely]] {
      sum += LoadAs<uint32_t>(header + at);
    }
  return sum % 0xffff == 0;
}

inline bool IsEncapsulationPort(const GatewaySettings& settings, uint16_t port) {
  const uint16_t* ports = settings.encapsulation_ports;
  return port != 0 &&
         ((port == ports[0]) | (port == ports[1]) | (port == ports[2]) | (port == ports[3]));
}

// Cuts off what stands behind the IP packet: Ethernet padding, TFC padding.
inline void TrimTo(Packet* packet, unsigned length) {
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

// The first four bytes behind the IP header: ports of TCP, UDP and SCTP, the SPI of ESP.
inline uint32_t PortsOf(Packet* packet, const PacketNotes& notes) {
  const uint8_t protocol = notes.protocol;
  const bool has_ports = protocol == kProtocolUdp || protocol == kProtocolTcp ||
                         protocol == kProtocolEsp || protocol == kSctp;
  if (!has_ports || (notes.flags & kPacketFragment) != 0 ||
      notes.l4_offset + 4u > notes.l3_offset + notes.l3_length ||
      notes.l4_offset + 4u > packet->data_len) {
    return 0;
  }
  return LoadAs<uint32_t>(DataAt(packet, notes.l4_offset));
}

// RFC 3948 2.2: behind the UDP header a non-zero SPI is ESP, four zero bytes are IKE.
inline bool IsEspInUdp(const GatewaySettings& settings, Packet* packet, PacketNotes& notes) {
  const unsigned length = notes.l3_offset + notes.l3_length - notes.l4_offset;
  if (length < sizeof(UdpHeader) + sizeof(EspHeader) ||
      notes.l4_offset + sizeof(UdpHeader) + sizeof(EspHeader) > packet->data_len) {
    return false;
  }
  const auto* udp = DataAt<UdpHeader>(packet, notes.l4_offset);
  const auto* esp = reinterpret_cast<const EspHeader*>(udp + 1);
  if (!IsEncapsulationPort(settings, udp->destination.ToHost()) || udp->length.ToHost() != length ||
      esp->spi.raw() == 0) {
    return false;
  }
  notes.flags |= kPacketUdpEncap;
  notes.esp_offset = static_cast<uint16_t>(notes.l4_offset + sizeof(UdpHeader));
  notes.source_port = udp->source.ToHost();
  return true;
}

inline bool IsPlainEsp(Packet* packet, PacketNotes& notes) {
  notes.esp_offset = notes.l4_offset;
  notes.source_port = 0;
  const unsigned length = notes.l3_offset + notes.l3_length - notes.l4_offset;
  return length >= sizeof(EspHeader) && notes.l4_offset + sizeof(EspHeader) <= packet->data_len &&
         DataAt<EspHeader>(packet, notes.l4_offset)->spi.raw() != 0;
}

inline IpClass ClassifyPayload(const GatewaySettings& settings, Packet* packet,
                               PacketNotes& notes) {
  if ((notes.flags & kPacketFragment) != 0) [[unlikely]] {
    notes.esp_offset = notes.l4_offset;  // first or not: ESP takes no fragments
    return IpClass::kIp;
  }
  const bool esp = notes.protocol == kProtocolEsp
                       ? IsPlainEsp(packet, notes)
                       : notes.protocol == kProtocolUdp && IsEspInUdp(settings, packet, notes);
  return esp ? IpClass::kEsp : IpClass::kIp;
}

// A device looks at the first IP header of a frame only.
inline bool CheckedByDevice(const Packet* packet, unsigned offset) {
  return (packet->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
         offset <= sizeof(EthernetHeader) + kVlanTag;
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
  if (ip->fragment.raw() & Be16::FromHost(kIpv4MoreFragments | kIpv4OffsetMask).raw())
      [[unlikely]] {
    flags |= kPacketFragment;
  }
  TrimTo(packet, offset + total);
  PacketNotes& notes = NotesOf(packet);
  notes.l3_offset = static_cast<uint16_t>(offset);
  notes.l4_offset = static_cast<uint16_t>(offset + header_length);
  notes.l3_length = static_cast<uint16_t>(total);
  notes.version = 4;
  notes.protocol = ip->protocol;
  notes.traffic_class = ip->tos;
  notes.flags = flags;
  notes.flow_hash = FlowHashV4(&ip->source, PortsOf(packet, notes), ip->protocol);
  return ClassifyPayload(settings, packet, notes);
}

// Walks hop-by-hop, routing, destination and fragment headers (RFC 8200 4). Behind a fragment
// header the walk ends: the rest may be in another packet.
bool WalkExtensionHeaders(Packet* packet, PacketNotes& notes, uint8_t next_header) {
  unsigned at = notes.l3_offset + sizeof(Ipv6Header);
  const unsigned end = std::min<unsigned>(notes.l3_offset + notes.l3_length, packet->data_len);
  for (unsigned count = 0; count < kMaxExtensionHeaders; ++count) {
    const bool options =
        next_header == kHopByHop || next_header == kRouting || next_header == kDestinationOptions;
    if (!options && next_header != kProtocolFragment) [[likely]] {
      break;
    }
    if (at + 8 > end) {
      return false;
    }
    const uint8_t* header = DataAt(packet, at);
    if (next_header == kProtocolFragment) {
      const auto* fragment = reinterpret_cast<const Ipv6FragmentHeader*>(header);
      next_header = fragment->next_header;
      at += sizeof(Ipv6FragmentHeader);
      // An atomic fragment (RFC 6946) is whole.
      if ((fragment->offset_flags.ToHost() & 0xfff9) != 0) {
        notes.flags |= kPacketFragment;
        break;
      }
      continue;
    }
    next_header = header[0];
    at += (header[1] + 1u) * 8;
    if (at > end) {
      return false;
    }
  }
  notes.protocol = next_header;
  notes.l4_offset = static_cast<uint16_t>(at);
  return true;
}

IpClass ClassifyIpv6(const GatewaySettings& settings, Packet* packet, unsigned offset,
                     uint8_t flags) {
  if (offset + sizeof(Ipv6Header) > packet->data_len) [[unlikely]] {
    return IpClass::kMalformed;
  }
  const auto* ip = DataAt<Ipv6Header>(packet, offset);
  const unsigned total = sizeof(Ipv6Header) + ip->payload_length.ToHost();
  if (offset + total > packet->pkt_len || total > UINT16_MAX) [[unlikely]] {
    return IpClass::kMalformed;
  }
  TrimTo(packet, offset + total);
  PacketNotes& notes = NotesOf(packet);
  notes.l3_offset = static_cast<uint16_t>(offset);
  notes.l3_length = static_cast<uint16_t>(total);
  notes.version = 6;
  notes.traffic_class = static_cast<uint8_t>(ip->version_class_flow.ToHost() >> 20);
  notes.flags = flags;
  if (!WalkExtensionHeaders(packet, notes, ip->next_header)) [[unlikely]] {
    return IpClass::kMalformed;
  }
  notes.flow_hash = FlowHashV6(ip->source, PortsOf(packet, notes), notes.protocol);
  return ClassifyPayload(settings, packet, notes);
}

// Where a frame goes.
enum class FrameClass : uint8_t { kIp, kEsp, kPunt, kDropped };

FrameClass DropFrame(StageContext& context, Packet* packet, DropReason reason) {
  DropPacket(context, packet, reason);
  return FrameClass::kDropped;
}

// What every frame of a burst is compared with.
struct Station {
  uint64_t mac;  // six bytes as they stand in the frame
  bool any_mac;
  uint16_t port;
};

// Priority tags (VLAN 0, IEEE 802.1Q 9.6) change nothing; other VLANs are Linux's business.
bool SkipPriorityTag(Packet* packet, uint16_t& type, unsigned& offset) {
  if (packet->data_len < sizeof(EthernetHeader) + kVlanTag) {
    return false;
  }
  const uint16_t tag = DataAt<Be16>(packet, sizeof(EthernetHeader))->ToHost();
  type = DataAt<Be16>(packet, sizeof(EthernetHeader) + 2)->raw();
  offset = sizeof(EthernetHeader) + kVlanTag;
  return (tag & 0x0fff) == 0;
}

// What is wrong with a packet that ClassifyIp refused. Its notes may not be filled.
FrameClass RefuseIp(StageContext& context, Packet* packet, unsigned offset, IpClass refused) {
  NotesOf(packet).l3_offset = static_cast<uint16_t>(offset);
  return DropFrame(
      context, packet,
      refused == IpClass::kMalformed ? DropReason::kMalformedIp : DropReason::kBadChecksum);
}

// Notes that a packet has when it leaves by a lane that reads no IP header: a whole frame for
// Linux.
void NoteOpaqueFrame(Packet* packet) {
  PacketNotes& notes = NotesOf(packet);
  notes.l3_offset = sizeof(EthernetHeader);
  notes.l4_offset = sizeof(EthernetHeader);
  notes.l3_length = 0;
  notes.version = 0;
  notes.protocol = 0;
  notes.flags = 0;
  notes.flow_hash = 1;
}

FrameClass ClassifyFrame(StageContext& context, Packet* packet, const Station& station) {
  if (packet->data_len < sizeof(EthernetHeader)) [[unlikely]] {
    return DropFrame(context, packet, DropReason::kMalformedEthernet);
  }
  PacketNotes& notes = NotesOf(packet);
  notes.input_port = station.port;
  notes.input_tunnel = kNoTunnel;
  const auto* ethernet = DataAt<EthernetHeader>(packet);
  const uint64_t mac = LoadAs<uint64_t>(ethernet) & 0xffffffffffff;
  if (mac != station.mac) [[unlikely]] {
    if ((ethernet->destination[0] & 1) != 0) {
      NoteOpaqueFrame(packet);
      notes.flags = kPacketMulticastL2 | kPacketNoIcmp;
      return FrameClass::kPunt;
    }
    if (!station.any_mac) {
      return DropFrame(context, packet, DropReason::kNotForUs);
    }
  }
  unsigned offset = sizeof(EthernetHeader);
  uint16_t type = ethernet->type.raw();
  if (type == Be16::FromHost(kEtherTypeVlan).raw() && !SkipPriorityTag(packet, type, offset))
      [[unlikely]] {
    NoteOpaqueFrame(packet);
    return FrameClass::kPunt;
  }
  IpClass ip;
  if (type == Be16::FromHost(kEtherTypeIpv4).raw() || type == Be16::FromHost(kEtherTypeIpv6).raw())
      [[likely]] {
    const uint8_t version = type == Be16::FromHost(kEtherTypeIpv4).raw() ? 4 : 6;
    if (offset >= packet->data_len || *DataAt(packet, offset) >> 4 != version) [[unlikely]] {
      return RefuseIp(context, packet, offset, IpClass::kMalformed);
    }
    ip = ClassifyIp(context.tables.settings, packet, offset);
  } else {
    NoteOpaqueFrame(packet);
    return FrameClass::kPunt;
  }
  if (ip == IpClass::kIp) {
    return FrameClass::kIp;
  }
  return ip == IpClass::kEsp ? FrameClass::kEsp : RefuseIp(context, packet, offset, ip);
}

}  // namespace

IpClass ClassifyIp(const GatewaySettings& settings, Packet* packet, unsigned offset,
                   uint8_t flags) {
  if (offset + sizeof(Ipv4Header) > packet->data_len) [[unlikely]] {
    return IpClass::kMalformed;
  }
  const unsigned version = *DataAt(packet, offset) >> 4;
  if (version == 4) [[likely]] {
    return ClassifyIpv4(settings, packet, offset, flags);
  }
  return version == 6 ? ClassifyIpv6(settings, packet, offset, flags) : IpClass::kMalformed;
}

void RunClassify(StageContext& context, uint16_t port) {
  Lane& received = context.received;
  const PortInfo& info = context.tables.ports[port];
  const Station station = {LoadAs<uint64_t>(info.mac) & 0xffffffffffff,
                           info.any_mac.load(std::memory_order_relaxed) != 0, port};
  for (Packet* packet : received) {
    rte_prefetch0(rte_pktmbuf_mtod(packet, void*));
    rte_prefetch0(&NotesOf(packet));
  }
  {
    LaneWriter ip(context.ip, received.count);
    LaneWriter esp(context.esp, received.count);
    LaneWriter punt(context.punt, received.count);
    for (Packet* packet : received) {
      if (packet->nb_segs > 1 && packet->data_len < kContiguousHeaders) [[unlikely]] {
        packet = MakeLinear(context, packet, kHeadroom, 0);
        if (packet == nullptr) {
          continue;
        }
      }
      const FrameClass frame = ClassifyFrame(context, packet, station);
      if (frame == FrameClass::kIp) {
        ip.Push(packet);
      } else if (frame == FrameClass::kEsp) {
        esp.Push(packet);
      } else if (frame == FrameClass::kPunt) {
        punt.Push(packet);
      }
    }
  }
  received.Clear();
}

}  // namespace penstock
