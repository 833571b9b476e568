// Hot loops of the engine: element-wise steps, patch attention, position term, number formats.
//
// Every kernel exists as a plain version (kernels_plain.c, the oracle: scalar, reads like the formula)
// and as vector versions compiled from one source (kernels_vector.inc) for AVX2 and AVX-512.
// bbp_kernels_for() hands out the table of one path; nothing else is dispatched at run time.
//
// Matrices are row-major with contiguous rows. Sizes count elements. Unless said otherwise outputs do
// not overlap inputs. A result row depends on its own inputs alone, never on its place or its company:
// that is what makes runs bit-identical for any window and thread count.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdint.h>

typedef enum { BBP_PLAIN = 0, BBP_AVX2 = 1, BBP_AVX512 = 2 } bbp_path;

/// Tables of the position term (CoordConv), made by PositionTerm.swift. Angle of pair i at position t is
/// t * frequency[i]; t is cut into (anchor, middle, fine) = (t / 4096, t / 64 % 64, t % 64), and the three
/// rotations are multiplied, so that sines are computed once in 4096 positions.
typedef struct {
    int64_t width;              // D, a multiple of 8
    int64_t length;             // N: taps that reach below 0 or past N-1 count as zero
    const double *frequency;    // [D/2]
    const double *middle;       // [64, D]: cos of pair i at [2i], sin at [2i+1], for angles (64 m) * frequency[i]
    const double *fine;         // [64, D]: the same for angles f * frequency[i]
    const float *inside;        // [D/8, 8 in, 8 out]: all three taps folded, applied to (sin, cos) pairs at t
    const float *at_start;      // [D/8, 8, 8]: without the tap at t-1; for t = 0
    const float *at_end;        // [D/8, 8, 8]: without the tap at t+1; for t = N-1
    const float *alone;         // [D/8, 8, 8]: the middle tap only; for N = 1
} bbp_position_tables;

typedef struct {
    const char *name;

    /// out[r,:] = (x[r,:] - mean) / sqrt(variance + eps) * weight + bias over `width`. out may be x.
    void (*layer_norm)(const float *x, const float *weight, const float *bias, float eps,
                       int64_t rows, int64_t width, float *out);

    /// x[i] += y[i]
    void (*add)(float *x, const float *y, int64_t count);

    /// x[i] = (x[i] + y[i]) / 2
    void (*average)(float *x, const float *y, int64_t count);

    /// x[i] = x[i] / 2 * (1 + erf(x[i] / sqrt 2)), exact GELU; absolute error below 5e-7 * max(1, |x|).
    void (*gelu)(float *x, int64_t count);

    /// Attention of one patch over its context rows, which the caller has sorted by origin, so that query i
    /// sees exactly the first visible[i] rows (1 <= visible[i] <= rows).
    /// query[i] -> D values; context[r] -> D key values, then D value values; output[i] <- D values.
    /// D = heads * head_size. scratch: bbp_attention_scratch(rows, head_size) floats, 64-byte aligned.
    void (*attend)(int64_t queries, const float *const *query, const int32_t *visible, float *const *output,
                   int64_t rows, const float *const *context, int64_t heads, int64_t head_size, float scale,
                   float *scratch);

    /// x[r,:] += position term of position first + r * stride, r < rows; x [rows, D]. scratch: 4 * D doubles.
    void (*position)(const bbp_position_tables *tables, int64_t first, int64_t stride, int64_t rows, float *x,
                     double *scratch);

    /// bits[r] = -log2 softmax(logits[r,:])[target[r]], logits [rows, vocabulary].
    void (*surprisal)(const float *logits, const uint16_t *target, int64_t rows, int64_t vocabulary, float *bits);

    /// bfloat16: round to nearest, ties to even; NaN stays NaN (quiet).
    void (*bf16_from_f32)(const float *x, int64_t count, uint16_t *out);
    void (*f32_from_bf16)(const uint16_t *x, int64_t count, float *out);

    /// Byte planes of `count` little-endian values: plane p takes byte p of each (planes contiguous, `count`
    /// bytes each). rotate != 0: the value is first rotated left by one bit, so that the sign is the lowest bit.
    void (*split16)(const uint16_t *values, int64_t count, int rotate, uint8_t *planes);
    void (*merge16)(const uint8_t *planes, int64_t count, int rotate, uint16_t *values);
    void (*split32)(const uint32_t *values, int64_t count, int rotate, uint8_t *planes);
    void (*merge32)(const uint8_t *planes, int64_t count, int rotate, uint32_t *values);
} bbp_kernels;

/// The table of one path; null where the processor (or the build) lacks it. BBP_PLAIN is never null.
const bbp_kernels *bbp_kernels_for(bbp_path path);

/// Floats of scratch that `attend` needs.
int64_t bbp_attention_scratch(int64_t rows, int64_t head_size);

/// out [m,n] = a [m,k] * b [k,n], summed in double precision. For preparing weights, not for the hot path.
void bbp_product_f64(const float *a, const float *b, int64_t m, int64_t k, int64_t n, float *out);

#endif
