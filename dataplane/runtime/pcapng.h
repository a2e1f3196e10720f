// The pcapng file format (draft-ietf-opsawg-pcapng), as far as a capture needs it: one section in
// little-endian order, interfaces with nanosecond timestamps, enhanced packet blocks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace penstock {

inline constexpr uint16_t kLinkTypeEthernet = 1;
inline constexpr uint16_t kLinkTypeRaw = 101;  // starts with the IPv4 or IPv6 header

struct PcapngPacket {
  uint32_t interface = 0;         // number of the interface block, in order of appearance from 0
  uint64_t wall_nanoseconds = 0;  // since 1970
  uint32_t original_length = 0;   // bytes on the wire
  bool outbound = false;
  std::span<const uint8_t> bytes;  // what was captured of it
  std::string_view comment;        // empty: none
};

// Each appends one whole block.
void AppendPcapngSection(std::string& out);
void AppendPcapngInterface(std::string& out, uint16_t link_type, uint32_t snap_length,
                           std::string_view name);
void AppendPcapngPacket(std::string& out, const PcapngPacket& packet);

}  // namespace penstock
