#include "dataplane/stages/local.h"

#include <algorithm>
#include <iterator>

#include "dataplane/stages/classify.h"
#include "dataplane/stages/slow_path.h"

namespace penstock {
namespace {

bool IsEspCandidate(const PacketNotes& notes) {
  return notes.protocol == kProtocolEsp || (notes.flags & kPacketUdpEncap) != 0;
}

// Too short for an SPI and a sequence number: no SA can be looked for.
bool IsTruncatedEsp(const PacketNotes& notes) {
  return notes.protocol == kProtocolEsp &&
         notes.l3_offset + notes.l3_length < notes.l4_offset + sizeof(EspHeader);
}

// One byte 0xff to an encapsulation port (RFC 3948 2.3).
bool IsNatKeepalive(const GatewaySettings& settings, Packet* packet, const PacketNotes& notes) {
  constexpr unsigned kLength = sizeof(UdpHeader) + 1;
  const unsigned length = notes.l3_offset + notes.l3_length - notes.l4_offset;
  if (notes.protocol != kProtocolUdp || (notes.flags & kPacketFragment) != 0 || length != kLength ||
      notes.l4_offset + kLength > packet->data_len) {
    return false;
  }
  const auto* udp = DataAt<UdpHeader>(packet, notes.l4_offset);
  const uint16_t port = udp->destination.ToHost();
  const auto& ports = settings.encapsulation_ports;
  return port != 0 && std::find(std::begin(ports), std::end(ports), port) != std::end(ports) &&
         *reinterpret_cast<const uint8_t*>(udp + 1) == 0xff;
}

// Only ESP has to be whole for us; Linux reassembles everything else for itself. What ESP in UDP is
// shows only in the first fragment, so all of UDP is put together here.
bool MustBeWhole(const PacketNotes& notes) {
  return (notes.flags & kPacketFragment) != 0 &&
         (notes.protocol == kProtocolEsp || notes.protocol == kProtocolUdp);
}

void DeliverFragment(StageContext& context, Packet* packet) {
  Packet* whole = Reassemble(context, packet);
  if (whole == nullptr) {
    return;
  }
  const PacketNotes& notes = NotesOf(whole);
  const IpClass ip = ClassifyIp(context.tables.settings, whole, notes.l3_offset);
  if (ip == IpClass::kEsp) {
    context.again.Push(whole);
  } else if (ip == IpClass::kIp) {
    context.generated.Push(whole);  // policies have not seen its ports yet
  } else {
    DropPacket(context, whole, DropReason::kFragmentMalformed);
  }
}

}  // namespace

void DeliverLocal(StageContext& context, Packet* packet) {
  const PacketNotes& notes = NotesOf(packet);
  if (MustBeWhole(notes)) [[unlikely]] {
    return DeliverFragment(context, packet);
  }
  if (IsEspCandidate(notes)) [[unlikely]] {
    if (IsTruncatedEsp(notes)) {
      return DropPacket(context, packet, DropReason::kMalformedEsp);
    }
    const Be32 spi = DataAt<EspHeader>(packet, notes.esp_offset)->spi;
    return context.tables.sad.IsAwaited(spi) ? HoldForInboundSa(context, packet)
                                             : DropPacket(context, packet, DropReason::kNoSa);
  }
  if (IsNatKeepalive(context.tables.settings, packet, notes)) [[unlikely]] {
    return DropPacket(context, packet, DropReason::kNatKeepalive);
  }
  context.punt.Push(packet);
}

}  // namespace penstock
