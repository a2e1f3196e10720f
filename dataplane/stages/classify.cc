#include "dataplane/stages/classify.h"

#include "dataplane/stages/classify_ip.h"
#include "dataplane/stages/lane_writer.h"
#include "dataplane/stages/slow_path.h"

namespace penstock {
namespace {

// A chained packet whose first segment is shorter than this is made linear, so that nobody behind
// has to gather headers from several segments.
constexpr unsigned kContiguousHeaders = 256;

constexpr uint64_t kMacMask = 0xffffffffffff;  // of the first eight bytes of a frame
constexpr uint16_t kRawIpv4 = Be16::FromHost(kEtherTypeIpv4).raw();
constexpr uint16_t kRawIpv6 = Be16::FromHost(kEtherTypeIpv6).raw();
constexpr uint16_t kRawVlan = Be16::FromHost(kEtherTypeVlan).raw();

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

// A frame for this station: tagged, IPv6, or something else than IP.
FrameClass ClassifyUncommonFrame(StageContext& context, Packet* packet, const Station& station) {
  unsigned offset = sizeof(EthernetHeader);
  uint16_t type = DataAt<EthernetHeader>(packet)->type.raw();
  if (type == kRawVlan && !SkipPriorityTag(packet, type, offset)) {
    return ClassifyOther(context, packet, station, true);
  }
  if (type != kRawIpv4 && type != kRawIpv6) {
    return ClassifyOther(context, packet, station, true);
  }
  const uint8_t version = type == kRawIpv4 ? 4 : 6;
  if (offset >= packet->data_len || *DataAt(packet, offset) >> 4 != version) {
    return RefuseIp(context, packet, offset, IpClass::kMalformed);
  }
  const IpClass ip = ClassifyIp(context.tables.settings, packet, offset);
  if (ip >= IpClass::kMalformed) [[unlikely]] {
    return RefuseIp(context, packet, offset, ip);
  }
  return ip == IpClass::kIp ? FrameClass::kIp : FrameClass::kEsp;
}

inline FrameClass ClassifyFrame(StageContext& context, Packet* packet, const Station& station) {
  constexpr unsigned kOffset = sizeof(EthernetHeader);
  PacketNotes& notes = NotesOf(packet);
  notes.input_port = station.port;
  notes.input_tunnel = kNoTunnel;
  if (packet->data_len <= kOffset) [[unlikely]] {
    return DropFrame(context, packet, DropReason::kMalformedEthernet);
  }
  const auto* ethernet = DataAt<EthernetHeader>(packet);
  const bool ours = (LoadAs<uint64_t>(ethernet) & kMacMask) == station.mac;
  const bool group = (ethernet->destination[0] & 1) != 0;
  if (!ours && (group || !station.any_mac)) [[unlikely]] {
    return ClassifyOther(context, packet, station, ours);
  }
  if (ethernet->type.raw() != kRawIpv4 || *DataAt(packet, kOffset) >> 4 != 4) [[unlikely]] {
    return ClassifyUncommonFrame(context, packet, station);
  }
  const IpClass ip = ClassifyIpInline(context.tables.settings, packet, kOffset, 0);
  if (ip >= IpClass::kMalformed) [[unlikely]] {
    return RefuseIp(context, packet, kOffset, ip);
  }
  return ip == IpClass::kIp ? FrameClass::kIp : FrameClass::kEsp;
}

}  // namespace

uint64_t RunClassify(StageContext& context, uint16_t port) {
  Lane& received = context.received;
  const PortInfo& info = context.tables.ports[port];
  const Station station = {LoadAs<uint64_t>(info.mac) & kMacMask,
                           info.any_mac.load(std::memory_order_relaxed) != 0, port};
  for (Packet* packet : received) {
    rte_prefetch0(rte_pktmbuf_mtod(packet, void*));
    rte_prefetch0(&NotesOf(packet));
  }
  uint64_t bytes = 0;
  LaneWriter ip(context.ip, received.count);
  LaneWriter esp(context.esp, received.count);
  LaneWriter punt(context.punt, received.count);
  for (Packet* packet : received) {
    bytes += packet->pkt_len;
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
  received.Clear();
  return bytes;
}

}  // namespace penstock
