// Where the fragment header of an IPv6 packet is (RFC 8200 4.5).
#pragma once

#include <algorithm>

#include "dataplane/packet/packet.h"

namespace penstock {

// Extension headers that may stand before a fragment header (RFC 8200 4.1).
inline constexpr uint8_t kProtocolHopByHop = 0;
inline constexpr uint8_t kProtocolRouting = 43;
inline constexpr uint8_t kProtocolDestination = 60;

struct Ipv6FragmentPlace {
  unsigned header = 0;    // of the fragment header, from the start of the data
  unsigned named_by = 0;  // of the next-header byte that announces it
};

// Walks the headers that may stand before a fragment header. False if there is none within the
// packet's first segment and its IP length.
inline bool FindIpv6Fragment(Packet* packet, Ipv6FragmentPlace& place) {
  const PacketNotes& notes = NotesOf(packet);
  const unsigned end = std::min<unsigned>(packet->data_len, notes.l3_offset + notes.l3_length);
  unsigned named_by = notes.l3_offset + 6u;
  unsigned at = notes.l3_offset + static_cast<unsigned>(sizeof(Ipv6Header));
  while (at + 8 <= end) {
    const uint8_t next = *DataAt(packet, named_by);
    if (next == kProtocolFragment) {
      place = {at, named_by};
      return true;
    }
    if (next != kProtocolHopByHop && next != kProtocolRouting && next != kProtocolDestination) {
      return false;
    }
    named_by = at;
    at += 8u + 8u * *DataAt(packet, at + 1);
  }
  return false;
}

}  // namespace penstock
