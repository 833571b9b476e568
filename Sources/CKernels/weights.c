// Preparing weights: number formats, and double precision.
#include <string.h>

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

static inline __attribute__((always_inline)) void kernel_spectra(const bbp_transform *t, const float *weight,
                                                                 int64_t outputs, int64_t inputs, int64_t taps,
                                                                 const double *waves, float *panels) {
    const int64_t frequencies = t->frequencies;
    double sum[BBP_PANEL][COLUMNS];
    for (int64_t top = 0; top < outputs; top += BBP_PANEL) {
        float *panel = panels + top * frequencies * inputs * 2;
        for (int64_t d = 0; d < inputs; d++) {
            for (int64_t first = 0; first < 2 * frequencies; first += COLUMNS) {
                const int64_t count = smaller(2 * frequencies - first, COLUMNS);
                memset(sum, 0, sizeof sum);
                for (int64_t c = 0; c < BBP_PANEL && top + c < outputs; c++) {
                    const float *tap = weight + ((top + c) * inputs + d) * taps;
                    for (int64_t m = 0; m < taps; m++) {
                        const double value = tap[taps - 1 - m], *wave = waves + m * 2 * frequencies + first;
                        for (int64_t i = 0; i < count; i++) sum[c][i] += value * wave[i];
                    }
                }
                // A panel's outputs of one frequency lie together.
                for (int64_t i = 0; i < count; i++) {
                    const int64_t f = (first + i) % frequencies, imaginary = first + i >= frequencies;
                    const double scale = (imaginary ? -1.0 : 1.0) / (double)(2 * t->size);
                    float *row = panel + (f * inputs + d) * 2 * BBP_PANEL + imaginary * BBP_PANEL;
                    for (int64_t c = 0; c < BBP_PANEL; c++) row[c] = (float)(sum[c][i] * scale);
                }
            }
        }
    }
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vl")))
static void product_avx512(const float *a, const float *b, int64_t m, int64_t k, int64_t n, float *out) {
    product(a, b, m, k, n, out);
}

__attribute__((target("avx512f,avx512vl")))
static void kernel_spectra_avx512(const bbp_transform *t, const float *weight, int64_t outputs, int64_t inputs,
                                  int64_t taps, const double *waves, float *panels) {
    kernel_spectra(t, weight, outputs, inputs, taps, waves, panels);
}

__attribute__((target("avx2,fma")))
static void kernel_spectra_avx2(const bbp_transform *t, const float *weight, int64_t outputs, int64_t inputs,
                                int64_t taps, const double *waves, float *panels) {
    kernel_spectra(t, weight, outputs, inputs, taps, waves, panels);
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

void bbp_kernel_spectra(const bbp_transform *transform, const float *weight, int64_t outputs, int64_t inputs,
                        int64_t taps, const double *waves, float *panels) {
#if defined(__x86_64__)
    if (bbp_kernels_for(BBP_AVX512)) {
        kernel_spectra_avx512(transform, weight, outputs, inputs, taps, waves, panels);
        return;
    }
    if (bbp_kernels_for(BBP_AVX2)) {
        kernel_spectra_avx2(transform, weight, outputs, inputs, taps, waves, panels);
        return;
    }
#endif
    kernel_spectra(transform, weight, outputs, inputs, taps, waves, panels);
}

void bbp_f32_from_f16(const void *x, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, (const char *)x + 2 * i, 2);
        const uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = (uint32_t)(half & 0x7fff) << 13;
        // The exponent counts from 15 instead of 127; the product also makes normal numbers of those that are not.
        float value;
        memcpy(&value, &rest, 4);
        value *= 0x1p112f;
        uint32_t bits;
        memcpy(&bits, &value, 4);
        bits |= sign | ((half & 0x7c00) == 0x7c00 ? 0x7f800000 : 0);
        memcpy(out + i, &bits, 4);
    }
}

void bbp_f32_from_bf16(const void *x, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, (const char *)x + 2 * i, 2);
        const uint32_t bits = (uint32_t)half << 16;
        memcpy(out + i, &bits, 4);
    }
}

static uint16_t rounded(float x) {
    uint16_t half;
    bbp_kernels_for(BBP_PLAIN)->bf16_from_f32(&x, 0, 1, 1, &half, 0);
    return half;
}

void bbp_round_panels(float *panels, int64_t count, int64_t inputs) {
    uint16_t *out = (uint16_t *)(void *)panels;
    // What is written lies before what is still to be read: two rows of floats become two of halves.
    for (int64_t pair = 0; pair < count * inputs / 2; pair++) {
        uint16_t row[2 * BBP_PANEL];
        for (int c = 0; c < BBP_PANEL; c++) {
            row[2 * c] = rounded(panels[2 * pair * BBP_PANEL + c]);
            row[2 * c + 1] = rounded(panels[(2 * pair + 1) * BBP_PANEL + c]);
        }
        memcpy(out + pair * 2 * BBP_PANEL, row, sizeof row);
    }
}

void bbp_round_spectra(float *panels, int64_t count) {
    uint16_t row[4 * BBP_PANEL];
    for (int64_t i = 0; i < count; i++, panels += 2 * BBP_PANEL) {
        for (int c = 0; c < BBP_PANEL; c++) {
            const float re = panels[c], im = panels[BBP_PANEL + c];
            row[2 * c] = row[2 * BBP_PANEL + 2 * c + 1] = rounded(re);
            row[2 * c + 1] = rounded(-im);
            row[2 * BBP_PANEL + 2 * c] = rounded(im);
        }
        memcpy(panels, row, sizeof row);
    }
}
