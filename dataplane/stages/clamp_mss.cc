// TCP's maximum segment size, lowered to what fits the tunnel (RFC 879, 6691), so that hosts do not
// depend on path MTU discovery.
#include <algorithm>

#include "dataplane/stages/slow_path.h"

namespace penstock {
namespace {

constexpr uint8_t kTcpSyn = 0x02;
constexpr uint8_t kOptionEnd = 0;
constexpr uint8_t kOptionNop = 1;
constexpr uint8_t kOptionMss = 2;
constexpr unsigned kMssLength = 4;

// RFC 1624: HC' = ~(~HC + ~m + m'). A value that starts at an odd byte straddles two words of the
// sum, in which its bytes then count the other way round (RFC 1071 2 (B)).
void ReplaceInChecksum(Be16& checksum, uint16_t before, uint16_t after, bool odd) {
  if (odd) {
    before = SwapBytes(before);
    after = SwapBytes(after);
  }
  uint32_t sum = static_cast<uint16_t>(~checksum.ToHost());
  sum += static_cast<uint16_t>(~before);
  sum += after;
  sum = (sum & 0xffffu) + (sum >> 16);
  sum = (sum & 0xffffu) + (sum >> 16);
  checksum = Be16::FromHost(static_cast<uint16_t>(~sum));
}

// The MSS option's value, from the start of the TCP header; 0 if there is none or the options are
// malformed before it.
unsigned FindMss(const uint8_t* tcp, unsigned header_length) {
  unsigned at = sizeof(TcpHeader);
  while (at < header_length) {
    if (tcp[at] == kOptionEnd) {
      return 0;
    }
    if (tcp[at] == kOptionNop) {
      ++at;
      continue;
    }
    if (at + 2 > header_length) {
      return 0;
    }
    const unsigned length = tcp[at + 1];
    if (length < 2 || at + length > header_length) {
      return 0;
    }
    if (tcp[at] == kOptionMss) {
      return length == kMssLength ? at + 2 : 0;
    }
    at += length;
  }
  return 0;
}

}  // namespace

void ClampMss(Packet* packet, uint16_t mss) {
  const PacketNotes& notes = NotesOf(packet);
  if (mss == 0 || notes.protocol != kProtocolTcp || (notes.flags & kPacketFragment) != 0) {
    return;
  }
  const unsigned end = std::min<unsigned>(packet->data_len, notes.l3_offset + notes.l3_length);
  if (notes.l4_offset + sizeof(TcpHeader) > end) {
    return;
  }
  auto& tcp = *DataAt<TcpHeader>(packet, notes.l4_offset);
  const unsigned header_length = (tcp.data_offset >> 4) * 4u;
  if ((tcp.flags & kTcpSyn) == 0 || notes.l4_offset + header_length > end) {
    return;
  }
  auto* bytes = DataAt(packet, notes.l4_offset);
  const unsigned at = FindMss(bytes, header_length);
  if (at == 0) {
    return;
  }
  const auto offered = static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
  if (offered <= mss) {
    return;
  }
  bytes[at] = static_cast<uint8_t>(mss >> 8);
  bytes[at + 1] = static_cast<uint8_t>(mss);
  ReplaceInChecksum(tcp.checksum, offered, mss, at % 2 != 0);
}

}  // namespace penstock
