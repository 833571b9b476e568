// The plain kernels: the formulas, in double precision, one element after another. The vector paths are tested
// against these; other architectures run them.
#include <math.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "paths.h"

static void layer_norm(const float *x, const float *weight, const float *bias, float eps, int64_t rows, int64_t width,
                       float *out) {
    for (int64_t r = 0; r < rows; r++, x += width, out += width) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < width; i++) mean += x[i];
        mean /= (double)width;
        for (int64_t i = 0; i < width; i++) variance += (x[i] - mean) * (x[i] - mean);
        variance /= (double)width;
        for (int64_t i = 0; i < width; i++)
            out[i] = (float)((x[i] - mean) / sqrt(variance + (double)eps) * weight[i] + bias[i]);
    }
}

static void add(float *x, const float *y, int64_t count) {
    for (int64_t i = 0; i < count; i++) x[i] = x[i] + y[i];
}

static void average(float *x, const float *y, int64_t count) {
    for (int64_t i = 0; i < count; i++) x[i] = (x[i] + y[i]) / 2;
}

static void bf16_from_f32(const float *x, int64_t x_stride, int64_t rows, int64_t width, uint16_t *out,
                          int64_t out_stride) {
    for (int64_t r = 0; r < rows; r++, x += x_stride, out += out_stride) {
        for (int64_t i = 0; i < width; i++) {
            uint32_t bits;
            memcpy(&bits, x + i, sizeof bits);
            const uint32_t kept = bits >> 16, dropped = bits & 0xffff;
            const int up = dropped > 0x8000 || (dropped == 0x8000 && kept % 2 == 1);
            out[i] = (uint16_t)(isnan(x[i]) ? kept | 0x40 : kept + (uint32_t)up);
        }
    }
}

#include "plain_product.inc"

static void gelu(float *x, int64_t count) {
    for (int64_t i = 0; i < count; i++) x[i] = (float)activated(x[i], BBP_GELU);
}

static double dot(const float *a, const float *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)a[i] * b[i];
    return sum;
}

/// What the score of a query gains at a distance.
static double by_distance(const bbp_distances *distances, int64_t head, int64_t distance, const float *query,
                          int64_t head_size) {
    const int64_t stride = distances->stride;
    const float *at = distances->values + head * (head_size + 1) * stride + BBP_DISTANCE_MARGIN + distance;
    double sum = at[head_size * stride];
    for (int64_t c = 0; c < head_size; c++) sum += (double)query[c] * at[c * stride];
    return sum;
}

static void attend(int64_t queries, const float *const *query, const int32_t *from, const int32_t *visible,
                   float *const *output, int64_t rows, const float *const *context, int64_t heads, int64_t group,
                   int64_t head_size, int64_t value, float scale, const bbp_distances *distances, int64_t distance,
                   float *scratch) {
    (void)rows;
    double *weight = (double *)(void *)scratch;  // [rows]
    for (int64_t i = 0; i < queries; i++) {
        const int64_t start = from ? from[i] : 0, end = visible[i];
        for (int64_t h = 0; h < heads; h++) {
            const int64_t own = h * head_size, shared = h / group * head_size;
            double top = -INFINITY, total = 0;
            for (int64_t r = start; r < end; r++) {
                weight[r] = dot(query[i] + own, context[r] + shared, head_size);
                if (distances) weight[r] += by_distance(distances, h, distance + i - r, query[i] + own, head_size);
                weight[r] *= scale;
                top = fmax(top, weight[r]);
            }
            for (int64_t r = start; r < end; r++) {
                weight[r] = exp(weight[r] - top);
                total += weight[r];
            }
            for (int64_t c = 0; c < head_size; c++) {
                double sum = 0;
                for (int64_t r = start; r < end; r++) sum += weight[r] * context[r][value + shared + c];
                output[i][own + c] = start < end ? (float)(sum / total) : 0;
            }
        }
    }
}

#include "plain_mixers.inc"
#include "plain_fading.inc"
#include "plain_scans.inc"

typedef struct {
    double cosine, sine;
} turn;

/// The rotation by the sum of two angles.
static turn turned(turn a, turn b) {
    return (turn){a.cosine * b.cosine - a.sine * b.sine, a.sine * b.cosine + a.cosine * b.sine};
}

static void position(const bbp_position_tables *tables, const int64_t *at_row, int64_t rows, float *x, double *scratch) {
    const int64_t width = tables->width;
    double *wave = scratch;  // [width]: (sin, cos) of each angle at t
    for (int64_t r = 0; r < rows; r++, x += width) {
        const int64_t t = at_row[r];
        for (int64_t c = 0; c < width; c += 2) {
            const double *middle = tables->middle + t / 64 % 64 * width + c;
            const double *fine = tables->fine + t % 64 * width + c;
            const double angle = (double)(t - t % 4096) * tables->frequency[c / 2];
            const turn anchor = {cos(angle), sin(angle)};
            const turn at = turned(turned(anchor, (turn){middle[0], middle[1]}), (turn){fine[0], fine[1]});
            wave[c] = at.sine;
            wave[c + 1] = at.cosine;
        }
        const float *table = tables->inside;
        if (t == 0) table = tables->at_start;
        if (t == tables->length - 1) table = tables->at_end;
        if (tables->length == 1) table = tables->alone;
        for (int64_t c = 0; c < width; c++) {
            const int64_t group = c / 8 * 8, out = c % 8;
            double sum = 0;
            for (int64_t in = 0; in < 8; in++) sum += wave[group + in] * table[8 * (group + in) + out];
            x[c] = (float)(x[c] + sum);
        }
    }
}

static void surprisal(const float *logits, const uint16_t *target, int64_t rows, int64_t vocabulary, float *bits) {
    for (int64_t r = 0; r < rows; r++, logits += vocabulary) {
        double top = -INFINITY, total = 0;
        for (int64_t i = 0; i < vocabulary; i++) top = fmax(top, logits[i]);
        for (int64_t i = 0; i < vocabulary; i++) total += exp(logits[i] - top);
        bits[r] = (float)((log(total) + top - logits[target[r]]) / log(2));
    }
}

static void f32_from_bf16(const uint16_t *x, int64_t x_stride, int64_t rows, int64_t width, float *out,
                          int64_t out_stride) {
    for (int64_t r = 0; r < rows; r++, x += x_stride, out += out_stride) {
        for (int64_t i = 0; i < width; i++) {
            const uint32_t bits = (uint32_t)x[i] << 16;
            memcpy(out + i, &bits, sizeof bits);
        }
    }
}

/// Rotates values of `size` bytes left by one bit, or right where `back`.
static uint32_t rotated(uint32_t value, int size, int back) {
    const int bits = 8 * size, left = back ? bits - 1 : 1;
    const uint64_t twice = (uint64_t)value << bits | value;
    return (uint32_t)(twice >> (bits - left)) & (uint32_t)((1ull << bits) - 1);
}

static void split16(const uint16_t *values, int64_t count, int rotate, uint8_t *planes) {
    for (int64_t i = 0; i < count; i++) {
        const uint32_t value = rotate ? rotated(values[i], 2, 0) : values[i];
        for (int p = 0; p < 2; p++) planes[p * count + i] = (uint8_t)(value >> 8 * p);
    }
}

static void merge16(const uint8_t *planes, int64_t count, int rotate, uint16_t *values) {
    for (int64_t i = 0; i < count; i++) {
        const uint32_t value = planes[i] + 256u * planes[count + i];
        values[i] = (uint16_t)(rotate ? rotated(value, 2, 1) : value);
    }
}

static void split32(const uint32_t *values, int64_t count, int rotate, uint8_t *planes) {
    for (int64_t i = 0; i < count; i++) {
        const uint32_t value = rotate ? rotated(values[i], 4, 0) : values[i];
        for (int p = 0; p < 4; p++) planes[p * count + i] = (uint8_t)(value >> 8 * p);
    }
}

static void merge32(const uint8_t *planes, int64_t count, int rotate, uint32_t *values) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t value = 0;
        for (int p = 3; p >= 0; p--) value = value * 256 + planes[p * count + i];
        values[i] = rotate ? rotated(value, 4, 1) : value;
    }
}

static int64_t fold(const uint8_t *plane, int64_t count, uint8_t *folded) {
    const int64_t half = (count + 1) / 2;
    uint8_t base = 0;
    for (int64_t i = 0; i < count; i++) base = plane[i] > base ? plane[i] : base;
    int64_t end = 1 + half;
    folded[0] = base;
    memset(folded + 1, 0, (size_t)half);
    for (int64_t i = 0; i < count; i++) {
        const int below = base - plane[i];
        folded[1 + i % half] |= (uint8_t)((below < 15 ? below : 15) << (i < half ? 0 : 4));
        if (below < 15) continue;
        if (end == 1 + half + count / 16) return 0;
        folded[end++] = plane[i];
    }
    return end;
}

static int unfold(const uint8_t *folded, int64_t bytes, int64_t count, uint8_t *plane) {
    const int64_t half = (count + 1) / 2;
    int64_t next = 1 + half;
    if (bytes < next) return 0;
    for (int64_t i = 0; i < count; i++) {
        const int below = folded[1 + i % half] >> (i < half ? 0 : 4) & 15;
        plane[i] = (uint8_t)(folded[0] - below);
        if (below < 15) continue;
        if (next == bytes) return 0;
        plane[i] = folded[next++];
    }
    return next == bytes;
}

static uint64_t checksum(const void *bytes, int64_t count) {
    return XXH3_64bits(bytes, (size_t)count);
}

#define EVERYTHING_ELSE \
    .layer_norm = layer_norm, \
    .add = add, \
    .average = average, \
    .gelu = gelu, \
    .transform_forward = transform_forward, \
    .transform_back = transform_back, \
    .attend = attend, \
    .position = position, \
    .rotate = rotate, \
    .retention_delta = retention_delta, \
    .retention_output = retention_output, \
    .chunk_output = chunk_output, \
    .decay_factors = decay_factors, \
    .convolve_channels = convolve_channels, \
    .apply = apply, \
    .gate_heads = gate_heads, \
    .multiply = multiply, \
    .blend = blend, \
    .norm_heads = norm_heads, \
    .add_head_products = add_head_products, \
    .fading_scan = fading_scan, \
    .delta_keys = delta_keys, \
    .delta_scan = delta_scan, \
    .selective_scan = selective_scan, \
    .modal_scan = modal_scan, \
    .gate_halves = gate_halves, \
    .surprisal = surprisal, \
    .bf16_from_f32 = bf16_from_f32, \
    .f32_from_bf16 = f32_from_bf16, \
    .split16 = split16, \
    .merge16 = merge16, \
    .split32 = split32, \
    .merge32 = merge32, \
    .fold = fold, \
    .unfold = unfold, \
    .checksum = checksum,

const bbp_kernels bbp_plain_kernels = {
    .name = "plain", .product = product, .spectral_product = spectral_product, EVERYTHING_ELSE
};

const bbp_kernels bbp_plain_bf16_kernels = {
    .name = "plain-bf16",
    .rounds_products = 1,
    .product = product_bf16,
    .spectral_product = spectral_product_bf16,
    EVERYTHING_ELSE
};
