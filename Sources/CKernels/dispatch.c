// Which path this processor has, and the scratch that all of them share.
#include "paths.h"

const bbp_kernels *bbp_kernels_for(bbp_path path) {
    switch (path) {
    case BBP_PLAIN:
        return &bbp_plain_kernels;
#if defined(__x86_64__)
    case BBP_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &bbp_avx2_kernels : 0;
    case BBP_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
            ? &bbp_avx512_kernels : 0;
#endif
    default:
        return 0;
    }
}

const bbp_kernels *bbp_bf16_kernels_for(bbp_path path) {
    if (path == BBP_PLAIN) return &bbp_plain_bf16_kernels;
#if defined(__x86_64__)
    if (path == BBP_AVX512 && bbp_kernels_for(BBP_AVX512) && __builtin_cpu_supports("avx512bf16"))
        return &bbp_avx512_bf16_kernels;
#endif
    return 0;
}

// Two vectors of 16 queries for each row of a chunk and of a block that begins in it, and twice for each channel of a
// head, in blocks of 16, and unit; and the values of a chunk. The plain path keeps one double a row.
int64_t bbp_attention_scratch(int64_t rows, int64_t head_size) {
    const int64_t padded = (head_size + 15) / 16 * 16, scores = BBP_ATTENTION_ROWS + BBP_ATTENTION_BLOCK;
    const int64_t vectors = 2 * 16 * (scores + 2 * BBP_ATTENTION_UNITS * padded) + BBP_ATTENTION_ROWS * padded;
    return vectors > 2 * rows ? vectors : 2 * rows;
}

// Cosines and sines at the anchor and at the multiple of 64, each [2, width], and rounded ones, two a pair.
int64_t bbp_rotation_scratch(int64_t head_size) {
    const int64_t width = (head_size / 2 + 7) / 8 * 8;
    return 4 * width + 2 * width;
}

// Two vectors of 16 queries for each key of a chunk and of a block that begins in it, and for each channel, in blocks
// of 16; and the powers with two vectors before and after them.
int64_t bbp_retention_scratch(int64_t key_size) {
    const int64_t padded = (key_size + 15) / 16 * 16;
    return 2 * 16 * (BBP_RETENTION_ROWS + BBP_ATTENTION_BLOCK + padded) + BBP_RETENTION_ROWS + 4 * 16;
}

// One vector of real and one of imaginary parts a point.
int64_t bbp_transform_scratch(int64_t size) {
    return 2 * 16 * size;
}
