// Sums over rows.

#include "columns.cuh"

extern "C" __global__ void column_sums(const real* x, Int rows, Int columns, Int share, double divisor, real* out) {
    sum_columns(rows, columns, share, divisor, out, [=](int i, int j) { return x[i * columns + j]; });
}
