#include "dataplane/crypto/avx512_sha1.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "dataplane/crypto/avx512.h"
#include "dataplane/crypto/crypto_util.h"

namespace penstock {
namespace {

constexpr unsigned kLanes = 16;  // of one register
constexpr size_t kBlock = 64;
constexpr size_t kLengthField = 8;
constexpr unsigned kWords = 5;  // of the state

// Two registers' worth of lanes are in flight, so that one hides the other's latency.
constexpr unsigned kMaxRegisters = 2;

// The state of `kRegisters` times 16 messages: word by word, lane by lane.
template <unsigned kRegisters>
struct alignas(64) Lanes {
  uint32_t state[kRegisters][kWords][kLanes];
};

// Reads a block of each of 16 messages: word i of all of them goes to words[i].
PENSTOCK_AVX512_INLINE void LoadWords(const uint8_t* const* from, __m512i* words) {
  const __m512i swap =
      _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
  __m512i pairs[16];
#pragma GCC unroll 4
  for (unsigned i = 0; i < 16; i += 4) {
    const __m512i r0 = _mm512_loadu_si512(from[i]);
    const __m512i r1 = _mm512_loadu_si512(from[i + 1]);
    const __m512i r2 = _mm512_loadu_si512(from[i + 2]);
    const __m512i r3 = _mm512_loadu_si512(from[i + 3]);
    const __m512i low01 = _mm512_unpacklo_epi32(r0, r1);
    const __m512i high01 = _mm512_unpackhi_epi32(r0, r1);
    const __m512i low23 = _mm512_unpacklo_epi32(r2, r3);
    const __m512i high23 = _mm512_unpackhi_epi32(r2, r3);
    pairs[i] = _mm512_unpacklo_epi64(low01, low23);
    pairs[i + 1] = _mm512_unpackhi_epi64(low01, low23);
    pairs[i + 2] = _mm512_unpacklo_epi64(high01, high23);
    pairs[i + 3] = _mm512_unpackhi_epi64(high01, high23);
  }
#pragma GCC unroll 4
  for (unsigned i = 0; i < 4; ++i) {
    const __m512i even0 = _mm512_shuffle_i32x4(pairs[i], pairs[4 + i], 0x88);
    const __m512i even1 = _mm512_shuffle_i32x4(pairs[8 + i], pairs[12 + i], 0x88);
    const __m512i odd0 = _mm512_shuffle_i32x4(pairs[i], pairs[4 + i], 0xdd);
    const __m512i odd1 = _mm512_shuffle_i32x4(pairs[8 + i], pairs[12 + i], 0xdd);
    words[i] = _mm512_shuffle_epi8(_mm512_shuffle_i32x4(even0, even1, 0x88), swap);
    words[4 + i] = _mm512_shuffle_epi8(_mm512_shuffle_i32x4(odd0, odd1, 0x88), swap);
    words[8 + i] = _mm512_shuffle_epi8(_mm512_shuffle_i32x4(even0, even1, 0xdd), swap);
    words[12 + i] = _mm512_shuffle_epi8(_mm512_shuffle_i32x4(odd0, odd1, 0xdd), swap);
  }
}

// FIPS 180-4 6.1.2: one round. `kFunction` is the round function's truth table.
template <int kFunction>
PENSTOCK_AVX512_INLINE void Round(const __m512i& a, __m512i& b, const __m512i& c, const __m512i& d,
                                  __m512i& e, __m512i word_and_constant) {
  e = _mm512_add_epi32(e, word_and_constant);
  e = _mm512_add_epi32(e, _mm512_ternarylogic_epi32(b, c, d, kFunction));
  // Keeps the compiler from adding in another order: `a` comes last, and only two instructions may
  // wait for it.
  asm("" : "+v"(e));
  e = _mm512_add_epi32(e, _mm512_rol_epi32(a, 5));
  b = _mm512_rol_epi32(b, 30);
}

PENSTOCK_AVX512_INLINE __m512i ScheduledWord(__m512i* words, unsigned round) {
  constexpr int kXor = 0x96;
  const __m512i mixed = _mm512_ternarylogic_epi32(words[(round - 3) & 15], words[(round - 8) & 15],
                                                  words[(round - 14) & 15], kXor);
  __m512i& word = words[round & 15];
  word = _mm512_rol_epi32(_mm512_xor_si512(mixed, word), 1);
  return word;
}

template <unsigned kRegisters, int kFunction, uint32_t kConstant, unsigned kFirst>
PENSTOCK_AVX512_INLINE void TwentyRounds(__m512i (*state)[kWords], __m512i (*words)[16]) {
  const __m512i constant = _mm512_set1_epi32(static_cast<int>(kConstant));
#pragma GCC unroll 20
  for (unsigned i = 0; i < 20; ++i) {
    const unsigned round = kFirst + i;
#pragma GCC unroll 2
    for (unsigned r = 0; r < kRegisters; ++r) {
      const __m512i word = round < 16 ? words[r][round] : ScheduledWord(words[r], round);
      __m512i* s = state[r];
      Round<kFunction>(s[(80 - round) % 5], s[(81 - round) % 5], s[(82 - round) % 5],
                       s[(83 - round) % 5], s[(84 - round) % 5], _mm512_add_epi32(word, constant));
    }
  }
}

// Lanes that are not in `active` keep their state.
template <unsigned kRegisters>
PENSTOCK_AVX512_INLINE void Compress(Lanes<kRegisters>& lanes, __m512i (*words)[16],
                                     const uint32_t* active) {
  __m512i state[kRegisters][kWords];
  for (unsigned r = 0; r < kRegisters; ++r) {
    for (unsigned i = 0; i < kWords; ++i) {
      state[r][i] = _mm512_load_si512(lanes.state[r][i]);
    }
  }
  TwentyRounds<kRegisters, 0xca, 0x5a827999, 0>(state, words);   // choose
  TwentyRounds<kRegisters, 0x96, 0x6ed9eba1, 20>(state, words);  // parity
  TwentyRounds<kRegisters, 0xe8, 0x8f1bbcdc, 40>(state, words);  // majority
  TwentyRounds<kRegisters, 0x96, 0xca62c1d6, 60>(state, words);  // parity
  for (unsigned r = 0; r < kRegisters; ++r) {
    for (unsigned i = 0; i < kWords; ++i) {
      const __m512i before = _mm512_load_si512(lanes.state[r][i]);
      _mm512_store_si512(
          lanes.state[r][i],
          _mm512_mask_add_epi32(before, static_cast<__mmask16>(active[r]), before, state[r][i]));
    }
  }
}

template <unsigned kRegisters>
PENSTOCK_AVX512 __attribute__((noinline)) void HashBlocks(Lanes<kRegisters>& lanes,
                                                          const uint8_t* const* from,
                                                          const uint32_t* active) {
  __m512i words[kRegisters][16];
  for (unsigned r = 0; r < kRegisters; ++r) {
    LoadWords(from + r * kLanes, words[r]);
  }
  Compress<kRegisters>(lanes, words, active);
}

// The outer hash's only block is the inner digest, which stands in the lanes already, and padding.
template <unsigned kRegisters>
PENSTOCK_AVX512 __attribute__((noinline)) void HashDigests(const Lanes<kRegisters>& inner,
                                                           Lanes<kRegisters>& outer) {
  constexpr int kBits = 8 * (kBlock + 4 * kWords);
  __m512i words[kRegisters][16];
  uint32_t active[kRegisters];
  for (unsigned r = 0; r < kRegisters; ++r) {
    for (unsigned i = 0; i < kWords; ++i) {
      words[r][i] = _mm512_load_si512(inner.state[r][i]);
    }
    words[r][kWords] = _mm512_set1_epi32(static_cast<int>(0x80000000));
    for (unsigned i = kWords + 1; i < 15; ++i) {
      words[r][i] = _mm512_setzero_si512();
    }
    words[r][15] = _mm512_set1_epi32(kBits);
    active[r] = 0xffff;
  }
  Compress<kRegisters>(outer, words, active);
}

// Where each lane stands. A message's last bytes and its padding are a block or two of their own.
template <unsigned kRegisters>
struct Progress {
  static constexpr unsigned kCount = kRegisters * kLanes;
  const uint8_t* next[kCount];
  uint32_t whole[kCount];  // blocks in the text
  uint32_t total[kCount];  // and with those of the tail
  alignas(64) uint8_t tail[kCount][2 * kBlock];
};

void WriteTail(const HmacSha1Job& job, uint32_t whole, uint32_t total, uint8_t* tail) {
  const size_t rest = job.length - whole * kBlock;
  const size_t size = (total - whole) * kBlock;
  memset(tail, 0, size);
  memcpy(tail, job.text + whole * kBlock, rest);
  tail[rest] = 0x80;
  // The key's block was hashed before.
  StoreBe32(tail + size - 4, static_cast<uint32_t>(8 * (kBlock + job.length)));
}

template <unsigned kRegisters>
void Prepare(std::span<const HmacSha1Job> jobs, Progress<kRegisters>& progress,
             Lanes<kRegisters>& inner, Lanes<kRegisters>& outer) {
  for (unsigned lane = 0; lane < Progress<kRegisters>::kCount; ++lane) {
    const unsigned r = lane / kLanes;
    const unsigned column = lane % kLanes;
    if (lane >= jobs.size()) {  // reads what is there, changes nothing
      progress.next[lane] = progress.tail[lane];
      progress.whole[lane] = progress.total[lane] = 0;
      continue;
    }
    const HmacSha1Job& job = jobs[lane];
    const uint32_t whole = job.length / kBlock;
    const uint32_t total =
        static_cast<uint32_t>((job.length + 1 + kLengthField + kBlock - 1) / kBlock);
    progress.next[lane] = job.text;
    progress.whole[lane] = whole;
    progress.total[lane] = total;
    WriteTail(job, whole, total, progress.tail[lane]);
    for (unsigned i = 0; i < kWords; ++i) {
      inner.state[r][i][column] = job.inner[i];
      outer.state[r][i][column] = job.outer[i];
    }
  }
}

// Blocks that all lanes have whole in their texts need no look at each lane.
template <unsigned kRegisters>
uint32_t HashCommonBlocks(size_t count, Progress<kRegisters>& progress, Lanes<kRegisters>& lanes) {
  const uint32_t common = *std::min_element(progress.whole, progress.whole + count);
  uint32_t active[kRegisters];
  for (unsigned r = 0; r < kRegisters; ++r) {
    const size_t here = std::min<size_t>(count - std::min<size_t>(count, r * kLanes), kLanes);
    active[r] = (1u << here) - 1;
  }
  for (uint32_t block = 0; block < common; ++block) {
    HashBlocks<kRegisters>(lanes, progress.next, active);
    for (size_t lane = 0; lane < count; ++lane) {
      progress.next[lane] += kBlock;
    }
  }
  return common;
}

template <unsigned kRegisters>
void HashRemainingBlocks(uint32_t block, size_t count, Progress<kRegisters>& progress,
                         Lanes<kRegisters>& lanes) {
  const uint32_t last = *std::max_element(progress.total, progress.total + count);
  for (; block < last; ++block) {
    uint32_t active[kRegisters] = {};
    for (unsigned lane = 0; lane < count; ++lane) {
      if (block >= progress.whole[lane]) {
        const uint32_t behind = block - progress.whole[lane];
        progress.next[lane] = progress.tail[lane] + (behind == 0 ? 0 : kBlock);
      }
      if (block < progress.total[lane]) {
        active[lane / kLanes] |= 1u << (lane % kLanes);
      }
    }
    HashBlocks<kRegisters>(lanes, progress.next, active);
    for (unsigned lane = 0; lane < count; ++lane) {
      progress.next[lane] += kBlock;
    }
  }
}

template <unsigned kRegisters>
void WriteDigests(std::span<const HmacSha1Job> jobs, const Lanes<kRegisters>& lanes) {
  for (unsigned lane = 0; lane < jobs.size(); ++lane) {
    uint8_t digest[4 * kWords];
    for (unsigned i = 0; i < kWords; ++i) {
      StoreBe32(digest + 4 * i, lanes.state[lane / kLanes][i][lane % kLanes]);
    }
    memcpy(jobs[lane].digest, digest, jobs[lane].digest_length);
  }
}

template <unsigned kRegisters>
void HashInLanes(std::span<const HmacSha1Job> jobs) {
  Progress<kRegisters> progress;
  Lanes<kRegisters> inner;
  Lanes<kRegisters> outer;
  Prepare<kRegisters>(jobs, progress, inner, outer);
  const uint32_t done = HashCommonBlocks<kRegisters>(jobs.size(), progress, inner);
  HashRemainingBlocks<kRegisters>(done, jobs.size(), progress, inner);
  HashDigests<kRegisters>(inner, outer);
  WriteDigests<kRegisters>(jobs, outer);
}

}  // namespace

void HmacSha1InLanes(std::span<const HmacSha1Job> jobs) {
  while (!jobs.empty()) {
    const size_t count = std::min<size_t>(jobs.size(), kMaxRegisters * kLanes);
    if (count <= kLanes) {
      HashInLanes<1>(jobs.first(count));
    } else {
      HashInLanes<kMaxRegisters>(jobs.first(count));
    }
    jobs = jobs.subspan(count);
  }
}

}  // namespace penstock
