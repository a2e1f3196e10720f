// Every way a packet can end other than being sent: one list, from which counters, `penstockctl
// show drops` and the documentation are made.
#pragma once

#include <cstdint>

namespace penstock {

// name in code, name for people and JSON, explanation with the RFC's auditable event where it has
// one.
#define PENSTOCK_DROP_REASONS(X)                                                                \
  X(NoBuffer, "no_buffer", "no packet buffer was free")                                         \
  X(MalformedEthernet, "malformed_ethernet", "frame shorter than its Ethernet header")          \
  X(MalformedIp, "malformed_ip", "IP header or length is wrong")                                \
  X(BadChecksum, "bad_ip_checksum", "IPv4 header checksum is wrong")                            \
  X(NotForUs, "not_for_us", "unicast frame to another station's MAC address")                   \
  X(MulticastNotForwarded, "multicast_not_forwarded", "multicast is not routed")                \
  X(NoRoute, "no_route", "no route to the destination")                                         \
  X(Blackhole, "blackhole_route", "the route says blackhole")                                   \
  X(Unreachable, "unreachable_route", "the route says unreachable")                             \
  X(Prohibited, "prohibit_route", "the route says prohibit")                                    \
  X(ProtectedPrefix, "protected_prefix", "a protected prefix would have left in clear")         \
  X(PolicyDiscard, "policy_discard", "the security policy says discard (RFC 4301 4.4.1)")       \
  X(NoPolicy, "no_policy", "no security policy allows it to pass like this (RFC 4301 4.4.1)")   \
  X(TtlExceeded, "ttl_exceeded", "TTL or hop limit reached zero")                               \
  X(TooBig, "too_big", "larger than the path MTU and must not be fragmented")                   \
  X(FragmentFailed, "fragment_failed", "could not be fragmented")                               \
  X(FragmentTable, "fragment_table_full",                                                       \
    "reassembly table or a datagram's fragment limit is full")                                  \
  X(FragmentTimeout, "fragment_timeout", "not all fragments came in time")                      \
  X(FragmentMalformed, "fragment_malformed", "fragments overlap or are malformed")              \
  X(NeighborUnresolved, "neighbor_unresolved", "the next hop's link address did not resolve")   \
  X(HoldQueueFull, "hold_queue_full", "too many packets wait for a link address or an SA")      \
  X(NoOutboundSa, "no_outbound_sa", "the tunnel has no live outbound SA")                       \
  X(AcquireTimeout, "acquire_timeout", "the SA that the packet waited for did not come")        \
  X(OuterUnroutable, "outer_unroutable", "no clear route to the tunnel's remote address")       \
  X(SequenceExhausted, "sequence_exhausted", "sequence number would wrap (RFC 4303 3.3.3)")     \
  X(LifetimeExpired, "lifetime_expired", "the SA's hard byte or packet limit is reached")       \
  X(NoHeadroom, "no_headroom", "no room for the ESP frame")                                     \
  X(CryptoFailed, "crypto_failed", "the crypto engine refused the packet")                      \
  X(NoSa, "no_sa", "no SA for this SPI and destination (RFC 4303 3.4.2)")                       \
  X(SaNeverCame, "sa_never_came", "the SA for this SPI was being negotiated and did not come")  \
  X(SourceMismatch, "source_mismatch", "outer source is not the SA's peer")                     \
  X(EncapsulationMismatch, "encapsulation_mismatch", "UDP encapsulation differs from the SA's") \
  X(MalformedEsp, "malformed_esp", "ESP packet too short or not a whole number of blocks")      \
  X(EspFragment, "esp_fragment", "a fragment offered to ESP (RFC 4303 3.4.1)")                  \
  X(ReplayDuplicate, "replay_duplicate", "sequence number seen before (RFC 4303 3.4.3)")        \
  X(ReplayLate, "replay_late", "sequence number older than the replay window (RFC 4303 3.4.3)") \
  X(IntegrityFailed, "integrity_failed", "ICV check failed (RFC 4303 3.4.4.1)")                 \
  X(BadPadding, "bad_padding", "ESP padding or pad length is wrong (RFC 4303 3.4.4.1)")         \
  X(BadNextHeader, "bad_next_header", "next header is neither IPv4, IPv6 nor dummy")            \
  X(BadInner, "bad_inner_packet", "inner packet's version or length is wrong")                  \
  X(SelectorMismatch, "selector_mismatch",                                                      \
    "inner packet is outside the SA's selectors (RFC 4301 5.2)")                                \
  X(EcnIllegal, "ecn_illegal", "outer CE on a not-ECT inner packet (RFC 6040 4.2)")             \
  X(DummyPacket, "dummy_packet",                                                                \
    "next header 59: traffic flow confidentiality dummy (RFC 4303 2.6)")                        \
  X(NatKeepalive, "nat_keepalive", "NAT keepalive (RFC 3948 2.3)")                              \
  X(PuntPoliced, "punt_policed", "above the host path's rate")                                  \
  X(PuntQueueFull, "punt_queue_full", "the host path's queue is full")                          \
  X(HostMalformed, "host_malformed", "Linux sent something that is no packet")                  \
  X(HostWriteFailed, "host_write_failed", "the host device did not take the packet")            \
  X(PortDown, "port_down", "the output port is down or gone")                                   \
  X(TransmitFull, "transmit_full", "the output queue did not take the packet")                  \
  X(Shutdown, "shutdown", "still held when the daemon stopped")

enum class DropReason : uint8_t {
#define X(name, text, help) k##name,
  PENSTOCK_DROP_REASONS(X)
#undef X
      kCount
};

inline constexpr unsigned kDropReasonCount = static_cast<unsigned>(DropReason::kCount);

struct DropReasonInfo {
  const char* name;
  const char* help;
};

inline constexpr DropReasonInfo kDropReasonInfo[kDropReasonCount] = {
#define X(name, text, help) {text, help},
    PENSTOCK_DROP_REASONS(X)
#undef X
};

constexpr const DropReasonInfo& Describe(DropReason reason) {
  return kDropReasonInfo[static_cast<unsigned>(reason)];
}

}  // namespace penstock
