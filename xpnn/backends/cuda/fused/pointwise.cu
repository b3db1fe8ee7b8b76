// One pass over arrays that are treated element by element.

#include "common.cuh"

template <class F> __device__ void each(const real* x, real* y, Int n, F f) {
    int packs = aligned(x, y) ? n / LANES : 0;
    for (int i = first_element(); i < packs; i += all_threads()) {
        Pack p = load(x, i);
#pragma unroll
        for (int k = 0; k < LANES; ++k) p.at[k] = f(p.at[k]);
        store(y, i, p);
    }
    for (int i = packs * LANES + first_element(); i < n; i += all_threads()) y[i] = f(x[i]);
}

__device__ real larger_than_0(real x) { return x <= 0 ? real(0) : x; }  // NaN stays

extern "C" __global__ void relu(const real* x, real* y, Int n) {
    each(x, y, n, larger_than_0);
}

// From e^-|x|: nothing overflows, and small values keep their digits.
extern "C" __global__ void sigmoid(const real* x, real* y, Int n) {
    each(x, y, n, [](real x) {
        real e = exp(-fabs(x));
        return (x >= 0 ? real(1) : e) / (1 + e);
    });
}

extern "C" __global__ void softplus(const real* x, real* y, Int n) {
    each(x, y, n, [](real x) { return larger_than_0(x) + log1p(exp(-fabs(x))); });
}

// dx = dy where y > 0, else 0. dx may be dy.
extern "C" __global__ void relu_grad(const real* dy, const real* y, real* dx, Int n) {
    int packs = aligned(dy, y, dx) ? n / LANES : 0;
    for (int i = first_element(); i < packs; i += all_threads()) {
        Pack p = load(dy, i), q = load(y, i);
#pragma unroll
        for (int k = 0; k < LANES; ++k) p.at[k] = q.at[k] > 0 ? p.at[k] : real(0);
        store(dx, i, p);
    }
    for (int i = packs * LANES + first_element(); i < n; i += all_threads()) dx[i] = y[i] > 0 ? dy[i] : real(0);
}

extern "C" __global__ void mask(const real* x, const Byte* keep, real* y, Int n) {
    for (int i = first_element(); i < n; i += all_threads()) y[i] = keep[i] ? x[i] : real(0);
}

// y + b of its column, in place; with `rectified` the larger of that and 0. `columns` divides n.
extern "C" __global__ void add_bias(real* y, const real* b, Int n, Int columns, Int rectified) {
    int wide = columns;
    int packs = aligned(y, b) && wide % LANES == 0 ? n / LANES : 0;
    for (int i = first_element(); i < packs; i += all_threads()) {
        Pack p = load(y, i), q = load(b, i % (wide / LANES));
#pragma unroll
        for (int k = 0; k < LANES; ++k) {
            real sum = p.at[k] + q.at[k];
            p.at[k] = rectified ? larger_than_0(sum) : sum;
        }
        store(y, i, p);
    }
    for (int i = packs * LANES + first_element(); i < n; i += all_threads()) {
        real sum = y[i] + b[i % wide];
        y[i] = rectified ? larger_than_0(sum) : sum;
    }
}
