// CUDA's words given a meaning on the CPU, so that the very text of a kernel runs there: an emulation, for the tests.
//
// Each thread of a block is a coroutine. They take turns in a fixed order, from the first to the last or, asked so, from
// the last to the first, and change where they wait for one another: so a result that depends on the order, as where a
// barrier is missing, differs between the two. Blocks run one after the other, in that order too.

#include <math.h>
#include <string.h>
#include <ucontext.h>

#include <utility>  // and no larger header: dozens of files are compiled, most of whose time was theirs

#define __global__
#define __device__
#define __shared__ static __attribute__((section("cuda_shared")))
#define __launch_bounds__(threads)

struct Place {
    int x, y, z;
};
static Place threadIdx, blockIdx, blockDim, gridDim;

extern char __start_cuda_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_cuda_shared[] __attribute__((weak, visibility("hidden")));

namespace emulation {

enum State { READY, AT_WARP, AT_BLOCK, DONE };
constexpr int STACK = 1 << 16, WARP = 32, MOST = 1024;

struct Thread {
    ucontext_t context;
    char stack[STACK];
    Place place;
    int number, shuffles, votes;
    State state;
};

static Thread threads[MOST];
static ucontext_t scheduler;
static Thread* self;
static void (*body)(void*);
static void* argument;
static double shown[2][MOST];
static int ballot[2];

static void begin() {
    body(argument);
    self->state = DONE;
}

static void wait(State state) {
    Place mine = threadIdx;
    self->state = state;
    swapcontext(&self->context, &scheduler);
    threadIdx = mine;
}

static void prepare(Thread& thread, int number) {
    thread.number = number;
    thread.place = {number % blockDim.x, number / blockDim.x % blockDim.y, number / blockDim.x / blockDim.y};
    thread.shuffles = thread.votes = 0;
    thread.state = READY;
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack;
    thread.context.uc_stack.ss_size = STACK;
    thread.context.uc_link = &scheduler;
    makecontext(&thread.context, begin, 0);
}

// Those of [first, last) that wait in `state`, once all that still run do. -1: some are gone, though all were called.
static int release(int first, int last, State state, bool all) {
    int waiting = 0, gone = 0;
    for (int i = first; i < last; ++i) {
        if (threads[i].state == DONE) ++gone;
        else if (threads[i].state == state) ++waiting;
        else return 0;
    }
    if (waiting && all && gone) return -1;
    for (int i = first; i < last; ++i)
        if (threads[i].state == state) threads[i].state = READY;
    return waiting;
}

// 0, or what went wrong: 1 a thread left its warp before a shuffle, 2 they wait for one another for ever.
static int run_block(int count, bool backwards) {
    ballot[0] = ballot[1] = 0;
    if (__start_cuda_shared)  // what a block finds there is NaN
        memset(__start_cuda_shared, 0xFF, __stop_cuda_shared - __start_cuda_shared);
    for (int i = 0; i < count; ++i) prepare(threads[i], i);
    for (;;) {
        int done = 0, freed = 0;
        for (int k = 0; k < count; ++k) {
            Thread& thread = threads[backwards ? count - 1 - k : k];
            if (thread.state == READY) {
                self = &thread;
                threadIdx = thread.place;
                swapcontext(&scheduler, &thread.context);
            }
            done += thread.state == DONE;
        }
        if (done == count) return 0;
        for (int first = 0; first < count; first += WARP) {
            int last = first + WARP < count ? first + WARP : count, found = release(first, last, AT_WARP, true);
            if (found < 0 || (found && found < WARP)) return 1;
            freed += found;
        }
        freed += release(0, count, AT_BLOCK, false);
        if (!freed) return 2;
    }
}

template <class... A, size_t... I>
int run(void (*kernel)(A...), const int* shape, int backwards, void** args, std::index_sequence<I...>) {
    gridDim = {shape[0], shape[1], 1};
    blockDim = {shape[2], shape[3], 1};
    auto call = [=] { kernel(*(A*)args[I]...); };
    argument = &call;
    body = [](void* made) { (*(decltype(call)*)made)(); };
    int blocks = gridDim.x * gridDim.y, fault = 0;
    for (int k = 0; k < blocks && !fault; ++k) {
        int block = backwards ? blocks - 1 - k : k;
        blockIdx = {block % gridDim.x, block / gridDim.x, 0};
        fault = run_block(blockDim.x * blockDim.y, backwards);
    }
    return fault;
}

template <class... A> int run(void (*kernel)(A...), const int* shape, int backwards, void** args) {
    return run(kernel, shape, backwards, args, std::index_sequence_for<A...>());
}

}  // namespace emulation

static void __syncthreads() { emulation::wait(emulation::AT_BLOCK); }

static int __syncthreads_or(int vote) {
    int& votes = emulation::ballot[emulation::self->votes++ % 2];
    votes |= vote;
    __syncthreads();
    int any = votes;
    __syncthreads();
    votes = 0;
    return any;
}

template <class T> static T __shfl_xor_sync(unsigned, T value, int distance) {
    double* row = emulation::shown[emulation::self->shuffles++ % 2];
    int number = emulation::self->number;
    memcpy(row + number, &value, sizeof(T));
    emulation::wait(emulation::AT_WARP);
    memcpy(&value, row + (number ^ distance), sizeof(T));
    return value;
}

#define EMULATE(kernel)                                                                  \
    extern "C" int emulate_##kernel(const int* shape, int backwards, void** args) { \
        return emulation::run(kernel, shape, backwards, args);                           \
    }
