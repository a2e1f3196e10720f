#include "dataplane/stages/encapsulate.h"

#include <immintrin.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include <cassert>

#include "dataplane/ipsec/esp_frame.h"
#include "dataplane/stages/ecn.h"
#include "dataplane/stages/flow_hash.h"

namespace penstock {
namespace {

constexpr unsigned kWide = 16;
constexpr unsigned kEspHeader = sizeof(EspHeader);
constexpr unsigned kEthernet = sizeof(EthernetHeader);

// RFC 4303 2.4.
alignas(16) constexpr uint8_t kPadding[kWide] = {1, 2,  3,  4,  5,  6,  7,  8,
                                                 9, 10, 11, 12, 13, 14, 15, 16};

inline void CopyWide(uint8_t* to, const uint8_t* from) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                   _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

template <typename T>
inline void Store(uint8_t* to, T value) {
  memcpy(to, &value, sizeof(value));
}

// What is the same for all packets of a run, read from the SA once.
struct RunShape {
  explicit RunShape(const OutboundSa& sa)
      : header(sa.header),
        key(sa.crypto_key),
        iv_base(sa.iv_base),
        checksum_base(sa.ipv4_checksum_base),
        iv_length(sa.iv_length),
        icv_length(sa.icv_length),
        block(sa.block),
        class_mask(static_cast<uint8_t>(((sa.flags & kSaCopyDscp) != 0 ? kDscpMask : 0) |
                                        ((sa.flags & kSaEcn) != 0 ? kEcnMask : 0))),
        class_fixed((sa.flags & kSaCopyDscp) != 0 ? uint8_t{0} : sa.fixed_dscp),
        set_df((sa.flags & kSaDfSet) != 0),
        copy_df((sa.flags & kSaDfCopy) != 0),
        esn((sa.flags & kSaEsn) != 0),
        aead((sa.flags & kSaAead) != 0) {}

  const uint8_t* header;
  const CryptoKey* key;
  uint64_t iv_base;
  uint32_t checksum_base;
  unsigned iv_length;
  unsigned icv_length;
  unsigned block;
  uint8_t class_mask;  // RFC 6040 4.1, normal mode: the ECN field is copied, CE too
  uint8_t class_fixed;
  bool set_df;
  bool copy_df;
  bool esn;
  bool aead;
};

// Wide copies, the last one overlapping, that touch nothing behind the template.
template <unsigned kLength>
inline void CopyTemplate(uint8_t* to, const uint8_t* from) {
  static_assert(kLength > kWide);
  for (unsigned at = 0; at + kWide < kLength; at += kWide) {
    CopyWide(to + at, from + at);
  }
  CopyWide(to + kLength - kWide, from + kLength - kWide);
}

// Padding and trailer behind the payload; returns how long the text is.
inline unsigned WriteTrailer(uint8_t* end, unsigned payload, unsigned block, uint8_t version) {
  const unsigned padding = -(payload + 2) & (block - 1);  // EspPadding, for a block of 2^n
  CopyWide(end, kPadding);
  end[padding] = static_cast<uint8_t>(padding);
  end[padding + 1] = version == 4 ? kProtocolIpv4 : kProtocolIpv6;
  return payload + padding + static_cast<unsigned>(sizeof(EspTrailer));
}

// DF of the outer header: an IPv6 inner packet counts as if it had DF, since no router may fragment
// it.
inline uint16_t OuterFragmentField(const RunShape& shape, const uint8_t* inner, uint8_t version) {
  constexpr uint16_t kDf = Be16::FromHost(kIpv4DontFragment).raw();
  if (!shape.copy_df) {
    return shape.set_df ? kDf : uint16_t{0};
  }
  return version == 4 ? static_cast<uint16_t>(LoadAs<uint16_t>(inner + 6) & kDf) : kDf;
}

// RFC 1071, in the order in which the bytes lie in memory.
inline void PatchIpv4(uint8_t* ip, const RunShape& shape, unsigned total, uint8_t traffic_class,
                      uint16_t identification, uint16_t fragment) {
  const uint16_t length = SwapBytes(static_cast<uint16_t>(total));
  const uint32_t class_word = uint32_t{traffic_class} << 8;
  uint32_t sum = shape.checksum_base + class_word + length + identification + fragment;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  Store(ip, 0x45u | class_word | uint32_t{length} << 16);
  Store(ip + 4, uint32_t{identification} | uint32_t{fragment} << 16);
  Store(ip + 10, static_cast<uint16_t>(~sum));
}

inline void PatchIpv6(uint8_t* ip, unsigned total, uint8_t traffic_class) {
  Store(ip, SwapBytes(6u << 28 | uint32_t{traffic_class} << 20));
  Store(ip + 4, SwapBytes(static_cast<uint16_t>(total - sizeof(Ipv6Header))));
}

template <bool kOuterV6, bool kUdp>
void EncapsulateRun(const OutboundRun& run, uint64_t sequence, Job* jobs) {
  const RunShape shape(*run.sa);
  constexpr unsigned kIpHeader = kOuterV6 ? sizeof(Ipv6Header) : sizeof(Ipv4Header);
  constexpr unsigned kEspOffset = kIpHeader + (kUdp ? sizeof(UdpHeader) : 0);
  constexpr unsigned kHeader = kEspOffset + kEspHeader;
  assert(run.sa->header_length == kHeader && run.sa->esp_offset == kEspOffset);
  const unsigned front = kHeader + shape.iv_length;
  // As unique as the sequence number, without a counter of its own (RFC 6864 4).
  const uint32_t identification = run.sa->ipv4_identification.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < run.count; ++i, ++sequence) {
    Packet* packet = run.packets[i];
    PacketNotes& notes = NotesOf(packet);
    const unsigned payload = run.payload[i];
    const unsigned inner_offset = notes.l3_offset;
    const uint8_t inner_version = notes.version;
    uint8_t* inner = DataAt(packet, inner_offset);
    const unsigned text = WriteTrailer(inner + payload, payload, shape.block, inner_version);
    uint8_t* start = inner - front;
    CopyTemplate<kHeader>(start, shape.header);
    const unsigned total = front + text + shape.icv_length;
    const auto traffic_class =
        static_cast<uint8_t>((notes.traffic_class & shape.class_mask) | shape.class_fixed);
    if constexpr (kOuterV6) {
      PatchIpv6(start, total, traffic_class);
    } else {
      PatchIpv4(start, shape, total, traffic_class,
                static_cast<uint16_t>(identification + sequence),
                OuterFragmentField(shape, inner, inner_version));
    }
    if constexpr (kUdp) {
      Store(start + kIpHeader + 4, SwapBytes(static_cast<uint16_t>(total - kIpHeader)));
    }
    uint8_t* esp = start + kEspOffset;
    Store(esp + 4, SwapBytes(static_cast<uint32_t>(sequence)));
    if (shape.aead) {
      Store(esp + kEspHeader, SwapBytes(shape.iv_base + sequence));
    }
    const unsigned grow =
        front + kEthernet - inner_offset;  // modulo 2^32, as data_off is modulo 2^16
    packet->data_off = static_cast<uint16_t>(packet->data_off - grow);
    packet->data_len = static_cast<uint16_t>(total + kEthernet);
    packet->pkt_len = total + kEthernet;
    notes.l3_offset = kEthernet;
    notes.l3_length = static_cast<uint16_t>(total);
    notes.next_hop = run.next_hop;
    notes.version = kOuterV6 ? 6 : 4;
    Job& job = jobs[i];
    job.key = shape.key;
    job.esp = esp;
    job.text_length = text;
    job.sequence_high = static_cast<uint32_t>(sequence >> 32);
    job.esn = shape.esn;
  }
}

}  // namespace

void Encapsulate(const OutboundRun& run, uint64_t sequence, Job* jobs) {
  const uint16_t flags = run.sa->flags;
  if ((flags & kSaOuterV6) != 0) {
    (flags & kSaUdp) != 0 ? EncapsulateRun<true, true>(run, sequence, jobs)
                          : EncapsulateRun<true, false>(run, sequence, jobs);
  } else {
    (flags & kSaUdp) != 0 ? EncapsulateRun<false, true>(run, sequence, jobs)
                          : EncapsulateRun<false, false>(run, sequence, jobs);
  }
}

void WriteUdpChecksumV6(Packet* packet) {
  const unsigned offset = NotesOf(packet).l3_offset;
  auto* ip = DataAt<rte_ipv6_hdr>(packet, offset);
  auto* udp = DataAt<rte_udp_hdr>(packet, offset + sizeof(rte_ipv6_hdr));
  udp->dgram_cksum = 0;
  udp->dgram_cksum = rte_ipv6_udptcp_cksum(ip, udp);
}

}  // namespace penstock
