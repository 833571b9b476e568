// The one setting that zstd calls experimental: literals are entropy-coded although searching is cut short.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

/// An error code of zstd's where the library does not know the setting.
static inline size_t bbp_zstd_always_code_literals(ZSTD_CCtx *context) {
#if ZSTD_VERSION_NUMBER >= 10500
    return ZSTD_CCtx_setParameter(context, ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
#else
    return ZSTD_CCtx_setParameter(context, ZSTD_c_literalCompressionMode, ZSTD_lcm_huffman);
#endif
}
