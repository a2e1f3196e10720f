// Bounds-checked reading of headers: the only way in which bytes from the wire are looked at.
#pragma once

#include <cstdint>
#include <cstring>

#include "dataplane/packet/packet.h"

namespace penstock {

// Walks forward over a packet's data, which may be spread over a chain of segments. Headers in the
// first segment are read in place; one that spans segments is copied. No length from the wire is
// trusted: every access is checked against the packet itself.
class PacketReader {
 public:
  explicit PacketReader(const Packet* packet, uint32_t offset = 0)
      : packet_(packet), offset_(offset) {}

  uint32_t offset() const { return offset_; }
  // Bytes from here to the packet's end.
  uint32_t remaining() const { return offset_ < packet_->pkt_len ? packet_->pkt_len - offset_ : 0; }

  // The header at the current place, or null if the packet is shorter. `copy` holds the header if
  // it spans segments, and must live as long as the result is used.
  template <typename Header>
  const Header* Peek(Header& copy) const {
    return PeekAt(offset_, copy);
  }
  // The same at any offset from the start of the packet's data.
  template <typename Header>
  const Header* PeekAt(uint32_t offset, Header& copy) const {
    static_assert(alignof(Header) == 1, "wire structs are packed: they may stand anywhere");
    return static_cast<const Header*>(Bytes(offset, sizeof(Header), &copy));
  }
  // Peek, then step behind it.
  template <typename Header>
  const Header* Read(Header& copy) {
    const Header* header = Peek(copy);
    if (header != nullptr) {
      offset_ += sizeof(Header);
    }
    return header;
  }
  // Steps forward; false, without moving, if that would leave the packet. The end itself is inside.
  bool Skip(uint32_t size) {
    if (size > remaining()) {
      return false;
    }
    offset_ += size;
    return true;
  }
  // Copies `size` bytes from `offset`; false if the packet is shorter.
  bool Copy(uint32_t offset, uint32_t size, void* target) const {
    const void* bytes = Bytes(offset, size, target);
    if (bytes != nullptr && bytes != target) {
      memcpy(target, bytes, size);
    }
    return bytes != nullptr;
  }
  // True if the next `size` bytes lie in the first segment, where stages may change them in place.
  bool Contiguous(uint32_t size) const {
    return offset_ <= packet_->data_len && size <= packet_->data_len - offset_;
  }

 private:
  const void* Bytes(uint32_t offset, uint32_t size, void* copy) const {
    if (offset <= packet_->data_len && size <= packet_->data_len - offset) [[likely]] {
      return rte_pktmbuf_mtod_offset(packet_, const void*, offset);
    }
    // rte_pktmbuf_read adds the two in 32 bits, so that is ruled out to wrap first.
    if (offset > packet_->pkt_len || size > packet_->pkt_len - offset) {
      return nullptr;
    }
    return rte_pktmbuf_read(packet_, offset, size, copy);
  }

  const Packet* packet_;
  uint32_t offset_;
};

}  // namespace penstock
