#include "dataplane/crypto/suite.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <vector>

namespace penstock {
namespace {

// Lengths from RFC 4106 (GCM), RFC 3602 (CBC), RFC 2404 and RFC 4868 (HMAC), RFC 7634 (ChaCha20),
// RFC 4543 (GMAC) and RFC 2410 (NULL).
constexpr Suite Aead(std::string_view name, Cipher cipher, uint8_t key_length) {
  return {name, cipher, Integrity::kNone, key_length, 4, 0, 8, 16, 4};
}

struct Hmac {
  Integrity integrity;
  uint8_t key_length;
  uint8_t icv_length;
};
constexpr Hmac kSha1{Integrity::kHmacSha1_96, 20, 12};
constexpr Hmac kSha256{Integrity::kHmacSha256_128, 32, 16};
constexpr Hmac kSha384{Integrity::kHmacSha384_192, 48, 24};
constexpr Hmac kSha512{Integrity::kHmacSha512_256, 64, 32};

constexpr Suite Cbc(std::string_view name, uint8_t key_length, Hmac hmac) {
  return {
      name, Cipher::kAesCbc, hmac.integrity, key_length, 0, hmac.key_length, 16, hmac.icv_length,
      16};
}

constexpr Suite Null(std::string_view name, Hmac hmac) {
  return {name, Cipher::kNull, hmac.integrity, 0, 0, hmac.key_length, 0, hmac.icv_length, 4};
}

constexpr std::array kSuites{
    Aead("aes-gcm-16-128", Cipher::kAesGcm, 16),
    Aead("aes-gcm-16-192", Cipher::kAesGcm, 24),
    Aead("aes-gcm-16-256", Cipher::kAesGcm, 32),
    Aead("chacha20-poly1305", Cipher::kChaCha20Poly1305, 32),
    Cbc("aes-cbc-128-hmac-sha1-96", 16, kSha1),
    Cbc("aes-cbc-128-hmac-sha2-256-128", 16, kSha256),
    Cbc("aes-cbc-128-hmac-sha2-384-192", 16, kSha384),
    Cbc("aes-cbc-128-hmac-sha2-512-256", 16, kSha512),
    Cbc("aes-cbc-192-hmac-sha1-96", 24, kSha1),
    Cbc("aes-cbc-192-hmac-sha2-256-128", 24, kSha256),
    Cbc("aes-cbc-192-hmac-sha2-384-192", 24, kSha384),
    Cbc("aes-cbc-192-hmac-sha2-512-256", 24, kSha512),
    Cbc("aes-cbc-256-hmac-sha1-96", 32, kSha1),
    Cbc("aes-cbc-256-hmac-sha2-256-128", 32, kSha256),
    Cbc("aes-cbc-256-hmac-sha2-384-192", 32, kSha384),
    Cbc("aes-cbc-256-hmac-sha2-512-256", 32, kSha512),
    Aead("aes-gmac-128", Cipher::kAesGmac, 16),
    Aead("aes-gmac-192", Cipher::kAesGmac, 24),
    Aead("aes-gmac-256", Cipher::kAesGmac, 32),
    Null("null-hmac-sha1-96", kSha1),
    Null("null-hmac-sha2-256-128", kSha256),
    Null("null-hmac-sha2-384-192", kSha384),
    Null("null-hmac-sha2-512-256", kSha512),
};

// Levenshtein distance, for "did you mean".
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row[b.size()];
}

std::vector<std::string_view> NearestNames(std::string_view name, size_t count) {
  // A hostile name of megabytes must not cost megabytes of work.
  const std::string_view shortened = name.substr(0, 64);
  std::vector<std::pair<size_t, std::string_view>> ranked;
  for (const Suite& suite : kSuites) {
    ranked.emplace_back(EditDistance(shortened, suite.name), suite.name);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string_view> names;
  for (size_t i = 0; i < std::min(count, ranked.size()); ++i) {
    names.push_back(ranked[i].second);
  }
  return names;
}

struct IkeCipher {
  uint16_t transform;
  Cipher cipher;
  uint16_t fixed_bits;  // 0: the Key Length attribute decides
  const char* name;
};
constexpr IkeCipher kIkeCiphers[] = {
    {11, Cipher::kNull, 0, "ENCR_NULL"},
    {12, Cipher::kAesCbc, 0, "ENCR_AES_CBC"},
    {20, Cipher::kAesGcm, 0, "ENCR_AES_GCM_16"},
    {21, Cipher::kAesGmac, 0, "ENCR_NULL_AUTH_AES_GMAC"},
    {28, Cipher::kChaCha20Poly1305, 256, "ENCR_CHACHA20_POLY1305"},
};

struct IkeIntegrity {
  uint16_t transform;
  Integrity integrity;
};
constexpr IkeIntegrity kIkeIntegrities[] = {
    {0, Integrity::kNone},
    {1024, Integrity::kNone},
    {2, Integrity::kHmacSha1_96},
    {12, Integrity::kHmacSha256_128},
    {13, Integrity::kHmacSha384_192},
    {14, Integrity::kHmacSha512_256},
};

}  // namespace

std::span<const Suite> AllSuites() { return kSuites; }

Result<const Suite*> FindSuite(std::string_view name) {
  for (const Suite& suite : kSuites) {
    if (suite.name == name) {
      return &suite;
    }
  }
  return Fail(Errc::kInvalidArgument, "no cipher suite named \"{}\"; the nearest are {}",
              name.substr(0, 64), fmt::join(NearestNames(name, 3), ", "));
}

const Suite* FindSuite(Cipher cipher, Integrity integrity, uint8_t cipher_key_length) {
  for (const Suite& suite : kSuites) {
    if (suite.cipher == cipher && suite.integrity == integrity &&
        suite.cipher_key_length == cipher_key_length) {
      return &suite;
    }
  }
  return nullptr;
}

Status CheckKeyLengths(const Suite& suite, std::span<const uint8_t> cipher_key,
                       std::span<const uint8_t> integrity_key) {
  if (cipher_key.size() != suite.key_length()) {
    if (suite.salt_length != 0) {
      return Fail(Errc::kInvalidArgument, "key has {} bytes, {} needs {} ({} key + {} salt)",
                  cipher_key.size(), suite.name, suite.key_length(), suite.cipher_key_length,
                  suite.salt_length);
    }
    return Fail(Errc::kInvalidArgument, "key has {} bytes, {} needs {}", cipher_key.size(),
                suite.name, suite.key_length());
  }
  if (integrity_key.size() != suite.integrity_key_length) {
    return Fail(Errc::kInvalidArgument, "integrity key has {} bytes, {} needs {}",
                integrity_key.size(), suite.name, suite.integrity_key_length);
  }
  return {};
}

IkeTransforms IkeTransformsOf(const Suite& suite) {
  IkeTransforms transforms;
  for (const IkeCipher& row : kIkeCiphers) {
    if (row.cipher == suite.cipher) {
      transforms.encryption = row.transform;
      transforms.key_bits =
          row.fixed_bits != 0 ? uint16_t{0} : static_cast<uint16_t>(suite.cipher_key_length * 8);
    }
  }
  for (const IkeIntegrity& row : kIkeIntegrities) {
    if (row.integrity == suite.integrity) {
      transforms.integrity = row.transform;
      break;
    }
  }
  return transforms;
}

Result<const Suite*> SuiteFromIke(uint16_t encryption, uint16_t key_bits, uint16_t integrity) {
  const auto* cipher = std::ranges::find(kIkeCiphers, encryption, &IkeCipher::transform);
  if (cipher == std::end(kIkeCiphers)) {
    return Fail(Errc::kUnsupported,
                "IKE encryption transform {} is not supported; use 12 (AES-CBC), 20 (AES-GCM-16), "
                "28 (ChaCha20-Poly1305), 21 (AES-GMAC) or 11 (NULL)",
                encryption);
  }
  const auto* hash = std::ranges::find(kIkeIntegrities, integrity, &IkeIntegrity::transform);
  if (hash == std::end(kIkeIntegrities)) {
    return Fail(Errc::kUnsupported,
                "IKE integrity transform {} is not supported; use 2 (HMAC-SHA1-96), 12 "
                "(HMAC-SHA2-256-128), 13 (HMAC-SHA2-384-192), 14 (HMAC-SHA2-512-256), or 0 with "
                "an AEAD cipher",
                integrity);
  }
  const bool is_aead = cipher->cipher != Cipher::kNull && cipher->cipher != Cipher::kAesCbc;
  if (is_aead != (hash->integrity == Integrity::kNone)) {
    return Fail(Errc::kInvalidArgument, "{} {} integrity transform, but {} was given", cipher->name,
                is_aead ? "takes no" : "needs an", integrity);
  }
  const uint16_t bits = key_bits == 0 ? cipher->fixed_bits : key_bits;
  const Suite* suite = bits % 8 == 0 && bits <= 256 ? FindSuite(cipher->cipher, hash->integrity,
                                                                static_cast<uint8_t>(bits / 8))
                                                    : nullptr;
  if (suite == nullptr) {
    const char* wanted = cipher->cipher == Cipher::kNull ? "none"
                         : cipher->fixed_bits != 0       ? "256"
                                                         : "128, 192 or 256";
    return Fail(Errc::kInvalidArgument, "{} has a key of {} bits; it takes {}", cipher->name,
                key_bits, wanted);
  }
  return suite;
}

XfrmNames XfrmNamesOf(const Suite& suite) {
  XfrmNames names;
  names.icv_bits = static_cast<uint16_t>(suite.icv_length * 8);
  switch (suite.cipher) {
    case Cipher::kAesGcm:
      names.aead = "rfc4106(gcm(aes))";
      break;
    case Cipher::kAesGmac:
      names.aead = "rfc4543(gcm(aes))";
      break;
    case Cipher::kChaCha20Poly1305:
      names.aead = "rfc7539esp(chacha20,poly1305)";
      break;
    case Cipher::kAesCbc:
      names.cipher = "cbc(aes)";
      break;
    case Cipher::kNull:
      names.cipher = "ecb(cipher_null)";
      break;
  }
  switch (suite.integrity) {
    case Integrity::kNone:
      break;
    case Integrity::kHmacSha1_96:
      names.integrity = "hmac(sha1)";
      break;
    case Integrity::kHmacSha256_128:
      names.integrity = "hmac(sha256)";
      break;
    case Integrity::kHmacSha384_192:
      names.integrity = "hmac(sha384)";
      break;
    case Integrity::kHmacSha512_256:
      names.integrity = "hmac(sha512)";
      break;
  }
  return names;
}

}  // namespace penstock
