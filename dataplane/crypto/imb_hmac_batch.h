// AES-CBC and NULL with an HMAC, many packets at once: the library works on up to 16 packets side
// by side, so packets of all SAs that share a cipher or a hash are put together.
#pragma once

#include <intel-ipsec-mb.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/crypto/imb_key.h"
#include "dataplane/crypto/iv_source.h"

namespace penstock {

// Collects jobs, then runs them all. Big: make it on the heap.
class ImbHmacBatch {
 public:
  static constexpr size_t kCapacity = 64;

  // `manager` must outlive the batch.
  Status Init(IMB_MGR* manager);

  // At most kCapacity jobs between two runs. Sets ok to false; a run sets it to true.
  void Add(Job* job);
  void Encrypt();
  void Decrypt();

 private:
  struct JobList {
    std::array<Job*, kCapacity> jobs;
    size_t count = 0;
    void Push(Job* job) { jobs[count++] = job; }
  };
  enum class Direction : uint8_t { kEncrypt, kDecrypt };

  void WriteIvs();
  void RunCiphers(Direction direction);
  void RunHash(uint8_t hash, Direction direction);
  void Verify(uint8_t hash);
  void Clear();

  IMB_MGR* manager_ = nullptr;
  IvSource ivs_;
  JobList by_cipher_[kImbAesSizes];
  JobList by_hash_[kImbHashes];
  alignas(64) IMB_JOB library_jobs_[kCapacity] = {};
  alignas(64) uint8_t received_[kCapacity][kMaxIcvLength];
  alignas(64) uint8_t computed_[kCapacity][IMB_SHA512_DIGEST_SIZE_IN_BYTES];
};

}  // namespace penstock
