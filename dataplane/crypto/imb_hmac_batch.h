// AES-CBC and NULL with an HMAC, many packets at once: they are worked on side by side, so packets
// of all SAs that share a cipher or a hash are put together. Where the processor has AVX-512 and
// VAES, AES-CBC and HMAC-SHA1 are ours (vaes_cbc.h, avx512_sha1.h), which are faster; all else is
// the library's.
#pragma once

#include <intel-ipsec-mb.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/crypto/avx512_sha1.h"
#include "dataplane/crypto/imb_key.h"
#include "dataplane/crypto/iv_source.h"
#include "dataplane/crypto/vaes_cbc.h"

namespace penstock {

// Collects jobs, then runs them all. Big: make it on the heap.
class ImbHmacBatch {
 public:
  static constexpr size_t kCapacity = 64;

  // `manager` must outlive the batch. `wide`: our own loops run on this processor.
  Status Init(IMB_MGR* manager, bool wide);

  // At most kCapacity jobs between two runs. Sets ok to false; a run sets it to true.
  void Add(Job* job);
  void Encrypt();
  void Decrypt();

 private:
  struct JobList {
    std::array<Job*, kCapacity> jobs;
    size_t count = 0;
    void Push(Job* job) { jobs[count++] = job; }
    void SortByLength();
  };
  enum class Direction : uint8_t { kEncrypt, kDecrypt };

  void SortByLength();
  void WriteIvs();
  void RunCiphers(Direction direction);
  void RunCipher(uint8_t size, std::span<Job* const> jobs, Direction direction);
  void RunCipherInLanes(uint8_t size, std::span<Job* const> jobs, Direction direction);
  void RunHash(uint8_t hash, Direction direction);
  uint32_t HashedLength(const Job& job, uint8_t* icv, uint8_t* received, Direction direction);
  void Verify(uint8_t hash);
  void Clear();

  IMB_MGR* manager_ = nullptr;
  bool wide_ = false;  // the processor has what our own loops need
  IvSource ivs_;
  JobList by_cipher_[kImbAesSizes];
  JobList by_hash_[kImbHashes];
  alignas(64) IMB_JOB library_jobs_[kCapacity] = {};
  std::array<CbcJob, kCapacity> cbc_jobs_;
  std::array<HmacSha1Job, kCapacity> sha1_jobs_;
  alignas(64) uint8_t received_[kCapacity][kMaxIcvLength];
  alignas(64) uint8_t computed_[kCapacity][IMB_SHA512_DIGEST_SIZE_IN_BYTES];
};

}  // namespace penstock
