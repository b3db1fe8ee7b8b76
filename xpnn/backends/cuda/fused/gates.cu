// The pointwise half of an LSTM step. Gates lie side by side: row i of a, u and gates holds i, f, g, o, `units` of each.

#include "common.cuh"

__device__ real sigmoid(real x) {
    real e = exp(-fabs(x));
    return (x >= 0 ? real(1) : e) / (1 + e);
}

extern "C" __global__ void lstm_step(const real* a, const real* u, const real* c, Int n, Int units, real* h, real* cell,
                                     real* gates, real* squashed) {
    int wide = units;
    for (int e = first_element(); e < n; e += all_threads()) {
        int at = e / wide * 4 * wide + e % wide;
        real z[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) z[k] = a[at + k * wide] + u[at + k * wide];
        real i = sigmoid(z[0]), f = sigmoid(z[1]), g = tanh(z[2]), o = sigmoid(z[3]);
        gates[at] = i;
        gates[at + wide] = f;
        gates[at + 2 * wide] = g;
        gates[at + 3 * wide] = o;
        cell[e] = f * c[e] + i * g;
        squashed[e] = tanh(cell[e]);
        h[e] = o * squashed[e];
    }
}

extern "C" __global__ void lstm_step_grad(const real* dh, const real* dc, const real* c, const real* gates,
                                          const real* squashed, Int n, Int units, real* dz, real* dold) {
    int wide = units;
    for (int e = first_element(); e < n; e += all_threads()) {
        int at = e / wide * 4 * wide + e % wide;
        real i = gates[at], f = gates[at + wide], g = gates[at + 2 * wide], o = gates[at + 3 * wide], s = squashed[e];
        real dcell = dc[e] + dh[e] * o * (1 - s * s);
        dz[at] = dcell * g * i * (1 - i);
        dz[at + wide] = dcell * c[e] * f * (1 - f);
        dz[at + 2 * wide] = dcell * i * (1 - g * g);
        dz[at + 3 * wide] = dh[e] * s * o * (1 - o);
        dold[e] = dcell * f;
    }
}
