// The datagrams that wait for fragments: found by key, in order of age, in memory of fixed size.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "dataplane/stages/context.h"

namespace penstock {

inline constexpr uint32_t kNoDatagram = UINT32_MAX;
inline constexpr unsigned kMaxFragments = 32;  // of one datagram

// What makes fragments belong together. Different tunnels are different networks.
struct alignas(4) FragmentKey {
  uint8_t source[16] = {};
  uint8_t destination[16] = {};
  uint32_t identification = 0;
  uint32_t tunnel = 0;
  uint32_t protocol = 0;  // version << 8 | protocol (RFC 791); IPv6: the version alone (RFC 8200)
  bool operator==(const FragmentKey& other) const {
    return std::memcmp(this, &other, sizeof(FragmentKey)) == 0;
  }
};
static_assert(sizeof(FragmentKey) == 44);

struct FragmentPiece {
  Packet* packet;
  uint16_t offset;
  uint16_t length;
  uint16_t payload_at;
};

struct Datagram {
  FragmentKey key;
  uint64_t deadline = 0;
  uint32_t next_in_bucket = kNoDatagram;  // also links the free ones
  uint32_t older = kNoDatagram, newer = kNoDatagram;
  uint32_t total = 0;     // payload length, once the last fragment is here
  uint32_t received = 0;  // payload bytes here
  uint8_t count = 0;
  uint8_t ecn_seen = 0;  // bit per codepoint
  bool refused = false;  // RFC 5722 4: what is still to come of it is dropped as well
  FragmentPiece pieces[kMaxFragments];  // in order of offset
};

// One worker's. The caller keeps `held` and the packets themselves.
struct Reassembly {
  Reassembly(const GatewaySettings& settings, uint64_t hertz);

  uint32_t& Bucket(const FragmentKey& key);
  uint32_t Find(const FragmentKey& key);
  uint32_t Add(const FragmentKey& key, uint64_t now);  // kNoDatagram: full
  void Remove(uint32_t index);

  uint64_t timeout;  // TSC cycles
  uint32_t seed;
  unsigned held = 0;
  unsigned held_limit;
  std::vector<Datagram> datagrams;
  std::vector<uint32_t> buckets;
  uint32_t first_free = kNoDatagram;
  uint32_t oldest = kNoDatagram, newest = kNoDatagram;
};

}  // namespace penstock
