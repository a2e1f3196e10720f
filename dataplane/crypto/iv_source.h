// Unpredictable IVs for AES-CBC.
//
// RFC 3602 section 3 wants IVs that an attacker cannot foresee, even with a choice of plaintexts.
// NIST SP 800-38A appendix C allows to apply the block cipher to a nonce: here AES-128 under a
// random key of this instance, that nothing else uses, of a counter that starts at random. Without
// the key the results cannot be told from random bytes; no value returns before 2^64 packets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/result.h"

namespace penstock {

// Needs AES-NI. Not thread safe: one per engine.
class IvSource {
 public:
  IvSource() = default;
  ~IvSource();
  IvSource(const IvSource&) = delete;
  IvSource& operator=(const IvSource&) = delete;

  // Draws key and counter from the kernel (getrandom).
  Status Seed();
  // Writes 16 bytes to each target.
  void Fill(std::span<uint8_t* const> targets);

 private:
  struct State;
  State* state_ = nullptr;
};

}  // namespace penstock
