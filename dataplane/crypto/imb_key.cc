#include "dataplane/crypto/imb_key.h"

#include <memory>

namespace penstock {
namespace {

tl::unexpected<Error> NoMemory(const Suite& suite) {
  return Fail(Errc::kExhausted, "no memory for a key of {}", suite.name);
}

uint8_t AesSizeIndex(const Suite& suite) {
  return static_cast<uint8_t>((suite.cipher_key_length - 16) / 8);
}

Result<CryptoKeyPtr> MakeVaesGcmKey(IMB_MGR* manager, const Suite& suite,
                                    std::span<const uint8_t> cipher_key) {
  std::unique_ptr<ImbVaesGcmKey> key(new ImbVaesGcmKey);
  if (key == nullptr) {
    return NoMemory(suite);
  }
  const keyexp_t expand[kImbAesSizes] = {manager->keyexp_128, manager->keyexp_192,
                                         manager->keyexp_256};
  constexpr unsigned kRounds[kImbAesSizes] = {10, 12, 14};
  const uint8_t size = AesSizeIndex(suite);
  alignas(64) uint8_t decrypt_rounds[sizeof(key->data.round_keys)];
  expand[size](cipher_key.data(), key->data.round_keys, decrypt_rounds);
  WipeMemory(decrypt_rounds, sizeof(decrypt_rounds));
  PrepareVaesGcmKey(key->data, kRounds[size]);
  key->kind = static_cast<uint8_t>(kImbVaesGcm128 + size);
  memcpy(key->salt, cipher_key.data() + suite.cipher_key_length, sizeof(key->salt));
  key->suite = &suite;
  return CryptoKeyPtr(std::move(key));
}

Result<CryptoKeyPtr> MakeGcmKey(IMB_MGR* manager, const Suite& suite,
                                std::span<const uint8_t> cipher_key) {
  std::unique_ptr<ImbGcmKey> key(new ImbGcmKey);
  if (key == nullptr) {
    return NoMemory(suite);
  }
  const aes_gcm_pre_t expand[kImbAesSizes] = {manager->gcm128_pre, manager->gcm192_pre,
                                              manager->gcm256_pre};
  const uint8_t size = AesSizeIndex(suite);
  expand[size](cipher_key.data(), &key->data);
  key->kind =
      static_cast<uint8_t>((suite.cipher == Cipher::kAesGcm ? kImbGcm128 : kImbGmac128) + size);
  memcpy(key->salt, cipher_key.data() + suite.cipher_key_length, sizeof(key->salt));
  key->suite = &suite;
  return CryptoKeyPtr(std::move(key));
}

Result<CryptoKeyPtr> MakeChaChaKey(const Suite& suite, std::span<const uint8_t> cipher_key) {
  std::unique_ptr<ImbChaChaKey> key(new ImbChaChaKey);
  if (key == nullptr) {
    return NoMemory(suite);
  }
  memcpy(key->key, cipher_key.data(), sizeof(key->key));
  memcpy(key->salt, cipher_key.data() + suite.cipher_key_length, sizeof(key->salt));
  key->kind = kImbChaCha20Poly1305;
  key->suite = &suite;
  return CryptoKeyPtr(std::move(key));
}

struct HashRow {
  Integrity integrity;
  hash_one_block_t one_block;
};

void HashPaddedKey(const HashRow& row, std::span<const uint8_t> key, uint8_t pad, uint8_t* state) {
  uint8_t block[IMB_SHA_512_BLOCK_SIZE];
  memset(block, pad, sizeof(block));
  for (size_t i = 0; i < key.size(); ++i) {
    block[i] = static_cast<uint8_t>(block[i] ^ key[i]);
  }
  row.one_block(block, state);
  WipeMemory(block, sizeof(block));
}

Result<CryptoKeyPtr> MakeHmacKey(IMB_MGR* manager, const Suite& suite,
                                 std::span<const uint8_t> cipher_key,
                                 std::span<const uint8_t> integrity_key) {
  std::unique_ptr<ImbHmacKey> key(new ImbHmacKey);
  if (key == nullptr) {
    return NoMemory(suite);
  }
  const HashRow rows[kImbHashes] = {
      {Integrity::kHmacSha1_96, manager->sha1_one_block},
      {Integrity::kHmacSha256_128, manager->sha256_one_block},
      {Integrity::kHmacSha384_192, manager->sha384_one_block},
      {Integrity::kHmacSha512_256, manager->sha512_one_block},
  };
  while (rows[key->hash].integrity != suite.integrity) {
    ++key->hash;
    PENSTOCK_CHECK(key->hash < kImbHashes);
  }
  HashPaddedKey(rows[key->hash], integrity_key, 0x36, key->inner);
  HashPaddedKey(rows[key->hash], integrity_key, 0x5c, key->outer);
  if (suite.cipher == Cipher::kAesCbc) {
    const keyexp_t expand[kImbAesSizes] = {manager->keyexp_128, manager->keyexp_192,
                                           manager->keyexp_256};
    key->aes_size = AesSizeIndex(suite);
    expand[key->aes_size](cipher_key.data(), key->encrypt_rounds, key->decrypt_rounds);
  }
  key->kind = kImbHmac;
  key->suite = &suite;
  return CryptoKeyPtr(std::move(key));
}

}  // namespace

Result<CryptoKeyPtr> MakeImbKey(IMB_MGR* manager, const Suite& suite,
                                std::span<const uint8_t> cipher_key,
                                std::span<const uint8_t> integrity_key, bool wide) {
  switch (suite.cipher) {
    case Cipher::kAesGcm:
      return wide ? MakeVaesGcmKey(manager, suite, cipher_key)
                  : MakeGcmKey(manager, suite, cipher_key);
    case Cipher::kAesGmac:
      return MakeGcmKey(manager, suite, cipher_key);
    case Cipher::kChaCha20Poly1305:
      return MakeChaChaKey(suite, cipher_key);
    case Cipher::kAesCbc:
    case Cipher::kNull:
      return MakeHmacKey(manager, suite, cipher_key, integrity_key);
  }
  return Fail(Errc::kUnsupported, "the ipsec-mb engine has no {}", suite.name);
}

}  // namespace penstock
