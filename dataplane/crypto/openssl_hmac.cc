#include "dataplane/crypto/openssl_hmac.h"

#include <cstring>
#include <utility>

#include "dataplane/base/secret.h"

namespace penstock {
namespace {

// One hash function. All three steps return 1; none can fail on memory of the caller.
template <typename C, int (*init)(C*), int (*update)(C*, const void*, size_t),
          int (*final)(unsigned char*, C*), size_t kBlock, size_t kDigest>
struct Hash {
  using Context = C;

  static void SetKey(C& state, std::span<const uint8_t> key, uint8_t pad) {
    uint8_t block[kBlock];
    memset(block, pad, sizeof(block));
    for (size_t i = 0; i < key.size(); ++i) {
      block[i] = static_cast<uint8_t>(block[i] ^ key[i]);
    }
    init(&state);
    update(&state, block, sizeof(block));
    WipeMemory(block, sizeof(block));
  }

  static void Compute(C inner, C outer, std::span<const uint8_t> data,
                      std::span<const uint8_t> tail, uint8_t* digest) {
    update(&inner, data.data(), data.size());
    update(&inner, tail.data(), tail.size());
    final(digest, &inner);
    update(&outer, digest, kDigest);
    final(digest, &outer);
  }
};

using Sha1 = Hash<SHA_CTX, SHA1_Init, SHA1_Update, SHA1_Final, 64, 20>;
using Sha256 = Hash<SHA256_CTX, SHA256_Init, SHA256_Update, SHA256_Final, 64, 32>;
using Sha384 = Hash<SHA512_CTX, SHA384_Init, SHA384_Update, SHA384_Final, 128, 48>;
using Sha512 = Hash<SHA512_CTX, SHA512_Init, SHA512_Update, SHA512_Final, 128, 64>;

constexpr uint8_t kInnerPad = 0x36;
constexpr uint8_t kOuterPad = 0x5c;

}  // namespace

// Keys of all suites are as long as the digest, hence never longer than a block.
void OpensslHmac::SetKey(Integrity integrity, std::span<const uint8_t> key) {
  integrity_ = integrity;
  for (auto [state, pad] : {std::pair(&inner_, kInnerPad), std::pair(&outer_, kOuterPad)}) {
    switch (integrity) {
      case Integrity::kHmacSha1_96:
        Sha1::SetKey(state->sha1, key, pad);
        break;
      case Integrity::kHmacSha256_128:
        Sha256::SetKey(state->sha256, key, pad);
        break;
      case Integrity::kHmacSha384_192:
        Sha384::SetKey(state->sha512, key, pad);
        break;
      case Integrity::kHmacSha512_256:
        Sha512::SetKey(state->sha512, key, pad);
        break;
      case Integrity::kNone:
        break;
    }
  }
}

void OpensslHmac::Compute(std::span<const uint8_t> data, std::span<const uint8_t> tail,
                          uint8_t digest[kMaxDigest]) const {
  switch (integrity_) {
    case Integrity::kHmacSha1_96:
      return Sha1::Compute(inner_.sha1, outer_.sha1, data, tail, digest);
    case Integrity::kHmacSha256_128:
      return Sha256::Compute(inner_.sha256, outer_.sha256, data, tail, digest);
    case Integrity::kHmacSha384_192:
      return Sha384::Compute(inner_.sha512, outer_.sha512, data, tail, digest);
    case Integrity::kHmacSha512_256:
      return Sha512::Compute(inner_.sha512, outer_.sha512, data, tail, digest);
    case Integrity::kNone:
      break;
  }
}

}  // namespace penstock
