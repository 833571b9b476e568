// The vector kernels for AVX-512 with matrix products of bfloat16 numbers.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "paths.h"

// min_vector_width: the compiler may use whole 512-bit registers in loops it vectorises itself.
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"), min_vector_width(512))), apply_to = function)

// The checksum is compiled here once more, for these registers.
#define XXH_INLINE_ALL
#define XXH_VECTOR XXH_AVX512
#include <xxhash.h>

typedef float lanes __attribute__((vector_size(64)));

// Groups of queries, keys and value channels that attention takes at a time: every number that is read serves two
// multiply-adds, and 16 sums cover their latency.
enum { GROUPS = 2, BLOCK = 8, CHANNELS = 8 };

// Rows and vectors of a tile of sums in a product: 24 of the 32 registers.
enum { ROWS = 12, SPECTRAL_ROWS = 6 };

/// The first n of 16 floats, the rest 0; touches no memory past them. 0 < n < 16.
static inline __attribute__((always_inline)) lanes load_first(const float *x, int64_t n) {
    return (lanes)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), x);
}

static inline __attribute__((always_inline)) void store_first(float *x, int64_t n, lanes value) {
    _mm512_mask_storeu_ps(x, (__mmask16)((1u << n) - 1), (__m512)value);
}

#define BF16_PRODUCTS
#define PATH_NAME "avx512-bf16"
#define PATH_TABLE bbp_avx512_bf16_kernels
#include "kernels_vector.inc"

#pragma clang attribute pop
#endif
