// ESP packets with any text whatever, under an SA's real key: what a correct sender would never
// send.
#pragma once

#include "tests/packet/sites.h"

namespace penstock {

// The outer packet of left's SA with this text (payload, padding, trailer; whole blocks) and
// sequence number.
Bytes Seal(Sites& sites, const Bytes& text, uint64_t sequence, uint8_t outer_tos = 0);
// Payload, correct padding and trailer for an SA of the given block.
Bytes WithTrailer(Bytes payload, uint8_t next_header, unsigned block = 4);

}  // namespace penstock
