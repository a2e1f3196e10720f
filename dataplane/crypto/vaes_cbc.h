// AES-CBC (NIST SP 800-38A 6.2, RFC 3602) with four blocks a register. Encryption, where each block
// waits for the one before, works on up to 32 packets side by side; decryption on the blocks of
// one.
#pragma once

#include <cstdint>
#include <span>

namespace penstock {

struct CbcJob {
  const uint8_t* round_keys;  // of the direction; 16 bytes each, rounds + 1 of them
  uint8_t* text;              // in place; the IV is the 16 bytes in front
  uint32_t length;            // whole blocks of 16 bytes
};

// `rounds` is 10, 12 or 14, the same for all jobs; keys may differ. Encryption is fastest when jobs
// are sorted by length. Needs AVX-512 F, BW, DQ and VL, and VAES.
void CbcEncryptInLanes(std::span<const CbcJob> jobs, unsigned rounds);
void CbcDecrypt(std::span<const CbcJob> jobs, unsigned rounds);

}  // namespace penstock
