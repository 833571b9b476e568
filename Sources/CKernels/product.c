// Matrix product in double precision, for preparing weights.
#include "ckernels.h"

// Sums of a few rows and a run of columns stay in the first cache, so that b is read once for all of these rows.
enum { ROWS = 8, COLUMNS = 256 };

static inline int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

// The product of two floats is exact in double, so fused and separate multiply-adds give the same bits:
// every instruction set returns the same result.
static inline __attribute__((always_inline)) void product(const float *a, const float *b, int64_t m, int64_t k,
                                                          int64_t n, float *restrict out) {
    for (int64_t top = 0; top < m; top += ROWS) {
        const int64_t rows = smaller(m - top, ROWS);
        for (int64_t first = 0; first < n; first += COLUMNS) {
            const int64_t columns = smaller(n - first, COLUMNS);
            double sum[ROWS][COLUMNS] = {{0}};
            for (int64_t s = 0; s < k; s++) {
                const float *row = b + s * n + first;
                for (int64_t i = 0; i < rows; i++) {
                    const double scale = a[(top + i) * k + s];
                    for (int64_t j = 0; j < columns; j++) sum[i][j] += scale * (double)row[j];
                }
            }
            for (int64_t i = 0; i < rows; i++)
                for (int64_t j = 0; j < columns; j++) out[(top + i) * n + first + j] = (float)sum[i][j];
        }
    }
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vl")))
static void product_avx512(const float *a, const float *b, int64_t m, int64_t k, int64_t n, float *out) {
    product(a, b, m, k, n, out);
}

__attribute__((target("avx2,fma")))
static void product_avx2(const float *a, const float *b, int64_t m, int64_t k, int64_t n, float *out) {
    product(a, b, m, k, n, out);
}
#endif

void bbp_product_f64(const float *a, const float *b, int64_t m, int64_t k, int64_t n, float *out) {
#if defined(__x86_64__)
    if (bbp_kernels_for(BBP_AVX512)) {
        product_avx512(a, b, m, k, n, out);
        return;
    }
    if (bbp_kernels_for(BBP_AVX2)) {
        product_avx2(a, b, m, k, n, out);
        return;
    }
#endif
    product(a, b, m, k, n, out);
}
