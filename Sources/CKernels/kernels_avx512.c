#include "kernels_avx512.inc"
