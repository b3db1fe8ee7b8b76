// Pooling: y (N, rows, columns, channels), one number for each window and channel.

#include "window.cuh"

// The largest, NaN above all, and the first tap that holds it. Padding is never chosen.
extern "C" __global__ void max_pool(const real* x, real* y, Byte* taps, WINDOW) {
    Window w(WINDOW_VALUES);
    int along = w.columns * w.channels;
    for (int line = blockIdx.x; line < lines; line += gridDim.x) {
        int n = line / w.rows, i = line % w.rows;
        for (int e = threadIdx.x; e < along; e += blockDim.x) {
            int c = e % w.channels, j = e / w.channels, best = -1;
            real top = 0;
            for (int a = 0; a < w.kh; ++a)
                for (int b = 0; b < w.kw; ++b) {
                    int r = w.row(i, a), q = w.column(j, b);
                    if (!w.inside(r, q)) continue;
                    real v = x[((n * w.height + r) * w.width + q) * w.channels + c];
                    if (best < 0 || v > top || (v != v && top == top)) {
                        top = v;
                        best = a * w.kw + b;
                    }
                }
            y[line * along + e] = top;
            taps[line * along + e] = best;
        }
    }
}

// Every place gathers from the windows that it is in, tap after tap, where `chosen` says so.
template <class F> __device__ void gather(const real* dy, real* dx, int lines, Window w, F chosen) {
    int along = w.width * w.channels;
    for (int line = blockIdx.x; line < lines; line += gridDim.x) {
        int n = line / w.height, r = line % w.height;
        for (int e = threadIdx.x; e < along; e += blockDim.x) {
            int c = e % w.channels, q = e / w.channels;
            real sum = 0;
            for (int a = 0; a < w.kh; ++a) {
                int i = w.row_of(r, a);
                for (int b = 0; i >= 0 && b < w.kw; ++b) {
                    int j = w.column_of(q, b), at = ((n * w.rows + i) * w.columns + j) * w.channels + c;
                    if (j >= 0 && chosen(at, a * w.kw + b)) sum += dy[at];
                }
            }
            dx[line * along + e] = sum;
        }
    }
}

extern "C" __global__ void max_pool_grad(const real* dy, const Byte* taps, real* dx, WINDOW) {
    gather(dy, dx, lines, Window(WINDOW_VALUES), [=](int at, int tap) { return taps[at] == tap; });
}

extern "C" __global__ void sum_pool_grad(const real* dy, real* dx, WINDOW) {
    gather(dy, dx, lines, Window(WINDOW_VALUES), [](int, int) { return true; });
}

extern "C" __global__ void sum_pool(const real* x, real* y, WINDOW) {
    Window w(WINDOW_VALUES);
    int along = w.columns * w.channels;
    for (int line = blockIdx.x; line < lines; line += gridDim.x) {
        int n = line / w.rows, i = line % w.rows;
        for (int e = threadIdx.x; e < along; e += blockDim.x) {
            int c = e % w.channels, j = e / w.channels;
            real sum = 0;
            for (int a = 0; a < w.kh; ++a)
                for (int b = 0; b < w.kw; ++b) {
                    int r = w.row(i, a), q = w.column(j, b);
                    if (w.inside(r, q)) sum += x[((n * w.height + r) * w.width + q) * w.channels + c];
                }
            y[line * along + e] = sum;
        }
    }
}
