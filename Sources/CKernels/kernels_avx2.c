// The vector kernels for AVX2 with FMA: each vector of 16 lanes is a pair of registers.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "paths.h"

// Vectors wider than the registers pass between inlined helpers only, never through a real call.
#pragma clang diagnostic ignored "-Wpsabi"
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

// The checksum is compiled here once more, for these registers.
#define XXH_INLINE_ALL
#define XXH_VECTOR XXH_AVX2
#include <xxhash.h>

typedef float lanes __attribute__((vector_size(64)));

// Groups of queries, keys and value channels that attention takes at a time: 4 sums are 8 of the 16 registers.
enum { GROUPS = 1, BLOCK = 4, CHANNELS = 4 };

// Rows and vectors of a tile of sums in a product: 12 or 8 of the registers.
enum { ROWS = 6, VECTORS = 1, SPECTRAL_ROWS = 2, SPECTRAL_VECTORS = 1 };

/// All bits of the first n of 8 lanes.
static inline __attribute__((always_inline)) __m256i first_of_8(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/// The first n of 16 floats, the rest 0; touches no memory past them. 0 < n < 16.
static inline __attribute__((always_inline)) lanes load_first(const float *x, int64_t n) {
    const __m256 low = _mm256_maskload_ps(x, first_of_8(n)), high = _mm256_maskload_ps(x + 8, first_of_8(n - 8));
    return (lanes)__builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

static inline __attribute__((always_inline)) void store_first(float *x, int64_t n, lanes value) {
    _mm256_maskstore_ps(x, first_of_8(n), __builtin_shufflevector(value, value, 0, 1, 2, 3, 4, 5, 6, 7));
    _mm256_maskstore_ps(x + 8, first_of_8(n - 8), __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15));
}

#define PATH_NAME "avx2"
#define PATH_TABLE bbp_avx2_kernels
#include "kernels_vector.inc"

#pragma clang attribute pop
#endif
