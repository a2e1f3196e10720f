#include "dataplane/crypto/vaes_cbc.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

#include "dataplane/base/secret.h"
#include "dataplane/crypto/avx512.h"

namespace penstock {
namespace {

constexpr size_t kBlock = 16;
constexpr unsigned kLanes = 4;  // of one register
constexpr unsigned kMaxRegisters = 8;
constexpr unsigned kMaxRoundKeys = 15;

PENSTOCK_AVX512_INLINE __m128i LoadBlock(const uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

// One block of each of four packets.
PENSTOCK_AVX512_INLINE __m512i Gather(const uint8_t* const* from) {
  __m512i blocks = _mm512_castsi128_si512(LoadBlock(from[0]));
  blocks = _mm512_inserti32x4(blocks, LoadBlock(from[1]), 1);
  blocks = _mm512_inserti32x4(blocks, LoadBlock(from[2]), 2);
  return _mm512_inserti32x4(blocks, LoadBlock(from[3]), 3);
}

PENSTOCK_AVX512_INLINE void Scatter(__m512i blocks, uint8_t* const* to) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to[0]), _mm512_castsi512_si128(blocks));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to[1]), _mm512_extracti32x4_epi32(blocks, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to[2]), _mm512_extracti32x4_epi32(blocks, 2));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to[3]), _mm512_extracti32x4_epi32(blocks, 3));
}

// The round keys of a group of packets, beside each other as the registers want them. Packets of
// one key share a register of them: loading keys is what bounds the others.
template <unsigned kKeyRegisters>
struct alignas(64) RoundKeys {
  uint8_t bytes[kMaxRoundKeys][kKeyRegisters][kLanes * kBlock];
  PENSTOCK_AVX512_INLINE __m512i Of(unsigned round, unsigned register_index) const {
    return _mm512_load_si512(bytes[round][kKeyRegisters == 1 ? 0 : register_index]);
  }
};

// Up to 4 * kRegisters packets on their way through the cipher.
template <unsigned kRegisters>
struct Group {
  static constexpr unsigned kCount = kRegisters * kLanes;
  alignas(64) uint8_t* next[kCount];
  alignas(64) uint64_t stride[kCount];  // 16; 0 for a lane that has ended and works on `idle`
  uint32_t left[kCount];                // blocks
  uint8_t idle[kBlock];
};

template <unsigned kKeyRegisters>
PENSTOCK_AVX512 void SpreadKeys(std::span<const CbcJob> jobs, unsigned rounds,
                                RoundKeys<kKeyRegisters>& keys) {
  for (unsigned r = 0; r < kKeyRegisters; ++r) {
    const uint8_t* from[kLanes];
    for (unsigned i = 0; i < kLanes; ++i) {
      from[i] = jobs[std::min<size_t>(r * kLanes + i, jobs.size() - 1)].round_keys;
    }
    for (unsigned round = 0; round <= rounds; ++round) {
      _mm512_store_si512(keys.bytes[round][r], Gather(from));
      for (const uint8_t*& key : from) {
        key += kBlock;
      }
    }
  }
}

// `blocks` steps of all lanes.
template <unsigned kRegisters, unsigned kKeyRegisters>
PENSTOCK_AVX512 __attribute__((noinline)) void EncryptBlocks(Group<kRegisters>& group,
                                                             const RoundKeys<kKeyRegisters>& keys,
                                                             unsigned rounds, uint32_t blocks,
                                                             uint8_t (*chains)[kLanes * kBlock]) {
  __m512i chain[kRegisters];
#pragma GCC unroll 8
  for (unsigned r = 0; r < kRegisters; ++r) {
    chain[r] = _mm512_load_si512(chains[r]);
  }
  for (; blocks != 0; --blocks) {
#pragma GCC unroll 8
    for (unsigned r = 0; r < kRegisters; ++r) {
      const __m512i text = Gather(group.next + r * kLanes);
      constexpr int kXor = 0x96;
      chain[r] = _mm512_ternarylogic_epi32(chain[r], text, keys.Of(0, r), kXor);
    }
    for (unsigned round = 1; round < rounds; ++round) {
#pragma GCC unroll 8
      for (unsigned r = 0; r < kRegisters; ++r) {
        chain[r] = _mm512_aesenc_epi128(chain[r], keys.Of(round, r));
      }
    }
#pragma GCC unroll 8
    for (unsigned r = 0; r < kRegisters; ++r) {
      chain[r] = _mm512_aesenclast_epi128(chain[r], keys.Of(rounds, r));
      Scatter(chain[r], group.next + r * kLanes);
    }
    for (unsigned lane = 0; lane < Group<kRegisters>::kCount; lane += 8) {
      const __m512i step = _mm512_load_si512(group.stride + lane);
      _mm512_store_si512(group.next + lane,
                         _mm512_add_epi64(_mm512_load_si512(group.next + lane), step));
    }
  }
#pragma GCC unroll 8
  for (unsigned r = 0; r < kRegisters; ++r) {
    _mm512_store_si512(chains[r], chain[r]);
  }
}

template <unsigned kRegisters>
void Begin(std::span<const CbcJob> jobs, Group<kRegisters>& group,
           uint8_t (*chains)[kLanes * kBlock]) {
  for (unsigned lane = 0; lane < Group<kRegisters>::kCount; ++lane) {
    const bool used = lane < jobs.size() && jobs[lane].length != 0;
    group.left[lane] = used ? static_cast<uint32_t>(jobs[lane].length / kBlock) : 0;
    group.stride[lane] = used ? kBlock : 0;
    group.next[lane] = used ? jobs[lane].text : group.idle;
    const uint8_t* iv = used ? jobs[lane].text - kBlock : group.idle;
    memcpy(chains[lane / kLanes] + kBlock * (lane % kLanes), iv, kBlock);
  }
}

template <unsigned kRegisters, unsigned kKeyRegisters>
void EncryptGroup(std::span<const CbcJob> jobs, unsigned rounds,
                  const RoundKeys<kKeyRegisters>& keys) {
  static_assert(Group<kRegisters>::kCount % 8 == 0);
  Group<kRegisters> group = {};
  alignas(64) uint8_t chains[kRegisters][kLanes * kBlock];
  Begin<kRegisters>(jobs, group, chains);
  while (true) {
    uint32_t run = std::numeric_limits<uint32_t>::max();
    for (const uint32_t left : group.left) {
      run = left != 0 ? std::min(run, left) : run;
    }
    if (run == std::numeric_limits<uint32_t>::max()) {
      return;
    }
    EncryptBlocks<kRegisters, kKeyRegisters>(group, keys, rounds, run, chains);
    for (unsigned lane = 0; lane < Group<kRegisters>::kCount; ++lane) {
      group.left[lane] -= std::min(group.left[lane], run);
      if (group.left[lane] == 0) {
        group.next[lane] = group.idle;
        group.stride[lane] = 0;
      }
    }
  }
}

bool SameKeys(std::span<const CbcJob> jobs) {
  return std::all_of(jobs.begin(), jobs.end(),
                     [&](const CbcJob& job) { return job.round_keys == jobs.front().round_keys; });
}

template <unsigned kRegisters, unsigned kKeyRegisters>
void EncryptGroups(std::span<const CbcJob> jobs, unsigned rounds) {
  RoundKeys<kKeyRegisters> keys;
  if (kKeyRegisters == 1) {
    SpreadKeys<kKeyRegisters>(jobs.first(1), rounds, keys);
  }
  while (!jobs.empty()) {
    const auto group = jobs.first(std::min<size_t>(jobs.size(), Group<kRegisters>::kCount));
    if (kKeyRegisters != 1) {
      SpreadKeys<kKeyRegisters>(group, rounds, keys);
    }
    EncryptGroup<kRegisters, kKeyRegisters>(group, rounds, keys);
    jobs = jobs.subspan(group.size());
  }
  WipeMemory(&keys, sizeof(keys));
}

template <unsigned kRegisters>
void EncryptAll(std::span<const CbcJob> jobs, unsigned rounds) {
  if (SameKeys(jobs)) {
    EncryptGroups<kRegisters, 1>(jobs, rounds);
  } else {
    EncryptGroups<kRegisters, kRegisters>(jobs, rounds);
  }
}

// Up to eight registers, 32 blocks, of one packet. `before` holds the ciphertext in front of them
// in its last block, and theirs when this returns.
template <unsigned kRegisters>
PENSTOCK_AVX512_INLINE void DecryptBlocks(uint8_t* text, const __m512i* keys, unsigned rounds,
                                          __m512i& before) {
  __m512i sealed[kRegisters];
  __m512i clear[kRegisters];
#pragma GCC unroll 8
  for (unsigned r = 0; r < kRegisters; ++r) {
    sealed[r] = _mm512_loadu_si512(text + 64 * r);
    clear[r] = _mm512_xor_si512(sealed[r], keys[0]);
  }
#pragma GCC unroll 14
  for (unsigned round = 1; round < kMaxRoundKeys - 1; ++round) {
    if (round < rounds) {
#pragma GCC unroll 8
      for (unsigned r = 0; r < kRegisters; ++r) {
        clear[r] = _mm512_aesdec_epi128(clear[r], keys[round]);
      }
    }
  }
#pragma GCC unroll 8
  for (unsigned r = 0; r < kRegisters; ++r) {
    clear[r] = _mm512_aesdeclast_epi128(clear[r], keys[rounds]);
    const __m512i previous = _mm512_alignr_epi64(sealed[r], r == 0 ? before : sealed[r - 1], 6);
    _mm512_storeu_si512(text + 64 * r, _mm512_xor_si512(clear[r], previous));
  }
  before = sealed[kRegisters - 1];
}

PENSTOCK_AVX512_INLINE void DecryptRest(uint8_t* text, uint32_t length, const __m512i* keys,
                                        unsigned rounds, __m512i before) {
  const __mmask64 mask = (1ull << length) - 1;
  const __m512i sealed = _mm512_maskz_loadu_epi8(mask, text);
  __m512i clear = _mm512_xor_si512(sealed, keys[0]);
  for (unsigned round = 1; round < rounds; ++round) {
    clear = _mm512_aesdec_epi128(clear, keys[round]);
  }
  clear = _mm512_aesdeclast_epi128(clear, keys[rounds]);
  const __m512i previous = _mm512_alignr_epi64(sealed, before, 6);
  _mm512_mask_storeu_epi8(text, mask, _mm512_xor_si512(clear, previous));
}

template <unsigned kRounds>
PENSTOCK_AVX512 void DecryptPacket(const CbcJob& job) {
  __m512i keys[kRounds + 1];
#pragma GCC unroll 15
  for (unsigned i = 0; i <= kRounds; ++i) {
    keys[i] = _mm512_broadcast_i32x4(LoadBlock(job.round_keys + kBlock * i));
  }
  uint8_t* text = job.text;
  uint32_t left = job.length;
  __m512i before = _mm512_broadcast_i32x4(LoadBlock(text - kBlock));
  for (; left >= 512; left -= 512, text += 512) {
    DecryptBlocks<8>(text, keys, kRounds, before);
  }
  for (; left >= 128; left -= 128, text += 128) {
    DecryptBlocks<2>(text, keys, kRounds, before);
  }
  if (left >= 64) {
    DecryptBlocks<1>(text, keys, kRounds, before);
    left -= 64;
    text += 64;
  }
  if (left != 0) {
    DecryptRest(text, left, keys, kRounds, before);
  }
}

template <unsigned kRounds>
PENSTOCK_AVX512 void DecryptAll(std::span<const CbcJob> jobs) {
  for (const CbcJob& job : jobs) {
    DecryptPacket<kRounds>(job);
  }
}

}  // namespace

void CbcEncryptInLanes(std::span<const CbcJob> jobs, unsigned rounds) {
  if (jobs.empty()) {
    return;
  }
  if (jobs.size() <= 2 * kLanes) {
    EncryptAll<2>(jobs, rounds);
  } else if (jobs.size() <= 4 * kLanes) {
    EncryptAll<4>(jobs, rounds);
  } else {
    EncryptAll<kMaxRegisters>(jobs, rounds);
  }
}

void CbcDecrypt(std::span<const CbcJob> jobs, unsigned rounds) {
  switch (rounds) {
    case 10:
      return DecryptAll<10>(jobs);
    case 12:
      return DecryptAll<12>(jobs);
    default:
      return DecryptAll<14>(jobs);
  }
}

}  // namespace penstock
