"""Training steps of a chain of Dense, ReLU and Dropout as one compiled call, which a few threads share.

Between two products of OpenBLAS its threads wait for each other, and what one thread writes in between the other has
to fetch. Here each thread multiplies by itself, and what is between the products is done where they were. The gradient
of a large matrix is never whole: the weights of a block are updated as soon as their gradient is there.
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.chain import Chain
from xpnn.backends.cpu import planned as kernel_by_kernel
from xpnn.backends.cpu import step_loops as loops
from xpnn.backends.cpu import step_parts
from xpnn.backends.cpu.blas import address_of_yield
from xpnn.backends.cpu.draws import least_word
from xpnn.backends.cpu.gemm import address_of_gemm
from xpnn.backends.cpu.predictions import usual_threads
from xpnn.backends.cpu.team import LINE, TEAM, Arrays, words_to_share
from xpnn.backends.cpu.updates import LAST
from xpnn.kernels import Array
from xpnn.kernels.counter import WORD, counters
from xpnn.random import Key

MANY_ROWS, MOST_ROWS = 128, 1024
"""Rows of a batch for each thread from which on parts are rows, and how many a part has at most."""
UNITS = 16
"""A part of a layer has a multiple of so many columns."""
BLOCK = {"descent": 1 << 19, "momentum": 1 << 18, "adam": 1 << 18}
"""Weights that are updated at a time while a batch is small, so that their gradients stay in the cache."""
FEW = 128
"""Samples up to which it is: for more, products of blocks take longer than that gains."""
MOST_THREADS = 4
"""For more threads the parts would become too small."""
APART = 16
"""Numbers of a line of the cache, or of two in float64."""
SIZES = 2
"""The plans of so many sizes of batches are kept: the usual one, and that of an epoch's last batch."""


class Part(NamedTuple):
    """What computes it, of which layer, and of which rows, units or inputs."""

    compute: Callable[..., None]
    layer: int
    start: int
    stop: int


class Stage(NamedTuple):
    """Dense number i of the chain, or None: what comes in. Whether ReLU follows, and key and rate of a Dropout."""

    i: int | None
    relu: bool = False
    key: Key | None = None
    rate: float = 0.0


def stages_of(chain: Chain) -> list[Stage] | None:
    """What comes in and each Dense, with the Dropout behind it; None where one is elsewhere, or drops all."""
    found = [Stage(None)]
    for i, rate, relu in chain.parts:
        last = found[-1]
        if rate is None:
            found.append(Stage(i, relu))
        elif rate:
            if last.key is not None or least_word(rate) > WORD or not (last.relu or last.i is None):
                return None
            found[-1] = last._replace(key=(chain.seed, i), rate=rate)
    return found


def layer_at(k: int) -> int:
    """Where in the plan layer k is."""
    return loops.LAYERS + loops.FIELDS * k


def parts_of(compute: Callable[..., None], layer: int, n: int, count: int, least: int = 1) -> list[Part]:
    """0, ..., n - 1 as at most `count` parts of about the same length, multiples of `least` but for the last."""
    whole = -(-n // least)
    count = max(1, min(count, whole))
    ends = [min(n, least * (whole * k // count)) for k in range(count + 1)]
    return [Part(compute, layer, *pair) for pair in itertools.pairwise(ends)]


class WorkspaceLayout:
    """How much of the workspace is taken. What different threads write lies in different lines of the cache."""

    def __init__(self) -> None:
        self.size = 0

    def take(self, size: int) -> int:
        """Where so many numbers begin."""
        first = self.size
        self.size += -(-size // APART) * APART
        return first


class CompiledPlan:
    """Steps for n samples on so many threads: what the loops read of the network, and memory for what lies between."""

    def __init__(self, be: Backend, chain: Chain, stages: list[Stage], n: int, threads: int) -> None:
        self.n, self.threads, self.stages, self.layout = n, threads, stages, chain.layout
        self.optimizer, (self.rule, self.settings) = chain.optimizer.optimizer, chain.optimizer.loop
        self.vectors: tuple[Array | None, ...] = ()
        self.shapes = [chain.layout.named[f"{stage.i}.W"].shape for stage in stages[1:]]
        self.by_rows = n >= MANY_ROWS * threads
        self.dropouts = [(layer_at(k), stage.key) for k, stage in enumerate(stages) if stage.key is not None]
        self.arrays = self.lay_out(be.dtype, self.phases())

    def lay_out(self, dtype: Any, phases: list[list[Part]]) -> Arrays:
        """The plan and the workspace, for these phases."""
        parts = [part for phase in phases for part in phase]
        workspace, count = WorkspaceLayout(), len(self.stages)
        at_parts = layer_at(count)
        at_phases = at_parts + loops.PART * len(parts)
        at_sync = -(-(at_phases + len(phases) + 1) // LINE) * LINE
        workspace.take(loops.NUMBERS)
        width = loops.SQUARES + 2 * count
        sums, scales, ones = (workspace.take(size) for size in (len(parts) * width, count, self.n))
        self.totals = sums + width * sum(map(len, phases[:-2]))
        layers, largest = self.layers(workspace), max(self.gradient_count(part) for part in phases[-1])
        scratch = [workspace.take(largest) for _ in range(self.threads)]
        words = {
            loops.SAMPLES: self.n, loops.WEIGHTS: self.layout.size["theta"], loops.LAYER_COUNT: len(self.shapes),
            loops.SUMS: sums, loops.SCALES: scales, loops.ONES: ones, loops.PARTS: at_parts,
            loops.PHASES: at_phases, loops.PHASE_COUNT: len(phases), loops.SYNC: at_sync,
            loops.GEMM: address_of_gemm(dtype), loops.YIELD: address_of_yield(), loops.SCRATCH: scratch[0],
            loops.SCRATCH_SIZE: workspace.size - scratch[-1], loops.WORKSPACE: workspace.size, **layers,
        }  # fmt: skip
        plan = np.zeros(at_sync + words_to_share(len(phases), len(parts)), np.int64)
        for at, word in words.items():
            plan[at] = word
        for at, part in zip(range(at_parts, at_phases, loops.PART), parts, strict=True):
            plan[at : at + loops.PART] = step_parts.address_of(part.compute, dtype), *part[1:]
        plan[at_phases : at_phases + len(phases) + 1] = np.cumsum([0, *map(len, phases)])
        numbers = np.zeros(plan[loops.WORKSPACE], dtype)
        numbers[ones : ones + self.n] = 1
        numbers[scales : scales + count] = [1 / (1 - stage.rate) for stage in self.stages]
        return Arrays(plan, numbers)

    def layers(self, workspace: WorkspaceLayout) -> dict[int, int]:
        """What the plan says of each layer, where its y and the gradient of that are in the workspace included."""
        words = dict[int, int]()
        for k, stage in enumerate(self.stages):
            n_in, units = self.shapes[k - 1] if k else (0, self.shapes[0][0])
            layer = {
                loops.N_IN: n_in, loops.UNITS: units, loops.RELU: stage.relu, loops.DROPS: stage.key is not None,
                loops.LEAST: least_word(stage.rate), loops.BY_ROWS: self.by_rows or k in (0, len(self.shapes)),
                loops.Y: workspace.take(self.n * units if k or stage.key else 0),
                loops.DY: workspace.take(self.n * units if k else 0),
            }  # fmt: skip
            if k:
                layer[loops.W], layer[loops.B] = (self.layout.slots[f"{stage.i}.{name}"][1] for name in "Wb")
            words |= {layer_at(k) + at: int(word) for at, word in layer.items()}
        return words

    def gradient_count(self, part: Part) -> int:
        """How many gradients a part that updates weights computes."""
        units = int(self.shapes[part.layer - 1][1])
        return units if part.start == loops.BIAS else (part.stop - part.start) * units

    def bind(self, theta: Array, state: dict[str, Any]) -> bool:
        """Read and write these weights, and the vectors of the rule in `state`; False where the loops cannot."""
        decay = state["decay"] if self.optimizer.penalised else None
        vectors = theta, decay, *self.optimizer.vectors(theta, state)[1:]
        if len(vectors) == len(self.vectors) and all(map(operator.is_, vectors, self.vectors)):
            return True
        plan = self.arrays.plan
        size, dtype = plan[loops.WEIGHTS], self.arrays.workspace.dtype
        if not all(a is None or (a.flags.carray and a.size == size and a.dtype == dtype) for a in vectors):
            return False
        self.vectors = vectors  # which keeps them where they are
        for at, vector in enumerate(vectors, loops.THETA):
            plan[at] = 0 if vector is None else vector.ctypes.data
        return True

    def phases(self) -> list[list[Part]]:
        """What can be computed at the same time, one after the other."""
        n, threads, last = self.n, self.threads, len(self.shapes)
        if self.by_rows:
            count = threads * math.ceil(n / threads / MOST_ROWS)
            found = [parts_of(step_parts.rows_part, 0, n, count)]
        else:
            found = [parts_of(step_parts.input_part, 0, n, threads)]
            for k, (_, units) in enumerate(self.shapes[:-1], 1):
                found.append(parts_of(step_parts.forward_part, k, units, threads, UNITS))
            found.append(parts_of(step_parts.forward_part, last, n, threads))
            for k in range(last, 1, -1):
                found.append(parts_of(step_parts.backward_part, k, self.shapes[k - 1][0], threads, UNITS))
        return [*found, [Part(step_parts.check_part, 0, 0, 0)], self.updates()]

    def updates(self) -> list[Part]:
        """The parts that update weights, the largest first, so that threads end at about the same time."""
        found, compute = [], step_parts.UPDATES[self.rule]
        for k, (n_in, units) in enumerate(self.shapes, 1):
            blocks = math.ceil(n_in * units / BLOCK[self.rule] / self.threads) if self.n <= FEW else 1
            found += parts_of(compute, k, n_in, blocks * self.threads, UNITS)
            found.append(Part(compute, k, loops.BIAS, 0))
        return sorted(found, key=self.gradient_count, reverse=True)

    def step(self, state: dict[str, Any], x: Array, ids: Array) -> tuple[Any, Any] | None:
        """-> the loss and the hits, and weights are updated; None, and nothing is changed, where they must not be."""
        plan, workspace = self.arrays.plan, self.arrays.workspace
        own, t, lr = self.optimizer, int(state["t"]), float(state["lr"])
        for layer, key in self.dropouts:
            plan[layer + loops.STEP], plan[layer + loops.FIRST] = counters(key, t)
        numbers = 1.0, lr * own.weight_decay, own.l2, own.l1, *LAST[self.rule](t + 1, lr, self.settings)
        workspace[: len(numbers)] = numbers
        TEAM.step(self.arrays, x.reshape(-1), ids, self.threads)
        if not plan[loops.FINITE]:
            return None
        total, hits = workspace[self.totals : self.totals + loops.SQUARES]
        return np.asarray(total / workspace.dtype.type(self.n)), np.int64(hits)


def planned(be: Backend, step: Callable[..., Any], chain: Chain) -> Callable[..., Any]:
    """The step by a plan for the size of its batch; by `step` where the batch is another one or it is not finite."""
    stages, by_kernels = stages_of(chain), kernel_by_kernel.planned(be, step, chain)
    if stages is None or address_of_gemm(be.dtype) is None or address_of_yield() is None:
        return by_kernels
    plan_of = functools.lru_cache(SIZES)(functools.partial(CompiledPlan, be, chain, stages))
    features = chain.layout.named[f"{stages[1].i}.W"].shape[0]

    def by_plan(
        theta: Array, phi: Array, state: dict[str, Any], x: Any, y: Any, weight: Array | None = None
    ) -> Any:
        n, threads = len(y), usual_threads()
        if threads > MOST_THREADS:
            return by_kernels(theta, phi, state, x, y, weight)
        rows = x.reshape(n, -1) if chain.flattens and len(x) == n > 0 else x
        if not (weight is None and is_batch(rows, y, (n, features), be.dtype) and state["ok"]):
            return step(theta, phi, state, x, y, weight)
        plan = plan_of(n, threads)
        if not plan.bind(theta, state):
            return step(theta, phi, state, x, y, weight)
        found = plan.step(state, np.ascontiguousarray(rows), np.ascontiguousarray(y))
        if found is None:
            return step(theta, phi, state, x, y, weight)
        state = {**state, "t": state["t"] + 1}
        return found if chain.counts_hits else found[0], theta, phi, state

    return by_plan


def is_batch(x: Any, y: Any, shape: tuple[int, int], dtype: Any) -> bool:
    """Whether these are samples and ids that the loops can read."""
    return bool(
        x.shape == shape and x.dtype == dtype and y.ndim == 1 and y.dtype == np.int64 and x.flags.aligned
    )
