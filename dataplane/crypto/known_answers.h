// The self-test behind CheckKnownAnswers (engine.h): published packets, then a round trip of every
// suite.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/crypto/engine.h"

namespace penstock {

// One ESP packet with its clear text. All bytes in hexadecimal.
struct KnownAnswer {
  std::string_view source;  // document and case
  std::string_view suite;
  std::string_view key;  // with salt
  std::string_view integrity_key;
  bool esn;
  uint32_t sequence_high;
  std::string_view packet;  // SPI to ICV
  std::string_view text;    // in clear, with padding and trailer
};

std::span<const KnownAnswer> PublishedVectors();

// Decrypts the packet and, unless the suite chooses its own IV, encrypts the text again.
Status CheckKnownAnswer(Engine& engine, const KnownAnswer& vector);

// Encrypts texts of several lengths in one burst, decrypts them, and sees a forged one refused.
Status CheckRoundTrip(Engine& engine, const Suite& suite);

}  // namespace penstock
