// Is every number of up to four arrays finite? Those that are not there have no elements.

#include "common.cuh"

__device__ bool is_bad(real x) { return !(x - x == 0); }

__device__ bool any_bad(const real* x, Int n) {
    bool bad = false;
    int packs = aligned(x) ? n / LANES : 0;
    for (int i = first_element(); i < packs; i += all_threads()) {
        Pack p = load(x, i);
#pragma unroll
        for (int k = 0; k < LANES; ++k) bad |= is_bad(p.at[k]);
    }
    for (int i = packs * LANES + first_element(); i < n; i += all_threads()) bad |= is_bad(x[i]);
    return bad;
}

// good[block]: nothing bad was met by this block.
extern "C" __global__ void all_finite(const real* a, Int na, const real* b, Int nb, const real* c, Int nc, const real* d,
                                      Int nd, Byte* good) {
    bool bad = any_bad(a, na) | any_bad(b, nb) | any_bad(c, nc) | any_bad(d, nd);
    bool found = __syncthreads_or(bad);
    if (threadIdx.x == 0) good[blockIdx.x] = !found;
}

// What the blocks found, joined by one block.
extern "C" __global__ void all_good(const Byte* good, Int n, Byte* all) {
    bool bad = false;
    for (int i = threadIdx.x; i < n; i += blockDim.x) bad |= !good[i];
    bool found = __syncthreads_or(bad);
    if (threadIdx.x == 0) *all = !found;
}
