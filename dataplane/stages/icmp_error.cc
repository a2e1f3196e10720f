// ICMP and ICMPv6 errors about packets that we drop.
#include <rte_ip.h>

#include <algorithm>
#include <cstring>

#include "dataplane/stages/copy_packet.h"
#include "dataplane/stages/ipv6_fragment.h"
#include "dataplane/stages/slow_path.h"

namespace penstock {
namespace {

// RFC 1812 4.3.2.3: as much of the original as fits without exceeding 576 bytes; RFC 4443 2.4 (c):
// the minimum IPv6 MTU.
constexpr unsigned kLongestV4 = 576;
constexpr unsigned kLongestV6 = 1280;
constexpr uint8_t kTtl = 64;
// RFC 1812 4.3.2.5: errors carry precedence 6, internetwork control.
constexpr uint8_t kTosInternetControl = 0xc0;

struct TypeAndCode {
  uint8_t type;
  uint8_t code;
};

TypeAndCode DescribeV4(IcmpError error, DropReason reason) {
  switch (error) {
    case IcmpError::kTtlExceeded:
      return {11, 0};
    case IcmpError::kTooBig:
      return {3, 4};
    case IcmpError::kHostUnreachable:  // RFC 1812 4.3.3.1: no route at all is "network unreachable"
      return {3, static_cast<uint8_t>(reason == DropReason::kNoRoute ? 0 : 1)};
    case IcmpError::kProhibited:
      return {3, 13};
    case IcmpError::kReassemblyTimeout:
      return {11, 1};
  }
  return {3, 1};
}

TypeAndCode DescribeV6(IcmpError error, DropReason reason) {
  switch (error) {
    case IcmpError::kTtlExceeded:
      return {3, 0};
    case IcmpError::kTooBig:
      return {2, 0};
    case IcmpError::kHostUnreachable:
      return {1, static_cast<uint8_t>(reason == DropReason::kNoRoute ? 0 : 3)};
    case IcmpError::kProhibited:
      return {1, 1};
    case IcmpError::kReassemblyTimeout:
      return {3, 1};
  }
  return {1, 3};
}

// The offending packet: what of it lies where, once its header is known to be there.
struct Offender {
  Packet* packet;
  const PacketNotes& notes;
  unsigned length;  // bytes of the IP packet that can be quoted
  bool v4() const { return notes.version == 4; }
  unsigned address_size() const { return v4() ? 4 : 16; }
  const uint8_t* source() const { return DataAt(packet, notes.l3_offset + (v4() ? 12u : 8u)); }
  const uint8_t* destination() const { return source() + address_size(); }
};

bool HeaderIsThere(const Packet* packet, const PacketNotes& notes) {
  if (notes.version != 4 && notes.version != 6) {
    return false;
  }
  const unsigned header = notes.version == 4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header);
  return notes.l3_length >= header && notes.l3_offset + header <= packet->data_len;
}

bool IsLaterFragment(const Offender& offender) {
  if (offender.v4()) {
    return (Ipv4Of(offender.packet).fragment.ToHost() & kIpv4OffsetMask) != 0;
  }
  Ipv6FragmentPlace place;
  if (!FindIpv6Fragment(offender.packet, place)) {
    return false;
  }
  const auto& header = *DataAt<Ipv6FragmentHeader>(offender.packet, place.header);
  return (header.offset_flags.ToHost() & 0xfff8) != 0;
}

// An ICMP message whose type cannot be read counts as an error: nothing is lost by silence.
bool IsIcmpError(const Offender& offender) {
  const PacketNotes& notes = offender.notes;
  const bool icmp = notes.protocol == (offender.v4() ? kProtocolIcmp : kProtocolIcmpv6);
  if (!icmp) {
    return false;
  }
  if (notes.l4_offset >= offender.packet->data_len) {
    return true;
  }
  const uint8_t type = *DataAt(offender.packet, notes.l4_offset);
  if (offender.v4()) {  // RFC 1122 3.2.2: unreachable, quench, redirect, time exceeded, parameter
                        // problem
    return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
  }
  return type < 128 || type == 137;  // RFC 4443 2.4 (e.1), (e.2): errors and redirects
}

// RFC 1122 3.2.2 and RFC 4443 2.4 (e.3) to (e.6): the source must define a single host, the
// destination must not be a group. Link-local IPv6 sources are left out too, since nothing routes
// back to them.
bool AddressesForbid(const Offender& offender) {
  const uint8_t* source = offender.source();
  const uint8_t* destination = offender.destination();
  if (offender.v4()) {
    return source[0] == 0 || source[0] == 127 || source[0] >= 224 || destination[0] >= 224;
  }
  static constexpr uint8_t kZeros[15] = {};
  const bool unspecified_or_loopback =
      std::memcmp(source, kZeros, sizeof(kZeros)) == 0 && source[15] <= 1;
  const bool link_local = source[0] == 0xfe && (source[1] & 0xc0) == 0x80;
  return unspecified_or_loopback || link_local || source[0] == 0xff || destination[0] == 0xff;
}

bool FromLinux(const Offender& offender) { return (offender.notes.flags & kPacketFromHost) != 0; }

bool MustStaySilent(const StageContext& context, const Offender& offender) {
  if ((offender.notes.flags & (kPacketMulticastL2 | kPacketNoIcmp)) != 0 ||
      AddressesForbid(offender) || IsLaterFragment(offender) || IsIcmpError(offender)) {
    return true;
  }
  // About packets of our own making (an outer packet) there is nobody to tell, but Linux.
  const IpAddress source =
      offender.v4() ? IpAddress::V4(offender.source()) : IpAddress::V6(offender.source());
  return !FromLinux(offender) && context.tables.fib.Lookup(source) == kNextHopLocal;
}

bool CopyPortAddress(const PortInfo& port, bool v4, uint8_t* to) {
  const bool has = (v4 ? port.has_v4 : port.has_v6).load(std::memory_order_acquire) != 0;
  if (port.in_use.load(std::memory_order_relaxed) == 0 || !has) {
    return false;
  }
  std::memcpy(to, v4 ? port.icmp_source_v4 : port.icmp_source_v6, v4 ? 4 : 16);
  return true;
}

bool CopyTunnelAddress(const Tunnel& tunnel, bool v4, uint8_t* to) {
  const uint8_t* address = v4 ? tunnel.icmp_source_v4 : tunnel.icmp_source_v6;
  const unsigned size = v4 ? 4 : 16;
  static constexpr uint8_t kZeros[16] = {};
  if (std::memcmp(address, kZeros, size) == 0) {
    return false;
  }
  std::memcpy(to, address, size);
  return true;
}

// The gateway's own address on the input side; else any of its addresses of the family. To Linux
// itself an error must not come from an address that Linux holds (it would be a martian source), so
// it seems to come from the packet's destination.
bool ChooseSource(const StageContext& context, const Offender& offender, uint8_t* to) {
  const bool v4 = offender.v4();
  if (FromLinux(offender)) {
    std::memcpy(to, offender.destination(), offender.address_size());
    return true;
  }
  const PacketNotes& notes = offender.notes;
  if (notes.input_tunnel != kNoTunnel &&
      CopyTunnelAddress(context.tables.tunnels[notes.input_tunnel], v4, to)) {
    return true;
  }
  if (notes.input_port < kMaxPorts &&
      CopyPortAddress(context.tables.ports[notes.input_port], v4, to)) {
    return true;
  }
  return std::any_of(std::begin(context.tables.ports), std::end(context.tables.ports),
                     [&](const PortInfo& port) { return CopyPortAddress(port, v4, to); });
}

void WriteV4(Packet* message, const Offender& offender, const uint8_t* source) {
  auto& ip = *DataAt<Ipv4Header>(message);
  ip = {};
  ip.version_ihl = 0x45;
  ip.tos = kTosInternetControl;
  ip.total_length = Be16::FromHost(static_cast<uint16_t>(message->pkt_len));
  ip.fragment =
      Be16::FromHost(kIpv4DontFragment);  // RFC 6864 4.1: then the identification may be 0
  ip.ttl = kTtl;
  ip.protocol = kProtocolIcmp;
  std::memcpy(&ip.source, source, 4);
  std::memcpy(&ip.destination, offender.source(), 4);
  SetIpv4Checksum(&ip, sizeof(ip));
}

void WriteV6(Packet* message, const Offender& offender, const uint8_t* source) {
  auto& ip = *DataAt<Ipv6Header>(message);
  ip.version_class_flow = Be32::FromHost(6u << 28);
  ip.payload_length = Be16::FromHost(static_cast<uint16_t>(message->pkt_len - sizeof(ip)));
  ip.next_header = kProtocolIcmpv6;
  ip.hop_limit = kTtl;
  std::memcpy(ip.source, source, 16);
  std::memcpy(ip.destination, offender.source(), 16);
}

void WriteIcmp(Packet* message, bool v4, TypeAndCode what, uint16_t mtu) {
  const unsigned at = v4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header);
  const unsigned length = message->pkt_len - at;
  auto& icmp = *DataAt<IcmpHeader>(message, at);
  icmp.type = what.type;
  icmp.code = what.code;
  icmp.checksum = Be16::FromRaw(0);
  icmp.rest =
      Be32::FromHost(mtu);  // RFC 1191 4 (low half) and RFC 4443 3.2 put it at the same place
  uint32_t sum = rte_raw_cksum(&icmp, length);
  if (!v4) {  // RFC 4443 2.3: over the pseudo-header too
    struct {
      Be32 length;
      Be32 next_header;
    } rest = {Be32::FromHost(length), Be32::FromHost(kProtocolIcmpv6)};
    sum += rte_raw_cksum(DataAt(message, 8), 32);
    sum += rte_raw_cksum(&rest, sizeof(rest));
  }
  icmp.checksum = Be16::FromRaw(FinishChecksum(sum));
}

void DescribeMessage(Packet* message, const Offender& offender) {
  const bool v4 = offender.v4();
  PacketNotes& notes = NotesOf(message);
  notes.l4_offset = v4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header);
  notes.l3_length = static_cast<uint16_t>(message->pkt_len);
  notes.input_port = kNoPort;
  // Tells the host path by which device Linux is to hear of its own packet.
  notes.input_tunnel = FromLinux(offender) ? offender.notes.input_tunnel : kNoTunnel;
  notes.flow_hash = offender.notes.flow_hash != 0 ? offender.notes.flow_hash : 1;
  notes.version = offender.notes.version;
  notes.protocol = v4 ? kProtocolIcmp : kProtocolIcmpv6;
  notes.traffic_class = v4 ? kTosInternetControl : 0;
  notes.flags = kPacketFromHost | kPacketNoIcmp;
}

Packet* MakeError(StageContext& context, Packet* packet, TypeAndCode what, uint16_t mtu) {
  const PacketNotes& notes = NotesOf(packet);
  const Offender offender{packet, notes,
                          std::min<unsigned>(notes.l3_length, packet->pkt_len - notes.l3_offset)};
  uint8_t source[16];
  if (MustStaySilent(context, offender) || context.generated.count == kBurst ||
      !ChooseSource(context, offender, source) ||
      !context.worker.icmp_bucket.Take(context.worker.now)) {
    return nullptr;
  }
  const bool v4 = offender.v4();
  const unsigned headers = (v4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header)) + sizeof(IcmpHeader);
  const unsigned quoted = std::min(offender.length, (v4 ? kLongestV4 : kLongestV6) - headers);
  DropReason why;
  Packet* message = NewPacket(context.worker, kHeadroom, headers + quoted, kMadeTailroom, why);
  if (message == nullptr) {
    return nullptr;
  }
  CopyBytes(packet, notes.l3_offset, quoted, DataAt(message, headers));
  v4 ? WriteV4(message, offender, source) : WriteV6(message, offender, source);
  WriteIcmp(message, v4, what, mtu);
  DescribeMessage(message, offender);
  return message;
}

}  // namespace

void DropWithIcmp(StageContext& context, Packet* packet, DropReason reason, IcmpError error,
                  uint16_t mtu) {
  const PacketNotes& notes = NotesOf(packet);
  if (HeaderIsThere(packet, notes)) {
    const TypeAndCode what =
        notes.version == 4 ? DescribeV4(error, reason) : DescribeV6(error, reason);
    Packet* message = MakeError(context, packet, what, error == IcmpError::kTooBig ? mtu : 0);
    if (message != nullptr) {
      context.worker.counters.generated.Add(1);
      context.generated.Push(message);
    }
  }
  DropPacket(context, packet, reason);
}

}  // namespace penstock
