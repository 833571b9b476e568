// Where values stop being finite. One pass over what was just written: compilers make it a compare and an or a vector.
#include "ckernels.h"

enum { RUN = 1024 };

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

int64_t bbp_first_above_f32(const float *x, int64_t count, uint32_t limit) {
    const uint32_t *bits = (const uint32_t *)x;
    for (int64_t first = 0; first < count; first += RUN) {
        const int64_t end = smaller(count, first + RUN);
        int32_t found = 0;
        for (int64_t i = first; i < end; i++) found |= (int32_t)(bits[i] & 0x7fffffffu) > (int32_t)limit;
        for (int64_t i = first; found && i < end; i++)
            if ((bits[i] & 0x7fffffffu) > limit) return i;
    }
    return -1;
}

int64_t bbp_first_above_bf16(const uint16_t *x, int64_t count, uint16_t limit) {
    for (int64_t first = 0; first < count; first += RUN) {
        const int64_t end = smaller(count, first + RUN);
        int16_t found = 0;
        for (int64_t i = first; i < end; i++) found |= (int16_t)(x[i] & 0x7fff) > (int16_t)limit;
        for (int64_t i = first; found && i < end; i++)
            if ((x[i] & 0x7fff) > limit) return i;
    }
    return -1;
}
