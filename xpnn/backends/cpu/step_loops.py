"""A training step of Dense layers, compiled: phases one after the other, each of parts that threads share.

Matrices (n, width) lie by rows or by columns in one vector, `workspace`. Parts of a large batch are rows, which go all
the way forward and back; of a small one they are columns of a layer, for which each thread reads its own part of W. A
part is computed alike by whichever thread takes it. A vector of whole numbers, `plan`, says where everything is.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from xpnn.backends.cpu.atomics import vector_at
from xpnn.backends.cpu.gate_loops import exponential
from xpnn.backends.cpu.gemm import gemm
from xpnn.backends.cpu.loops import Array, compiled, word

SAMPLES, WEIGHTS, THETA, DECAY, M, V, X, IDS, FINITE = range(9)
"""The plan begins with: samples, weights; the addresses of theta, of the factors of penalties (or 0), of the vectors of
the rule, of x and the ids; whether the gradients are finite."""
WORKSPACE, SCRATCH, SCRATCH_SIZE, SUMS, SCALES, ONES = range(9, 15)
"""The size of the workspace; where in it each thread has scratch, where parts add up, where the factors of the Dropouts
are, and a vector of ones."""
PARTS, PHASES, PHASE_COUNT, SYNC, LAYER_COUNT = range(15, 20)
"""Where in the plan the parts, the phases, and what the threads tell each other are."""
GEMM, YIELD = range(20, 22)
"""Addresses of functions."""
NUMBERS = 16
"""The workspace begins with the numbers of the rule."""
LAYERS, FIELDS = 32, 16
"""Where the layers begin, and how many numbers each has. The first is the Dropout in front, whose y is x itself without
one."""
W, B, N_IN, UNITS, RELU, DROPS, LEAST, STEP, FIRST, Y, DY, BY_ROWS = range(12)
"""Of a layer: where W and b begin in theta, its sizes, whether ReLU and Dropout follow, the least word that a Dropout
keeps and its words in this step, where y and its gradient begin in the workspace, whether they lie by rows."""
PART = 4
FUNCTION, LAYER, START, STOP = range(PART)
"""Of a part: the address of what computes it, which layer, and which of its rows, units or inputs."""
BIAS = -1
"""The start of a part of the update that is the bias."""
LOSS, HITS, SQUARES = range(3)
"""What a part adds up: losses, hits, and for each layer the squares of y and of its gradient."""


def reduction(f: Any) -> Any:
    """Compiled as a reduction: a sum may be computed in any order, as vectors of the processor do."""
    return compiled(f, fastmath={"reassoc", "contract"})


def exponentials(x: Array) -> None:
    """x <- e^x."""


@overload(exponentials)  # type: ignore[untyped-decorator]
def exponentials_of(x: Any) -> Any:
    """Of float32 in vectors of the processor."""

    def of_float32(x: Any) -> None:
        for i in range(x.size):
            x[i] = exponential(x[i])

    def of_float64(x: Any) -> None:
        for i in range(x.size):
            x[i] = np.exp(x[i])

    return of_float32 if x.dtype == types.float32 else of_float64


@reduction
def sum_of_squares(x: Array) -> Any:
    """|x|^2."""
    found = x.dtype.type(0)
    for i in range(x.size):
        found += x[i] * x[i]
    return found


@reduction
def total(x: Array) -> Any:
    """The sum of x."""
    found = x.dtype.type(0)
    for i in range(x.size):
        found += x[i]
    return found


@reduction
def add_bias(y: Array, b: Array, each: bool, relu: bool) -> Any:
    """y <- y + b, or the larger of that and 0; returns |y|^2. each: b has a number for each of y, else one for all."""
    found, zero = y.dtype.type(0), y.dtype.type(0)
    for i in range(y.size):
        v = y[i] + (b[i] if each else b[0])
        v = zero if relu and v <= 0 else v
        y[i] = v
        found += v * v
    return found


@reduction
def add_bias_relu_dropout(
    y: Array, b: Array, each: bool, step: Any, first: Any, least: Any, scale: Any
) -> Any:
    """y <- scale max(y + b, 0) where word >= least, else 0; returns |y|^2."""
    found, zero = y.dtype.type(0), y.dtype.type(0)
    for i in range(y.size):
        v = y[i] + (b[i] if each else b[0])
        v = scale * (zero if v <= 0 else v)
        v = v if word(i, step, first) >= least else zero
        y[i] = v
        found += v * v
    return found


@reduction
def dropout(x: Array, step: Any, first: Any, least: Any, scale: Any, y: Array) -> Any:
    """y = scale x where word >= least, else 0; returns |y|^2."""
    found, zero = y.dtype.type(0), y.dtype.type(0)
    for i in range(y.size):
        v = scale * x[i]
        v = v if word(i, step, first) >= least else zero
        y[i] = v
        found += v * v
    return found


@reduction
def relu_grad(dy: Array, y: Array, scale: Any) -> Any:
    """dy <- scale dy where y > 0, else 0; returns |dy|^2."""
    found, zero = dy.dtype.type(0), dy.dtype.type(0)
    for i in range(dy.size):
        v = scale * dy[i]
        v = v if y[i] > 0 else zero
        dy[i] = v
        found += v * v
    return found


@compiled
def skip_ahead(first: Any, step: Any, n: Any) -> Any:
    """The first word of a stream of random words, n words on."""
    return np.uint32(np.uint32(np.uint32(n) * step) + first)


@compiled
def input_of(plan: Array, workspace: Array, layer: int) -> tuple[Array, int]:
    """The vector that a layer's x is in, and where it begins."""
    below = layer - FIELDS
    if below == LAYERS and not plan[below + DROPS]:
        return vector_at(plan[X], plan[SAMPLES] * plan[layer + N_IN], workspace), 0
    return workspace, plan[below + Y]


@compiled
def prepare_input(plan: Array, workspace: Array, start: int, stop: int, sums: Array) -> None:
    """Rows start, ..., stop - 1 of the first layer's x: what the Dropout in front makes of them."""
    width = plan[LAYERS + UNITS]
    begin, end = start * width, stop * width
    given = vector_at(plan[X], plan[SAMPLES] * width, workspace)[begin:end]
    if plan[LAYERS + DROPS]:
        step, least = np.uint32(plan[LAYERS + STEP]), np.uint32(plan[LAYERS + LEAST])
        first = skip_ahead(np.uint32(plan[LAYERS + FIRST]), step, begin)
        y = workspace[plan[LAYERS + Y] + begin : plan[LAYERS + Y] + end]
        sums[SQUARES] = dropout(given, step, first, least, workspace[plan[SCALES]], y)
    else:
        sums[SQUARES] = sum_of_squares(given)


@compiled
def forward(plan: Array, workspace: Array, k: int, start: int, stop: int, sums: Array) -> None:
    """Rows start, ..., stop - 1 of y of layer k, or columns if it lies by columns."""
    layer, n, theta = LAYERS + FIELDS * k, plan[SAMPLES], vector_at(plan[THETA], plan[WEIGHTS], workspace)
    x, x_at = input_of(plan, workspace, layer)
    n_in, units, W_at, f = plan[layer + N_IN], plan[layer + UNITS], plan[layer + W], plan[GEMM]
    by_rows, x_by_rows = plan[layer + BY_ROWS] != 0, plan[layer - FIELDS + BY_ROWS] != 0
    lines, across = stop - start, units if by_rows else n
    at, apart = plan[layer + Y] + start * across, n_in if x_by_rows else n
    if by_rows:
        x_at += start * n_in if x_by_rows else start
        gemm(f, not x_by_rows, False, lines, units, n_in, x, x_at, apart,
             theta, W_at, units, workspace, at, units)  # fmt: skip
    else:
        gemm(f, True, x_by_rows, lines, n, n_in, theta, W_at + start, units, x, x_at, apart, workspace, at, n)
    found, bias = workspace.dtype.type(0), theta[plan[layer + B] :][:units]
    relu, drops, scale = plan[layer + RELU] != 0, plan[layer + DROPS], workspace[plan[SCALES] + k]
    step, first = np.uint32(plan[layer + STEP]), np.uint32(plan[layer + FIRST])
    least = np.uint32(plan[layer + LEAST])
    for i in range(start, stop):
        line, b = workspace[at : at + across], bias if by_rows else bias[i:]
        at += across
        if not drops:
            found += add_bias(line, b, by_rows, relu)
        elif by_rows:
            begin = skip_ahead(first, step, i * units)
            found += add_bias_relu_dropout(line, b, True, step, begin, least, scale)
        else:
            below, begin = skip_ahead(np.uint32(0), step, units), skip_ahead(first, step, i)
            found += add_bias_relu_dropout(line, b, False, below, begin, least, scale)
    sums[SQUARES + 2 * k] = found


@compiled
def backward(plan: Array, workspace: Array, k: int, start: int, stop: int, sums: Array) -> None:
    """Rows start, ..., stop - 1, or columns, of the gradient of what layer k - 1 computes before its ReLU."""
    layer, n, theta = LAYERS + FIELDS * k, plan[SAMPLES], vector_at(plan[THETA], plan[WEIGHTS], workspace)
    below, f, W_at, dy = layer - FIELDS, plan[GEMM], plan[layer + W], plan[layer + DY]
    n_in, units, by_rows = plan[layer + N_IN], plan[layer + UNITS], plan[layer + BY_ROWS] != 0
    lines, across, apart = stop - start, n_in if plan[below + BY_ROWS] else n, units if by_rows else n
    begin, dx_at, size = start * across, plan[below + DY] + start * across, lines * across
    if plan[below + BY_ROWS]:
        dy += start * units if by_rows else start
        gemm(f, not by_rows, True, lines, n_in, units, workspace, dy, apart,
             theta, W_at, units, workspace, dx_at, n_in)  # fmt: skip
    else:
        W_at += start * units
        gemm(f, False, by_rows, lines, n, units, theta, W_at, units,
             workspace, dy, apart, workspace, dx_at, n)  # fmt: skip
    dx = workspace[dx_at : dx_at + size]
    if plan[below + RELU]:
        y = workspace[plan[below + Y] + begin :][:size]
        found = relu_grad(dx, y, workspace[plan[SCALES] + k - 1])
    else:
        found = sum_of_squares(dx)
    sums[SQUARES + 2 * k - 1] = found


@compiled
def loss(plan: Array, workspace: Array, start: int, stop: int, sums: Array) -> None:
    """Softmax cross-entropy of rows start, ..., stop - 1, its gradient, and the hits."""
    k, n = plan[LAYER_COUNT], plan[SAMPLES]
    layer = LAYERS + FIELDS * k
    ids, classes = vector_at(plan[IDS], n, plan), plan[layer + UNITS]
    one, squares = workspace.dtype.type(1), workspace.dtype.type(0)
    value, hits, share = 0.0, 0, one / workspace.dtype.type(n)
    for i in range(start, stop):
        z = workspace[plan[layer + Y] + i * classes :][:classes]
        d = workspace[plan[layer + DY] + i * classes :][:classes]
        top, best, chosen = z[0], 0, ids[i]
        for j in range(1, classes):
            if z[j] > top or z[j] != z[j]:
                top, best = z[j], j
        for j in range(classes):
            d[j] = z[j] - top
        known = 0 <= chosen < classes
        if known:
            value -= d[chosen]
            hits += chosen == best
        exponentials(d)
        s = total(d)
        value += np.log(s)
        scale = one / (s * workspace.dtype.type(n))
        for j in range(classes):
            d[j] *= scale
        if known:
            d[chosen] -= share
        squares += relu_grad(d, z, workspace[plan[SCALES] + k]) if plan[layer + RELU] else sum_of_squares(d)
    sums[LOSS], sums[HITS], sums[SQUARES + 2 * k + 1] = value, hits, squares


@compiled
def sums_of(plan: Array, workspace: Array, i: int) -> Array:
    """Where part i leaves what it has added up."""
    width = SQUARES + 2 * (plan[LAYER_COUNT] + 1)
    return workspace[plan[SUMS] + i * width :][:width]


@compiled
def gradient(plan: Array, workspace: Array, i: int, thread: int) -> tuple[int, Array]:
    """-> the first of the weights of part i, and their gradient: rows of that of W, or that of b."""
    part, n, f = plan[PARTS] + PART * i, plan[SAMPLES], plan[GEMM]
    layer, start, stop = LAYERS + FIELDS * plan[part + LAYER], plan[part + START], plan[part + STOP]
    n_in, units, by_rows = plan[layer + N_IN], plan[layer + UNITS], plan[layer + BY_ROWS] != 0
    at, dy, apart = plan[SCRATCH] + thread * plan[SCRATCH_SIZE], plan[layer + DY], units if by_rows else n
    if start == BIAS:
        gemm(f, False, not by_rows, 1, units, n, workspace, plan[ONES], n,
             workspace, dy, apart, workspace, at, units)  # fmt: skip
        return plan[layer + B], workspace[at : at + units]
    (x, x_at), x_by_rows = input_of(plan, workspace, layer), plan[layer - FIELDS + BY_ROWS] != 0
    x_at, x_apart = (x_at + start, n_in) if x_by_rows else (x_at + start * n, n)
    lines = stop - start
    gemm(f, x_by_rows, not by_rows, lines, units, n, x, x_at, x_apart,
         workspace, dy, apart, workspace, at, units)  # fmt: skip
    return plan[layer + W] + start * units, workspace[at : at + lines * units]
