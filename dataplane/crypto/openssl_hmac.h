// HMAC of the OpenSSL engine (RFC 2104).
//
// EVP's digests and MACs allocate for every message in OpenSSL 3.0, so this uses the plain hash
// functions below them, which also lets the hash of the padded key be kept.
#pragma once

// The plain functions are deprecated in favour of EVP, for the sake of providers.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/crypto/suite.h"

namespace penstock {

// Holds key material: keep it in secret memory.
class OpensslHmac {
 public:
  static constexpr size_t kMaxDigest = SHA512_DIGEST_LENGTH;

  void SetKey(Integrity integrity, std::span<const uint8_t> key);
  // HMAC of `data` followed by `tail`. Writes the whole digest, which no suite sends in full.
  void Compute(std::span<const uint8_t> data, std::span<const uint8_t> tail,
               uint8_t digest[kMaxDigest]) const;

 private:
  union State {
    SHA_CTX sha1;
    SHA256_CTX sha256;
    SHA512_CTX sha512;  // SHA2-384 too
  };
  Integrity integrity_ = Integrity::kNone;
  State inner_;
  State outer_;
};

}  // namespace penstock
