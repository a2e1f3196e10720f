// AES-GCM goes packet by packet: through our own loops (vaes_gcm.h), or on older processors through
// the library's direct functions;
// AES-CBC and NULL with HMAC go in bursts (imb_hmac_batch.h). The few others take their own turn.
#include "dataplane/crypto/imb_engine.h"

#include <immintrin.h>

#include <algorithm>
#include <array>

#include "dataplane/crypto/imb_hmac_batch.h"
#include "dataplane/crypto/imb_key.h"

namespace penstock {
namespace {

// What our own loops need.
constexpr uint64_t kWideFeatures = IMB_CPUFLAGS_AVX512 | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;
constexpr size_t kAeadIvLength = 8;
constexpr size_t kAeadIcvLength = 16;
constexpr size_t kAeadTextOffset = kEspHeaderLength + kAeadIvLength;

// 16 bytes that start with what the name says; made in one register, since a load that spans two
// recent stores stalls.
struct alignas(16) Vector16 {
  uint8_t bytes[16];
};

// Salt and IV (RFC 4106 4). Reads 4 bytes behind the IV: text or ICV, always there.
__attribute__((always_inline)) inline void BuildNonce(const CryptoKey& key, const uint8_t* esp,
                                                      Vector16& nonce) {
  int salt;
  memcpy(&salt, key.salt, sizeof(salt));
  const __m128i tail = _mm_loadu_si128(reinterpret_cast<const __m128i*>(esp + 4));
  _mm_store_si128(reinterpret_cast<__m128i*>(nonce.bytes), _mm_insert_epi32(tail, salt, 0));
}

// SPI, high and low half of the sequence number (RFC 4106 5). Reads the IV too.
__attribute__((always_inline)) inline void BuildEsnAad(const Job& job, Vector16& aad) {
  const __m128i head = _mm_loadu_si128(reinterpret_cast<const __m128i*>(job.esp));
  const __m128i spread = _mm_shuffle_epi32(head, _MM_SHUFFLE(1, 1, 0, 0));
  const int high = static_cast<int>(__builtin_bswap32(job.sequence_high));
  _mm_store_si128(reinterpret_cast<__m128i*>(aad.bytes), _mm_insert_epi32(spread, high, 1));
}

__attribute__((always_inline)) inline bool SameIcv(const uint8_t* a, const uint8_t* b) {
  uint64_t left[2];
  uint64_t right[2];
  memcpy(left, a, sizeof(left));
  memcpy(right, b, sizeof(right));
  return ((left[0] ^ right[0]) | (left[1] ^ right[1])) == 0;
}

class ImbEngine final : public Engine {
 public:
  static Result<std::unique_ptr<Engine>> Make(ImbSharing sharing, ImbLoops loops);

  std::string_view name() const override { return "ipsec-mb"; }
  std::string description() const override {
    return library_->Describe() + (wide_ ? ", own loops for AES and SHA-1" : "");
  }
  bool Supports(const Suite&) const override { return true; }
  Result<CryptoKeyPtr> MakeKey(const Suite& suite, std::span<const uint8_t> cipher_key,
                               std::span<const uint8_t> integrity_key) override;
  void Encrypt(std::span<Job> jobs) override { Run<true>(jobs); }
  void Decrypt(std::span<Job> jobs) override { Run<false>(jobs); }

 private:
  static constexpr size_t kChunk = ImbHmacBatch::kCapacity;

  explicit ImbEngine(std::unique_ptr<ImbLibrary> library);
  template <bool kEncrypt>
  void Run(std::span<Job> jobs);
  template <bool kEncrypt>
  void RunChunk(std::span<Job> jobs);
  template <bool kEncrypt>
  void RunVaesGcm(Job& job);
  template <bool kEncrypt>
  void RunGcm(Job& job);
  template <bool kEncrypt>
  void RunOthers(std::span<Job* const> jobs);
  void ComputeGmac(const Job& job, uint8_t* tag);
  template <bool kEncrypt>
  void RunChaCha(Job& job);

  std::unique_ptr<ImbLibrary> library_;
  IMB_MGR* manager_;
  bool wide_ = false;  // our own loops run here
  std::array<VaesGcmEncrypt, kImbAesSizes> vaes_gcm_encrypt_;
  std::array<VaesGcmDecrypt, kImbAesSizes> vaes_gcm_decrypt_;
  std::array<aes_gcm_enc_dec_t, kImbAesSizes> gcm_encrypt_;
  std::array<aes_gcm_enc_dec_t, kImbAesSizes> gcm_decrypt_;
  std::array<aes_gmac_init_t, kImbAesSizes> gmac_init_;
  std::array<aes_gmac_update_t, kImbAesSizes> gmac_update_;
  std::array<aes_gmac_finalize_t, kImbAesSizes> gmac_finalize_;
  alignas(64) gcm_context_data context_ = {};
  ImbHmacBatch hmac_;
};

ImbEngine::ImbEngine(std::unique_ptr<ImbLibrary> library)
    : library_(std::move(library)), manager_(library_->manager()) {
  const IMB_MGR& m = *manager_;
  vaes_gcm_encrypt_ = {VaesGcmEncryptFor(10), VaesGcmEncryptFor(12), VaesGcmEncryptFor(14)};
  vaes_gcm_decrypt_ = {VaesGcmDecryptFor(10), VaesGcmDecryptFor(12), VaesGcmDecryptFor(14)};
  gcm_encrypt_ = {m.gcm128_enc, m.gcm192_enc, m.gcm256_enc};
  gcm_decrypt_ = {m.gcm128_dec, m.gcm192_dec, m.gcm256_dec};
  gmac_init_ = {m.gmac128_init, m.gmac192_init, m.gmac256_init};
  gmac_update_ = {m.gmac128_update, m.gmac192_update, m.gmac256_update};
  gmac_finalize_ = {m.gmac128_finalize, m.gmac192_finalize, m.gmac256_finalize};
}

Result<std::unique_ptr<Engine>> ImbEngine::Make(ImbSharing sharing, ImbLoops loops) {
  Result<std::unique_ptr<ImbLibrary>> library = ImbLibrary::Load(sharing);
  if (!library) {
    return tl::make_unexpected(library.error());
  }
  std::unique_ptr<ImbEngine> engine(new ImbEngine(std::move(*library)));
  engine->wide_ =
      loops == ImbLoops::kFastest && (engine->manager_->features & kWideFeatures) == kWideFeatures;
  if (Status ready = engine->hmac_.Init(engine->manager_, engine->wide_); !ready) {
    return tl::make_unexpected(ready.error());
  }
  return engine;
}

Result<CryptoKeyPtr> ImbEngine::MakeKey(const Suite& suite, std::span<const uint8_t> cipher_key,
                                        std::span<const uint8_t> integrity_key) {
  if (Status lengths = CheckKeyLengths(suite, cipher_key, integrity_key); !lengths) {
    return tl::make_unexpected(lengths.error());
  }
  return MakeImbKey(manager_, suite, cipher_key, integrity_key, wide_);
}

template <bool kEncrypt>
void ImbEngine::Run(std::span<Job> jobs) {
  while (!jobs.empty()) {
    const size_t count = std::min(jobs.size(), kChunk);
    RunChunk<kEncrypt>(jobs.first(count));
    jobs = jobs.subspan(count);
  }
}

template <bool kEncrypt>
void ImbEngine::RunChunk(std::span<Job> jobs) {
  std::array<Job*, kChunk> others;
  size_t other_count = 0;
  const size_t count = jobs.size();
  for (size_t i = 0; i < count; ++i) {
    const Job& next = jobs[std::min(i + 1, count - 1)];
    __builtin_prefetch(next.esp);
    __builtin_prefetch(next.esp + 64);
    Job& job = jobs[i];
    if (job.key->kind <= kImbVaesGcm256) [[likely]] {
      RunVaesGcm<kEncrypt>(job);
    } else if (job.key->kind <= kImbGcm256) {
      RunGcm<kEncrypt>(job);
    } else {
      others[other_count++] = &job;
    }
  }
  if (other_count != 0) {
    RunOthers<kEncrypt>({others.data(), other_count});
  }
}

template <bool kEncrypt>
__attribute__((always_inline)) inline void ImbEngine::RunVaesGcm(Job& job) {
  const auto& key = static_cast<const ImbVaesGcmKey&>(*job.key);
  VaesGcmPacket packet{job.esp, job.text_length, 0, job.sequence_high, job.esn};
  memcpy(&packet.salt, key.salt, sizeof(packet.salt));
  if constexpr (kEncrypt) {
    vaes_gcm_encrypt_[key.kind](key.data, packet);
    job.ok = true;
  } else {
    job.ok = vaes_gcm_decrypt_[key.kind](key.data, packet);
  }
}

// The table of functions makes a burst of mixed key sizes as cheap as a uniform one: the processor
// predicts the call's target, and a call through a pointer it is in any case.
template <bool kEncrypt>
__attribute__((always_inline)) inline void ImbEngine::RunGcm(Job& job) {
  const auto& key = static_cast<const ImbGcmKey&>(*job.key);
  Vector16 nonce;
  BuildNonce(key, job.esp, nonce);
  const uint8_t* aad = job.esp;
  size_t aad_length = 8;
  Vector16 extended;
  if (job.esn) {
    BuildEsnAad(job, extended);
    aad = extended.bytes;
    aad_length = 12;
  }
  uint8_t* text = job.esp + kAeadTextOffset;
  uint8_t* icv = text + job.text_length;
  if constexpr (kEncrypt) {
    gcm_encrypt_[key.kind - kImbGcm128](&key.data, &context_, text, text, job.text_length,
                                        nonce.bytes, aad, aad_length, icv, kAeadIcvLength);
    job.ok = true;
  } else {
    Vector16 computed;
    gcm_decrypt_[key.kind - kImbGcm128](&key.data, &context_, text, text, job.text_length,
                                        nonce.bytes, aad, aad_length, computed.bytes,
                                        kAeadIcvLength);
    job.ok = SameIcv(computed.bytes, icv);
  }
}

template <bool kEncrypt>
void ImbEngine::RunOthers(std::span<Job* const> jobs) {
  bool any_hmac = false;
  for (Job* job : jobs) {
    if (job->key->kind == kImbHmac) {
      hmac_.Add(job);
      any_hmac = true;
    } else if (job->key->kind == kImbChaCha20Poly1305) {
      RunChaCha<kEncrypt>(*job);
    } else {
      uint8_t* icv = job->esp + kAeadTextOffset + job->text_length;
      Vector16 computed;
      ComputeGmac(*job, kEncrypt ? icv : computed.bytes);
      job->ok = kEncrypt || SameIcv(computed.bytes, icv);
    }
  }
  if (any_hmac) {
    kEncrypt ? hmac_.Encrypt() : hmac_.Decrypt();
  }
}

// Authenticated are SPI, [high sequence], sequence, IV and text (RFC 4543 3.3: the payload begins
// with the IV). Without ESN that is one piece of memory, and GCM of no text does it in one call.
void ImbEngine::ComputeGmac(const Job& job, uint8_t* tag) {
  const auto& key = static_cast<const ImbGcmKey&>(*job.key);
  const size_t size = static_cast<size_t>(key.kind - kImbGmac128);
  const uint64_t length = kAeadTextOffset + job.text_length;
  Vector16 nonce;
  BuildNonce(key, job.esp, nonce);
  if (!job.esn) {
    gcm_encrypt_[size](&key.data, &context_, tag, tag, 0, nonce.bytes, job.esp, length, tag,
                       kAeadIcvLength);
    return;
  }
  uint8_t head[12];
  const size_t head_length = BuildAad(job, head);
  gmac_init_[size](&key.data, &context_, nonce.bytes, 12);
  gmac_update_[size](&key.data, &context_, head, head_length);
  gmac_update_[size](&key.data, &context_, job.esp + kEspHeaderLength, length - kEspHeaderLength);
  gmac_finalize_[size](&key.data, &context_, tag, kAeadIcvLength);
}

// The library finishes such a job within the call, so its queue is always empty here.
template <bool kEncrypt>
void ImbEngine::RunChaCha(Job& job) {
  const auto& key = static_cast<const ImbChaChaKey&>(*job.key);
  Vector16 nonce;
  BuildNonce(key, job.esp, nonce);
  uint8_t aad[12];
  uint8_t* text = job.esp + kAeadTextOffset;
  uint8_t* icv = text + job.text_length;
  Vector16 computed;
  IMB_JOB* target = IMB_GET_NEXT_JOB(manager_);
  target->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
  target->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
  target->cipher_direction = kEncrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
  target->chain_order = kEncrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
  target->enc_keys = key.key;
  target->dec_keys = key.key;
  target->key_len_in_bytes = sizeof(key.key);
  target->u.CHACHA20_POLY1305.aad = aad;
  target->u.CHACHA20_POLY1305.aad_len_in_bytes = BuildAad(job, aad);
  target->src = text;
  target->dst = text;
  target->cipher_start_src_offset_in_bytes = 0;
  target->msg_len_to_cipher_in_bytes = job.text_length;
  target->hash_start_src_offset_in_bytes = 0;
  target->msg_len_to_hash_in_bytes = job.text_length;
  target->iv = nonce.bytes;
  target->iv_len_in_bytes = 12;
  target->auth_tag_output = computed.bytes;
  target->auth_tag_output_len_in_bytes = kAeadIcvLength;
  const IMB_JOB* done = IMB_SUBMIT_JOB_NOCHECK(manager_);
  const bool completed = done == target && done->status == IMB_STATUS_COMPLETED;
  if constexpr (kEncrypt) {
    memcpy(icv, computed.bytes, kAeadIcvLength);
    job.ok = completed;
  } else {
    job.ok = completed && SameIcv(computed.bytes, icv);
  }
}

}  // namespace

Result<std::unique_ptr<Engine>> MakeImbEngine(ImbSharing sharing, ImbLoops loops) {
  return ImbEngine::Make(sharing, loops);
}

}  // namespace penstock
