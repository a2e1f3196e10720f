// Expanded keys of the ipsec-mb engine.
#pragma once

#include <intel-ipsec-mb.h>

#include <cstdint>

#include "dataplane/crypto/crypto_util.h"
#include "dataplane/crypto/vaes_gcm.h"

namespace penstock {

// CryptoKey::kind. Each three GCM kinds stand in the order of the tables of functions.
enum ImbKind : uint8_t {
  kImbVaesGcm128,  // our own loops
  kImbVaesGcm192,
  kImbVaesGcm256,
  kImbGcm128,  // the library's
  kImbGcm192,
  kImbGcm256,
  kImbGmac128,
  kImbGmac192,
  kImbGmac256,
  kImbChaCha20Poly1305,
  kImbHmac,  // AES-CBC or NULL with an HMAC
};
inline constexpr uint8_t kImbAesSizes = 3;  // 128, 192, 256
inline constexpr uint8_t kImbHashes = 4;    // SHA-1, SHA2-256, -384, -512

struct ImbVaesGcmKey final : SecretCryptoKey {
  VaesGcmKey data;
};

// For GMAC, and for GCM by the library.
struct ImbGcmKey final : SecretCryptoKey {
  alignas(64) gcm_key_data data;
};

struct ImbChaChaKey final : SecretCryptoKey {
  alignas(64) uint8_t key[32];
};

struct ImbHmacKey final : SecretCryptoKey {
  static constexpr uint8_t kNoCipher = kImbAesSizes;
  uint8_t aes_size = kNoCipher;  // index: 0 is 128 bits
  uint8_t hash = 0;              // index: 0 is SHA-1
  // States of the hash after one block of the padded key (RFC 2104): what is left per packet is the
  // text alone.
  alignas(64) uint8_t inner[64];
  alignas(64) uint8_t outer[64];
  alignas(64) uint8_t encrypt_rounds[15 * 16];
  alignas(64) uint8_t decrypt_rounds[15 * 16];
};

// Expands a key; lengths must have been checked. `wide`: for our own loops where there are any.
Result<CryptoKeyPtr> MakeImbKey(IMB_MGR* manager, const Suite& suite,
                                std::span<const uint8_t> cipher_key,
                                std::span<const uint8_t> integrity_key, bool wide);

}  // namespace penstock
