// The flat updates, in place: theta and the slots are read and written once. The step count t (from 1), the learning rate,
// the factor of clipping and `ok` are read from device memory, so that a replayed graph sees their present values;
// where `ok` is false nothing is written.

#include "common.cuh"

// The gradient after clipping and with those of the penalties; the weight after decoupled decay.
struct Pull {
    real clip, shrink, l2, l1;
    bool any;
    __device__ Pull(const real* lr, const real* clip, double l2, double l1, double weight_decay)
        : clip(*clip), shrink(*lr * real(weight_decay)), l2(l2), l1(l1), any(l2 != 0 || l1 != 0 || weight_decay != 0) {}
    __device__ real operator()(real& w, real g, real decay) const {
        g *= clip;
        if (!any) return g;
        w -= shrink * decay * w;
        return g + decay * (l2 * w + l1 * real((w > 0) - (w < 0)));
    }
};

// rule(x, g) changes the weight x[0] and its slots x[1], ...
template <int N, class Rule>
__device__ void update(real* const (&vectors)[N], const real* grad, const real* decay, Pull pull, Int n, Rule rule) {
    bool whole = aligned(grad, decay);
    for (real* v : vectors) whole = whole && aligned(v);
    int packs = whole ? n / LANES : 0;
    for (int i = first_element(); i < packs; i += all_threads()) {
        Pack p[N], g = load(grad, i), d = pull.any ? load(decay, i) : g;
#pragma unroll
        for (int s = 0; s < N; ++s) p[s] = load(vectors[s], i);
#pragma unroll
        for (int k = 0; k < LANES; ++k) {
            real x[N];
            for (int s = 0; s < N; ++s) x[s] = p[s].at[k];
            real own = pull(x[0], g.at[k], d.at[k]);
            rule(x, own);
            for (int s = 0; s < N; ++s) p[s].at[k] = x[s];
        }
#pragma unroll
        for (int s = 0; s < N; ++s) store(vectors[s], i, p[s]);
    }
    for (int i = packs * LANES + first_element(); i < n; i += all_threads()) {
        real x[N];
        for (int s = 0; s < N; ++s) x[s] = vectors[s][i];
        real own = pull(x[0], grad[i], pull.any ? decay[i] : real(0));
        rule(x, own);
        for (int s = 0; s < N; ++s) vectors[s][i] = x[s];
    }
}

extern "C" __global__ void descent(real* theta, const real* grad, const real* decay, const Int* t, const real* lr,
                                   const real* clip, const Byte* ok, Int n, double l2, double l1, double weight_decay) {
    if (!*ok) return;
    real rate = *lr;
    real* const vectors[] = {theta};
    update(vectors, grad, decay, Pull(lr, clip, l2, l1, weight_decay), n, [=](real* x, real g) { x[0] -= rate * g; });
}

extern "C" __global__ void momentum(real* theta, real* v, const real* grad, const real* decay, const Int* t,
                                    const real* lr, const real* clip, const Byte* ok, Int n, double l2, double l1,
                                    double weight_decay, double keep, double nesterov) {
    if (!*ok) return;
    real rate = *lr, kept = keep;
    bool ahead = nesterov != 0;
    real* const vectors[] = {theta, v};
    update(vectors, grad, decay, Pull(lr, clip, l2, l1, weight_decay), n, [=](real* x, real g) {
        x[1] = kept * x[1] + g;
        x[0] -= rate * (ahead ? g + kept * x[1] : x[1]);
    });
}

// 1 - beta^t, which keeps all its digits.
__device__ real bias_correction(double beta, const Int* t) {
    return beta > 0 ? -expm1(real(*t) * real(log(beta))) : real(1);
}

extern "C" __global__ void adam(real* theta, real* m, real* v, const real* grad, const real* decay, const Int* t,
                                const real* lr, const real* clip, const Byte* ok, Int n, double l2, double l1,
                                double weight_decay, double beta1, double rest1, double beta2, double rest2, double eps) {
    if (!*ok) return;
    __shared__ real shared_rate, shared_root;
    if (threadIdx.x == 0) {
        shared_rate = *lr / bias_correction(beta1, t);
        shared_root = sqrt(bias_correction(beta2, t));
    }
    __syncthreads();
    real rate = shared_rate, root = shared_root;
    real keep1 = beta1, new1 = rest1, keep2 = beta2, new2 = rest2, least = eps;
    real* const vectors[] = {theta, m, v};
    update(vectors, grad, decay, Pull(lr, clip, l2, l1, weight_decay), n, [=](real* x, real g) {
        x[1] = keep1 * x[1] + new1 * g;
        x[2] = keep2 * x[2] + new2 * g * g;
        x[0] -= rate * x[1] / (sqrt(x[2]) / root + least);
    });
}
