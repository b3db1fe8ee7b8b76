"""The emulation of CUDA on the CPU finds what it is there to find."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from emulated_cuda import compiled, needs_compiler, run

pytestmark = needs_compiler

KERNELS = """
typedef long long Int;
extern "C" __global__ void sums(const double* x, Int n, double* out) {
    __shared__ double parts[2];
    double sum = threadIdx.x < n ? x[threadIdx.x] : 0;
    for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, d);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) out[blockIdx.x] = parts[0] + parts[1];
}
extern "C" __global__ void neighbours(double* x) {  // reads what another thread writes, with no barrier between
    __shared__ double own[64];
    own[threadIdx.x] = threadIdx.x;
    x[threadIdx.x] = own[63 - threadIdx.x];
}
extern "C" __global__ void constant(double* x) {  // right, but for the barrier
    __shared__ double five;
    if (threadIdx.x == 0) five = 5;
    x[threadIdx.x] = five;
}
extern "C" __global__ void last_wins(double* x) { x[0] = threadIdx.x; }
extern "C" __global__ void beyond(double* x, Int at) { if (threadIdx.x == 0) x[at] = 1; }
extern "C" __global__ void gone(double* x) { if (threadIdx.x) x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0, 1); }
extern "C" __global__ void apart(double* x) {
    if (threadIdx.x == 0) x[0] = __shfl_xor_sync(0xffffffffu, 1.0, 1);
    else __syncthreads();
}
extern "C" __global__ void votes(const double* x, double* out) {
    for (int turn = 0; turn < 3; ++turn) {
        bool any = __syncthreads_or(x[turn * 64 + threadIdx.x] > 0);
        if (threadIdx.x == 0) out[turn] = any;
    }
}
struct alignas(16) Two { double a, b; };
extern "C" __global__ void pairs(const double* x, double* y) { *(Two*)y = *(const Two*)x; }
"""
NAMES = ["sums", "neighbours", "constant", "last_wins", "beyond", "gone", "apart", "votes", "pairs"]


@functools.cache
def library():
    return compiled(KERNELS, NAMES)


def launch(name, *args, grid=(1,), block=(64,)):
    run(library(), name, grid, block, args)


def test_shuffles_barriers_and_blocks():
    x, out = np.arange(50.0), np.zeros(3)
    launch("sums", x, 50, out, grid=(3,))
    assert out.tolist() == [1225.0] * 3


def test_votes_of_several_turns():
    x, out = np.zeros((3, 64)), np.full(3, 9.0)
    x[1, 63] = 1
    launch("votes", x, out)
    assert out.tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", ["neighbours", "constant", "last_wins"])
def test_a_result_that_depends_on_the_order(name):
    with pytest.raises(AssertionError, match="depends on the order"):
        launch(name, np.zeros(64))


@pytest.mark.parametrize("at", [-1, 64, -30, 90])
def test_writing_beyond_an_array(at):
    with pytest.raises(AssertionError, match="beyond an array"):
        launch("beyond", np.zeros(64), at)


@pytest.mark.parametrize(("name", "fault"), [("gone", "left its warp"), ("apart", "wait for one another")])
def test_threads_that_do_not_meet(name, fault):
    with pytest.raises(AssertionError, match=fault):
        launch(name, np.zeros(64))


def test_an_address_that_is_not_aligned_ends_the_process():
    launch("pairs", np.arange(2.0), np.zeros(2), block=(1,))
    code = "import test_emulation as t; t.launch('pairs', t.np.arange(3.0)[1:], t.np.zeros(2), block=(1,))"
    command = [sys.executable, "-c", code]
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent), str(here.parents[1])])
    env = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "misaligned address" in done.stderr
