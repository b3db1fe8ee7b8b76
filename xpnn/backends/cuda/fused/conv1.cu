// Convolution of images of one channel, stride 1: x (N, height, width), W (KH, KW, filters), y (N, rows, columns,
// filters), rows = height + padding - KH + 1. KH and KW are defined in front of this text, so that a thread keeps the
// weights of its filter in registers. The threads of a warp are 32 filters: they read the same pixels and write
// neighbouring numbers. A thread takes a strip of STRIP windows along a row, which share most of their pixels.

#include "common.cuh"

constexpr int STRIP = 8, TAPS = KH * KW, REACH = STRIP + KW - 1;

struct Strips {
    int height, width, rows, columns, top, left, filters, along, count;
    __device__ Strips(Int images, Int height, Int width, Int rows, Int columns, Int top, Int left, Int filters)
        : height(height), width(width), rows(rows), columns(columns), top(top), left(left), filters(filters),
          along((columns + STRIP - 1) / STRIP), count(images * rows * along) {}
    // The pixels of image row i + a under the strip from window j on; 0 where there is padding.
    __device__ void pixels(const real* x, int n, int i, int j, int a, real (&out)[REACH]) const {
        int r = i + a - top;
        const real* row = x + (n * height + r) * width;
#pragma unroll
        for (int k = 0; k < REACH; ++k) {
            int q = j + k - left;
            out[k] = 0 <= r && r < height && 0 <= q && q < width ? row[q] : real(0);
        }
    }
};

extern "C" __global__ void __launch_bounds__(256)
    conv1(const real* x, const real* W, const real* b, Int images, Int height, Int width, Int rows, Int columns, Int top,
          Int left, Int filters, real* y, Int rectified) {
    Strips s(images, height, width, rows, columns, top, left, filters);
    int f = blockIdx.y * 32 + threadIdx.x;
    if (f >= s.filters) return;
    real w[TAPS], bias = b[f];
#pragma unroll
    for (int t = 0; t < TAPS; ++t) w[t] = W[t * s.filters + f];
    for (int strip = blockIdx.x * blockDim.y + threadIdx.y; strip < s.count; strip += gridDim.x * blockDim.y) {
        int j = strip % s.along * STRIP, line = strip / s.along, n = line / s.rows, i = line % s.rows;
        real sums[STRIP], row[REACH];
#pragma unroll
        for (int k = 0; k < STRIP; ++k) sums[k] = 0;
#pragma unroll
        for (int a = 0; a < KH; ++a) {
            s.pixels(x, n, i, j, a, row);
#pragma unroll
            for (int c = 0; c < KW; ++c)
#pragma unroll
                for (int k = 0; k < STRIP; ++k) sums[k] += row[k + c] * w[a * KW + c];
        }
#pragma unroll
        for (int k = 0; k < STRIP; ++k) {
            real sum = sums[k] + bias;
            if (rectified && sum <= 0) sum = 0;
            if (j + k < s.columns) y[(line * s.columns + j + k) * s.filters + f] = sum;
        }
    }
}

// dW[t, f], summed over the strips of a block of 32 x 8 threads: parts (blocks, TAPS, filters).
extern "C" __global__ void __launch_bounds__(256)
    conv1_dw(const real* x, const real* dy, Int images, Int height, Int width, Int rows, Int columns, Int top, Int left,
             Int filters, real* parts) {
    __shared__ real shares[8][32];
    Strips s(images, height, width, rows, columns, top, left, filters);
    int f = blockIdx.y * 32 + threadIdx.x;
    real sums[TAPS] = {};
    int last = f < s.filters ? s.count : 0;
    for (int strip = blockIdx.x * blockDim.y + threadIdx.y; strip < last; strip += gridDim.x * blockDim.y) {
        int j = strip % s.along * STRIP, line = strip / s.along, n = line / s.rows, i = line % s.rows;
        real slopes[STRIP], row[REACH];
#pragma unroll
        for (int k = 0; k < STRIP; ++k)
            slopes[k] = j + k < s.columns ? dy[(line * s.columns + j + k) * s.filters + f] : real(0);
#pragma unroll
        for (int a = 0; a < KH; ++a) {
            s.pixels(x, n, i, j, a, row);
#pragma unroll
            for (int c = 0; c < KW; ++c)
#pragma unroll
                for (int k = 0; k < STRIP; ++k) sums[a * KW + c] += row[k + c] * slopes[k];
        }
    }
#pragma unroll
    for (int t = 0; t < TAPS; ++t) {
        shares[threadIdx.y][threadIdx.x] = sums[t];
        __syncthreads();
        if (threadIdx.y == 0 && f < s.filters) {
            real sum = 0;
            for (int k = 0; k < 8; ++k) sum += shares[k][threadIdx.x];
            parts[(blockIdx.x * TAPS + t) * s.filters + f] = sum;
        }
        __syncthreads();
    }
}
