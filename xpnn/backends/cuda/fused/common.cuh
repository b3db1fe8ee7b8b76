// What all kernels share. `real` is the model's dtype: float or double, defined in front of this text.
// Numbers come as long long and double, as CuPy passes Python's; sizes stay below 2^30, so that an int counts them.

typedef long long Int;
typedef unsigned char Byte;
typedef unsigned int Word;

constexpr unsigned EVERYONE = 0xffffffffu;
constexpr int LANES = 16 / sizeof(real);

// What one thread moves at a time, where addresses allow: 16 bytes.
struct alignas(16) Pack {
    real at[LANES];
};

template <class... Pointers> __device__ bool aligned(Pointers... p) {
    return (((unsigned long long)p | ...) & 15) == 0;
}

// The grid walks over its work in strides: element `first_element()`, then every `all_threads()`.
__device__ int first_element() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ int all_threads() { return gridDim.x * blockDim.x; }

__device__ Pack load(const real* x, int i) { return ((const Pack*)x)[i]; }
__device__ void store(real* x, int i, Pack p) { ((Pack*)x)[i] = p; }

struct Add {
    __device__ real operator()(real a, real b) const { return a + b; }
};
struct Larger {
    __device__ real operator()(real a, real b) const { return a > b ? a : b; }
};

// f over `width` neighbouring threads of a warp (a power of two), in the same order whatever the schedule: every one of
// them gets the result. The whole warp must call it.
template <class F> __device__ real across(real v, int width, F f) {
    for (int distance = width / 2; distance > 0; distance /= 2)
        v = f(v, __shfl_xor_sync(EVERYONE, v, distance));
    return v;
}

// The sum over a block of whole warps, known to its first thread.
__device__ real block_sum(real v) {
    __shared__ real parts[32];
    v = across(v, 32, Add());
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x < 32) v = across(threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : real(0), 32, Add());
    return v;
}
