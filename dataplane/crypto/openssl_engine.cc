// Algorithms are fetched and contexts made once per instance; a packet costs no allocation.
#include "dataplane/crypto/openssl_engine.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <atomic>
#include <utility>

#include "dataplane/crypto/crypto_util.h"
#include "dataplane/crypto/openssl_hmac.h"

namespace penstock {
namespace {

constexpr size_t kAeadIcvLength = 16;
constexpr size_t kAesBlock = 16;

struct Releaser {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
template <typename T>
using Owned = std::unique_ptr<T, Releaser>;

// CryptoKey::kind: which cipher contexts serve it.
enum OpensslKind : uint8_t { kGcm128, kGcm192, kGcm256, kCbc128, kCbc192, kCbc256, kChaCha, kNone };
constexpr const char* kCipherNames[] = {"AES-128-GCM",      "AES-192-GCM", "AES-256-GCM",
                                        "AES-128-CBC",      "AES-192-CBC", "AES-256-CBC",
                                        "ChaCha20-Poly1305"};
constexpr size_t kCiphers = std::size(kCipherNames);

struct OpensslKey final : SecretCryptoKey {
  uint64_t id = 0;  // never reused, unlike an address
  uint8_t cipher_key[32] = {};
  OpensslHmac hmac;
};

const OpensslKey& KeyOf(const Job& job) { return static_cast<const OpensslKey&>(*job.key); }

// ESP header to the end of the text, then the high half of an extended sequence number (RFC 4303
// 3.3.2.1).
void ComputeHmac(const Job& job, uint8_t digest[OpensslHmac::kMaxDigest]) {
  const size_t length = kEspHeaderLength + job.key->suite->iv_length + job.text_length;
  uint8_t high[4];
  StoreBe32(high, job.sequence_high);
  KeyOf(job).hmac.Compute({job.esp, length}, {high, job.esn ? sizeof(high) : 0}, digest);
}

OpensslKind KindOf(const Suite& suite) {
  const int size = (suite.cipher_key_length - 16) / 8;
  switch (suite.cipher) {
    case Cipher::kAesGcm:
    case Cipher::kAesGmac:
      return static_cast<OpensslKind>(kGcm128 + size);
    case Cipher::kAesCbc:
      return static_cast<OpensslKind>(kCbc128 + size);
    case Cipher::kChaCha20Poly1305:
      return kChaCha;
    case Cipher::kNull:
      break;
  }
  return kNone;
}

std::string LibraryError() {
  char text[160];
  ERR_error_string_n(ERR_get_error(), text, sizeof(text));
  return text;
}

// One cipher in one direction. Remembers whose key it holds, so that a run of packets of one SA
// does not expand the key again.
struct CipherContext {
  Owned<EVP_CIPHER_CTX> context;
  uint64_t key_id = 0;
};

class OpensslEngine final : public Engine {
 public:
  Status Init();
  std::string_view name() const override { return "openssl"; }
  std::string description() const override {
    return fmt::format("openssl {}", OpenSSL_version(OPENSSL_VERSION_STRING));
  }
  bool Supports(const Suite&) const override { return true; }
  Result<CryptoKeyPtr> MakeKey(const Suite& suite, std::span<const uint8_t> cipher_key,
                               std::span<const uint8_t> integrity_key) override;
  void Encrypt(std::span<Job> jobs) override {
    for (Job& job : jobs) {
      job.ok = job.key->suite->is_aead() ? EncryptAead(job) : EncryptWithHmac(job);
    }
  }
  void Decrypt(std::span<Job> jobs) override {
    for (Job& job : jobs) {
      job.ok = job.key->suite->is_aead() ? DecryptAead(job) : DecryptWithHmac(job);
    }
  }

 private:
  enum Direction : uint8_t { kDecryptDirection, kEncryptDirection };

  EVP_CIPHER_CTX* Prepare(const Job& job, const uint8_t* iv, Direction direction);
  EVP_CIPHER_CTX* PrepareAead(const Job& job, Direction direction);
  bool EncryptAead(Job& job);
  bool DecryptAead(Job& job);
  bool EncryptWithHmac(Job& job);
  bool DecryptWithHmac(Job& job);
  bool RunCbc(Job& job, Direction direction);
  bool WriteIv(uint8_t* iv);
  Status MakeContexts();

  Owned<EVP_CIPHER> ciphers_[kCiphers];
  CipherContext contexts_[kCiphers][2];
  Owned<EVP_CIPHER_CTX> iv_context_;
};

Status OpensslEngine::Init() {
  for (size_t i = 0; i < kCiphers; ++i) {
    ciphers_[i].reset(EVP_CIPHER_fetch(nullptr, kCipherNames[i], nullptr));
    if (ciphers_[i] == nullptr) {
      return Fail(Errc::kUnsupported, "OpenSSL has no {}: {}", kCipherNames[i], LibraryError());
    }
  }
  return MakeContexts();
}

Status OpensslEngine::MakeContexts() {
  for (size_t i = 0; i < kCiphers; ++i) {
    for (int direction : {kDecryptDirection, kEncryptDirection}) {
      Owned<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new());
      if (context == nullptr || EVP_CipherInit_ex2(context.get(), ciphers_[i].get(), nullptr,
                                                   nullptr, direction, nullptr) != 1) {
        return Fail(Errc::kInternal, "OpenSSL cannot prepare {}: {}", kCipherNames[i],
                    LibraryError());
      }
      EVP_CIPHER_CTX_set_padding(context.get(), 0);
      contexts_[i][direction].context = std::move(context);
    }
  }
  // IVs of CBC: AES-CTR of zeros under a key and a counter of the kernel's random generator; why
  // that is unpredictable stands in iv_source.h.
  Owned<EVP_CIPHER> ctr(EVP_CIPHER_fetch(nullptr, "AES-128-CTR", nullptr));
  iv_context_.reset(EVP_CIPHER_CTX_new());
  uint8_t seed[32];
  if (Status filled = FillRandom(seed); !filled) {
    return filled;
  }
  const bool ready =
      ctr != nullptr && iv_context_ != nullptr &&
      EVP_EncryptInit_ex2(iv_context_.get(), ctr.get(), seed, seed + 16, nullptr) == 1;
  WipeMemory(seed, sizeof(seed));
  if (!ready) {
    return Fail(Errc::kInternal, "OpenSSL cannot prepare AES-128-CTR: {}", LibraryError());
  }
  return {};
}

Result<CryptoKeyPtr> OpensslEngine::MakeKey(const Suite& suite, std::span<const uint8_t> cipher_key,
                                            std::span<const uint8_t> integrity_key) {
  static std::atomic<uint64_t> next_id{1};
  if (Status lengths = CheckKeyLengths(suite, cipher_key, integrity_key); !lengths) {
    return tl::make_unexpected(lengths.error());
  }
  std::unique_ptr<OpensslKey> key(new OpensslKey);
  if (key == nullptr) {
    return Fail(Errc::kExhausted, "no memory for a key of {}", suite.name);
  }
  key->suite = &suite;
  key->kind = KindOf(suite);
  key->id = next_id.fetch_add(1, std::memory_order_relaxed);
  if (!cipher_key.empty()) {
    memcpy(key->cipher_key, cipher_key.data(), suite.cipher_key_length);
    memcpy(key->salt, cipher_key.data() + suite.cipher_key_length, suite.salt_length);
  }
  key->hmac.SetKey(suite.integrity, integrity_key);
  return CryptoKeyPtr(std::move(key));
}

EVP_CIPHER_CTX* OpensslEngine::Prepare(const Job& job, const uint8_t* iv, Direction direction) {
  const OpensslKey& key = KeyOf(job);
  CipherContext& held = contexts_[key.kind][direction];
  const uint8_t* new_key = held.key_id == key.id ? nullptr : key.cipher_key;
  held.key_id = 0;
  if (EVP_CipherInit_ex2(held.context.get(), nullptr, new_key, iv, direction, nullptr) != 1) {
    return nullptr;
  }
  held.key_id = key.id;
  return held.context.get();
}

// Leaves the context with the authenticated data taken in.
EVP_CIPHER_CTX* OpensslEngine::PrepareAead(const Job& job, Direction direction) {
  uint8_t nonce[12];
  memcpy(nonce, job.key->salt, 4);
  memcpy(nonce + 4, job.esp + kEspHeaderLength, 8);
  EVP_CIPHER_CTX* context = Prepare(job, nonce, direction);
  uint8_t aad[12];
  const int aad_length = static_cast<int>(BuildAad(job, aad));
  int length = 0;
  if (context == nullptr || EVP_CipherUpdate(context, nullptr, &length, aad, aad_length) != 1) {
    return nullptr;
  }
  // GMAC authenticates IV and text like a header (RFC 4543 3.3).
  if (job.key->suite->cipher == Cipher::kAesGmac &&
      EVP_CipherUpdate(context, nullptr, &length, job.esp + kEspHeaderLength,
                       static_cast<int>(job.key->suite->iv_length + job.text_length)) != 1) {
    return nullptr;
  }
  return context;
}

bool OpensslEngine::EncryptAead(Job& job) {
  EVP_CIPHER_CTX* context = PrepareAead(job, kEncryptDirection);
  uint8_t* text = TextOf(job, *job.key->suite);
  int length = 0;
  if (context == nullptr) {
    return false;
  }
  if (job.key->suite->cipher != Cipher::kAesGmac &&
      EVP_EncryptUpdate(context, text, &length, text, static_cast<int>(job.text_length)) != 1) {
    return false;
  }
  uint8_t rest[kAesBlock];
  return EVP_EncryptFinal_ex(context, rest, &length) == 1 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kAeadIcvLength,
                             text + job.text_length) == 1;
}

bool OpensslEngine::DecryptAead(Job& job) {
  EVP_CIPHER_CTX* context = PrepareAead(job, kDecryptDirection);
  uint8_t* text = TextOf(job, *job.key->suite);
  int length = 0;
  if (context == nullptr) {
    return false;
  }
  if (job.key->suite->cipher != Cipher::kAesGmac &&
      EVP_DecryptUpdate(context, text, &length, text, static_cast<int>(job.text_length)) != 1) {
    return false;
  }
  uint8_t rest[kAesBlock];
  return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kAeadIcvLength,
                             text + job.text_length) == 1 &&
         EVP_DecryptFinal_ex(context, rest, &length) == 1;
}

bool OpensslEngine::EncryptWithHmac(Job& job) {
  if (job.key->suite->cipher == Cipher::kAesCbc &&
      (!WriteIv(job.esp + kEspHeaderLength) || !RunCbc(job, kEncryptDirection))) {
    return false;
  }
  uint8_t digest[OpensslHmac::kMaxDigest];
  ComputeHmac(job, digest);
  memcpy(TextOf(job, *job.key->suite) + job.text_length, digest, job.key->suite->icv_length);
  return true;
}

bool OpensslEngine::DecryptWithHmac(Job& job) {
  uint8_t digest[OpensslHmac::kMaxDigest];
  const uint8_t* icv = TextOf(job, *job.key->suite) + job.text_length;
  ComputeHmac(job, digest);
  return CRYPTO_memcmp(digest, icv, job.key->suite->icv_length) == 0 &&
         (job.key->suite->cipher != Cipher::kAesCbc || RunCbc(job, kDecryptDirection));
}

bool OpensslEngine::RunCbc(Job& job, Direction direction) {
  if (job.text_length % kAesBlock != 0) {
    return false;
  }
  EVP_CIPHER_CTX* context = Prepare(job, job.esp + kEspHeaderLength, direction);
  uint8_t* text = TextOf(job, *job.key->suite);
  int length = 0;
  return context != nullptr &&
         EVP_CipherUpdate(context, text, &length, text, static_cast<int>(job.text_length)) == 1 &&
         length == static_cast<int>(job.text_length);
}

bool OpensslEngine::WriteIv(uint8_t* iv) {
  memset(iv, 0, kAesBlock);
  int length = 0;
  return EVP_EncryptUpdate(iv_context_.get(), iv, &length, iv, kAesBlock) == 1;
}

}  // namespace

Result<std::unique_ptr<Engine>> MakeOpensslEngine() {
  auto engine = std::make_unique<OpensslEngine>();
  if (Status ready = engine->Init(); !ready) {
    return tl::make_unexpected(ready.error());
  }
  return engine;
}

}  // namespace penstock
