"""The test suite, selected to backend cupy: whatever its rows ask of a backend."""

import collections
import importlib.util
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.gpu.site import Site

FILES = (
    "backends/test_numerics.py",
    "backends/test_kernels.py",
    "backends/test_backends_agree.py",
    "layers/test_normal_cdf.py",
    "optimizers/test_optimizer_rows.py",
    "losses/test_loss_rows.py",
    "layers/test_masks.py",
    "losses/test_multi_output.py",
    "layers/test_ids.py",
    "training/test_trainer.py",
    "layers/test_graph.py",
    "optimizers/test_lbfgs.py",
    "layers/test_attention.py",
    "layers/test_layers.py",
)
"""What tells most comes first."""
WORKERS = 12
EVERY = 1.0
"""Seconds between two looks at the counts."""
REASONS = 5
"""Why steps went on without a graph: the most that are printed."""
WITHOUT = "without a CUDA graph, operation by operation: "
FAILURES = 40
"""The most failures that are printed one by one."""


def run(place: Site, note: Callable[..., None]) -> None:
    os.environ["JAX_PLATFORMS"] = "cpu"  # the suite asks JAX too, while it collects; the GPU is CuPy's
    spread = ["-n", str(WORKERS), "--dist", "worksteal"]
    files, chosen = place.pick((FILES, "cupy"), (("layers/test_ids.py",), "numpy"))
    counter = Counter(note)
    # Warnings of other versions of the libraries are the ordinary suite's business.
    options = ["-q", "-p", "no:cacheprovider", "-W", "default", "--tb=short", "-k", chosen]
    options += place.pick(spread if importlib.util.find_spec("xdist") else [], [])
    code = pytest.main([*options, *(f"tests/{name}" for name in files)], plugins=[counter])
    counter.tell(final=True)
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        note(name="pytest", ok=False, why=f"exit code {int(code)}, see log.txt")


class Counter:
    """A pytest plugin that keeps the report up to date: what was passed when the time ran out is known."""

    def __init__(self, note: Callable[..., None]) -> None:
        self.note, self.counts, self.failures = note, {"passed": 0, "failed": 0, "skipped": 0}, 0
        self.tests, self.reported, self.reasons = 0, 0.0, collections.Counter[str]()

    def pytest_collection_finish(self, session: Any) -> None:
        """Without workers: how many there are."""
        self.tests = max(self.tests, len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """With workers, each has collected them all."""
        self.tests = len(ids)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """One test, or an error before or after it."""
        if report.when != "call" and report.outcome == "passed":
            return
        self.counts[report.outcome] += 1
        if report.outcome == "failed":
            self.failures += 1
            if self.failures <= FAILURES:
                self.note(
                    name=report.nodeid, ok=False, why=str(report.longrepr).strip().splitlines()[-1][:300]
                )
        if time.monotonic() > self.reported + EVERY:
            self.tell()

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """A step that could not be recorded is no failure, but has to be known."""
        _, reported, reason = str(warning_message.message).partition(WITHOUT)
        if reported:
            self.reasons[reason[:200]] += 1
            self.note(key="reasons", name="without a graph", reasons=dict(self.reasons.most_common(REASONS)))

    def tell(self, final: bool = False) -> None:
        """The counts so far; in the end, whether all tests passed."""
        self.reported = time.monotonic()
        ok = self.counts["failed"] == 0 < self.counts["passed"] if final else None
        self.note(key="counts", name="all tests", ok=ok, tests=self.tests, **self.counts)
