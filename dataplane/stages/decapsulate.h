// From decrypted ESP text to the inner packet: trailer, inner header, ECN, selectors. Inline, since
// every packet comes this way.
#pragma once

#include <immintrin.h>

#include "dataplane/stages/classify_ip.h"
#include "dataplane/stages/ecn.h"
#include "dataplane/stages/slow_path.h"
#include "dataplane/stages/tcp_syn.h"

namespace penstock {

// Whether the packet that the notes describe is one that the SA may carry (RFC 4301 5.2, step 4).
bool WithinSelectors(Packet* packet, const PacketNotes& notes, const InboundSa& sa);
bool LongPaddingIsRight(const uint8_t* padding, unsigned pad_length);

namespace decapsulate_detail {

inline constexpr unsigned kWide = 16;

// Padding is 1, 2, 3, ... (RFC 4303 2.4). Up to 16 bytes are compared at once: the 16 bytes before
// the trailer with the same 16 bytes of a row that ends in 1..n, where a second row says which
// count. Bytes before the text may be read: they are the ESP and IP headers.
alignas(64) inline constexpr uint8_t kPaddingRow[2 * kWide] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0,  0,  0,  0,  0,  0,
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
alignas(64) inline constexpr uint8_t kCountsRow[2 * kWide] = {
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

inline __m128i LoadWide(const uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

inline bool PaddingIsRight(const uint8_t* trailer, unsigned pad_length) {
  if (pad_length <= kWide) [[likely]] {
    const __m128i difference =
        _mm_xor_si128(LoadWide(trailer - kWide), LoadWide(kPaddingRow + pad_length));
    return _mm_testz_si128(difference, LoadWide(kCountsRow + pad_length)) != 0;
  }
  return LongPaddingIsRight(trailer - pad_length, pad_length);
}

// kCount, or why the outer header's ECN field forbids the packet. Also the DSCP, where the SA says
// so.
inline DropReason CombineTrafficClass(Packet* packet, PacketNotes& notes, const InboundSa& sa,
                                      uint8_t outer) {
  const uint8_t inner = notes.traffic_class;
  uint8_t ecn = inner & kEcnMask;
  if ((sa.flags & kSaEcn) != 0) {
    ecn = kEcnDecapsulated[ecn][outer & kEcnMask];
    if (ecn == kEcnDrop) [[unlikely]] {
      return DropReason::kEcnIllegal;
    }
  }
  const uint8_t dscp = ((sa.flags & kSaDecapDscp) != 0 ? outer : inner) & kDscpMask;
  const auto combined = static_cast<uint8_t>(dscp | ecn);
  if (combined != inner) [[unlikely]] {
    SetTrafficClass(packet, notes, combined);
  }
  return DropReason::kCount;
}

}  // namespace decapsulate_detail

// The packet's ICV was right and `job` is its job. On kCount the notes describe the inner packet,
// and `nested` says whether that is an ESP candidate itself; otherwise the reason to drop it.
inline DropReason Decapsulate(StageContext& context, Packet* packet, const InboundSa& sa,
                              const Job& job, bool& nested) {
  using namespace decapsulate_detail;
  const uint8_t* trailer = job.esp + sizeof(EspHeader) + sa.iv_length + job.text_length - 2;
  const unsigned pad_length = trailer[0];
  const uint8_t next_header = trailer[1];
  if (pad_length + sizeof(EspTrailer) > job.text_length || !PaddingIsRight(trailer, pad_length))
      [[unlikely]] {
    return DropReason::kBadPadding;
  }
  if (next_header != kProtocolIpv4 && next_header != kProtocolIpv6) [[unlikely]] {
    return next_header == kProtocolNone ? DropReason::kDummyPacket : DropReason::kBadNextHeader;
  }
  PacketNotes& notes = NotesOf(packet);
  const unsigned offset =
      notes.esp_offset + static_cast<unsigned>(sizeof(EspHeader)) + sa.iv_length;
  const unsigned end =
      offset + job.text_length - pad_length - static_cast<unsigned>(sizeof(EspTrailer));
  packet->pkt_len = end;
  packet->data_len = static_cast<uint16_t>(end);
  const uint8_t outer_class = notes.traffic_class;
  const uint16_t outer_offset = notes.esp_offset;
  const IpClass inner = ClassifyIpInline(context.tables.settings, packet, offset, 0);
  if (inner >= IpClass::kMalformed || notes.version != (next_header == kProtocolIpv4 ? 4 : 6))
      [[unlikely]] {
    notes.esp_offset = outer_offset;
    return DropReason::kBadInner;
  }
  nested = inner == IpClass::kEsp;
  if (const DropReason reason = CombineTrafficClass(packet, notes, sa, outer_class);
      reason != DropReason::kCount) [[unlikely]] {
    return reason;
  }
  if ((sa.flags & kSaSelectors) != 0 && !WithinSelectors(packet, notes, sa)) [[unlikely]] {
    return DropReason::kSelectorMismatch;
  }
  if (IsTcpSyn(packet, notes)) [[unlikely]] {
    if (const uint16_t mss = MssOf(context.tables.tunnels[sa.tunnel], notes.version); mss != 0) {
      ClampMss(packet, mss);
    }
  }
  notes.input_tunnel = sa.tunnel;
  return DropReason::kCount;
}

}  // namespace penstock
