// Security associations as the fast path sees them: what every packet reads first, what is written
// apart, names and limits at the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/base/secret.h"
#include "dataplane/crypto/engine.h"
#include "dataplane/ipsec/lifetime.h"
#include "dataplane/ipsec/replay_window.h"
#include "dataplane/ipsec/sequence.h"
#include "dataplane/packet/packet.h"

namespace penstock {

// A traffic selector (RFC 4301 4.4.1.1): ranges, as IKEv2 has them. For ICMP and ICMPv6 the
// packet's port is type * 256 + code, and both ranges are compared with it. A range of 65535 to 0
// is OPAQUE: it matches packets whose ports cannot be seen, and only these.
struct Selector {
  Prefix source;
  Prefix destination;
  uint8_t protocol = 0;  // 0: any
  uint16_t source_port_first = 0, source_port_last = 65535;
  uint16_t destination_port_first = 0, destination_port_last = 65535;
  // Everything of its family, that is.
  bool MatchesEverything() const;
  // `ports_known` is false for fragments and for protocols without ports.
  bool Matches(const IpAddress& source, const IpAddress& destination, uint8_t protocol,
               uint16_t source_port, uint16_t destination_port, bool ports_known) const;
  friend bool operator==(const Selector&, const Selector&) = default;
};

enum class DfMode : uint8_t { kCopy, kSet, kClear };

// How outer headers are made from inner ones, and the way back.
struct HeaderPolicy {
  DfMode df = DfMode::kCopy;  // outer IPv4 DF
  bool copy_dscp = true;      // else `dscp`
  uint8_t dscp = 0;           // 0 to 63
  bool ecn = true;            // RFC 6040 normal mode; false: outer always not-ECT, inner untouched
  bool decapsulate_dscp = false;  // write the outer DSCP to the inner packet at decapsulation
  uint8_t hop_limit = 64;         // of outer headers
};

// What MakeOutboundSa and MakeInboundSa are given. Ports are in host order.
struct SaConfig {
  std::string name;  // charon's or the operator's, for people
  uint32_t spi = 0;  // host order; 256 and up
  bool inbound = false;
  const Suite* suite = nullptr;
  Secret cipher_key;  // with salt for AEAD
  Secret integrity_key;
  bool esn = false;
  uint32_t replay_window = 0;     // inbound: 0, or 32 to 65,536
  IpAddress source, destination;  // outer, in the direction of the packets
  bool udp_encapsulation = false;
  uint16_t source_port = 0, destination_port = 0;  // outer UDP
  uint32_t if_id = 0;                              // binds to a tunnel; 0: by reqid
  uint32_t reqid = 0;
  std::vector<Selector> selectors;  // inbound check, inner packet as received; empty: everything
  bool check_source = false;        // inbound: outer source must be `source` (no NAT, no MOBIKE)
  HeaderPolicy headers;
  uint32_t tfc_length = 0;  // outbound: pad inner packets up to this many bytes; 0: no TFC;
                            // UINT32_MAX: up to the tunnel MTU
  LifetimeLimits limits;
  uint64_t initial_sequence = 0;  // outbound: last number used; inbound: top of the window
};

// Families of a selector's two sides, port ranges, ports without protocol.
Status ValidateSelector(const Selector& selector);

// Says what is wrong with the configuration, field by field, or nothing.
Status ValidateSaConfig(const SaConfig& config);

enum SaFlag : uint16_t {
  kSaEsn = 1 << 0,
  kSaUdp = 1 << 1,  // UDP encapsulation
  kSaOuterV6 = 1 << 2,
  kSaCountsLifetime = 1 << 3,
  kSaCopyDscp = 1 << 4,
  kSaEcn = 1 << 5,
  kSaDfSet = 1 << 6,  // neither set nor copied: clear
  kSaDfCopy = 1 << 7,
  kSaTfc = 1 << 8,
  kSaSelectors = 1 << 9,  // inbound: selectors restrict something
  kSaCheckSource = 1 << 10,
  kSaDecapDscp = 1 << 11,
  kSaAead = 1 << 12,  // 8-byte IV counted from iv_base
};

// The largest outer header up to and including SPI and sequence: IPv6 40, UDP 8, ESP 8.
inline constexpr unsigned kMaxHeaderTemplate = 64;

// Outbound. Built off to the side by the control thread, published through a tunnel or policy,
// freed one grace period after it was unpublished.
struct OutboundSa {
  // Line 0: read for each packet, written by the control thread only.
  const CryptoKey* crypto_key;
  uint64_t iv_base;  // AEAD IV = iv_base + sequence: random start, so no IV repeats over restarts
  uint32_t slot;     // index of counters
  uint32_t tunnel;   // id of the tunnel below which it lives
  Be32 spi;
  std::atomic<uint32_t> outer_next_hop;  // resolved route to the peer (NextHopTable index)
  uint16_t flags;                        // SaFlag
  uint8_t header_length;                 // template: outer IP, UDP if any, SPI and sequence
  uint8_t esp_offset;                    // of the ESP header in the template
  uint8_t iv_length;
  uint8_t icv_length;
  uint8_t block;                    // padding granularity
  uint8_t fixed_dscp;               // shifted to TOS position
  std::atomic<uint16_t> inner_mtu;  // largest inner packet at the current outer MTU
  std::atomic<uint8_t> dead;        // 1: hard lifetime or sequence end; packets are dropped
  uint8_t unused0;
  uint32_t tfc_length;
  // Sum of the IPv4 template's constant 16-bit words as they lie in memory (RFC 1071, not folded):
  // version, TTL, protocol, addresses. To be added: TOS (second byte of the first word), length,
  // identification, flags. 0 for IPv6.
  uint32_t ipv4_checksum_base;
  uint8_t unused1[4];

  // Line 1: the outer headers as they are copied in front of a packet; lengths, ID, TOS, checksum
  // and sequence are patched there.
  alignas(kCacheLine) uint8_t header[kMaxHeaderTemplate];

  // Line 2: written by workers, atomically, once per run.
  alignas(kCacheLine) SequenceCounter sequence;
  std::atomic<uint32_t> ipv4_identification;  // plus the sequence number: the outer header's

  // Line 3: written by workers only if kSaCountsLifetime.
  Lifetime lifetime;

  // Cold.
  CryptoKeyPtr owned_key;
  SaConfig config;  // without keys: they are wiped once expanded
  int64_t installed_wall_seconds;
  int64_t installed_nanoseconds;  // Clock::Now
};
static_assert(offsetof(OutboundSa, header) == 64);
static_assert(offsetof(OutboundSa, sequence) == 128);

// Inbound. Published in the Sad.
struct InboundSa {
  // Line 0: read for each packet.
  Be32 spi;
  uint32_t slot;
  const CryptoKey* crypto_key;
  uint32_t tunnel;
  uint16_t flags;  // SaFlag
  uint8_t iv_length;
  uint8_t icv_length;
  uint8_t block;
  uint8_t outer_version;  // 4 or 6
  Be16 udp_source;        // network order: the peer's port as installed, 0 if not encapsulated
  uint8_t local[16];      // outer destination; IPv4 in the first four bytes
  uint8_t peer[16];       // outer source
  std::atomic<uint8_t> dead;

  // Line 1: written under its lock.
  alignas(kCacheLine) ReplayWindow replay;

  // Line 2
  Lifetime lifetime;

  // Cold.
  std::vector<Selector> selectors;
  CryptoKeyPtr owned_key;
  SaConfig config;
  int64_t installed_wall_seconds;
  int64_t installed_nanoseconds;
  std::atomic<uint64_t>
      reported_mapping;  // hash of the last mapping change told, so that it is told once
};

// Builds an SA completely: key schedule, template, lengths. `slot` comes from the Sad. Wipes the
// keys in `config`. `engine` is the control thread's instance. The configuration is validated
// first; an SA whose `limits` count traffic starts at zero. An outbound SA starts with the inner
// MTU of a 1500-byte path.
Result<std::unique_ptr<OutboundSa>> MakeOutboundSa(SaConfig config, uint32_t slot, uint32_t tunnel,
                                                   Engine& engine, const Clock& clock);
Result<std::unique_ptr<InboundSa>> MakeInboundSa(SaConfig config, uint32_t slot, uint32_t tunnel,
                                                 Engine& engine, const Clock& clock);

// Outer addresses and encapsulation, in the direction of the packets; ports in host order.
struct OuterAddresses {
  IpAddress source, destination;
  bool udp_encapsulation = false;
  uint16_t source_port = 0, destination_port = 0;
};

// The successor of an SA whose outer addresses change (MOBIKE, RFC 4555; NAT rebinding): same SPI,
// slot, key, IV base and counters. Its sequence goes on `margin` numbers behind the old one's,
// since workers may claim from that until their next burst. Takes the key over: `old` must be
// retired (freed after a grace period) before the successor is. An error leaves `old` as it is.
Result<std::unique_ptr<OutboundSa>> MoveOutboundSa(OutboundSa& old, const OuterAddresses& outer,
                                                   uint64_t margin);

}  // namespace penstock
