"""The backends a test runs on, and the account of what was skipped."""

import gc
import os
import random
import re
import tempfile
from pathlib import Path

import pytest

# Libraries keep caches in the home folder, and some cannot be imported without it. Set before they are.
if not os.access(os.path.expanduser("~"), os.W_OK):
    os.environ["HOME"] = tempfile.mkdtemp(prefix="xpnn-tests-")

# Thousands of small functions are compiled once and run once: XLA need not optimise them, and its older emitters
# compile them in a third of the time. Set before JAX is imported.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)

import digits_once
import marked_sections
import no_network
import proof_table as proofs
import quick_jax
from cases import LAYERS, LOSSES, METRICS, OPTIMIZERS, Case, LossCase
from harness import MODES, inside, open_backend

from xpnn.cli import run
from xpnn.errors import BackendError
from xpnn.kernels import Kernels

no_network.stay()
digits_once.arrange()

# JAX keeps what it compiled: millions of objects, which the collector need not walk through every few tests.
gc.set_threshold(100_000, 50, 100)

LIBRARIES = "numba|torch|jax|keras|sklearn|scipy|onnx"
LIBRARIES += "|starlette|uvicorn|playwright|psutil"
LIBRARIES += "|mpi4py|h5py|zarr|psycopg2|pymysql|grpc"
LIBRARIES += "|pyarrow|onnxruntime|cupy|pooch|optuna|tensorboardX|matplotlib|pandas|joblib"
SKIPS = {
    r"backend cupy: ": 5600,
    r"backend torch: .* not installed": 5600,
    r"backend jax: .* not installed": 5600,
    r"could not import 'xpnn.backends.cpu.fast'": 5600,
    rf"could not import '({LIBRARIES})(\.[\w.]+)?'": 160,
    r"jax is not installed": 2,
    r"(?i)fashion-mnist": 20,
    r"an NVIDIA driver is here": 3,
    r"cuBLASLt is not installed": 42,
    r"no glibc": 1,
    r"g\+\+ is not installed": 1500,
    r"a C compiler is not installed": 240,
    r"node is not installed": 10,
    r"mpiexec is not installed": 60,
    r"(PostgreSQL|MariaDB) is not installed": 8,
    r"nvidia-cuda-nvrtc is not installed": 80,
    r"(bash|zsh|fish) is not installed": 3,
}
"""Why a test may be skipped, and how many may be: a library that is there but broken is no reason."""


@pytest.fixture(scope="module", params=MODES)
def mode(request):
    """The name of a way to run, once its library is known to be there."""
    try:
        open_backend(request.param, "float64")
    except BackendError as error:
        pytest.skip(f"backend {request.param}: {error.what}")
    return request.param


@pytest.fixture
def be(mode):
    """The backend in float64, inside its scope."""
    with inside(mode, "float64") as backend:
        yield backend


@pytest.fixture(params=["float64", "float32"])
def any_be(mode, request):
    """The backend in each dtype, inside its scope."""
    with inside(mode, request.param) as backend:
        yield backend


@pytest.fixture
def xp(capsys):
    """xp("train", ...) -> exit code, stdout, stderr."""

    def call(*args):
        code = run([str(arg) for arg in args])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


IDLE = {
    "test_memory_layout_does_not_matter": ("jax", "readonly"),
    "test_threads_give_the_same_bits": ("jax", "readonly"),
    "test_calls_may_interleave_and_caches_are_not_used_up": ("jax",),
    "test_one_row_equals_its_batch": ("jax", "readonly"),
    "test_gradient_is_the_derivative": ("jax", "strict", "readonly"),
    "test_without_dx_the_gradients_are_the_same": ("jax", "readonly"),
    "test_saved_and_loaded_elsewhere_it_is_the_same": ("jax", "fast", "readonly"),
}
"""Ways to run in which a row would cost time and show nothing.

A JAX array has no strides and cannot be written to; its layers are those of the other libraries, and each call is
compiled anew. NumPy whose arrays are read-only computes as NumPy does. A model that is loaded is on NumPy as the user
has it, whichever way was asked. On JAX and array-api-strict the gradients are held to NumPy's, in float64 too, and
NumPy's to finite differences.
"""


TWICE = (
    "test_plan_dtype_and_values_hold_and_inputs_stay",
    "test_an_evaluation_gets_the_loss_and_the_hits",
    "test_it_is_the_loss_and_its_gradient",
    "test_an_optimizer_equals_numpys_and_keeps_the_dtype",
    "test_a_metric_equals_numpys_and_its_counts_add_up",
)
"""JAX compiles every row for both dtypes: all rows run in float32, where a dtype that grows shows; one of each class in
float64 as well."""
ROWS = {"case": [*LAYERS, *LOSSES], "optimizer": OPTIMIZERS, "metric": METRICS}


def object_of(row):
    """The layer or loss of a case; an optimizer or a metric is a row itself."""
    match row:
        case Case():
            return row.layer
        case LossCase():
            return row.loss
    return row


def is_first_of_its_class(params):
    """Whether no row before it is of the same class."""
    name, rows = next((name, rows) for name, rows in ROWS.items() if name in params)
    kind = type(object_of(params[name]))
    return params[name] == next(row for row in rows if type(object_of(row)) is kind)


def is_idle(item):
    """Whether a test would show nothing: those above, and a kernel that a backend takes as it is against itself."""
    name, params = getattr(item, "originalname", ""), getattr(item, "callspec", None) and item.callspec.params
    if name in IDLE:
        return params["mode"] in IDLE[name]
    if name in TWICE and (params["mode"], params["any_be"]) == ("jax", "float64"):
        return not is_first_of_its_class(params)
    if name != "test_override_equals_the_reference" or params["mode"] == "cupy":
        return False
    try:
        backend = type(open_backend(params["mode"], "float64"))
    except (BackendError, pytest.skip.Exception):
        return False
    return getattr(backend, params["name"]) is getattr(Kernels, params["name"])


def pytest_collection_modifyitems(config, items):
    """Leaves out what would show nothing. --shuffle: the files in another order, and in each its tests."""
    idle = {item for item in items if is_idle(item)}
    items[:] = [item for item in items if item not in idle]
    config.hook.pytest_deselected(items=list(idle))
    if seed := config.getoption("--shuffle"):
        order = random.Random(seed)
        place = {path: order.random() for path in dict.fromkeys(item.path for item in items)}
        order.shuffle(items)
        items.sort(key=lambda item: place[item.path])


@pytest.hookimpl(trylast=True)
def pytest_collection_finish():
    """Fifty thousand tests stay until the end: the garbage collector need not look at them each time."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser):
    parser.addoption(
        "--shuffle", metavar="SEED", help="run the tests in another order, which the seed decides"
    )
    parser.addoption("--table", metavar="FILE", help="write what proves each public class to FILE")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    quick_jax.arrange()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    proofs.USED.clear()
    result = yield
    if proof := proofs.proof_of(item):
        item.user_properties.append(("proof", proof))
    return result


def skipped(terminalreporter):
    """{pattern: how many}; reasons that no pattern allows count under themselves."""
    counts = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        pattern = next((p for p in SKIPS if re.search(p, reason)), reason)
        counts[pattern] = counts.get(pattern, 0) + 1
    return counts


def pytest_terminal_summary(terminalreporter):
    passed = terminalreporter.stats.get("passed", [])
    faults = sum(name == "fault" for report in passed for name, _ in report.user_properties)
    if faults:
        terminalreporter.write_line(f"planted faults caught: {faults}")
    found = proofs.gather(passed)
    samples = sum(proof.samples for proof in found.values())
    if samples:
        terminalreporter.write_line(f"comparisons with an independent oracle: {samples}")
    if path := terminalreporter.config.getoption("--table"):
        marked_sections.put(Path(path), "proofs: ci/coverage", proofs.table(found))
    for pattern, count in skipped(terminalreporter).items():
        allowed = SKIPS.get(pattern, 0)
        over = "" if count <= allowed else "  <- more than allowed: the session fails"
        terminalreporter.write_line(f"skipped {count} (at most {allowed}): {pattern}{over}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    too_many = any(count > SKIPS.get(pattern, 0) for pattern, count in skipped(reporter).items())
    if too_many and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
