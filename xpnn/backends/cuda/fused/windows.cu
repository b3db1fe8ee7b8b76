// Windows side by side, and back: cols (N, rows, columns, taps, channels). T is a number or a pack of them, of which
// `channels` then counts.

#include "window.cuh"

template <class T> __device__ void copy_windows(const T* x, T* cols, Window w, int lines, T fill) {
    int along = w.columns * w.kh * w.kw * w.channels;
    for (int line = blockIdx.x; line < lines; line += gridDim.x) {
        int n = line / w.rows, i = line % w.rows;
        for (int e = threadIdx.x; e < along; e += blockDim.x) {
            int c = e % w.channels, tap = e / w.channels % (w.kh * w.kw), j = e / w.channels / (w.kh * w.kw);
            int r = w.row(i, tap / w.kw), q = w.column(j, tap % w.kw);
            cols[line * along + e] =
                w.inside(r, q) ? x[((n * w.height + r) * w.width + q) * w.channels + c] : fill;
        }
    }
}

__device__ real& operator+=(Pack& sum, const Pack& p) {
#pragma unroll
    for (int k = 0; k < LANES; ++k) sum.at[k] += p.at[k];
    return sum.at[0];
}

// Every place gathers what was taken from it, tap after tap: no two threads write to one place.
template <class T> __device__ void add_windows(const T* cols, T* x, Window w, int lines, T zero) {
    int along = w.width * w.channels;
    for (int line = blockIdx.x; line < lines; line += gridDim.x) {
        int n = line / w.height, r = line % w.height;
        for (int e = threadIdx.x; e < along; e += blockDim.x) {
            int c = e % w.channels, q = e / w.channels;
            T sum = zero;
            for (int a = 0; a < w.kh; ++a) {
                int i = w.row_of(r, a);
                for (int b = 0; i >= 0 && b < w.kw; ++b) {
                    int j = w.column_of(q, b), at = (n * w.rows + i) * w.columns + j;
                    if (j < 0) continue;
                    T part = cols[(at * w.kh * w.kw + a * w.kw + b) * w.channels + c];
                    sum += part;
                }
            }
            x[line * along + e] = sum;
        }
    }
}

extern "C" __global__ void im2col(const real* x, real* cols, WINDOW, double fill) {
    Window w(WINDOW_VALUES);
    if (!w.pack(x, cols)) return copy_windows(x, cols, w, lines, real(fill));
    Pack fills;
    for (real& value : fills.at) value = fill;
    copy_windows((const Pack*)x, (Pack*)cols, w, lines, fills);
}

extern "C" __global__ void col2im(const real* cols, real* x, WINDOW) {
    Window w(WINDOW_VALUES);
    if (!w.pack(x, cols)) return add_windows(cols, x, w, lines, real(0));
    add_windows((const Pack*)cols, (Pack*)x, w, lines, Pack{});
}
