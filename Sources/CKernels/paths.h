// The table each path defines; dispatch.c picks among them.
#ifndef PATHS_H
#define PATHS_H

#include "ckernels.h"

// Units of queries that attention takes at a time, and the most keys that it scores at a time (vector_attention.inc).
enum { BBP_ATTENTION_UNITS = 16, BBP_ATTENTION_BLOCK = 8 };

extern const bbp_kernels bbp_plain_kernels;
extern const bbp_kernels bbp_plain_bf16_kernels;
#if defined(__x86_64__)
extern const bbp_kernels bbp_avx2_kernels;
extern const bbp_kernels bbp_avx512_kernels;
extern const bbp_kernels bbp_avx512_bf16_kernels;
#endif

#endif
