// AES-GCM (NIST SP 800-38D) for ESP (RFC 4106): four blocks a register, 32 blocks a reduction, and
// no work that an ESP packet does not need: its AAD is one block, its nonce twelve bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace penstock {

inline constexpr size_t kGcmBlock = 16;
inline constexpr size_t kGcmPowers = 33;  // a chunk of 32 blocks, and the lengths behind it

// What is made of a key once. `round_keys` first, since every packet reads them first.
struct alignas(64) VaesGcmKey {
  uint8_t round_keys[15 * kGcmBlock];
  uint8_t unused[kGcmBlock];
  // H^33 to H^1 in the form that Multiply wants, then zeros for lanes behind the last block.
  uint8_t powers[(kGcmPowers + 3) * kGcmBlock];
};

// One packet, in place: `esp` points to SPI, sequence number and 8 bytes of IV, then `length` bytes
// of text, then the ICV of 16 bytes.
struct VaesGcmPacket {
  uint8_t* esp;
  uint32_t length;
  uint32_t salt;           // as it lies in memory
  uint32_t sequence_high;  // host order; authenticated if esn
  bool esn;
};

// `rounds` is 10, 12 or 14. `round_keys` of the key are set. Needs AVX-512 F, BW, DQ and VL, VAES
// and VPCLMULQDQ, like all below.
void PrepareVaesGcmKey(VaesGcmKey& key, unsigned rounds);

using VaesGcmEncrypt = void (*)(const VaesGcmKey& key, const VaesGcmPacket& packet);
// True if the ICV is right; compares in constant time.
using VaesGcmDecrypt = bool (*)(const VaesGcmKey& key, const VaesGcmPacket& packet);
VaesGcmEncrypt VaesGcmEncryptFor(unsigned rounds);
VaesGcmDecrypt VaesGcmDecryptFor(unsigned rounds);

}  // namespace penstock
