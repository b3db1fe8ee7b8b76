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

// Does z[id] come before z[j] where a row is searched for its first largest value? NaN counts as the largest.
__device__ bool ahead(const real* z, Int id, int j) {
    bool nan = z[id] != z[id];
    return j < id ? z[id] > z[j] || (nan && z[j] == z[j]) : z[id] >= z[j] || nan;
}

// dz = (softmax(z) - onehot) / n; loss[block] = the sum of log(sum e) - (z[id] - max z) over the block's rows, over n;
// hits[block] = in how many of them the first largest is z[id]. dz and hits may each be null, and are not computed then.
// An id that is no class has a one-hot row of zeros, and no hit.
extern "C" __global__ void softmax_cross_entropy(const real* z, const Int* ids, Int n, Int classes, Int width, real* dz,
                                                 real* loss, Int* hits) {
    Rows at(width);
    real own = 0, hit = 0, count = n;
    int turns = (n + at.groups - 1) / at.groups;
    for (int turn = 0, row = at.group; turn < turns; ++turn, row += at.groups) {
        bool seen = row < n;
        int start = (seen ? row : 0) * classes;
        real top, total = exponentials(z + start, dz + start, classes, at, seen && dz, top);
        Int id = ids[seen ? row : 0];
        bool known = 0 <= id && id < classes;
        real behind = 0;
        if (hits) {
            for (int j = at.lane; known && j < classes; j += at.width) behind += j == id || ahead(z + start, id, j);
            behind = across(behind, at.width, Add());
        }
        if (!seen) continue;
        for (int j = at.lane; dz && j < classes; j += at.width)
            dz[start + j] = (dz[start + j] / total - (j == id ? real(1) : real(0))) / count;
        if (at.lane == 0) {
            own += log(total) - (known ? z[start + id] - top : real(0));
            hit += behind == classes;
        }
    }
    own = block_sum(own);
    __syncthreads();
    hit = block_sum(hit);
    if (threadIdx.x != 0) return;
    loss[blockIdx.x] = own / count;
    if (hits) hits[blockIdx.x] = hit;
}

// What the blocks found, added by one block; there may be no hits.
extern "C" __global__ void total(const real* losses, const Int* hits, Int n, real* loss, Int* hit) {
    real own = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) own += losses[i];
    own = block_sum(own);
    if (threadIdx.x != 0) return;
    *loss = own;
    if (!hits) return;
    Int all = 0;
    for (int i = 0; i < n; ++i) all += hits[i];
    *hit = all;
}
