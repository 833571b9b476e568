// The table each path defines; dispatch.c picks among them.
#ifndef PATHS_H
#define PATHS_H

#include <math.h>

#include "ckernels.h"

// Units of queries that attention takes at a time, and the most keys that it scores at a time (vector_attention.inc).
enum { BBP_ATTENTION_UNITS = 16, BBP_ATTENTION_BLOCK = 8 };

/// The angle of a pair at token t in radians, less whole turns. The product with the frequency's first part is exact in
/// two doubles.
static inline double bbp_rotation_angle(const bbp_rotation_tables *tables, int64_t pair, int64_t t) {
    const double *frequency = tables->frequency + 2 * pair, at = (double)t;
    const double turns = at * frequency[0];
    const double rest = fma(at, frequency[0], -turns) + at * frequency[1];
    return 2 * 3.14159265358979323846 * (turns - floor(turns) + rest);
}

extern const bbp_kernels bbp_plain_kernels;
extern const bbp_kernels bbp_plain_bf16_kernels;
#if defined(__x86_64__)
extern const bbp_kernels bbp_avx2_kernels;
extern const bbp_kernels bbp_avx512_kernels;
extern const bbp_kernels bbp_avx512_bf16_kernels;
#endif

#endif
