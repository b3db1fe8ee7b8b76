"""The stages of `ci/gpu` on NumPy: every line of them that needs no GPU runs here first."""

import ast
import importlib
import json
import subprocess
import warnings

import numpy as np
import pytest
from purity_lint import path_of

import xpnn
from benchmarks.gpu import device, rehearsal
from benchmarks.gpu.__main__ import ROOT
from benchmarks.gpu.child import main
from benchmarks.gpu.nets import Cell
from benchmarks.gpu.plan import STAGES
from benchmarks.gpu.runner import REFUSED
from benchmarks.gpu.site import Refused, Site
from benchmarks.gpu.stages import (
    accuracy,
    capture,
    command,
    conformance,
    kernels,
    memory,
    reductions,
    replay,
    sanitizer,
)
from xpnn.backends.cuda.capture import Captured
from xpnn.models.mlp import mlp

HERE = ROOT / "benchmarks" / "gpu"
FILES = sorted(HERE.rglob("*.py"))


@pytest.fixture
def rehearse(tmp_path, monkeypatch):
    """rehearse("capture") -> exit code, rows."""
    monkeypatch.chdir(ROOT)

    def call(name):
        code = main(name, str(tmp_path / "rows"), "60", "--rehearse")
        return code, [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]

    return call


def test_every_stage_of_the_plan_has_a_module():
    for stage in STAGES:
        assert callable(importlib.import_module(f"benchmarks.gpu.stages.{stage.name}").run)
    assert {file.stem for file in (HERE / "stages").glob("[a-z]*.py")} == {stage.name for stage in STAGES}


TRAINS = pytest.param("command", marks=pytest.mark.slow)
CHECKS = ["reductions", "kernels", "capture", "replay", "cublaslt", "memory", TRAINS]


@pytest.mark.parametrize("name", CHECKS)
def test_a_rehearsal_finds_nothing_wrong_with_numpy(rehearse, name):
    code, rows = rehearse(name)
    assert code == 0
    assert rows
    assert [row for row in rows if row.get("ok") is not True] == []


def test_a_stage_that_cannot_run_says_why(rehearse, monkeypatch):
    def run(place, note):
        raise Refused("no such tool")

    monkeypatch.setattr(capture, "run", run)
    assert rehearse("capture") == (REFUSED, [{"refused": "no such tool"}])


# The checks find what they are for


def test_a_maximum_that_loses_nan_is_found():
    class Wrong:
        xp = type("xp", (), {"max": staticmethod(np.fmax.reduce)})

        def asarray(self, a):
            return a

        to_numpy = asarray

    with np.errstate(all="ignore"):
        assert any("nan" in line for line in reductions.faults(Wrong(), "max"))


def test_what_a_kernel_leaves_unwritten_is_found():
    whole = np.ones((3, 4))
    assert kernels.distance(whole, whole) == 0
    holed = whole.copy()
    holed[2, 3] = np.nan
    assert kernels.distance(holed, whole) == np.inf
    assert kernels.distance(whole[:2], whole) == np.inf


def test_poison_reaches_every_block_and_every_byte():
    filled = []

    class Block:
        def memset_async(self, value, size, stream):
            filled.append((value, size))

    class Pool:
        def malloc(self, size):
            return Block()

    class Cuda(rehearsal.cuda.__class__):
        MemoryPool = Pool
        get_current_stream = staticmethod(lambda: "stream")

        @staticmethod
        def using_allocator(malloc):
            Cuda.malloc = staticmethod(malloc)
            return rehearsal.using_allocator(malloc)

    fake = type("cp", (), {"cuda": Cuda()})
    with device.poisoned(fake):
        Cuda.malloc(512)
        Cuda.malloc(0)
    assert filled == [(0xFF, 512)]


class Breaking(rehearsal.Stream):
    """Its captures end like those of a stream that was invalidated."""

    def end_capture(self):
        super().end_capture()
        raise RuntimeError("invalidated")


@pytest.mark.parametrize("stream", [rehearsal.Stream(), Breaking()])
def test_a_refused_capture_raises_its_reason_and_ends_the_capture(stream):
    def step():
        raise NotImplementedError("no cuBLAS here")

    with pytest.raises(NotImplementedError, match="no cuBLAS here"):
        device.capture(stream, step)
    assert not stream.is_capturing()


def test_a_graph_with_other_values_is_no_legal_one():
    """The stand-in's graphs do nothing, so a replay shows the values of the capture."""
    x = np.ones((2, 3), np.float32)
    assert capture.probe(rehearsal, x, lambda: x + 1)[0] == "other values"
    assert capture.probe(rehearsal, x, lambda: np.zeros(3))[0] == "legal"

    def refused():
        if refused.calls:
            raise RuntimeError("capturing")
        refused.calls += 1

    refused.calls = 0
    assert capture.probe(rehearsal, x, refused) == ("refused", "RuntimeError: capturing")


class Forgetful(replay.Eager):
    """Its third step has no effect on the weights."""

    def step(self):
        kept = self.model.theta + 0
        value = super().step()
        if self.done == 3:
            self.model.theta = kept
        return value


def test_a_replay_that_differs_is_found_from_there_on(monkeypatch):
    which = Cell("12-8-3", 5, "fp32", 13)
    assert replay.compare(Site(True), which, xpnn.Adam(1e-3)) == []
    monkeypatch.setattr(replay, "Eager", Forgetful)
    wrong = replay.compare(Site(True), which, xpnn.Adam(1e-3))
    assert "theta after 17" in wrong
    assert {name.split()[-1] for name in wrong} == {"17"}


@pytest.mark.parametrize(
    ("code", "said", "row"),
    [
        (0, "========= ERROR SUMMARY: 0 errors", {"ok": True, "errors": 0}),
        (9, "========= ERROR SUMMARY: 3 errors", {"ok": False, "errors": 3}),
        (0, "========= RACECHECK SUMMARY: 2 hazards displayed", {"ok": False, "errors": 2}),
        (9, "========= RACECHECK SUMMARY: 1 hazard displayed", {"ok": False, "errors": 1}),
        (1, "========= Error: Device not supported.", {"refused": "========= Error: Device not supported."}),
        (1, "Traceback\nModuleNotFoundError: no", {"refused": "ModuleNotFoundError: no"}),
    ],
)
def test_what_a_sanitizer_says(code, said, row):
    assert sanitizer.verdict("memcheck", code, said) == {"name": "memcheck", **row}


def test_the_fit_that_counts_begins_where_a_fresh_model_does():
    """The first fit, which compiles, leaves nothing behind."""
    recipe = accuracy.Recipe(0, mlp, {"hidden": (4,)}, 3, 8, 1e-2)
    x, y = np.arange(40 * 12, dtype=np.uint8).reshape(40, 12), np.arange(40) % 3
    fresh = accuracy.trainer_of(Site(True), recipe, (12,), 7)
    fresh.fit(x, y, epochs=3, batch_size=8)
    used = accuracy.trainer_of(Site(True), recipe, (12,), 7)
    accuracy.timed(used, x, y, recipe)
    assert used.model.snapshot()["theta"].tobytes() == fresh.model.snapshot()["theta"].tobytes()
    assert len(used.history) == 3


@pytest.mark.parametrize(("seconds", "seeds"), [(1000, [10, 10, 10]), (26, [9, 9, 4]), (0, [1, 1, 1])])
def test_targets_share_the_time(monkeypatch, seconds, seeds):
    """A seed that takes a second of 26: the last target keeps some to spare, and each has at least one."""
    rows = []

    class Ticking(Site):
        def left(self):
            return seconds - self.used

        used = 0

    def train(place, *_):
        Ticking.used += 1
        return 97.0, 0.1, 0.2

    monkeypatch.setattr(accuracy, "train", train)
    accuracy.run(Ticking(False), lambda **row: rows.append(row))
    assert [row["seeds"] for row in rows] == seeds


def test_seeds_are_summed_up_and_a_target_missed_is_missed():
    recipe = accuracy.RECIPES[0]
    row = accuracy.summary(recipe, [(96.0, 1.0, 9.0), (97.5, 3.0, 7.0), (97.0, 2.0, 8.0)])
    assert (row["mean"], row["least"], row["seeds"]) == (pytest.approx(96.8333, abs=1e-4), 96.0, 3)
    assert (row["reached"], row["seconds"], row["first_s"]) == (False, (1.5, 2.0, 2.5), 8.0)


# The conformance suite


def test_the_files_of_the_conformance_suite_are_there():
    assert [name for name in conformance.FILES if not (ROOT / "tests" / name).exists()] == []


def test_tests_are_counted_as_they_end():
    rows = []
    counter = conformance.Counter(lambda **row: rows.append(row))

    def report(when, outcome, nodeid="test", longrepr=None):
        counter.pytest_runtest_logreport(
            type("Report", (), {"when": when, "outcome": outcome, "nodeid": nodeid, "longrepr": longrepr})
        )

    counter.pytest_xdist_node_collection_finished(None, ["a", "b", "c"])
    for outcome in ("passed", "passed", "failed"):
        report("setup", "passed")
        report("call", outcome, longrepr="E   first\nE   AssertionError: last")
    report("setup", "failed", "broken", "no fixture")
    report("setup", "skipped")
    counter.tell(final=True)
    events = [row for row in rows if row.get("key") != "counts"]
    assert [row["why"] for row in events] == ["E   AssertionError: last", "no fixture"]
    assert next(row["ok"] for row in rows if row.get("key") == "counts") is None  # not yet known
    counts = {"passed": 2, "failed": 2, "skipped": 1, "tests": 3}
    assert rows[-1] == {"key": "counts", "name": "all tests", "ok": False, **counts}


def test_steps_that_were_not_recorded_are_counted():
    rows = []
    counter = conformance.Counter(lambda **row: rows.append(row))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for reason in ("no cuBLAS", "no cuBLAS", "it asks the host"):
            telling = Captured(None, None)
            telling.warn_once(f"Error: {reason}")
        warnings.warn("something else", stacklevel=1)
    for one in caught:
        counter.pytest_warning_recorded(one)
    assert rows[-1]["reasons"] == {"Error: no cuBLAS": 2, "Error: it asks the host": 1}


# Names that only a GPU would look up


def attributes(file, root):
    """Every name with dots in a file that begins with `root`."""
    tree = ast.parse(file.read_text())
    found = {tuple(path_of(node)) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {path for path in found if path[0] == root}


def lacking(module, paths):
    """Those that the module does not have."""

    def has(path):
        owner = module
        for name in path[1:]:
            if not hasattr(owner, name):
                return False
            owner = getattr(owner, name)
            if owner is None or isinstance(owner, bool | int | str):
                break
        return True

    return sorted(".".join(path) for path in paths if not has(path))


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("library", "root"),
    [
        ("cupy", "cp"),
        ("torch", "torch"),
        ("torch.nn.functional", "functional"),
        ("jax", "jax"),
        ("jax.lax", "lax"),
    ],
)
def test_the_libraries_have_what_is_asked_of_them(library, root):
    module = pytest.importorskip(library)
    paths = {path for file in FILES for path in attributes(file, root)}
    assert paths
    assert lacking(module, paths) == []


@pytest.mark.oracle
def test_the_smallest_kernel_compiles():
    pytest.importorskip("cupy")
    nvrtc = importlib.import_module("test_against_nvrtc")
    if "nvidia-cuda-nvrtc" not in nvrtc.HERE:
        pytest.skip("nvidia-cuda-nvrtc is not installed")
    assert set(nvrtc.compiled(device.DOUBLE, "sm_90")) == {"twice"}


@pytest.mark.oracle
def test_the_stand_in_has_no_name_that_cupy_lacks():
    cupy = pytest.importorskip("cupy")
    for name in ("RawKernel", "ElementwiseKernel", "asnumpy", "show_config", "get_default_memory_pool"):
        assert hasattr(cupy, name)
        assert hasattr(rehearsal, name)
    assert [name for name in vars(rehearsal.cuda) if not hasattr(cupy.cuda, name)] == []
    for name in ("Stream", "Graph", "MemoryPool", "Event", "Device"):
        real = getattr(cupy.cuda, name)
        mine = {n for n in vars(getattr(rehearsal, name)) if not n.startswith("_")}
        assert {n for n in mine if not hasattr(real, n)} == set(), name
    mine = {name for name in vars(rehearsal.Pool) if not name.startswith("_")}
    assert {name for name in mine if not hasattr(cupy.cuda.MemoryPool, name)} == {"limit"}


def failures(rows):
    return [row["name"] for row in rows if not row["ok"]]


def test_memory_without_a_bound_is_found(monkeypatch):
    rows = []
    monkeypatch.setattr(rehearsal.Pool, "set_limit", lambda self, size: None)
    monkeypatch.setattr(memory, "SAMPLES", 2000)  # all fit
    memory.run(Site(True), lambda **row: rows.append(row))
    assert failures(rows) == ["said", "weights", "the size that fits"]


def test_memory_that_is_not_given_back_is_found(monkeypatch):
    used, rows, refusal = [0], [], memory.refusal

    def leaking(*given):
        used[0] += 1 << 22
        return refusal(*given)

    monkeypatch.setattr(memory, "refusal", leaking)
    monkeypatch.setattr(memory, "SAMPLES", 4000)
    monkeypatch.setattr(memory, "ROOM", 8 << 20)
    monkeypatch.setattr(memory, "SAID", [said.replace("20,000", "4,000") for said in memory.SAID])
    monkeypatch.setattr(rehearsal.Pool, "used_bytes", lambda self: used[0])
    memory.run(Site(True), lambda **row: rows.append(row))
    assert failures(rows) == ["freed"]


TRAINED = {"test_accuracy": 0.97, "accuracy": 0.97, "backend": "numpy", "predictions": [1]}


@pytest.mark.parametrize(
    ("faults", "wrong"),
    [
        ({}, []),
        ({"train": {"test_accuracy": 0.5}}, ["train"]),
        ({"train": {"backend": "torch"}}, ["train"]),
        ({"evaluate": {"accuracy": 0.9}}, ["evaluate"]),
        ({"predict": {"predictions": []}}, ["predict"]),
    ],
    ids=str,
)
def test_a_command_that_goes_wrong_is_found(monkeypatch, faults, wrong):
    rows = []

    def call(place, name, *words):
        return TRAINED | faults.get(name, {}), {"name": name, "ok": True, "why": ""}

    monkeypatch.setattr(command, "call", call)
    command.run(Site(True), lambda **row: rows.append(row))
    assert len(rows) == 4
    assert failures(rows) == wrong


def test_a_model_that_the_cpu_sees_otherwise_is_found():
    row = {"ok": True}
    assert command.same({"accuracy": 0.97}, {"accuracy": 0.9701}, row)["ok"]
    assert not command.same({"accuracy": 0.97}, {"accuracy": 0.96}, row)["ok"]
    assert not command.same({}, {}, row)["ok"]


@pytest.mark.parametrize(
    ("code", "said", "ok"),
    [
        (0, "epoch 1", True),
        (0, "RuntimeWarning: a step goes on without a CUDA graph: x", False),
        (3, "no GPU", False),
    ],
)
def test_a_step_that_was_not_recorded_is_no_success(monkeypatch, code, said, ok):
    program = subprocess.CompletedProcess([], code, '{"event": "start"}\n{"accuracy": 1}\n', said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: program)
    events, row = command.call(Site(True, until=np.inf), "train")
    assert row == {"name": "train", "ok": ok, "why": "" if ok else said}
    assert events == ({} if code else {"accuracy": 1})


def test_a_stage_is_given_its_time_limit():
    assert Site(True, until=np.inf).left() > 0
    assert Cell("12-8-3", 5, "fp32", 10).network.units == (8, 3)
