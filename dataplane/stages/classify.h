// Reads frames: Ethernet once, IP once, with every bound checked; what was read goes into the
// notes.
#pragma once

#include <cstdint>

#include "dataplane/stages/context.h"

namespace penstock {

// What an IP packet is to the pipeline.
enum class IpClass : uint8_t {
  kIp,           // to be routed
  kEsp,          // an ESP candidate, plain or in UDP: notes.esp_offset is set
  kMalformed,    // version, header or lengths are wrong
  kBadChecksum,  // IPv4 header checksum
};

// Reads the IP packet at `offset` of the packet's data and fills the notes that describe it: l3,
// l4, length, version, protocol, traffic class, flow hash, flags (`flags` and what is found here),
// and for ESP candidates esp_offset and source_port. Bytes behind the IP total length are trimmed
// off. The headers must lie in the first segment. Input port and tunnel are the caller's to note.
IpClass ClassifyIp(const GatewaySettings& settings, Packet* packet, unsigned offset,
                   uint8_t flags = 0);

// Empties `received`, the frames of one port, into the lanes esp, ip and punt. Returns how many
// bytes they had.
uint64_t RunClassify(StageContext& context, uint16_t port);

}  // namespace penstock
