#include "dataplane/crypto/imb_hmac_batch.h"

namespace penstock {
namespace {

constexpr IMB_HASH_ALG kHashNames[kImbHashes] = {IMB_AUTH_HMAC_SHA_1, IMB_AUTH_HMAC_SHA_256,
                                                 IMB_AUTH_HMAC_SHA_384, IMB_AUTH_HMAC_SHA_512};
constexpr IMB_KEY_SIZE_BYTES kKeySizes[kImbAesSizes] = {IMB_KEY_128_BYTES, IMB_KEY_192_BYTES,
                                                        IMB_KEY_256_BYTES};
constexpr size_t kAesBlock = IMB_AES_BLOCK_SIZE;

const ImbHmacKey& KeyOf(const Job& job) { return static_cast<const ImbHmacKey&>(*job.key); }

uint8_t* IcvOf(const Job& job) { return TextOf(job, *job.key->suite) + job.text_length; }

}  // namespace

Status ImbHmacBatch::Init(IMB_MGR* manager) {
  manager_ = manager;
  return ivs_.Seed();
}

void ImbHmacBatch::Add(Job* job) {
  const ImbHmacKey& key = KeyOf(*job);
  job->ok = false;
  if (key.aes_size != ImbHmacKey::kNoCipher) {
    if (job->text_length % kAesBlock != 0) {
      return;  // cannot be a CBC text: stays refused
    }
    by_cipher_[key.aes_size].Push(job);
  }
  by_hash_[key.hash].Push(job);
}

void ImbHmacBatch::Encrypt() {
  WriteIvs();
  RunCiphers(Direction::kEncrypt);
  for (uint8_t hash = 0; hash < kImbHashes; ++hash) {
    RunHash(hash, Direction::kEncrypt);
    for (size_t i = 0; i < by_hash_[hash].count; ++i) {
      by_hash_[hash].jobs[i]->ok = true;
    }
  }
  Clear();
}

void ImbHmacBatch::Decrypt() {
  for (uint8_t hash = 0; hash < kImbHashes; ++hash) {
    RunHash(hash, Direction::kDecrypt);
    Verify(hash);
  }
  RunCiphers(Direction::kDecrypt);
  Clear();
}

void ImbHmacBatch::WriteIvs() {
  std::array<uint8_t*, kCapacity> targets;
  size_t count = 0;
  for (const JobList& list : by_cipher_) {
    for (size_t i = 0; i < list.count; ++i) {
      targets[count++] = list.jobs[i]->esp + kEspHeaderLength;
    }
  }
  ivs_.Fill({targets.data(), count});
}

void ImbHmacBatch::RunCiphers(Direction direction) {
  for (uint8_t size = 0; size < kImbAesSizes; ++size) {
    const JobList& list = by_cipher_[size];
    uint32_t count = 0;
    for (size_t i = 0; i < list.count; ++i) {
      const Job& job = *list.jobs[i];
      // Forged packets are not worth their decryption; the library wants no empty texts.
      if ((direction == Direction::kDecrypt && !job.ok) || job.text_length == 0) {
        continue;
      }
      const ImbHmacKey& key = KeyOf(job);
      IMB_JOB& target = library_jobs_[count++];
      target.enc_keys = key.encrypt_rounds;
      target.dec_keys = key.decrypt_rounds;
      target.key_len_in_bytes = kKeySizes[size];
      target.iv = job.esp + kEspHeaderLength;
      target.iv_len_in_bytes = kAesBlock;
      target.src = job.esp + kEspHeaderLength + kAesBlock;
      target.dst = job.esp + kEspHeaderLength + kAesBlock;
      target.cipher_start_src_offset_in_bytes = 0;
      target.msg_len_to_cipher_in_bytes = job.text_length;
    }
    if (count != 0) {
      manager_->submit_cipher_burst_nocheck(
          manager_, library_jobs_, count, IMB_CIPHER_CBC,
          direction == Direction::kEncrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT, kKeySizes[size]);
    }
  }
}

// The high half of an extended sequence number is hashed behind the text but not sent (RFC 4303
// 3.3.2.1). It is written where the ICV goes, which every ICV has room for; a received ICV is saved
// before that.
void ImbHmacBatch::RunHash(uint8_t hash, Direction direction) {
  const JobList& list = by_hash_[hash];
  for (size_t i = 0; i < list.count; ++i) {
    const Job& job = *list.jobs[i];
    const ImbHmacKey& key = KeyOf(job);
    uint8_t* icv = IcvOf(job);
    IMB_JOB& target = library_jobs_[i];
    if (direction == Direction::kDecrypt) {
      memcpy(received_[i], icv, key.suite->icv_length);
    }
    target.src = job.esp;
    target.hash_start_src_offset_in_bytes = 0;
    target.msg_len_to_hash_in_bytes = static_cast<uint64_t>(icv - job.esp);
    if (job.esn) {
      StoreBe32(icv, job.sequence_high);
      target.msg_len_to_hash_in_bytes += sizeof(job.sequence_high);
    }
    target.u.HMAC._hashed_auth_key_xor_ipad = key.inner;
    target.u.HMAC._hashed_auth_key_xor_opad = key.outer;
    target.auth_tag_output = direction == Direction::kEncrypt ? icv : computed_[i];
    target.auth_tag_output_len_in_bytes = key.suite->icv_length;
  }
  if (list.count != 0) {
    manager_->submit_hash_burst_nocheck(manager_, library_jobs_, static_cast<uint32_t>(list.count),
                                        kHashNames[hash]);
  }
}

void ImbHmacBatch::Verify(uint8_t hash) {
  const JobList& list = by_hash_[hash];
  for (size_t i = 0; i < list.count; ++i) {
    Job& job = *list.jobs[i];
    job.ok = EqualInConstantTime(received_[i], computed_[i], job.key->suite->icv_length);
  }
}

void ImbHmacBatch::Clear() {
  for (JobList& list : by_cipher_) {
    list.count = 0;
  }
  for (JobList& list : by_hash_) {
    list.count = 0;
  }
}

}  // namespace penstock
