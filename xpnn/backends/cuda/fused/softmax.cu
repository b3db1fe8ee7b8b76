// Softmax by groups of `width` threads, a power of two up to a warp: each takes a row at a time. A second look at a row
// finds it in the cache.

#include "common.cuh"

struct Rows {
    int lane, width, group, groups;
    __device__ Rows(Int width)
        : lane(threadIdx.x % width), width(width), group(first_element() / width), groups(all_threads() / width) {}
};

// e^(z - max z) into e, and their sum. Where a warp runs past the last row, it does that row's work unseen.
__device__ real exponentials(const real* z, real* e, int classes, const Rows& at, bool seen, real& top) {
    top = z[at.lane < classes ? at.lane : 0];
    for (int j = at.lane + at.width; j < classes; j += at.width) top = Larger()(z[j], top);
    top = across(top, at.width, Larger());
    real total = 0;
    for (int j = at.lane; j < classes; j += at.width) {
        real power = exp(z[j] - top);
        if (seen) e[j] = power;
        total += power;
    }
    return across(total, at.width, Add());
}

extern "C" __global__ void softmax(const real* z, Int n, Int classes, Int width, real* p) {
    Rows at(width);
    int turns = (n + at.groups - 1) / at.groups;  // the same for every thread of a warp
    for (int turn = 0, row = at.group; turn < turns; ++turn, row += at.groups) {
        bool seen = row < n;
        int start = (seen ? row : 0) * classes;
        real top, total = exponentials(z + start, p + start, classes, at, seen, top);
        for (int j = at.lane; seen && j < classes; j += at.width) p[start + j] /= total;
    }
}

// dz = (softmax(z) - onehot) / n; loss[block] = the sum of log(sum e) - (z[id] - max z) over the block's rows, over n.
// An id that is no class has a one-hot row of zeros.
extern "C" __global__ void softmax_cross_entropy(const real* z, const Int* ids, Int n, Int classes, Int width, real* dz,
                                                 real* loss) {
    Rows at(width);
    real own = 0, count = n;
    int turns = (n + at.groups - 1) / at.groups;
    for (int turn = 0, row = at.group; turn < turns; ++turn, row += at.groups) {
        bool seen = row < n;
        int start = (seen ? row : 0) * classes;
        real top, total = exponentials(z + start, dz + start, classes, at, seen, top);
        if (!seen) continue;
        Int id = ids[row];
        for (int j = at.lane; j < classes; j += at.width)
            dz[start + j] = (dz[start + j] / total - (j == id ? real(1) : real(0))) / count;
        bool known = 0 <= id && id < classes;
        if (at.lane == 0) own += log(total) - (known ? z[start + id] - top : real(0));
    }
    own = block_sum(own);
    if (threadIdx.x == 0) loss[blockIdx.x] = own / count;
}

// The losses of the blocks, added by one block.
extern "C" __global__ void total(const real* parts, Int n, real* sum) {
    real own = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) own += parts[i];
    own = block_sum(own);
    if (threadIdx.x == 0) *sum = own;
}
