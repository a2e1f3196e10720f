// What a function needs before it may use AVX-512 and the wide AES instructions: the binary is
// built for x86-64-v2, and such a function is called only where the processor has them.
#pragma once

// g++ 12 takes the undefined operand of some intrinsics for a mistake (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop

#define PENSTOCK_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,vaes,vpclmulqdq,pclmul,aes")))
#define PENSTOCK_AVX512_INLINE PENSTOCK_AVX512 __attribute__((always_inline)) inline
