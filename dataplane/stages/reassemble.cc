// Reassembly of datagrams addressed to us (RFC 791 3.2, RFC 8200 4.5, RFC 5722).
//
// Written here and not taken from librte_ip_frag, which frees expired and overlapping fragments out
// of sight: every fragment must end under exactly one counter.
#include <algorithm>
#include <cstring>

#include "dataplane/stages/copy_packet.h"
#include "dataplane/stages/ipv6_fragment.h"
#include "dataplane/stages/reassembly_table.h"
#include "dataplane/stages/slow_path.h"

namespace penstock {
namespace {

// What fits a jumbo buffer with its headers; Ethernet does not carry larger packets.
constexpr unsigned kLongestPayload = 16000;
constexpr unsigned kExpirePerCall = kBurst;

// A fragment's header, read.
struct Fragment {
  FragmentKey key;
  unsigned payload_at = 0;  // in the packet's data
  unsigned offset = 0;      // in the datagram's payload
  unsigned length = 0;
  bool more = false;
  uint8_t ecn = 0;
};

bool ReadIpv4(Packet* packet, Fragment& fragment) {
  const PacketNotes& notes = NotesOf(packet);
  if (notes.l3_offset + sizeof(Ipv4Header) > packet->data_len) {
    return false;
  }
  const Ipv4Header& ip = Ipv4Of(packet);
  const unsigned header = ip.header_length();
  if (header < sizeof(ip) || notes.l3_offset + header > packet->data_len ||
      notes.l3_length <= header) {
    return false;
  }
  const uint16_t flags = ip.fragment.ToHost();
  std::memcpy(fragment.key.source, &ip.source, 4);
  std::memcpy(fragment.key.destination, &ip.destination, 4);
  fragment.key.identification = ip.identification.ToHost();
  fragment.key.protocol = 4u << 8 | ip.protocol;
  fragment.payload_at = notes.l3_offset + header;
  fragment.offset = (flags & kIpv4OffsetMask) * 8u;
  fragment.length = notes.l3_length - header;
  fragment.more = (flags & kIpv4MoreFragments) != 0;
  fragment.ecn = ip.tos & 3;
  return true;
}

bool ReadIpv6(Packet* packet, Fragment& fragment) {
  const PacketNotes& notes = NotesOf(packet);
  Ipv6FragmentPlace place;
  if (notes.l3_length < sizeof(Ipv6Header) || !FindIpv6Fragment(packet, place)) {
    return false;
  }
  const Ipv6Header& ip = Ipv6Of(packet);
  const auto& header = *DataAt<Ipv6FragmentHeader>(packet, place.header);
  std::memcpy(fragment.key.source, ip.source, 16);
  std::memcpy(fragment.key.destination, ip.destination, 16);
  fragment.key.identification = header.identification.ToHost();
  fragment.key.protocol = 6u << 8;
  fragment.payload_at = place.header + static_cast<unsigned>(sizeof(header));
  fragment.offset = header.offset_flags.ToHost() & 0xfff8u;
  const unsigned end = notes.l3_offset + notes.l3_length;
  fragment.length = end - fragment.payload_at;
  fragment.more = (header.offset_flags.ToHost() & 1) != 0;
  fragment.ecn = static_cast<uint8_t>(ip.version_class_flow.ToHost() >> 20 & 3);
  return fragment.length != 0;
}

bool ReadFragment(Packet* packet, Fragment& fragment) {
  const PacketNotes& notes = NotesOf(packet);
  if (notes.l3_offset + notes.l3_length > packet->pkt_len) {
    return false;
  }
  fragment.key.tunnel = notes.input_tunnel;
  const bool read = notes.version == 4   ? ReadIpv4(packet, fragment)
                    : notes.version == 6 ? ReadIpv6(packet, fragment)
                                         : false;
  // All but the last are whole units of 8 bytes, and no datagram is longer than its length field
  // says.
  return read && (!fragment.more || fragment.length % 8 == 0) &&
         fragment.offset + fragment.length <= 65535;
}

void CountHeld(StageContext& context, int by) {
  context.reassembly->held += static_cast<unsigned>(by);
  context.worker.counters.held.Add(static_cast<uint64_t>(int64_t{by}));
}

void DropPieces(StageContext& context, Datagram& datagram, DropReason reason) {
  for (unsigned i = 0; i < datagram.count; ++i) {
    DropPacket(context, datagram.pieces[i].packet, reason);
  }
  CountHeld(context, -int{datagram.count});
  datagram.count = 0;
}

// Drops all that is here and, until the deadline, all that is to come.
void Refuse(StageContext& context, Datagram& datagram, DropReason reason) {
  DropPieces(context, datagram, reason);
  datagram.refused = true;
}

enum class Fit : uint8_t { kFits, kDuplicate, kWrong };

// Where the fragment goes among the pieces; `at` is its index if it fits.
Fit FindPlace(const Datagram& datagram, const Fragment& fragment, unsigned& at) {
  const unsigned end = fragment.offset + fragment.length;
  const bool knows_total = datagram.total != 0;
  if (knows_total && (end > datagram.total || (!fragment.more && end != datagram.total))) {
    return Fit::kWrong;
  }
  at = 0;
  while (at < datagram.count && datagram.pieces[at].offset < fragment.offset) {
    ++at;
  }
  if (at < datagram.count && datagram.pieces[at].offset == fragment.offset &&
      datagram.pieces[at].length == fragment.length) {
    return Fit::kDuplicate;
  }
  if (at > 0 && datagram.pieces[at - 1].offset + datagram.pieces[at - 1].length >
                    static_cast<int>(fragment.offset)) {
    return Fit::kWrong;
  }
  // Behind the last fragment there is nothing.
  if (at < datagram.count && (end > datagram.pieces[at].offset || !fragment.more)) {
    return Fit::kWrong;
  }
  return Fit::kFits;
}

void Keep(StageContext& context, Datagram& datagram, Packet* packet, const Fragment& fragment,
          unsigned at) {
  FragmentPiece* place = datagram.pieces + at;
  std::memmove(place + 1, place, (datagram.count - at) * sizeof(FragmentPiece));
  *place = {packet, static_cast<uint16_t>(fragment.offset), static_cast<uint16_t>(fragment.length),
            static_cast<uint16_t>(fragment.payload_at)};
  ++datagram.count;
  datagram.received += fragment.length;
  datagram.ecn_seen |= static_cast<uint8_t>(1u << fragment.ecn);
  if (!fragment.more) {
    datagram.total = fragment.offset + fragment.length;
  }
  CountHeld(context, 1);
}

constexpr unsigned kNotEct = 1u << 0;
constexpr unsigned kCongestion = 1u << 3;

void FinishIpv4(Packet* whole, bool congestion) {
  PacketNotes& notes = NotesOf(whole);
  Ipv4Header& ip = Ipv4Of(whole);
  ip.total_length = Be16::FromHost(notes.l3_length);
  ip.fragment = Be16::FromHost(0);
  ip.tos = static_cast<uint8_t>(ip.tos | (congestion ? 3 : 0));
  SetIpv4Checksum(&ip, ip.header_length());
  notes.protocol = ip.protocol;
  notes.traffic_class = ip.tos;
}

void FinishIpv6(Packet* whole, const Ipv6FragmentPlace& place, uint8_t next_header,
                bool congestion) {
  PacketNotes& notes = NotesOf(whole);
  Ipv6Header& ip = Ipv6Of(whole);
  *DataAt(whole, place.named_by) = next_header;
  ip.payload_length = Be16::FromHost(static_cast<uint16_t>(notes.l3_length - sizeof(ip)));
  const uint32_t word = ip.version_class_flow.ToHost() | (congestion ? 3u << 20 : 0u);
  ip.version_class_flow = Be32::FromHost(word);
  notes.protocol = next_header;
  notes.traffic_class = static_cast<uint8_t>(word >> 20);
}

// In front of the payload go bytes of the first fragment: a frame's link header, since the packet
// may go to Linux, and the IP headers up to the fragment header. Null: `why` says what was wrong;
// the pieces are still there.
Packet* Join(StageContext& context, const Datagram& datagram, DropReason& why) {
  Packet* first = datagram.pieces[0].packet;
  const PacketNotes& notes = NotesOf(first);
  Ipv6FragmentPlace place;
  const bool v6 = notes.version == 6;
  if (v6) {
    FindIpv6Fragment(first, place);
  }
  const unsigned headers_end = v6 ? place.header : datagram.pieces[0].payload_at;
  const unsigned start = notes.input_tunnel == kNoTunnel ? 0u : notes.l3_offset;
  const unsigned front = headers_end - start;
  const bool congestion = (datagram.ecn_seen & kCongestion) != 0;
  if (congestion && (datagram.ecn_seen & kNotEct) != 0) {  // RFC 3168 5.3
    why = DropReason::kFragmentMalformed;
    return nullptr;
  }
  Packet* whole = NewPacket(context.worker, kHeadroom, front + datagram.total, kMadeTailroom, why);
  if (whole == nullptr) {
    return nullptr;
  }
  CopyBytes(first, start, front, DataAt(whole));
  for (unsigned i = 0; i < datagram.count; ++i) {
    const FragmentPiece& piece = datagram.pieces[i];
    CopyBytes(piece.packet, piece.payload_at, piece.length, DataAt(whole, front + piece.offset));
  }
  PacketNotes& result = NotesOf(whole);
  result = notes;
  result.l3_offset = static_cast<uint16_t>(notes.l3_offset - start);
  result.l4_offset = static_cast<uint16_t>(front);
  result.l3_length = static_cast<uint16_t>(front - result.l3_offset + datagram.total);
  result.flags &= static_cast<uint8_t>(~kPacketFragment);
  whole->port = first->port;
  if (v6) {
    place.named_by -= start;
    const uint8_t next = DataAt<Ipv6FragmentHeader>(first, place.header)->next_header;
    FinishIpv6(whole, place, next, congestion);
  } else {
    FinishIpv4(whole, congestion);
  }
  return whole;
}

// Takes the datagram, of which everything is here, out of the table.
Packet* Complete(StageContext& context, uint32_t index) {
  Datagram& datagram = context.reassembly->datagrams[index];
  DropReason why = DropReason::kNoBuffer;
  Packet* whole = Join(context, datagram, why);
  if (whole == nullptr) {
    DropPieces(context, datagram, why);
  } else {
    for (unsigned i = 0; i < datagram.count; ++i) {
      rte_pktmbuf_free(datagram.pieces[i].packet);
    }
    context.worker.counters.merged.Add(datagram.count - 1u);
    CountHeld(context, -int{datagram.count});
  }
  context.reassembly->Remove(index);
  return whole;
}

// The datagram's entry, made if there is none; kNoDatagram when the fragment has been dropped. A
// whole packet in a fragment header (RFC 6946) has nothing to do with others of its identification,
// and passes by way of an entry of its own.
uint32_t Enter(StageContext& context, Packet* packet, const Fragment& fragment) {
  Reassembly& table = *context.reassembly;
  const bool whole = fragment.offset == 0 && !fragment.more;
  uint32_t index = whole ? kNoDatagram : table.Find(fragment.key);
  if (index != kNoDatagram && table.datagrams[index].refused) {
    DropPacket(context, packet, DropReason::kFragmentMalformed);
    return kNoDatagram;
  }
  if (index == kNoDatagram) {
    index =
        table.held < table.held_limit ? table.Add(fragment.key, context.worker.now) : kNoDatagram;
  }
  if (index == kNoDatagram) {
    DropPacket(context, packet, DropReason::kFragmentTable);
  }
  return index;
}

}  // namespace

Packet* Reassemble(StageContext& context, Packet* packet) {
  Fragment fragment;
  if (!ReadFragment(packet, fragment)) {
    DropPacket(context, packet, DropReason::kFragmentMalformed);
    return nullptr;
  }
  const uint32_t index = Enter(context, packet, fragment);
  if (index == kNoDatagram) {
    return nullptr;
  }
  Datagram& datagram = context.reassembly->datagrams[index];
  unsigned at = 0;
  const Fit fit = FindPlace(datagram, fragment, at);
  if (fit != Fit::kFits) {
    DropPacket(context, packet, DropReason::kFragmentMalformed);
    if (fit == Fit::kWrong) {
      Refuse(context, datagram, DropReason::kFragmentMalformed);
    }
    return nullptr;
  }
  if (datagram.count == kMaxFragments || fragment.offset + fragment.length > kLongestPayload ||
      context.reassembly->held >= context.reassembly->held_limit) {
    DropPacket(context, packet, DropReason::kFragmentTable);
    Refuse(context, datagram, DropReason::kFragmentTable);
    return nullptr;
  }
  Keep(context, datagram, packet, fragment, at);
  return datagram.received == datagram.total ? Complete(context, index) : nullptr;
}

void ExpireFragments(StageContext& context) {
  Reassembly& table = *context.reassembly;
  for (unsigned i = 0; i < kExpirePerCall && table.oldest != kNoDatagram; ++i) {
    const uint32_t index = table.oldest;
    Datagram& datagram = table.datagrams[index];
    if (context.worker.now < datagram.deadline) {
      return;
    }
    // RFC 792 and RFC 4443 3.3: the sender is told if the first fragment came.
    for (unsigned j = 0; j < datagram.count; ++j) {
      DropWithIcmp(context, datagram.pieces[j].packet, DropReason::kFragmentTimeout,
                   IcmpError::kReassemblyTimeout);
    }
    CountHeld(context, -int{datagram.count});
    datagram.count = 0;
    table.Remove(index);
  }
}

void DropFragments(StageContext& context) {
  Reassembly& table = *context.reassembly;
  while (table.oldest != kNoDatagram) {
    const uint32_t index = table.oldest;
    DropPieces(context, table.datagrams[index], DropReason::kShutdown);
    table.Remove(index);
  }
}

std::unique_ptr<Reassembly, void (*)(Reassembly*)> MakeReassembly(const GatewaySettings& settings,
                                                                  uint64_t hertz) {
  return {new Reassembly(settings, hertz), [](Reassembly* table) { delete table; }};
}

}  // namespace penstock
