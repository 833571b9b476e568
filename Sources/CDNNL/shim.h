#include <dnnl.h>

// oneDNN is built on OpenMP. Each of our own worker threads tells it, once, that it is alone:
// our threads are the parallelism. (omp.h lives in the compiler's own folder, so it is declared here.)
void omp_set_num_threads(int);
