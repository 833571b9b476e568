// Hot loops of the engine: element-wise steps, products, attention, retention, position terms, number formats.
//
// Every kernel exists as a plain version (kernels_plain.c, the oracle: scalar, reads like the formula)
// and as vector versions compiled from one source (kernels_vector.inc) for AVX2 and AVX-512.
// bbp_kernels_for() hands out the table of one path; nothing else is dispatched at run time.
//
// Matrices are row-major with contiguous rows. Sizes count elements. Unless said otherwise outputs do
// not overlap inputs. A result row depends on its own inputs alone, never on its place or its company
// (rows of a transform: on its block): that is what makes runs bit-identical for any window and thread count.
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

/// Which two values of a head are turned together as pair i: i and i + head_size / 2, or 2i and 2i + 1.
enum bbp_rotation_layout { BBP_ROTATE_HALVES = 0, BBP_ROTATE_NEIGHBOURS = 1 };

/// Tables of the rotary position embedding. At token t pair i of a head's head_size / 2 pairs turns by t *
/// frequency[i] turns, where 1 is once around. The angle is cut into (anchor, middle, fine) as that of
/// bbp_position_tables is. `width` is the number of pairs to a multiple of 8; what lies past the pairs is finite and
/// of no meaning.
typedef struct {
    int64_t head_size;        // even
    int layout;               // bbp_rotation_layout
    const double *frequency;  // [pairs, 2]: turns a token, as the nearest double and what that lacks
    const double *middle;     // [64, 2, width]: cosines, then sines, of the angles of 64 m tokens
    const double *fine;       // [64, 2, width]: the same for f tokens
} bbp_rotation_tables;

/// Columns of a panel, the unit in which weights are laid out.
enum { BBP_PANEL = 32 };

/// Weights [inputs, outputs] of a product, in panels of BBP_PANEL outputs, each [inputs, BBP_PANEL]; columns past
/// `outputs` are 0.
typedef struct {
    int64_t inputs, outputs;
    const float *panels;
    const float *bias;  // [outputs to a multiple of BBP_PANEL], or null
} bbp_matrix;

/// A Fourier transform of `size` points, a power of two from 16 on, made by FourierTransform.swift.
typedef struct {
    int64_t size;
    int64_t frequencies;    // size / 2 + 1: those that real rows need
    const float *twiddles;  // for each radix-4 pass, the widest first: [span/4, 3, 2]: e^(-2 pi i j k / span) of j < span/4, k = 1, 2, 3
    const int32_t *place;   // [size]: where a frequency is after the forward transform
} bbp_transform;

/// What follows a sum: nothing, GELU, or ReLU, max(x, 0), which leaves NaN as it is.
enum bbp_activation { BBP_NO_ACTIVATION = 0, BBP_GELU = 1, BBP_RELU = 2 };

/// Functions of single values: the hyperbolic tangent; the logistic function 1 / (1 + e^-x); silu, x times that; e^x
/// where x is below 0, else x + 1; and what a state loses from one row to the next, 1 less what stays of it, where that
/// is e^(-e^x), or e^(-logistic(x) / sqrt e).
enum bbp_function {
    BBP_TANH = 0, BBP_LOGISTIC = 1, BBP_SILU = 2, BBP_ELU_PLUS_ONE = 3, BBP_LOSS = 4, BBP_LOGISTIC_LOSS = 5
};

/// What values are multiplied with after a norm: nothing, their gates, or silu of these.
enum bbp_gate { BBP_NO_GATE = 0, BBP_LINEAR_GATE = 1, BBP_SILU_GATE = 2 };

/// Context rows that the soft-max of attention is folded over at a time.
enum { BBP_ATTENTION_ROWS = 128 };

/// What scores of attention gain by how far apart query and row are: of each head, at every distance, a row that the
/// query is multiplied with as it is with the key, and a number that is added. Of head h, `head_size` rows and then
/// that of the numbers, each [stride] over distances, are at values + h * (head_size + 1) * stride; distance d is at
/// BBP_DISTANCE_MARGIN + d of each. Margins on both sides are finite and of no meaning.
typedef struct {
    int64_t distances;    // 0 to distances - 1
    int64_t stride;       // distances + 2 * BBP_DISTANCE_MARGIN, or more
    const float *values;  // [heads, head_size + 1, stride]
} bbp_distances;

/// What attention reads past the distances of a table, at most.
enum { BBP_DISTANCE_MARGIN = 64 };

/// The most states of a channel that `selective_scan` takes.
enum { BBP_SELECTION_STATES = 256 };

/// What the states of a selective recurrence are multiplied with for a step of 1, as its base-2 logarithm, which is not
/// above 0, and what of a channel goes past them.
typedef struct {
    int64_t states, width;
    const float *rate;  // [states, width]
    const float *skip;  // [width]
} bbp_selection;

/// What the complex states of a linear recurrence are multiplied with, and what of a channel goes past them: of each
/// mode four rows, real and imaginary part of what stays of the state after a row, and of what it is read with.
typedef struct {
    int64_t modes, width;
    const double *values;  // [modes, 4, width]
    const float *skip;     // [width]
} bbp_modes;

/// The most rows of a chunk of retention.
enum { BBP_RETENTION_ROWS = 128 };

/// Rows of a piece of a recurrence with complex states.
enum { BBP_MODAL_ROWS = 16 };

/// Rows that a product rounds at a time, where it does.
enum { BBP_ROWS_ROUNDED = 96 };

typedef struct {
    const char *name;

    /// Not 0: `product` and `spectral_product` round both factors to bfloat16 and sum in f32. Their weights are then to be
    /// prepared with bbp_round_panels and bbp_round_spectra, inputs are even, and they need scratch:
    /// (BBP_ROWS_ROUNDED - 1) * x_stride + inputs values, and 14 * inputs values.
    int rounds_products;

    /// out[r,:] = (x[r,:] - mean) / sqrt(variance + eps) * weight + bias over `width`. out may be x.
    void (*layer_norm)(const float *x, const float *weight, const float *bias, float eps,
                       int64_t rows, int64_t width, float *out);

    /// x[i] += y[i]
    void (*add)(float *x, const float *y, int64_t count);

    /// x[i] = (x[i] + y[i]) / 2
    void (*average)(float *x, const float *y, int64_t count);

    /// x[i] = x[i] / 2 * (1 + erf(x[i] / sqrt 2)), exact GELU; absolute error below 3e-7 * max(1, |x|).
    void (*gelu)(float *x, int64_t count);

    /// y[r,c] = start[r,c] + bias[c] + sum over k of x[r,k] * weight[k,c], then the activation of it (bbp_activation).
    /// start may be null, or y. Strides count floats from row to row; rows of x may overlap.
    void (*product)(const float *x, int64_t x_stride, int64_t rows, const bbp_matrix *matrix, const float *start,
                    int64_t start_stride, int activation, float *y, int64_t y_stride, uint16_t *scratch);

    /// Twice the transform of up to BBP_PANEL channels of `size` rows, of which the first `present` exist and the others
    /// count as zero. spectrum + f * frequency_stride <- real parts of frequency f, imaginary parts `imaginary` after
    /// them; always BBP_PANEL of each. scratch: bbp_transform_scratch(size) floats, 64-byte aligned.
    void (*transform_forward)(const bbp_transform *transform, const float *rows, int64_t stride, int64_t present,
                              int64_t channels, float *spectrum, int64_t frequency_stride, int64_t imaginary, float *scratch);

    /// Complex products, frequency by frequency, for one panel of outputs: products [blocks, frequencies, 2, BBP_PANEL] of
    /// spectra [blocks, frequencies, 2, inputs to a multiple of BBP_PANEL] and panel [frequencies, inputs, 2, BBP_PANEL],
    /// where 2 is real and imaginary parts.
    void (*spectral_product)(const bbp_transform *transform, const float *spectra, int64_t blocks, int64_t inputs,
                             const float *panel, float *products, uint16_t *scratch);

    /// The inverse of `transform_forward` but for its scale, `size`, on one block of `spectral_product`: rows first to
    /// first + rows - 1 of it, plus bias [BBP_PANEL], then the activation, go to `out`.
    void (*transform_back)(const bbp_transform *transform, const float *product, const float *bias, int64_t first,
                           int64_t rows, int64_t channels, int activation, float *out, int64_t stride, float *scratch);

    /// Attention over context rows, of which query i sees rows from[i] to visible[i] - 1 and no others; where it sees
    /// none it gets 0. Neither falls from one query to the next, and both are in 0...rows; `from` may be null: all
    /// from row 0. Query head h uses the keys and values of head h / group, of heads / group there are. query[i] ->
    /// heads * head_size values; context[r] -> the keys, and `value` floats after their beginning the values, heads /
    /// group * head_size each; output[i] <- heads * head_size values. Rows before from[0] are not touched, and
    /// context[r] may be anything there. The soft-max is folded over BBP_ATTENTION_ROWS rows at a time, from row 0
    /// on: that many more rows before all others, or a multiple of it, change no bit. Scores are (query ·
    /// key) * scale, or with `distances`, which may be null, (query · key + query · row + number) * scale, where the
    /// distance of query i from context row r is distance + i - r. The table has those of rows from[i] and
    /// visible[i] - 1. scratch:
    /// bbp_attention_scratch(rows, head_size) floats, 64-byte aligned.
    void (*attend)(int64_t queries, const float *const *query, const int32_t *from, const int32_t *visible,
                   float *const *output, int64_t rows, const float *const *context, int64_t heads, int64_t group,
                   int64_t head_size, int64_t value, float scale, const bbp_distances *distances, int64_t distance,
                   float *scratch);

    /// x[r,:] += position term of position[r]; x [rows, D]. Quickest where positions ascend. scratch: 4 * D doubles.
    void (*position)(const bbp_position_tables *tables, const int64_t *position, int64_t rows, float *x, double *scratch);

    /// Turns the pairs of `heads` heads side by side in each row r of x by their angles at token first + r (first >=
    /// 0), in place: (a, b) <- (a cos - b sin, b cos + a sin). Angles are right to 1e-9 up to token 2^45, cos and sin
    /// formed in double precision and rounded once. stride counts floats from row to row. scratch:
    /// bbp_rotation_scratch(head_size) doubles.
    void (*rotate)(const bbp_rotation_tables *tables, int64_t first, int64_t rows, float *x, int64_t stride,
                   int64_t heads, double *scratch);

    /// What a chunk of rows <= BBP_RETENTION_ROWS rows adds to the state of one head of retention: delta [key_size,
    /// value_size] = sum over r of powers[rows - 1 - r] * k[r,:]ᵀ v[r,:], where powers[i], i < rows, is the i-th power
    /// of the head's decay. Strides count floats from row to row.
    void (*retention_delta)(const float *k, int64_t k_stride, const float *v, int64_t v_stride, int64_t rows,
                            int64_t key_size, int64_t value_size, const float *powers, float *delta);

    /// What the rows of a chunk get: out[r,:] = powers[r + 1] * q[r,:] state + sum over s <= r of powers[r - s] *
    /// (q[r,:] · k[s,:]) * v[s,:], with the state [key_size, value_size] before the chunk and powers [rows + 1]. A
    /// row's result depends on no later row. scratch: bbp_retention_scratch(key_size) floats, 64-byte aligned.
    void (*retention_output)(const float *q, int64_t q_stride, const float *k, int64_t k_stride, const float *v,
                             int64_t v_stride, int64_t rows, int64_t key_size, int64_t value_size, const float *powers,
                             const float *state, float *out, int64_t out_stride, float *scratch);

    /// The same where every row has a decay of its own: out[r,:] = before[r] * q[r,:] state + sum over s <= r of
    /// factor[s,r] * (q[r,:] · k[s,:]) * v[s,:], with factor [rows, BBP_RETENTION_ROWS], 0 where s > r or r >= rows.
    void (*chunk_output)(const float *q, int64_t q_stride, const float *k, int64_t k_stride, const float *v,
                         int64_t v_stride, int64_t rows, int64_t key_size, int64_t value_size, const float *before,
                         const float *factor, const float *state, float *out, int64_t out_stride, float *scratch);

    /// What is left of each row of a chunk at those after it: factor[s,r] = 2^(log[r] - log[s]) * step[s] for s <= r <
    /// rows, 0 for the other r < BBP_RETENTION_ROWS. Logarithms fall from row to row; log is a sum of two floats, so
    /// that small differences of large ones are right.
    void (*decay_factors)(const float *log, const float *log_rest, const float *step, int64_t rows, float *factor);

    /// A convolution of every channel by itself: y[r,c] = silu(bias[c] + sum over i < taps of weight[i,c] *
    /// x[r + i,c]). Strides count floats from row to row, weight_step from tap to tap.
    void (*convolve_channels)(const float *x, int64_t x_stride, int64_t rows, int64_t channels, int64_t taps,
                              const float *weight, int64_t weight_step, const float *bias, float *y, int64_t y_stride);

    /// x[i] = f(x[i]), f a bbp_function. Absolute errors are below 1.5e-7 * max(1, |x|); of losses, for x from -30 on,
    /// below 2e-6 of their value, so that a state that hardly fades lasts as long as it should. silu is 0 at -infinity.
    void (*apply)(int function, float *x, int64_t count);

    /// Each of `heads` heads of `size` values in each row of x, by its root mean square, and gated: gated = x /
    /// sqrt(mean(x^2) + eps) * weight * g, where head h has the weights [size] from weight + h * weight_step on (0:
    /// all heads the same), or 1 where weight is null, and g is as `kind` (bbp_gate) says: silu as `apply` has it.
    /// `gate` is not read where there is none. gated may be x or gate.
    void (*gate_heads)(const float *x, int kind, const float *gate, int64_t rows, int64_t heads, int64_t size,
                       const float *weight, int64_t weight_step, float eps, float *gated);

    /// x[i] = x[i] * y[i]
    void (*multiply)(float *x, const float *y, int64_t count);

    /// out[r,:] = a[r,:] + (b[r,:] - a[r,:]) * (share + plus[r,:]), rows of `width` values; share [width] or plus may
    /// be null, for 0. a and b may overlap, and out may be any of a, b and plus that starts where it does.
    void (*blend)(const float *a, const float *b, const float *share, const float *plus, int64_t rows, int64_t width,
                  float *out);

    /// Each of `heads` heads of `size` values in each row of x, as layer_norm takes rows, with weight and bias [heads,
    /// size]. out may be x.
    void (*norm_heads)(const float *x, const float *weight, const float *bias, float eps, int64_t rows, int64_t heads,
                       int64_t size, float *out);

    /// x[r,h,:] += (sum over i of a[r,h,i] * b[r,h,i] * weight[h,i]) * v[r,h,:], all [rows, heads, size], weight
    /// [heads, size].
    void (*add_head_products)(const float *a, const float *b, const float *weight, const float *v, int64_t rows,
                              int64_t heads, int64_t size, float *x);

    /// A matrix whose rows fade, each by a share of its own, over some rows: out[r,:] = q[r,:] state, then
    /// state[d,:] += k[r,d] * v[r,:] - loss[r,d] * state[d,:]. q, k and loss are [rows, key_size], key_stride floats
    /// from row to row; v and out [rows, value_size] and state [key_size, value_size] have strides of their own, so that
    /// any columns of values can be taken for themselves. A column's results depend on no other column, and are the same
    /// however many rows are taken at a time.
    void (*fading_scan)(const float *q, const float *k, const float *loss, int64_t key_stride, const float *v,
                        int64_t v_stride, int64_t rows, int64_t key_size, int64_t value_size, float *state,
                        int64_t state_stride, float *out, int64_t out_stride);

    /// Directions of a delta rule, per head of each row, all [rows, heads, size], scale and share [heads, size]: n =
    /// k * scale, by max(|n|, 1e-12); k *= 1 + (rate - 1) * share; rate = n * rate. direction gets n.
    void (*delta_keys)(float *k, float *rate, const float *scale, const float *share, int64_t rows, int64_t heads,
                       int64_t size, float *direction);

    /// As fading_scan, for a state that also gives up what it says of a direction n: hit = n[r,:] state; then
    /// state[d,:] += k[r,d] * v[r,:] - loss[r,d] * state[d,:] - back[r,d] * hit; then out[r,:] = q[r,:] state. n and
    /// back are [rows, key_size] like k.
    void (*delta_scan)(const float *q, const float *k, const float *loss, const float *n, const float *back,
                       int64_t key_stride, const float *v, int64_t v_stride, int64_t rows, int64_t key_size,
                       int64_t value_size, float *state, int64_t state_stride, float *out, int64_t out_stride);

    /// Channels first to first + channels - 1 of a recurrence whose states fade by steps of its rows. Row r has of each
    /// channel c a step d = log(1 + e^step[r,c]), of each state n what enters it and what it is read with, in[r,n] and
    /// out[r,n], both states_stride floats from row to row:
    ///
    ///     s[n,c] <- 2^(d * rate[n, first + c]) * s[n,c] + d * x[r,c] * in[r,n]
    ///     x[r,c] <- (sum over n of out[r,n] * s[n,c] + skip[first + c] * x[r,c]) * silu(gate[r,c])
    ///
    /// A state is the sum of two floats, state[2 n, c] and state[2 n + 1, c], rows state_stride floats apart, which
    /// keeps changes far below its rounding error. Pointers are to the first channel. A channel's results depend on no
    /// other, and are the same however many rows are taken at a time.
    void (*selective_scan)(const bbp_selection *rates, int64_t first, int64_t channels, const float *step,
                           int64_t step_stride, const float *in, const float *out, int64_t states_stride,
                           const float *gate, int64_t gate_stride, int64_t rows, float *state, int64_t state_stride,
                           float *x, int64_t x_stride);

    /// Channels first to first + channels - 1 of a linear recurrence with complex states, row by row, in place:
    ///
    ///     s[n,c] <- stays[n, first + c] * s[n,c] + x[r,c]
    ///     x[r,c] <- activation(sum over n of the real part of read[n, first + c] * s[n,c], + skip[first + c] * x[r,c])
    ///
    /// State n has two rows, real parts and imaginary ones, state_stride doubles apart: they fade in double precision,
    /// and what the rows of a piece of BBP_MODAL_ROWS add to them is summed in single precision, as x is. Pointers are
    /// to the first channel. A channel's results depend on no other, nor on how many whole pieces a call takes.
    void (*modal_scan)(const bbp_modes *modes, int64_t first, int64_t channels, int activation, int64_t rows,
                       double *state, int64_t state_stride, float *x, int64_t x_stride);

    /// y[r,c] = start[r,c] + x[r,c] / (1 + e^-x[r, width + c]), of `width` channels; x has twice as many. Strides count
    /// floats from row to row. The factor's absolute error is below 1.5e-7. y may be start.
    void (*gate_halves)(const float *x, int64_t x_stride, int64_t rows, int64_t width, const float *start,
                        int64_t start_stride, float *y, int64_t y_stride);

    /// bits[r] = -log2 softmax(logits[r,:])[target[r]], logits [rows, vocabulary].
    void (*surprisal)(const float *logits, const uint16_t *target, int64_t rows, int64_t vocabulary, float *bits);

    /// bfloat16: round to nearest, ties to even; NaN stays NaN (quiet). Strides count values from row to row.
    void (*bf16_from_f32)(const float *x, int64_t x_stride, int64_t rows, int64_t width, uint16_t *out, int64_t out_stride);
    void (*f32_from_bf16)(const uint16_t *x, int64_t x_stride, int64_t rows, int64_t width, float *out, int64_t out_stride);

    /// Byte planes of `count` little-endian values: plane p takes byte p of each (planes contiguous, `count`
    /// bytes each). rotate != 0: the value is first rotated left by one bit, so that the sign is the lowest bit.
    void (*split16)(const uint16_t *values, int64_t count, int rotate, uint8_t *planes);
    void (*merge16)(const uint8_t *planes, int64_t count, int rotate, uint16_t *values);
    void (*split32)(const uint32_t *values, int64_t count, int rotate, uint8_t *planes);
    void (*merge32)(const uint8_t *planes, int64_t count, int rotate, uint32_t *values);

    /// A plane of exponents in half the bytes: the largest, then what each is below it, up to 15, in four bits, the first
    /// half of the plane in the low bits and the second half in the high ones, then the exponents that are 15 or more below
    /// as they are. Returns the bytes written, at most 1 + (count + 1) / 2 + count / 16; 0 where that is too few.
    int64_t (*fold)(const uint8_t *plane, int64_t count, uint8_t *folded);

    /// The inverse; 0 where `bytes` bytes cannot be a folded plane of `count`.
    int (*unfold)(const uint8_t *folded, int64_t bytes, int64_t count, uint8_t *plane);

    /// XXH3, 64 bits, seed 0.
    uint64_t (*checksum)(const void *bytes, int64_t count);
} bbp_kernels;

/// The table of one path; null where the processor (or the build) lacks it. BBP_PLAIN is never null.
const bbp_kernels *bbp_kernels_for(bbp_path path);

/// The same with products of bfloat16 numbers; null where the processor has none. BBP_PLAIN always does, by rounding.
const bbp_kernels *bbp_bf16_kernels_for(bbp_path path);

/// Floats of scratch that `attend` needs.
int64_t bbp_attention_scratch(int64_t rows, int64_t head_size);

/// Doubles of scratch that `rotate` needs.
int64_t bbp_rotation_scratch(int64_t head_size);

/// Floats of scratch that `retention_output` needs.
int64_t bbp_retention_scratch(int64_t key_size);

/// Floats of scratch that a transform of `size` points needs.
int64_t bbp_transform_scratch(int64_t size);

/// Half the transform of a convolution's kernels, divided by its size, as `spectral_product` reads it, summed in double
/// precision: panels [outputs in panels, frequencies, inputs, 2, BBP_PANEL] from weight [outputs, inputs, taps], whose
/// last tap meets the present row. waves [taps, 2, frequencies]: cos and sin of 2 pi f m / size at row m.
void bbp_kernel_spectra(const bbp_transform *transform, const float *weight, int64_t outputs, int64_t inputs,
                        int64_t taps, const double *waves, float *panels);

/// Rounds `count` panels [inputs, BBP_PANEL] to bfloat16, in place: panels of inputs * BBP_PANEL values,
/// [inputs / 2, BBP_PANEL, 2], without gaps.
void bbp_round_panels(float *panels, int64_t count, int64_t inputs);

/// Rounds `count` rows [2, BBP_PANEL] of spectra to bfloat16, in place: [2, BBP_PANEL, 2], pairs (re, -im), then (im, re).
void bbp_round_spectra(float *panels, int64_t count);

/// out [count] = x, `count` 16-bit values as checkpoints store them, wherever they lie; exact.
void bbp_f32_from_f16(const void *x, int64_t count, float *out);
void bbp_f32_from_bf16(const void *x, int64_t count, float *out);

/// Limits of bbp_first_above_*: the largest finite value, and for f32 the largest that is finite once rounded to bfloat16.
enum { BBP_LARGEST_F32 = 0x7f7fffff, BBP_LARGEST_F32_AS_BF16 = 0x7f7f7fff, BBP_LARGEST_BF16 = 0x7f7f };

/// The first of `count` values whose bits without the sign are above `limit`, as those of NaN and infinity are above every
/// limit; -1 where none is.
int64_t bbp_first_above_f32(const float *x, int64_t count, uint32_t limit);
int64_t bbp_first_above_bf16(const uint16_t *x, int64_t count, uint16_t limit);

/// out [m,n] = a [m,k] * b [k,n], summed in double precision. For preparing weights, not for the hot path.
void bbp_product_f64(const float *a, const float *b, int64_t m, int64_t k, int64_t n, float *out);

#endif
