"""Stages of `ci/gpu` beyond a rehearsal: an imaginary device that captures, an imaginary library of products."""

import numpy as np
import pytest
from imaginary_device import TapeRecorder, WritingBackend

import xpnn
from benchmarks.gpu import rehearsal
from benchmarks.gpu.nets import Cell
from benchmarks.gpu.site import Site
from benchmarks.gpu.stages import cublaslt, replay
from xpnn.backends.cuda.cublaslt import SIGNATURES, WORKSPACE

WHICH = Cell("12-8-3", 5, "fp32", 13)
"""Batches of 5, 5 and 3."""


@pytest.fixture
def capturing(monkeypatch):
    """Models live on a device that captures."""
    backend = WritingBackend(capture=True)
    monkeypatch.setattr(Site, "backend", backend)


@pytest.mark.parametrize("optimizer", [xpnn.Adam(1e-3), xpnn.SGD(0.01, momentum=0.9)], ids=str)
def test_captured_steps_equal_eager_ones(capturing, optimizer):
    """With short batches, changed rates and another model's graphs in between."""
    assert replay.compare(Site(True), WHICH, optimizer) == []


def test_a_replay_that_misses_new_numbers_is_found(capturing, monkeypatch):
    """The learning rate reaches a graph by a copy: here only the first does."""
    copy, reached = TapeRecorder.copy, set()

    def once(self, target, source):
        if source.shape or source.dtype.kind != "f" or id(target) not in reached:
            copy(self, target, source)
        reached.add(id(target))

    monkeypatch.setattr(TapeRecorder, "copy", once)
    assert "theta after 17" in replay.compare(Site(True), WHICH, xpnn.Adam(1e-3))


def test_a_capture_that_is_refused_is_no_pass(capturing, monkeypatch):
    """Eager steps equal eager steps, which would prove nothing."""

    def room(self):
        raise NotImplementedError("no capture here")

    monkeypatch.setattr(TapeRecorder, "room", room)
    with pytest.raises(RuntimeWarning, match="no capture here"):
        replay.compare(Site(True), WHICH, xpnn.Adam(1e-3))


class Library:
    """Names five algorithms, two of which do not work here."""

    def create(self, kind):
        return kind

    def set(self, kind, owner, attribute, value):
        assert value.value == WORKSPACE

    def call(self, name, *args):
        ctypes_of = SIGNATURES[name]
        assert len(args) == len(ctypes_of)
        *_, many, found, count = args
        assert ctypes_of[-2].from_param(found)
        for i, state in enumerate((0, 15, 0, 0, 15)[:many]):
            found[i].state, found[i].waves = state, i
        count._obj.value = min(many, 5)


class Plan:
    lt, handle, work, first, second, result = Library(), None, None, None, None, None
    algorithm = "the first choice"


def test_every_algorithm_that_works_is_tried_and_the_first_choice_put_back():
    plan, used = Plan(), []
    row = cublaslt.tried(rehearsal, plan, lambda: used.append(plan.algorithm.waves))
    assert sorted(set(used)) == [0.0, 2.0, 3.0]
    assert len(row["algorithms_us"]) == 3
    assert row["first_over_best"] >= 1
    assert plan.algorithm == "the first choice"


def measured(**kernels):
    """The rows of the small network's products on NumPy with kernels of one's own."""
    be = type("Backend", (type(xpnn.get_backend()),), kernels)("cpu", "float32")
    return [cublaslt.measure(rehearsal, be, case, "fp32") for case in cublaslt.cases("12-8-3", 5)]


@pytest.mark.parametrize(("off", "ok"), [(0.0, True), (1e-4, False)])
def test_a_product_is_held_to_its_precision(off, ok):
    def matmul(self, a, b, out=None):
        return (a @ b) * np.float32(1 + off)

    def affine(self, x, W, b):
        return self.matmul(x, W) + b

    def affine_relu(self, x, W, b):
        return np.maximum(self.affine(x, W, b), 0)

    def affine_grads(self, x, W, dy, need_dx=True, relu_mask=None):
        dx = self.matmul(dy, W.T) * (1 if relu_mask is None else relu_mask > 0) if need_dx else None
        return dx, self.matmul(x.T, dy), dy.sum(0)

    rows = measured(matmul=matmul, affine=affine, affine_relu=affine_relu, affine_grads=affine_grads)
    assert [row["ok"] for row in rows] == [ok] * 7


class Unknowing:
    """Whatever it is asked for, it has no plan."""

    def __init__(self):
        self.plans = {}

    def __get__(self, be, cls):
        self.plans[len(self.plans)] = None
        return self


def test_a_product_that_the_library_lacks_is_reported():
    """With a bias or sums that is a finding, a bare one has to be known."""
    rows = measured(products=Unknowing())
    assert [row["ok"] for row in rows] == [None] * 5 + [False, None]
    assert {row["why"] for row in rows} == {"the library knows no algorithm"}
