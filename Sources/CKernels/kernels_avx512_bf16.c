#define BF16_PRODUCTS
#include "kernels_avx512.inc"
