// The rows of a batch, out of a dataset that stays on the device.

#include "common.cuh"

extern "C" __global__ void rows_at(const Int* order, const Int* cursor, Int n, Int* rows) {
    for (int i = first_element(); i < n; i += all_threads()) rows[i] = order[*cursor + i];
}

// y[i] = x[rows[i]] scale + offset, a warp to a row. Four numbers to a thread where rows begin at multiples of four.
template <class From> struct alignas(sizeof(From) == 1 ? 4 : 16) Four {
    From at[4];
};

template <class From>
__device__ void rescale_rows(const From* x, const Int* rows, Int n, Int width, double scale, double offset, real* y) {
    real a = scale, b = offset;
    bool whole = width % 4 == 0 && (unsigned long long)x % alignof(Four<From>) == 0;
    int fours = whole ? width / 4 : 0, lane = threadIdx.x % 32;
    for (int i = first_element() / 32; i < n; i += all_threads() / 32) {
        const From* from = x + rows[i] * width;
        real* to = y + i * width;
        for (int j = lane; j < fours; j += 32) {
            Four<From> in = ((const Four<From>*)from)[j];
            Four<real> out;
#pragma unroll
            for (int k = 0; k < 4; ++k) out.at[k] = real(in.at[k]) * a + b;
            ((Four<real>*)to)[j] = out;
        }
        for (int j = 4 * fours + lane; j < width; j += 32) to[j] = real(from[j]) * a + b;
    }
}

extern "C" __global__ void take_bytes(const Byte* x, const Int* rows, Int n, Int width, double scale, double offset,
                                      real* y) {
    rescale_rows(x, rows, n, width, scale, offset, y);
}

extern "C" __global__ void take_reals(const real* x, const Int* rows, Int n, Int width, double scale, double offset,
                                      real* y) {
    rescale_rows(x, rows, n, width, scale, offset, y);
}
