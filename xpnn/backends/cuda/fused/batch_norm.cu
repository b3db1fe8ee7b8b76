// Batch normalization of rows: x (rows, columns), the rest (columns,).

#include "columns.cuh"

extern "C" __global__ void squares(const real* x, const real* mean, Int rows, Int columns, Int share, double divisor,
                                   real* out) {
    sum_columns(rows, columns, share, divisor, out, [=](int i, int j) {
        real d = x[i * columns + j] - mean[j];
        return d * d;
    });
}

// n = (x - mean) r, y = n gain + bias, with r = 1 / sqrt(var + eps), which is written once.
extern "C" __global__ void normalize(const real* x, const real* mean, const real* var, const real* gain,
                                     const real* bias, Int count, Int columns, double eps, real* y, real* n, real* r) {
    int wide = columns;
    for (int i = first_element(); i < count; i += all_threads()) {
        int j = i % wide;
        real root = 1 / sqrt(var[j] + real(eps)), value = (x[i] - mean[j]) * root;
        n[i] = value;
        y[i] = value * gain[j] + bias[j];
        if (i < wide) r[j] = root;
    }
}

// The sums of dy and of dy n side by side: `columns` counts both.
extern "C" __global__ void gain_and_bias(const real* dy, const real* n, Int rows, Int columns, Int share, double divisor,
                                         real* out) {
    int wide = columns / 2;
    sum_columns(rows, columns, share, divisor, out, [=](int i, int j) {
        int at = i * wide + j % wide;
        return j < wide ? dy[at] : dy[at] * n[at];
    });
}

// dx = r (dn - mean(dn) - n mean(dn n)) for dn = dy gain, with the sums of dy and dy n known.
extern "C" __global__ void normalize_grad(const real* dy, const real* n, const real* r, const real* gain,
                                          const real* sums, Int count, Int columns, real* dx) {
    int wide = columns;
    real rows = count / columns;
    for (int i = first_element(); i < count; i += all_threads()) {
        int j = i % wide;
        real slope = dy[i] - sums[j] / rows - n[i] * (sums[wide + j] / rows);
        dx[i] = r[j] * gain[j] * slope;
    }
}
