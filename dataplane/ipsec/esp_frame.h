// Where header, IV, padding and ICV of an ESP packet lie, and the MTU arithmetic that follows.
#pragma once

#include <cstdint>

#include "dataplane/base/ip_address.h"
#include "dataplane/crypto/suite.h"

namespace penstock {

// Bytes added around an inner packet, but for padding.
struct EspOverhead {
  uint32_t outer;   // outer IP header, UDP if any
  uint32_t header;  // SPI, sequence, IV
  uint32_t icv;
  uint32_t block;  // payload + trailer are padded to this
};
EspOverhead OverheadOf(const Suite& suite, Family outer, bool udp_encapsulation);

// Padding bytes for an inner packet of `length` bytes (RFC 4303 2.4): payload, padding and the two
// trailer bytes fill whole blocks.
constexpr uint32_t EspPadding(uint32_t length, uint32_t block) {
  return (block - (length + 2) % block) % block;
}

// Length of the outer IP packet that carries an inner packet of `inner` bytes.
uint32_t OuterLength(uint32_t inner, const EspOverhead& overhead);

// Largest inner packet whose outer packet fits `outer_mtu` (the table of interop.md is a test); 0
// if none.
uint32_t InnerMtu(uint32_t outer_mtu, const EspOverhead& overhead);

}  // namespace penstock
