// Fragmentation (RFC 791 3.2, RFC 8200 4.5). Pieces are copies, each in one segment, since what
// follows (encryption) works in place.
#include <algorithm>
#include <cstring>
#include <optional>

#include "dataplane/stages/copy_packet.h"
#include "dataplane/stages/ipv6_fragment.h"
#include "dataplane/stages/slow_path.h"

namespace penstock {
namespace {

// Enough for 64 KiB over the smallest IPv4 path that hosts must support (576 bytes, RFC 791).
constexpr unsigned kMaxPieces = 128;
constexpr unsigned kLongestIpv4Header = 60;
constexpr uint8_t kOptionEnd = 0;
constexpr uint8_t kOptionNop = 1;
constexpr uint8_t kOptionCopied = 0x80;

// How a packet is cut: two header templates, and payload in steps.
struct Cut {
  uint8_t first_header[kLongestIpv4Header] = {};
  uint8_t later_header[kLongestIpv4Header] = {};
  unsigned first_header_length = 0;
  unsigned later_header_length = 0;
  unsigned payload_at = 0;  // in the original's data
  unsigned payload_length = 0;
  unsigned step = 0;  // payload bytes of each piece but the last
  unsigned base_offset =
      0;  // where the payload lies in the datagram: the original may be a fragment
  bool more_follow = false;  // the original is a fragment and not its datagram's last
  unsigned pieces() const { return (payload_length + step - 1) / step; }
};

// Writes the options that every fragment carries behind `header` and returns the header's new
// length; empty if the options are malformed.
std::optional<unsigned> CopyOptions(const uint8_t* original, unsigned original_length,
                                    uint8_t* header) {
  unsigned length = sizeof(Ipv4Header);
  for (unsigned at = sizeof(Ipv4Header); at < original_length;) {
    if (original[at] == kOptionEnd) {
      break;
    }
    if (original[at] == kOptionNop) {
      ++at;
      continue;
    }
    const unsigned size = at + 1 < original_length ? original[at + 1] : 0;
    if (size < 2 || at + size > original_length) {
      return std::nullopt;
    }
    if ((original[at] & kOptionCopied) != 0) {
      std::memcpy(header + length, original + at, size);
      length += size;
    }
    at += size;
  }
  return (length + 3) & ~3u;  // the template is zero, which is end of options
}

std::optional<Cut> PlanIpv4(Packet* packet, uint16_t mtu) {
  const PacketNotes& notes = NotesOf(packet);
  const Ipv4Header& ip = Ipv4Of(packet);
  const unsigned length = ip.header_length();
  const uint16_t fragment = ip.fragment.ToHost();
  if (length < sizeof(Ipv4Header) || notes.l3_offset + length > packet->data_len ||
      notes.l3_length <= length || (fragment & kIpv4DontFragment) != 0 || mtu < length + 8) {
    return std::nullopt;
  }
  Cut cut;
  std::memcpy(cut.first_header, &ip, length);
  std::memcpy(cut.later_header, &ip, sizeof(ip));
  const auto later = CopyOptions(cut.first_header, length, cut.later_header);
  if (!later) {
    return std::nullopt;
  }
  cut.first_header_length = length;
  cut.later_header_length = *later;
  cut.later_header[0] = static_cast<uint8_t>(0x40u | *later / 4);
  cut.payload_at = notes.l3_offset + length;
  cut.payload_length = notes.l3_length - length;
  cut.step = (mtu - length) & ~7u;
  cut.base_offset = (fragment & kIpv4OffsetMask) * 8u;
  cut.more_follow = (fragment & kIpv4MoreFragments) != 0;
  return cut;
}

// Only packets of our own making come here: their IPv6 header is followed by what may be cut.
std::optional<Cut> PlanIpv6(Packet* packet, uint16_t mtu, uint32_t identification) {
  const PacketNotes& notes = NotesOf(packet);
  constexpr unsigned kHeaders = sizeof(Ipv6Header) + sizeof(Ipv6FragmentHeader);
  if (notes.l3_offset + sizeof(Ipv6Header) > packet->data_len ||
      notes.l3_length <= sizeof(Ipv6Header) || mtu < kHeaders + 8) {
    return std::nullopt;
  }
  const uint8_t next = Ipv6Of(packet).next_header;
  if (next == kProtocolHopByHop || next == kProtocolRouting || next == kProtocolFragment ||
      next == kProtocolDestination) {
    return std::nullopt;
  }
  Cut cut;
  Ipv6FragmentHeader fragment{next, 0, Be16::FromRaw(0), Be32::FromHost(identification)};
  std::memcpy(cut.first_header, &Ipv6Of(packet), sizeof(Ipv6Header));
  cut.first_header[6] = kProtocolFragment;
  std::memcpy(cut.first_header + sizeof(Ipv6Header), &fragment, sizeof(fragment));
  std::memcpy(cut.later_header, cut.first_header, kHeaders);
  cut.first_header_length = cut.later_header_length = kHeaders;
  cut.payload_at = notes.l3_offset + static_cast<unsigned>(sizeof(Ipv6Header));
  cut.payload_length = notes.l3_length - static_cast<unsigned>(sizeof(Ipv6Header));
  cut.step = (mtu - kHeaders) & ~7u;
  return cut;
}

void FinishIpv4(Packet* piece, unsigned header_length, unsigned offset, bool more) {
  auto& ip = *DataAt<Ipv4Header>(piece);
  ip.total_length = Be16::FromHost(static_cast<uint16_t>(piece->pkt_len));
  ip.fragment = Be16::FromHost(static_cast<uint16_t>(offset / 8 | (more ? kIpv4MoreFragments : 0)));
  SetIpv4Checksum(&ip, header_length);
}

void FinishIpv6(Packet* piece, unsigned offset, bool more) {
  DataAt<Ipv6Header>(piece)->payload_length =
      Be16::FromHost(static_cast<uint16_t>(piece->pkt_len - sizeof(Ipv6Header)));
  DataAt<Ipv6FragmentHeader>(piece, sizeof(Ipv6Header))->offset_flags =
      Be16::FromHost(static_cast<uint16_t>(offset | (more ? 1u : 0u)));
}

// Fills the fresh buffer `piece` with the piece number `index`.
void FillPiece(const Packet* original, const Cut& cut, unsigned index, Packet* piece) {
  const bool first = index == 0;
  const unsigned header_length = first ? cut.first_header_length : cut.later_header_length;
  const unsigned offset = index * cut.step;
  const unsigned length = std::min(cut.step, cut.payload_length - offset);
  const bool more = cut.more_follow || offset + length < cut.payload_length;
  piece->data_len = static_cast<uint16_t>(header_length + length);
  piece->pkt_len = piece->data_len;
  std::memcpy(DataAt(piece), first ? cut.first_header : cut.later_header, header_length);
  CopyBytes(original, cut.payload_at + offset, length, DataAt(piece, header_length));
  PacketNotes& notes = NotesOf(piece);
  notes = NotesOf(original);
  notes.l3_offset = 0;
  notes.l4_offset = static_cast<uint16_t>(header_length);
  notes.l3_length = piece->data_len;
  notes.flags |= kPacketFragment | kPacketFragmented;
  if (notes.version == 4) {
    FinishIpv4(piece, header_length, cut.base_offset + offset, more);
  } else {
    FinishIpv6(piece, offset, more);
  }
}

std::optional<Cut> Plan(StageContext& context, Packet* packet, uint16_t mtu) {
  const PacketNotes& notes = NotesOf(packet);
  if (notes.l3_offset + notes.l3_length > packet->pkt_len) {
    return std::nullopt;
  }
  if (notes.version == 6) {
    // Unique per source, destination and some time (RFC 8200 4.5): a counter per worker, worker on
    // top.
    const uint32_t low = context.next_identification++ & 0x03ffffff;
    return PlanIpv6(packet, mtu, context.worker.id << 26 | low);
  }
  if (notes.version == 4 && notes.l3_offset + sizeof(Ipv4Header) <= packet->data_len) {
    return PlanIpv4(packet, mtu);
  }
  return std::nullopt;
}

}  // namespace

void FragmentIpv4(StageContext& context, Packet* packet, uint16_t mtu,
                  void (*sink)(StageContext&, Packet*, void*), void* argument) {
  WorkerContext& worker = context.worker;
  const auto cut = Plan(context, packet, mtu);
  rte_mempool* pool = PoolFor(worker, kHeadroom + mtu + kMadeTailroom);
  if (!cut || cut->pieces() > kMaxPieces || pool == nullptr) {
    DropPacket(context, packet, DropReason::kFragmentFailed);
    return;
  }
  // All or nothing: half a datagram is of no use to anybody.
  const unsigned count = cut->pieces();
  Packet* pieces[kMaxPieces];
  if (rte_pktmbuf_alloc_bulk(pool, pieces, count) != 0) {
    DropPacket(context, packet, DropReason::kNoBuffer);
    return;
  }
  for (unsigned i = 0; i < count; ++i) {
    FillPiece(packet, *cut, i, pieces[i]);
  }
  worker.counters.fragments.Add(count - 1);
  rte_pktmbuf_free(packet);
  for (unsigned i = 0; i < count; ++i) {
    sink(context, pieces[i], argument);
  }
}

}  // namespace penstock
