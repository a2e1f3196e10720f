// Small things that both engines need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "dataplane/base/secret.h"
#include "dataplane/crypto/engine.h"

namespace penstock {

inline constexpr size_t kEspHeaderLength = 8;  // SPI and sequence number
inline constexpr size_t kMaxIcvLength = 32;

// Compares without telling by its duration where the first difference is.
inline bool EqualInConstantTime(const uint8_t* a, const uint8_t* b, size_t length) {
  uint64_t difference = 0;
  size_t i = 0;
  for (; i + sizeof(uint64_t) <= length; i += sizeof(uint64_t)) {
    uint64_t left;
    uint64_t right;
    memcpy(&left, a + i, sizeof(left));
    memcpy(&right, b + i, sizeof(right));
    difference |= left ^ right;
  }
  for (; i < length; ++i) {
    difference |= static_cast<unsigned>(a[i] ^ b[i]);
  }
  return difference == 0;
}

inline void StoreBe32(uint8_t* target, uint32_t value) {
  const uint32_t swapped = __builtin_bswap32(value);
  memcpy(target, &swapped, sizeof(swapped));
}

// SPI, [high sequence], sequence (RFC 4106 5). Returns the length, 8 or 12.
inline size_t BuildAad(const Job& job, uint8_t aad[12]) {
  if (!job.esn) {
    memcpy(aad, job.esp, 8);
    return 8;
  }
  memcpy(aad, job.esp, 4);
  StoreBe32(aad + 4, job.sequence_high);
  memcpy(aad + 8, job.esp + 4, 4);
  return 12;
}

inline uint8_t* TextOf(const Job& job, const Suite& suite) {
  return job.esp + kEspHeaderLength + suite.iv_length;
}

// Fills `bytes` from the kernel's random generator.
Status FillRandom(std::span<uint8_t> bytes);

// A key whose whole object lies in secret memory. `new` yields null if there is none.
struct SecretCryptoKey : CryptoKey {
  static void* operator new(size_t size) noexcept { return AllocateSecretMemory(size); }
  static void* operator new(size_t size, std::align_val_t) noexcept {
    return AllocateSecretMemory(size);  // aligned to 64 in any case
  }
  static void operator delete(void* data, size_t size) { FreeSecretMemory(data, size); }
  static void operator delete(void* data, size_t size, std::align_val_t) {
    FreeSecretMemory(data, size);
  }
};

}  // namespace penstock
