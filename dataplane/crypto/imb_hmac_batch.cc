#include "dataplane/crypto/imb_hmac_batch.h"

#include <algorithm>

namespace penstock {
namespace {

constexpr IMB_HASH_ALG kHashNames[kImbHashes] = {IMB_AUTH_HMAC_SHA_1, IMB_AUTH_HMAC_SHA_256,
                                                 IMB_AUTH_HMAC_SHA_384, IMB_AUTH_HMAC_SHA_512};
constexpr IMB_KEY_SIZE_BYTES kKeySizes[kImbAesSizes] = {IMB_KEY_128_BYTES, IMB_KEY_192_BYTES,
                                                        IMB_KEY_256_BYTES};
constexpr size_t kAesBlock = IMB_AES_BLOCK_SIZE;
constexpr unsigned kAesRounds[kImbAesSizes] = {10, 12, 14};
constexpr uint8_t kSha1 = 0;  // the row of kHashNames

const ImbHmacKey& KeyOf(const Job& job) { return static_cast<const ImbHmacKey&>(*job.key); }

uint8_t* IcvOf(const Job& job) { return TextOf(job, *job.key->suite) + job.text_length; }

}  // namespace

Status ImbHmacBatch::Init(IMB_MGR* manager, bool wide) {
  manager_ = manager;
  wide_ = wide;
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
  SortByLength();
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
  SortByLength();
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

void ImbHmacBatch::SortByLength() {
  for (JobList& list : by_cipher_) {
    list.SortByLength();
  }
  for (JobList& list : by_hash_) {
    list.SortByLength();
  }
}

// Lanes that begin together should end together.
void ImbHmacBatch::JobList::SortByLength() {
  const auto longer = [](const Job* a, const Job* b) { return a->text_length > b->text_length; };
  if (!std::is_sorted(jobs.begin(), jobs.begin() + count, longer)) {
    std::sort(jobs.begin(), jobs.begin() + count, longer);
  }
}

void ImbHmacBatch::RunCiphers(Direction direction) {
  for (uint8_t size = 0; size < kImbAesSizes; ++size) {
    const JobList& list = by_cipher_[size];
    std::array<Job*, kCapacity> jobs;
    size_t count = 0;
    for (size_t i = 0; i < list.count; ++i) {
      Job* job = list.jobs[i];
      // Forged packets are not worth their decryption; the library wants no empty texts.
      if ((direction == Direction::kEncrypt || job->ok) && job->text_length != 0) {
        jobs[count++] = job;
      }
    }
    if (count != 0) {
      wide_ ? RunCipherInLanes(size, {jobs.data(), count}, direction)
            : RunCipher(size, {jobs.data(), count}, direction);
    }
  }
}

void ImbHmacBatch::RunCipher(uint8_t size, std::span<Job* const> jobs, Direction direction) {
  for (size_t i = 0; i < jobs.size(); ++i) {
    const Job& job = *jobs[i];
    const ImbHmacKey& key = KeyOf(job);
    IMB_JOB& target = library_jobs_[i];
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
  manager_->submit_cipher_burst_nocheck(
      manager_, library_jobs_, static_cast<uint32_t>(jobs.size()), IMB_CIPHER_CBC,
      direction == Direction::kEncrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT, kKeySizes[size]);
}

void ImbHmacBatch::RunCipherInLanes(uint8_t size, std::span<Job* const> jobs, Direction direction) {
  for (size_t i = 0; i < jobs.size(); ++i) {
    const Job& job = *jobs[i];
    const ImbHmacKey& key = KeyOf(job);
    cbc_jobs_[i] = {direction == Direction::kEncrypt ? key.encrypt_rounds : key.decrypt_rounds,
                    job.esp + kEspHeaderLength + kAesBlock, job.text_length};
  }
  const std::span<const CbcJob> work(cbc_jobs_.data(), jobs.size());
  direction == Direction::kEncrypt ? CbcEncryptInLanes(work, kAesRounds[size])
                                   : CbcDecrypt(work, kAesRounds[size]);
}

// The high half of an extended sequence number is hashed behind the text but not sent (RFC 4303
// 3.3.2.1). It is written where the ICV goes, which every ICV has room for; a received ICV is saved
// before that.
uint32_t ImbHmacBatch::HashedLength(const Job& job, uint8_t* icv, uint8_t* received,
                                    Direction direction) {
  if (direction == Direction::kDecrypt) {
    memcpy(received, icv, job.key->suite->icv_length);
  }
  const auto length = static_cast<uint32_t>(icv - job.esp);
  if (!job.esn) {
    return length;
  }
  StoreBe32(icv, job.sequence_high);
  return length + static_cast<uint32_t>(sizeof(job.sequence_high));
}

void ImbHmacBatch::RunHash(uint8_t hash, Direction direction) {
  const JobList& list = by_hash_[hash];
  const bool in_lanes = wide_ && hash == kSha1;
  for (size_t i = 0; i < list.count; ++i) {
    const Job& job = *list.jobs[i];
    const ImbHmacKey& key = KeyOf(job);
    uint8_t* icv = IcvOf(job);
    const uint32_t length = HashedLength(job, icv, received_[i], direction);
    uint8_t* digest = direction == Direction::kEncrypt ? icv : computed_[i];
    if (in_lanes) {
      sha1_jobs_[i] = {job.esp,
                       length,
                       reinterpret_cast<const uint32_t*>(key.inner),
                       reinterpret_cast<const uint32_t*>(key.outer),
                       digest,
                       key.suite->icv_length};
      continue;
    }
    IMB_JOB& target = library_jobs_[i];
    target.src = job.esp;
    target.hash_start_src_offset_in_bytes = 0;
    target.msg_len_to_hash_in_bytes = length;
    target.u.HMAC._hashed_auth_key_xor_ipad = key.inner;
    target.u.HMAC._hashed_auth_key_xor_opad = key.outer;
    target.auth_tag_output = digest;
    target.auth_tag_output_len_in_bytes = key.suite->icv_length;
  }
  if (list.count == 0) {
    return;
  }
  if (in_lanes) {
    HmacSha1InLanes({sha1_jobs_.data(), list.count});
  } else {
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
