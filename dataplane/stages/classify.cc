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

constexpr uint64_t kMacMask = 0xffffffffffff;  // of the first eight bytes of a frame
constexpr uint16_t kRawIpv4 = Be16::FromHost(kEtherTypeIpv4).raw();
constexpr uint16_t kRawIpv6 = Be16::FromHost(kEtherTypeIpv6).raw();
constexpr uint16_t kRawVlan = Be16::FromHost(kEtherTypeVlan).raw();

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

// What is read of an IP packet before anything is written: the notes are of bytes, which may alias
// everything, so that reads after writes would be made twice.
struct Reading {
  unsigned l3_offset;
  unsigned l4_offset;
  unsigned end;  // of the IP packet
  uint8_t version;
  uint8_t protocol;
  uint8_t traffic_class;
  uint8_t flags;
  uint32_t ports = 0;  // the first four bytes behind the IP header, as they stand there
};

// TCP, UDP and SCTP have ports there, ESP its SPI.
inline uint32_t PortsOf(Packet* packet, const Reading& reading) {
  const uint8_t protocol = reading.protocol;
  const bool has_ports = protocol == kProtocolUdp || protocol == kProtocolTcp ||
                         protocol == kProtocolEsp || protocol == kSctp;
  const unsigned end = std::min<unsigned>(reading.end, packet->data_len);
  if (!has_ports || (reading.flags & kPacketFragment) != 0 || reading.l4_offset + 4 > end)
      [[unlikely]] {
    return 0;
  }
  return LoadAs<uint32_t>(DataAt(packet, reading.l4_offset));
}

inline bool IsEncapsulationPort(const GatewaySettings& settings, uint16_t port) {
  const uint16_t* ports = settings.encapsulation_ports;
  return (port == ports[0]) | (port == ports[1]) | (port == ports[2]) | (port == ports[3]);
}

// RFC 3948 2.2: behind the UDP header a non-zero SPI is ESP, four zero bytes are IKE.
inline bool IsEspInUdp(const GatewaySettings& settings, Packet* packet, const Reading& reading) {
  const uint16_t port = SwapBytes(static_cast<uint16_t>(reading.ports >> 16));
  if (!IsEncapsulationPort(settings, port) || port == 0) [[likely]] {
    return false;
  }
  const unsigned esp_end = reading.l4_offset + sizeof(UdpHeader) + sizeof(EspHeader);
  if (esp_end > reading.end || esp_end > packet->data_len) {
    return false;
  }
  const auto* udp = DataAt<UdpHeader>(packet, reading.l4_offset);
  const auto* esp = reinterpret_cast<const EspHeader*>(udp + 1);
  return udp->length.ToHost() == reading.end - reading.l4_offset && esp->spi.raw() != 0;
}

inline IpClass WriteNotes(const GatewaySettings& settings, Packet* packet, const Reading& reading,
                          uint32_t flow_hash) {
  const bool plain = reading.protocol == kProtocolEsp;
  // A fragment has no ports here, so that it is no candidate: ESP takes whole packets only.
  const bool in_udp = reading.protocol == kProtocolUdp && IsEspInUdp(settings, packet, reading);
  const bool candidate = in_udp || (plain && reading.ports != 0 &&
                                    reading.l4_offset + sizeof(EspHeader) <=
                                        std::min<unsigned>(reading.end, packet->data_len));
  PacketNotes& notes = NotesOf(packet);
  notes.l3_offset = static_cast<uint16_t>(reading.l3_offset);
  notes.l4_offset = static_cast<uint16_t>(reading.l4_offset);
  notes.l3_length = static_cast<uint16_t>(reading.end - reading.l3_offset);
  notes.flow_hash = flow_hash;
  notes.version = reading.version;
  notes.protocol = reading.protocol;
  notes.traffic_class = reading.traffic_class;
  notes.flags = static_cast<uint8_t>(reading.flags | (in_udp ? kPacketUdpEncap : 0));
  if (plain || in_udp) {
    notes.esp_offset = static_cast<uint16_t>(reading.l4_offset + (in_udp ? sizeof(UdpHeader) : 0));
    notes.source_port = in_udp ? SwapBytes(static_cast<uint16_t>(reading.ports)) : uint16_t{0};
  }
  return candidate ? IpClass::kEsp : IpClass::kIp;
}

// A device looks at the first IP header of a frame only.
inline bool CheckedByDevice(const Packet* packet, unsigned offset) {
  return (packet->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
         offset <= sizeof(EthernetHeader) + kVlanTag;
}

inline IpClass ClassifyIpv4(const GatewaySettings& settings, Packet* packet, unsigned offset,
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
  Reading reading{.l3_offset = offset,
                  .l4_offset = offset + header_length,
                  .end = offset + total,
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
bool WalkExtensionHeaders(Packet* packet, Reading& reading) {
  const unsigned end = std::min<unsigned>(reading.end, packet->data_len);
  for (unsigned count = 0; count < kMaxExtensionHeaders; ++count) {
    const bool options = reading.protocol == kHopByHop || reading.protocol == kRouting ||
                         reading.protocol == kDestinationOptions;
    if (!options && reading.protocol != kProtocolFragment) [[likely]] {
      return true;
    }
    if (reading.l4_offset + 8 > end) {
      return false;
    }
    const uint8_t* header = DataAt(packet, reading.l4_offset);
    const bool last = !options;
    const unsigned offset_flags = SwapBytes(LoadAs<uint16_t>(header + 2));
    reading.protocol = header[0];
    reading.l4_offset += options ? (header[1] + 1u) * 8 : 8;
    if (reading.l4_offset > end) {
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
  Reading reading{.l3_offset = offset,
                  .l4_offset = offset + static_cast<unsigned>(sizeof(Ipv6Header)),
                  .end = offset + total,
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

inline IpClass ClassifyAny(const GatewaySettings& settings, Packet* packet, unsigned offset,
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

// A frame that is not for this station, or not IP.
FrameClass ClassifyOther(StageContext& context, Packet* packet, const Station& station, bool ours) {
  const bool group = (*DataAt(packet) & 1) != 0;
  if (!ours && !group && !station.any_mac) {
    return DropFrame(context, packet, DropReason::kNotForUs);
  }
  NoteOpaqueFrame(packet);
  if (group) {
    NotesOf(packet).flags = kPacketMulticastL2 | kPacketNoIcmp;
  }
  return FrameClass::kPunt;
}

inline FrameClass ClassifyFrame(StageContext& context, Packet* packet, const Station& station) {
  if (packet->data_len < sizeof(EthernetHeader)) [[unlikely]] {
    return DropFrame(context, packet, DropReason::kMalformedEthernet);
  }
  PacketNotes& notes = NotesOf(packet);
  notes.input_port = station.port;
  notes.input_tunnel = kNoTunnel;
  const auto* ethernet = DataAt<EthernetHeader>(packet);
  const bool ours = (LoadAs<uint64_t>(ethernet) & kMacMask) == station.mac;
  const bool group = (ethernet->destination[0] & 1) != 0;
  if (!ours && (group || !station.any_mac)) [[unlikely]] {
    return ClassifyOther(context, packet, station, ours);
  }
  unsigned offset = sizeof(EthernetHeader);
  uint16_t type = ethernet->type.raw();
  if (type == kRawVlan && !SkipPriorityTag(packet, type, offset)) [[unlikely]] {
    return ClassifyOther(context, packet, station, true);
  }
  if (type != kRawIpv4 && type != kRawIpv6) [[unlikely]] {
    return ClassifyOther(context, packet, station, true);
  }
  const uint8_t version = type == kRawIpv4 ? 4 : 6;
  if (offset >= packet->data_len || *DataAt(packet, offset) >> 4 != version) [[unlikely]] {
    return RefuseIp(context, packet, offset, IpClass::kMalformed);
  }
  const IpClass ip = ClassifyAny(context.tables.settings, packet, offset, 0);
  if (ip >= IpClass::kMalformed) [[unlikely]] {
    return RefuseIp(context, packet, offset, ip);
  }
  return ip == IpClass::kIp ? FrameClass::kIp : FrameClass::kEsp;
}

}  // namespace

IpClass ClassifyIp(const GatewaySettings& settings, Packet* packet, unsigned offset,
                   uint8_t flags) {
  return ClassifyAny(settings, packet, offset, flags);
}

void RunClassify(StageContext& context, uint16_t port) {
  Lane& received = context.received;
  const PortInfo& info = context.tables.ports[port];
  const Station station = {LoadAs<uint64_t>(info.mac) & kMacMask,
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
