// The cipher suites of ESP: lengths, names, and the numbers that IKE and XFRM call them by.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/base/result.h"

namespace penstock {

enum class Cipher : uint8_t { kNull, kAesCbc, kAesGcm, kAesGmac, kChaCha20Poly1305 };
enum class Integrity : uint8_t {
  kNone,
  kHmacSha1_96,
  kHmacSha256_128,
  kHmacSha384_192,
  kHmacSha512_256
};

// One row of the suite table. Keys: for AEAD ciphers the salt (4 bytes) follows the key, as IKE
// derives it (RFC 4106 8.1, RFC 7634 2).
struct Suite {
  std::string_view name;  // "aes-gcm-16-256", "aes-cbc-256-hmac-sha1-96": config, CLI, JSON
  Cipher cipher;
  Integrity integrity;
  uint8_t cipher_key_length;  // bytes, without salt
  uint8_t salt_length;        // 4 for AEAD, else 0
  uint8_t integrity_key_length;
  uint8_t iv_length;   // on the wire: 8, 16 or 0
  uint8_t icv_length;  // on the wire: 12, 16, 24, 32
  uint8_t block;       // what payload and trailer are padded to: 4 or 16

  bool is_aead() const { return integrity == Integrity::kNone; }
  uint8_t key_length() const { return static_cast<uint8_t>(cipher_key_length + salt_length); }
};

// Every suite that Penstock has; the order is the one of documentation and tests.
std::span<const Suite> AllSuites();

// The error lists the nearest names.
Result<const Suite*> FindSuite(std::string_view name);
// Null if Penstock has no such suite. `cipher_key_length` is in bytes, without salt.
const Suite* FindSuite(Cipher cipher, Integrity integrity, uint8_t cipher_key_length);

// Refuses keys whose lengths are not the suite's, with a text such as
// "key has 5 bytes, aes-gcm-16-128 needs 20 (16 key + 4 salt)". `cipher_key` includes the salt.
Status CheckKeyLengths(const Suite& suite, std::span<const uint8_t> cipher_key,
                       std::span<const uint8_t> integrity_key);

// IKEv2 transform numbers (IANA "IKEv2 Parameters"): type 1 encryption with its Key Length
// attribute in bits, type 3 integrity. Integrity is 0 (NONE) for AEAD suites; key bits are 0 where
// the transform has no Key Length attribute.
struct IkeTransforms {
  uint16_t encryption = 0;
  uint16_t key_bits = 0;
  uint16_t integrity = 0;
  bool operator==(const IkeTransforms&) const = default;
};
IkeTransforms IkeTransformsOf(const Suite& suite);
// For fixed-length ciphers `key_bits` may be 0 or the cipher's own length. For AEAD ciphers
// `integrity` may be 0 or 1024, which charon writes for "not defined".
Result<const Suite*> SuiteFromIke(uint16_t encryption, uint16_t key_bits, uint16_t integrity);

// The names of Linux XFRM for the same algorithms, as `ip xfrm state` prints them: either `aead`
// with `icv_bits`, or `cipher` and `integrity` with `icv_bits` (truncation).
struct XfrmNames {
  std::string_view aead;
  std::string_view cipher;
  std::string_view integrity;
  uint16_t icv_bits = 0;
};
XfrmNames XfrmNamesOf(const Suite& suite);

}  // namespace penstock
