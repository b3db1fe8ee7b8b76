// Sums down the columns of (rows, columns), of what f(row, column) gives. A block of 32 x 32 threads takes 32 columns of
// `share` rows: each thread adds every 32nd row, then the threads of a column are added in order. So the order of
// every sum is fixed. out (blocks down, columns); divided by `divisor`.

#include "common.cuh"

template <class F>
__device__ void sum_columns(Int rows, Int columns, Int share, double divisor, real* out, F f) {
    __shared__ real sums[32][33];
    int column = blockIdx.x * 32 + threadIdx.x, start = blockIdx.y * share;
    int stop = start + share < rows ? start + share : rows;
    real own = 0;
    if (column < columns)
#pragma unroll 4
        for (int i = start + threadIdx.y; i < stop; i += 32) own += f(i, column);
    sums[threadIdx.y][threadIdx.x] = own;
    __syncthreads();
    own = across(sums[threadIdx.x][threadIdx.y], 32, Add());  // a warp now holds one column
    column = blockIdx.x * 32 + threadIdx.y;
    if (threadIdx.x == 0 && column < columns) out[blockIdx.y * columns + column] = own / real(divisor);
}
