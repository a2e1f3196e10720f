#include "dataplane/crypto/vaes_gcm.h"

#include <cstring>

#include "dataplane/crypto/avx512.h"

namespace penstock {
namespace {

constexpr size_t kRegister = 64;
constexpr size_t kHead = 16;  // SPI, sequence number and IV: the packet's first block
constexpr unsigned kLanes = 4;
constexpr size_t kChunkBlocks = 32;
constexpr unsigned kChunkRegisters = kChunkBlocks / kLanes;
constexpr size_t kChunk = kChunkBlocks * kGcmBlock;
constexpr int kXor3 = 0x96;

PENSTOCK_AVX512_INLINE __m512i ReverseBytes(__m512i blocks) {
  return _mm512_shuffle_epi8(blocks, _mm512_broadcast_i32x4(_mm_set_epi8(
                                         0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

PENSTOCK_AVX512_INLINE __m128i LoadBlock(const uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

// A sum of products in GF(2^128) that has not been reduced. Blocks are byte-reversed and the powers
// of H multiplied by x, so that the product of the reversed polynomials needs no shift.
struct Product {
  __m512i low;
  __m512i middle;
  __m512i high;
};

template <bool kFirst>
PENSTOCK_AVX512_INLINE void MultiplyAdd(__m512i blocks, __m512i powers, Product& sum) {
  const __m512i low = _mm512_clmulepi64_epi128(blocks, powers, 0x00);
  const __m512i middle0 = _mm512_clmulepi64_epi128(blocks, powers, 0x01);
  const __m512i middle1 = _mm512_clmulepi64_epi128(blocks, powers, 0x10);
  const __m512i high = _mm512_clmulepi64_epi128(blocks, powers, 0x11);
  if constexpr (kFirst) {
    sum = {low, _mm512_xor_si512(middle0, middle1), high};
  } else {
    sum.low = _mm512_xor_si512(sum.low, low);
    sum.middle = _mm512_ternarylogic_epi32(sum.middle, middle0, middle1, kXor3);
    sum.high = _mm512_xor_si512(sum.high, high);
  }
}

// Modulo x^128 + x^7 + x^2 + x + 1, reversed: each step folds the lowest 64 bits into the next 128.
PENSTOCK_AVX512_INLINE __m512i Reduce(const Product& sum) {
  const __m512i polynomial = _mm512_set1_epi64(static_cast<long long>(0xc200000000000000));
  constexpr _MM_PERM_ENUM kSwapHalves = _MM_PERM_BADC;
  const __m512i fold0 = _mm512_clmulepi64_epi128(sum.low, polynomial, 0x00);
  const __m512i middle = _mm512_ternarylogic_epi32(
      sum.middle, fold0, _mm512_shuffle_epi32(sum.low, kSwapHalves), kXor3);
  const __m512i fold1 = _mm512_clmulepi64_epi128(middle, polynomial, 0x00);
  return _mm512_ternarylogic_epi32(sum.high, fold1, _mm512_shuffle_epi32(middle, kSwapHalves),
                                   kXor3);
}

PENSTOCK_AVX512_INLINE __m128i AddLanes(__m512i blocks) {
  const __m256i half =
      _mm256_xor_si256(_mm512_castsi512_si256(blocks), _mm512_extracti64x4_epi64(blocks, 1));
  return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

PENSTOCK_AVX512_INLINE __m512i RoundKey(const VaesGcmKey& key, unsigned round) {
  return _mm512_broadcast_i32x4(LoadBlock(key.round_keys + kGcmBlock * round));
}

// SPI and sequence number, extended if ESN (RFC 4106 5), with zeros behind.
PENSTOCK_AVX512_INLINE __m128i AuthenticatedBlock(const VaesGcmPacket& packet) {
  const __m128i head = LoadBlock(packet.esp);
  if (!packet.esn) {
    return _mm_move_epi64(head);
  }
  const int high = static_cast<int>(__builtin_bswap32(packet.sequence_high));
  const __m128i spread = _mm_shuffle_epi32(head, _MM_SHUFFLE(3, 1, 1, 0));
  return _mm_insert_epi32(_mm_insert_epi32(spread, high, 1), 0, 3);
}

// On its way through one packet.
struct Progress {
  __m512i counter;    // of the next register; its last words in host order
  __m128i hash;       // so far, byte-reversed
  __m128i sealed_j0;  // the first counter block, encrypted: what the hash is masked with
};

// The key stream of the next registers.
template <unsigned kRounds, unsigned kRegisters>
PENSTOCK_AVX512_INLINE void MakeStream(const VaesGcmKey& key, Progress& progress, __m512i* stream) {
  const __m512i swap_counter =
      _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
  const __m512i four = _mm512_broadcast_i32x4(_mm_set_epi32(4, 0, 0, 0));
  const __m512i first_key = RoundKey(key, 0);
#pragma GCC unroll 9
  for (unsigned r = 0; r < kRegisters; ++r) {
    stream[r] = _mm512_xor_si512(_mm512_shuffle_epi8(progress.counter, swap_counter), first_key);
    progress.counter = _mm512_add_epi32(progress.counter, four);
  }
#pragma GCC unroll 14
  for (unsigned round = 1; round < kRounds; ++round) {
    const __m512i round_key = RoundKey(key, round);
#pragma GCC unroll 9
    for (unsigned r = 0; r < kRegisters; ++r) {
      stream[r] = _mm512_aesenc_epi128(stream[r], round_key);
    }
  }
  const __m512i last_key = RoundKey(key, kRounds);
#pragma GCC unroll 9
  for (unsigned r = 0; r < kRegisters; ++r) {
    stream[r] = _mm512_aesenclast_epi128(stream[r], last_key);
  }
}

// The bytes of the register at `offset` that are text; `end` is where the text ends. Offsets count
// from the ESP header, whose block the text follows.
template <bool kFirst>
PENSTOCK_AVX512_INLINE __mmask64 TextMask(size_t offset, size_t end) {
  const size_t left = end > offset ? end - offset : 0;
  const uint64_t mask = left >= kRegister ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
  return kFirst ? mask & ~uint64_t{0xffff} : mask;
}

// Whole registers of text with more behind them. `kFirst`: the packet's first ones, whose first
// block is the header; the hash has the AAD in its place.
template <unsigned kRounds, bool kEncrypt, bool kFirst>
PENSTOCK_AVX512_INLINE void RunChunk(const VaesGcmKey& key, const VaesGcmPacket& packet,
                                     uint8_t* at, Progress& progress) {
  __m512i stream[kChunkRegisters];
  MakeStream<kRounds, kChunkRegisters>(key, progress, stream);
  Product sum;
#pragma GCC unroll 8
  for (unsigned r = 0; r < kChunkRegisters; ++r) {
    uint8_t* here = at + kRegister * r;
    const __m512i text = _mm512_loadu_si512(here);
    const __m512i result = _mm512_xor_si512(text, stream[r]);
    __m512i sealed = kEncrypt ? result : text;
    if (kFirst && r == 0) {
      progress.sealed_j0 = _mm512_castsi512_si128(stream[0]);
      _mm512_mask_storeu_epi8(here, ~uint64_t{0xffff}, result);
      sealed = _mm512_inserti32x4(sealed, AuthenticatedBlock(packet), 0);
    } else {
      _mm512_storeu_si512(here, result);
    }
    sealed = ReverseBytes(sealed);
    const __m512i powers =
        _mm512_loadu_si512(key.powers + kGcmBlock * (kGcmPowers - kChunkBlocks) + kRegister * r);
    if (r == 0) {
      if (!kFirst) {
        sealed = _mm512_xor_si512(sealed, _mm512_zextsi128_si512(progress.hash));
      }
      MultiplyAdd<true>(sealed, powers, sum);
    } else {
      MultiplyAdd<false>(sealed, powers, sum);
    }
  }
  progress.hash = AddLanes(Reduce(sum));
}

// The packet's last registers and the block of lengths behind them. `blocks` are to be hashed.
template <unsigned kRounds, bool kEncrypt, bool kFirst, unsigned kRegisters>
PENSTOCK_AVX512_INLINE __m128i Finish(const VaesGcmKey& key, const VaesGcmPacket& packet,
                                      size_t offset, size_t blocks, Progress& progress) {
  __m512i stream[kRegisters];
  MakeStream<kRounds, kRegisters>(key, progress, stream);
  if (kFirst) {
    progress.sealed_j0 = _mm512_castsi512_si128(stream[0]);
  }
  const __m128i lengths = _mm_set_epi64x(packet.esn ? 96 : 64, 8ll * packet.length);
  const auto lengths_lane = static_cast<__mmask8>(3u << 2 * ((blocks - 1) % kLanes));
  const uint8_t* powers = key.powers + kGcmBlock * (kGcmPowers - blocks);
  const size_t end = kHead + packet.length;
  Product sum;
#pragma GCC unroll 9
  for (unsigned r = 0; r < kRegisters; ++r) {
    const size_t here = offset + kRegister * r;
    const __mmask64 mask = r == 0 ? TextMask<kFirst>(here, end) : TextMask<false>(here, end);
    const __m512i text = _mm512_maskz_loadu_epi8(mask, packet.esp + here);
    const __m512i result = _mm512_maskz_mov_epi8(mask, _mm512_xor_si512(text, stream[r]));
    _mm512_mask_storeu_epi8(packet.esp + here, mask, result);
    __m512i sealed = kEncrypt ? result : text;
    if (kFirst && r == 0) {
      sealed = _mm512_inserti32x4(sealed, AuthenticatedBlock(packet), 0);
    }
    sealed = ReverseBytes(sealed);
    if (r == kRegisters - 1) {
      sealed = _mm512_mask_broadcast_i64x2(sealed, lengths_lane, lengths);
    }
    const __m512i powers_here = _mm512_loadu_si512(powers + kRegister * r);
    if (r == 0) {
      if (!kFirst) {
        sealed = _mm512_xor_si512(sealed, _mm512_zextsi128_si512(progress.hash));
      }
      MultiplyAdd<true>(sealed, powers_here, sum);
    } else {
      MultiplyAdd<false>(sealed, powers_here, sum);
    }
  }
  const __m512i hash = ReverseBytes(_mm512_castsi128_si512(AddLanes(Reduce(sum))));
  return _mm_xor_si128(_mm512_castsi512_si128(hash), progress.sealed_j0);
}

template <unsigned kRounds, bool kEncrypt, bool kFirst>
PENSTOCK_AVX512_INLINE __m128i FinishAny(const VaesGcmKey& key, const VaesGcmPacket& packet,
                                         size_t offset, size_t blocks, Progress& progress) {
  switch ((blocks + kLanes - 1) / kLanes) {
    case 1:
      return Finish<kRounds, kEncrypt, kFirst, 1>(key, packet, offset, blocks, progress);
    case 2:
      return Finish<kRounds, kEncrypt, kFirst, 2>(key, packet, offset, blocks, progress);
    case 3:
      return Finish<kRounds, kEncrypt, kFirst, 3>(key, packet, offset, blocks, progress);
    case 4:
      return Finish<kRounds, kEncrypt, kFirst, 4>(key, packet, offset, blocks, progress);
    case 5:
      return Finish<kRounds, kEncrypt, kFirst, 5>(key, packet, offset, blocks, progress);
    case 6:
      return Finish<kRounds, kEncrypt, kFirst, 6>(key, packet, offset, blocks, progress);
    case 7:
      return Finish<kRounds, kEncrypt, kFirst, 7>(key, packet, offset, blocks, progress);
    case 8:
      return Finish<kRounds, kEncrypt, kFirst, 8>(key, packet, offset, blocks, progress);
    default:
      return Finish<kRounds, kEncrypt, kFirst, 9>(key, packet, offset, blocks, progress);
  }
}

// Counter blocks 1 to 4: the first one masks the hash, and the header stands in its place.
PENSTOCK_AVX512_INLINE __m512i FirstCounters(const VaesGcmPacket& packet) {
  const __m128i nonce =
      _mm_insert_epi32(LoadBlock(packet.esp + 4), static_cast<int>(packet.salt), 0);
  const __m512i numbers = _mm512_set_epi32(4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0);
  return _mm512_mask_blend_epi32(0x8888, _mm512_broadcast_i32x4(nonce), numbers);
}

// The whole packet; returns its ICV.
template <unsigned kRounds, bool kEncrypt>
PENSTOCK_AVX512_INLINE __m128i Run(const VaesGcmKey& key, const VaesGcmPacket& packet) {
  Progress progress;
  progress.counter = FirstCounters(packet);
  const size_t end = kHead + packet.length;
  size_t blocks = (end + kGcmBlock - 1) / kGcmBlock + 1;  // AAD, text, lengths
  // A chunk is whole registers of text; its last block may be a part only if nothing but the
  // lengths follows, hence the one more.
  if (blocks <= kChunkBlocks + 1) {
    return FinishAny<kRounds, kEncrypt, true>(key, packet, 0, blocks, progress);
  }
  RunChunk<kRounds, kEncrypt, true>(key, packet, packet.esp, progress);
  size_t offset = kChunk;
  blocks -= kChunkBlocks;
  for (; blocks > kChunkBlocks + 1; blocks -= kChunkBlocks, offset += kChunk) {
    RunChunk<kRounds, kEncrypt, false>(key, packet, packet.esp + offset, progress);
  }
  return FinishAny<kRounds, kEncrypt, false>(key, packet, offset, blocks, progress);
}

template <unsigned kRounds>
PENSTOCK_AVX512 void Encrypt(const VaesGcmKey& key, const VaesGcmPacket& packet) {
  const __m128i icv = Run<kRounds, true>(key, packet);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(packet.esp + kHead + packet.length), icv);
}

template <unsigned kRounds>
PENSTOCK_AVX512 bool Decrypt(const VaesGcmKey& key, const VaesGcmPacket& packet) {
  const __m128i received = LoadBlock(packet.esp + kHead + packet.length);
  const __m128i difference = _mm_xor_si128(Run<kRounds, false>(key, packet), received);
  return _mm_testz_si128(difference, difference) != 0;
}

// H in the form that MultiplyAdd wants: reversed and multiplied by x.
PENSTOCK_AVX512 __m128i HashKey(const VaesGcmKey& key, unsigned rounds) {
  __m128i block = LoadBlock(key.round_keys);  // of zeros
  for (unsigned round = 1; round < rounds; ++round) {
    block = _mm_aesenc_si128(block, LoadBlock(key.round_keys + kGcmBlock * round));
  }
  block = _mm_aesenclast_si128(block, LoadBlock(key.round_keys + kGcmBlock * rounds));
  const __m128i h = _mm512_castsi512_si128(ReverseBytes(_mm512_castsi128_si512(block)));
  const auto low = static_cast<uint64_t>(_mm_cvtsi128_si64(h));
  const auto high = static_cast<uint64_t>(_mm_extract_epi64(h, 1));
  const uint64_t carry = high >> 63;
  const uint64_t shifted_low = (low << 1) ^ carry;
  const uint64_t shifted_high = ((high << 1) | (low >> 63)) ^ (carry * 0xc200000000000000);
  return _mm_set_epi64x(static_cast<long long>(shifted_high), static_cast<long long>(shifted_low));
}

PENSTOCK_AVX512 __m128i Multiply(__m128i a, __m128i b) {
  Product product;
  MultiplyAdd<true>(_mm512_zextsi128_si512(a), _mm512_zextsi128_si512(b), product);
  return _mm512_castsi512_si128(Reduce(product));
}

}  // namespace

PENSTOCK_AVX512 void PrepareVaesGcmKey(VaesGcmKey& key, unsigned rounds) {
  memset(key.powers, 0, sizeof(key.powers));
  const __m128i h = HashKey(key, rounds);
  __m128i power = h;
  for (size_t i = kGcmPowers; i-- != 0;) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(key.powers + kGcmBlock * i), power);
    power = Multiply(power, h);
  }
}

VaesGcmEncrypt VaesGcmEncryptFor(unsigned rounds) {
  return rounds == 10 ? Encrypt<10> : rounds == 12 ? Encrypt<12> : Encrypt<14>;
}

VaesGcmDecrypt VaesGcmDecryptFor(unsigned rounds) {
  return rounds == 10 ? Decrypt<10> : rounds == 12 ? Decrypt<12> : Decrypt<14>;
}

}  // namespace penstock
