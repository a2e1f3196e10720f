#include "dataplane/crypto/iv_source.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "dataplane/crypto/crypto_util.h"

// The build is for older processors: only these functions may use AES-NI, and only an engine that
// has checked for it calls them.
#define PENSTOCK_AESNI __attribute__((target("aes,sse4.1")))

namespace penstock {
namespace {

constexpr size_t kRounds = 10;
constexpr size_t kLanes = 8;  // independent blocks that hide the latency of AESENC

template <int kRoundConstant>
PENSTOCK_AESNI __m128i NextRoundKey(__m128i key) {
  __m128i word = _mm_aeskeygenassist_si128(key, kRoundConstant);
  word = _mm_shuffle_epi32(word, 0xff);
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
  return _mm_xor_si128(key, word);
}

PENSTOCK_AESNI void ExpandKey(const uint8_t* key, __m128i* rounds) {
  rounds[0] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key));
  rounds[1] = NextRoundKey<0x01>(rounds[0]);
  rounds[2] = NextRoundKey<0x02>(rounds[1]);
  rounds[3] = NextRoundKey<0x04>(rounds[2]);
  rounds[4] = NextRoundKey<0x08>(rounds[3]);
  rounds[5] = NextRoundKey<0x10>(rounds[4]);
  rounds[6] = NextRoundKey<0x20>(rounds[5]);
  rounds[7] = NextRoundKey<0x40>(rounds[6]);
  rounds[8] = NextRoundKey<0x80>(rounds[7]);
  rounds[9] = NextRoundKey<0x1b>(rounds[8]);
  rounds[10] = NextRoundKey<0x36>(rounds[9]);
}

// Encrypts `count` <= kLanes counters side by side.
PENSTOCK_AESNI void FillLanes(const __m128i* rounds, uint64_t high, uint64_t low,
                              uint8_t* const* targets, size_t count) {
  __m128i blocks[kLanes];
  for (size_t i = 0; i < kLanes; ++i) {
    blocks[i] = _mm_set_epi64x(static_cast<int64_t>(high), static_cast<int64_t>(low + i));
    blocks[i] = _mm_xor_si128(blocks[i], rounds[0]);
  }
  for (size_t round = 1; round < kRounds; ++round) {
    for (size_t i = 0; i < kLanes; ++i) {
      blocks[i] = _mm_aesenc_si128(blocks[i], rounds[round]);
    }
  }
  for (size_t i = 0; i < count; ++i) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(targets[i]),
                     _mm_aesenclast_si128(blocks[i], rounds[kRounds]));
  }
}

}  // namespace

struct IvSource::State {
  __m128i rounds[kRounds + 1];
  uint64_t high;
  uint64_t low;
};

IvSource::~IvSource() {
  if (state_ != nullptr) {
    FreeSecretMemory(state_, sizeof(State));
  }
}

Status IvSource::Seed() {
  uint8_t random[32];
  if (Status filled = FillRandom(random); !filled) {
    return filled;
  }
  if (state_ == nullptr) {
    state_ = static_cast<State*>(AllocateSecretMemory(sizeof(State)));
    if (state_ == nullptr) {
      return Fail(Errc::kExhausted, "no memory for the key that IVs are made with");
    }
  }
  ExpandKey(random, state_->rounds);
  memcpy(&state_->high, random + 16, 8);
  memcpy(&state_->low, random + 24, 8);
  WipeMemory(random, sizeof(random));
  return {};
}

void IvSource::Fill(std::span<uint8_t* const> targets) {
  for (size_t done = 0; done < targets.size(); done += kLanes) {
    const size_t count = std::min(kLanes, targets.size() - done);
    FillLanes(state_->rounds, state_->high, state_->low, targets.data() + done, count);
    state_->low += count;
  }
}

}  // namespace penstock
