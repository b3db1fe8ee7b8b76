"""What processes that share a batch send each other, which rows each computes, and how they are found: by threads."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from thread_ranks import by_threads

import xpnn
from xpnn.backends.share import Share
from xpnn.distributed import Communicator, connect
from xpnn.distributed.communicator import TEXT
from xpnn.distributed.compression import add_compressed, rounded, widened
from xpnn.distributed.shared_backend import (
    ReducingBackend,
    SyncBatchNormBackend,
    add_gradient,
    backend_for_share,
    reducing_backend,
)
from xpnn.distributed.shares import own_rows
from xpnn.errors import BackendError, UsageError

connecting = sys.modules["xpnn.distributed.connect"]
BE = xpnn.get_backend("numpy", dtype="float64")
FAST = xpnn.get_backend("numpy", dtype="float32")


def of_size(size, rank=0, **settings):
    group = Communicator()
    group.size, group.rank = size, rank
    for name, value in settings.items():
        setattr(group, name, value)
    return group


# Messages


def test_one_process_alone_needs_no_message():
    group, a = Communicator(), np.arange(3.0)
    group.add(a)
    group.broadcast(a)
    group.abort(3)
    assert a.tolist() == [0, 1, 2]
    assert group.exchange(a) is a
    assert group.collect(a).tolist() == [[0, 1, 2]]
    assert (group.any(True), group.any(False), group.each(2.5)) == (True, False, [2.5])
    assert (group.text("a word"), group.first_text("a word"), group.first_text("")) == (
        "a word",
        "a word",
        "",
    )
    assert (group.engine, group.equal_rows, group.rank, group.size, group.rows(7)) == (
        "none",
        False,
        0,
        1,
        (0, 7),
    )
    assert (group.batch_norm, group.compression, group.inside(BE)) == ("global", "", BE)
    group.check_same(["a"], [b"12345678"], "")
    assert group.all_rows(np.arange(6).reshape(3, 2), 3).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_sums_by_way_of_the_host():
    group = Communicator()
    for a in (np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3).T, np.broadcast_to(1.0, (2, 2))):
        seen = []
        group.add = seen.append
        assert np.array_equal(group.reduce(BE, a), a)
        (host,) = seen
        assert host.flags.carray
        assert np.shares_memory(host, a) is a.flags.carray


@pytest.mark.parametrize(
    ("size", "name", "compiled"),
    [(1, "cupy", True), (2, "cupy", False), (2, "torch", False), (2, "jax", True), (2, "numpy", True)],
)
def test_which_steps_of_several_processes_are_compiled(size, name, compiled):
    be = SimpleNamespace(name=name, compile=lambda f, **positions: (f, positions))
    found = of_size(size).compile(be, len, donated=(1,))
    assert found == ((len, {"donated": (1,)}) if compiled else len)


def test_what_ranks_tell_each_other():
    def told(group):
        r = group.rank
        return (
            group.any(r == 2), group.any(False), group.each(10.0 * r), group.text(f"of {r}", 1), group.text(f"of {r}"),
            group.first_text("" if r == 0 else f"first {r}"), group.first_text(""), group.first_text(f"each {r}"),
            group.text("ü" * TEXT), group.text(""),
        )  # fmt: skip

    wanted = (True, False, [0, 10, 20], "of 1", "of 0", "first 1", "", "each 0", "ü" * (TEXT // 2), "")
    assert by_threads(3, told) == [wanted] * 3


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 9])
def test_rows_of_all_ranks_make_the_whole(n):
    whole = np.arange(n * 4, dtype=np.float32).reshape(n, 2, 2)

    def gathered(group):
        first, stop = group.rows(n)
        return (first, stop), group.all_rows(whole[first:stop], n)

    found = by_threads(3, gathered)
    edges = [0, *(stop for (_, stop), _ in found)]
    assert [cut for cut, _ in found] == [(edges[r], edges[r + 1]) for r in range(3)]
    assert edges == [r * n // 3 for r in range(4)]
    for _, rows in found:
        assert (rows.dtype, rows.shape) == (whole.dtype, whole.shape)
        assert np.array_equal(rows, whole)


@pytest.mark.parametrize(
    ("digests", "message"),
    [
        ([(b"same-one", b"same-two")] * 3, ""),
        (
            [(b"same-one", b"same-two"), (b"same-one", b"other-two"), (b"same-one", b"same-two")],
            "rank 1 differs from rank 0 in b",
        ),
        ([(b"same-one", b"x"), (b"other", b"y"), (b"third", b"x")], "ranks 1, 2 differ from rank 0 in a"),
        ([(b"12345678, the rest does not count", b"x"), (b"12345678", b"x"), (b"12345678.", b"x")], ""),
    ],
)
def test_what_must_be_the_same_everywhere(digests, message):
    def checked(group):
        try:
            group.check_same("ab", digests[group.rank], "the fix")
        except BackendError as error:
            return error.what, error.why, error.fix, error.agreed
        return ""

    wanted = message and (message, "all ranks must hold the same", "the fix", True)
    assert by_threads(3, checked) == [wanted] * 3


# Gradients in 16 bits


def test_numbers_of_sixteen_bits():
    """Rounded to the nearest of eight digits, ties to even."""
    values = np.array(
        [
            0,
            -0.0,
            1,
            1 + 2**-8,
            1 + 3 * 2**-8,
            1 + 2**-8 + 2**-20,
            -1 - 2**-8,
            3.4e38,
            -3.4e38,
            np.inf,
            np.nan,
            -np.nan,
            2**-133,
        ],
        np.float32,
    )
    wanted = [0, -0.0, 1, 1, 1 + 2**-6, 1 + 2**-7, -1, np.inf, -np.inf, np.inf, np.nan, np.nan, 2**-133]
    found = rounded(values)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(widened(found), np.array(wanted, np.float32))
    assert (found[10], found[11], found[1]) == (0x7FC0, 0x7FC0, 0x8000)
    assert widened(found).dtype == np.float32


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_gradients_are_rounded_where_they_leave_and_where_their_sum_does(size):
    rng = np.random.default_rng(size)
    vectors = rng.standard_normal((3, size)).astype(np.float32)
    total = widened(rounded(vectors)).astype(np.float32).sum(0)
    wanted = widened(rounded(total))
    for be in (BE, FAST):
        found = by_threads(
            3, lambda group, be=be: add_compressed(be, group, vectors[group.rank].astype(be.dtype))
        )
        for a in found:
            assert a.dtype == be.dtype
            np.testing.assert_array_equal(a, wanted)


# Shares


@pytest.mark.parametrize(
    ("n", "rank", "equal", "mixing", "rows", "share"),
    [
        (7, 0, False, False, [0, 1], (0, 2, 7)),
        (7, 2, False, False, [4, 5, 6], (4, 3, 7)),
        (7, 1, False, True, [2, 3, 4], (2, 2, 7)),
        (7, 2, False, True, [4, 5, 6, 0], (4, 3, 7)),
        (3, 1, False, False, [1], (1, 1, 3)),
        (2, 1, False, False, [0, 1], (0, 2, 2)),  # fewer rows than ranks: all of them, everywhere
        (2, 1, False, True, [0, 1], (0, 2, 2)),
        (7, 1, True, False, list(range(7)), (0, 7, 7)),
        (6, 1, True, False, [2, 3], (2, 2, 6)),
    ],
)
def test_which_rows_of_a_batch_a_rank_computes(n, rank, equal, mixing, rows, share):
    group = of_size(3, rank, equal_rows=equal)
    found = own_rows(group, np.arange(n), mixing)
    assert (found[0].tolist(), found[1]) == (rows, Share(*share))


def test_a_backend_for_a_share():
    group, whole, part = of_size(3, 1), Share(0, 6, 6), Share(2, 2, 6)
    assert backend_for_share(BE, group, whole) is BE
    for norm, kind in (("global", SyncBatchNormBackend), ("local", ReducingBackend)):
        group.batch_norm = norm
        be = backend_for_share(BE, group, part)
        assert isinstance(be, kind)
        assert isinstance(be, type(BE))
        assert isinstance(be, SyncBatchNormBackend) is (norm == "global")
        assert (be.group, be.share, be.dtype) == (group, part, BE.dtype)
        assert type(backend_for_share(BE, group, part)) is type(be)
        assert be.values_per_feature(np.zeros((2, 5, 4))) == (30 if norm == "global" else 10)
    plain = reducing_backend(BE, group)
    assert (plain.share, plain.group, type(plain).__mro__[1]) == (None, group, ReducingBackend)
    assert BE.share is None


def test_rows_of_one_rank_among_those_of_all():
    x = np.arange(14.0).reshape(7, 2)

    def shared(group):
        rows, share = own_rows(group, x, False)
        be = backend_for_share(BE, group, share)
        once = be.all_reduce(be.once(np.array([5.0])))
        return be.all_rows(rows).tolist() == x.tolist(), np.array_equal(be.own_rows(x), rows), once.tolist()

    assert by_threads(3, shared) == [(True, True, [5.0])] * 3


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("compression", ["", "bf16"])
def test_a_gradient_and_its_numbers_go_in_one_message(memory, compression):
    def summed(group):
        group.compression = compression
        be = reducing_backend(BE, group)
        room = np.full(9, np.nan)
        room[:4] = [1, 2, 3, 4]
        grad = room[:4] if memory else room[:4].copy()
        numbers, total = add_gradient(be, room if memory else None, grad, np.array([0.5, 1.0 + group.rank]))
        kept, total = numbers.copy(), total.tolist()
        room[:] = 0
        return kept.tolist(), numbers.tolist() == kept.tolist(), total

    for numbers, apart, total in by_threads(2, summed):
        assert numbers == [1.0, 3.0]
        assert apart, "the memory is used again"
        assert total == [2, 4, 6, 8]


# How processes find each other


@pytest.mark.parametrize(
    ("environment", "engine"),
    [
        ({}, "none"),
        ({"PMI_SIZE": "2"}, "mpi"),
        ({"PMI_SIZE": "1"}, "none"),
        ({"PMI_SIZE": "two"}, "none"),
        ({"SLURM_NTASKS": "4"}, "mpi"),
        ({"OMPI_COMM_WORLD_SIZE": "2", "WORLD_SIZE": "2"}, "mpi"),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}, "torch"),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "1"}, "none"),
        ({"WORLD_SIZE": "2"}, "none"),
        ({"JAX_COORDINATOR_ADDRESS": "x", "JAX_NUM_PROCESSES": "2"}, "jax"),
        ({"JAX_COORDINATOR_ADDRESS": "x", "JAX_NUM_PROCESSES": "1"}, "none"),
        ({"JAX_NUM_PROCESSES": "2"}, "none"),
    ],
)
def test_the_engine_of_a_launcher(environment, engine):
    assert connecting.started_by(environment) == engine
    assert connecting.number(environment, "PMI_SIZE") == (
        int(environment.get("PMI_SIZE", "0")) if environment.get("PMI_SIZE") != "two" else 0
    )


@pytest.mark.parametrize(
    ("engine", "size", "environment", "said"),
    [
        ("mpi", 1, {}, ""),
        ("mpi", 1, {"PMI_SIZE": "1"}, ""),
        ("mpi", 2, {"PMI_SIZE": "2"}, ""),
        ("none", 1, {"PMI_SIZE": "2"}, ""),
        ("torch", 1, {"PMI_SIZE": "2"}, ""),
        ("mpi", 1, {"PMI_SIZE": "3"}, "mpiexec started 3 processes, and MPI sees one"),
        ("nccl", 1, {"SLURM_STEP_NUM_TASKS": "2"}, "srun started 2 processes, and NCCL sees one"),
        ("mpi", 1, {"WORLD_SIZE": "2"}, ""),
        (
            "mpi",
            1,
            {"WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"},
            "torchrun started 2 processes, and MPI sees one",
        ),
        ("mpi", 1, {"JAX_NUM_PROCESSES": "2"}, "JAX's launcher started 2 processes, and MPI sees one"),
        ("jax", 1, {"JAX_NUM_PROCESSES": "2"}, ""),
        ("jax", 1, {"FLUX_JOB_SIZE": "2"}, "flux run started 2 processes, and JAX sees one"),
    ],
)
def test_a_process_that_finds_no_other_of_several(engine, size, environment, said):
    group = of_size(size)
    group.engine = engine
    if not said:
        connecting.refuse_singleton(group, environment)
        return
    with pytest.raises(UsageError) as caught:
        connecting.refuse_singleton(group, environment)
    assert caught.value.what == said
    launcher = said.partition(" started")[0]
    assert caught.value.fix == connecting.LAUNCHES[launcher]


@pytest.mark.parametrize(
    ("settings", "said", "fix"),
    [
        ({"engine": "mpy"}, "unknown engine 'mpy'", "did you mean 'mpi'?"),
        ({"batch_norm": "locale"}, "batch_norm='locale'", "did you mean 'local'?"),
        ({"compression": "bf8"}, "compression='bf8'", "one of: bf16"),
    ],
)
def test_unknown_settings_of_a_group_are_refused(settings, said, fix):
    with pytest.raises(UsageError) as caught:
        connect(**settings, environment={})
    assert caught.value.what == said
    assert fix in caught.value.fix


def test_a_process_by_itself_keeps_its_settings(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", before := sys.excepthook)
    group = connect("auto", batch_norm="local", compression="bf16", environment={})
    assert (type(group), group.batch_norm, group.compression) == (Communicator, "local", "bf16")
    assert (connect(environment={}).batch_norm, connect(environment={}).compression) == ("global", "")
    assert sys.excepthook is before


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (ValueError("x"), 1), (UsageError("x"), 2), (BackendError("x"), 3)],
)
def test_an_error_that_nobody_catches_ends_all(monkeypatch, error, code):
    group, seen = of_size(2), []
    monkeypatch.setattr(connecting, "open_group", lambda *_: group)
    monkeypatch.setattr(connecting, "check_versions", lambda group: seen.append("versions"))
    monkeypatch.setattr(sys, "excepthook", lambda *about: seen.append(about))
    group.abort = seen.append
    assert connect("mpi", environment={}) is group
    sys.excepthook(type(error), error, None)
    assert seen == ["versions", (type(error), error, None), code]


def test_versions_are_compared_where_there_are_several_processes():
    group, seen = of_size(1), []
    group.check_same = lambda *about: seen.append(about)
    connecting.check_versions(group)
    assert not seen
    group.size = 2
    connecting.check_versions(group)
    ((names, digests, fix),) = seen
    assert (names, fix) == (["the version of xpnn", "the version of NumPy"], "one environment for all hosts")
    assert len({*digests}) == len(digests) == 2


# Engines, by stand-ins


class FakeDist:
    """torch.distributed of rank 1 of two, which notes what it is asked for."""

    def __init__(self, fault=None):
        self.seen, self.fault, self.here = [], fault, False

    def init_process_group(self, backends):
        self.seen.append(backends)
        if self.fault:
            raise self.fault
        self.here = True

    def get_rank(self):
        return 1

    def get_world_size(self):
        return 2

    def is_initialized(self):
        return self.here

    def destroy_process_group(self):
        self.seen.append("destroy")

    def all_reduce(self, tensor):
        self.seen.append((str(tensor.dtype), tensor.is_contiguous()))
        tensor += tensor.clone()

    def broadcast(self, tensor, root):
        tensor.fill_(10 + root)

    def all_gather(self, parts, own):
        parts[0].fill_(7)
        parts[1].copy_(own)


def torch_group(monkeypatch, dist, gpu=False, **environment):
    torch, found = pytest.importorskip("torch"), []
    pytest.importorskip("torch.distributed")
    monkeypatch.setattr(torch, "distributed", dist)
    monkeypatch.setitem(sys.modules, "torch.distributed", dist)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: found.append(("device", index)))
    monkeypatch.setattr("atexit.register", lambda f: found.append(f.__name__))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    from xpnn.distributed.torch_group import TorchCommunicator

    return TorchCommunicator(), found


@pytest.mark.parametrize(
    ("gpu", "environment", "backends", "found"),
    [
        (False, {"LOCAL_RANK": "3"}, "gloo", ["_leave"]),
        (True, {}, "cpu:gloo,cuda:nccl", [("device", 0), "_leave"]),
        (True, {"LOCAL_RANK": "3"}, "cpu:gloo,cuda:nccl", [("device", 3), "_leave"]),
    ],
)
def test_the_processes_of_torchrun(monkeypatch, gpu, environment, backends, found):
    dist = FakeDist()
    group, registered = torch_group(monkeypatch, dist, gpu, **environment)
    assert (group.rank, group.size, group.engine, dist.seen) == (1, 2, "torch", [backends])
    assert registered == found
    group._leave()
    dist.here = False
    group._leave()
    assert dist.seen == [backends, "destroy"]


@pytest.mark.parametrize("error", [ValueError("no rank\nmore"), RuntimeError("no rank")])
def test_processes_that_torchrun_did_not_start(monkeypatch, error):
    with pytest.raises(BackendError, match="the processes of PyTorch do not find each other") as caught:
        torch_group(monkeypatch, FakeDist(error))
    assert caught.value.why == "no rank"


def test_messages_by_torch(monkeypatch):
    dist = FakeDist()
    group, _ = torch_group(monkeypatch, dist)
    dist.seen.clear()
    for dtype, as_what in (
        ("f4", "float32"),
        ("f8", "float64"),
        ("i8", "int64"),
        ("u8", "int64"),
        ("u1", "uint8"),
    ):
        a = np.arange(3).astype(dtype)
        group.add(a)
        assert (a.tolist(), a.dtype) == ([0, 2, 4], dtype)
        assert dist.seen.pop() == (f"torch.{as_what}", True)
    a = np.zeros(2)
    group.broadcast(a)
    assert a.tolist() == [10, 10]
    group.broadcast(a, 1)
    assert a.tolist() == [11, 11]
    small = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    assert group.collect(small).tolist() == [[[7] * 3] * 2, [[1, 2, 3], [4, 5, 6]]]
    assert group.collect(np.array([1.5, 2.5]))[1].tolist() == [1.5, 2.5]
    found = group.exchange(small)
    assert found.tolist() == [[7, 7, 7], [4, 5, 6]]
    assert found.flags.c_contiguous


def test_tensors_are_summed_where_they_are_and_other_arrays_on_the_host(monkeypatch):
    torch, dist = pytest.importorskip("torch"), FakeDist()
    group, _ = torch_group(monkeypatch, dist)
    tensor = torch.arange(6.0).reshape(2, 3)
    assert group.reduce(SimpleNamespace(name="torch"), tensor) is tensor
    assert tensor[1].tolist() == [6, 8, 10]
    turned = group.reduce(SimpleNamespace(name="torch"), tensor.T)
    assert turned.tolist() == (2 * tensor.T).tolist()
    assert all(whole for _, whole in dist.seen[1:])
    a = np.arange(3.0)
    assert group.reduce(BE, a).tolist() == [0, 2, 4]


def test_a_process_of_torchrun_ends_with_what_it_has_printed(monkeypatch):
    group, _ = torch_group(monkeypatch, FakeDist())
    seen = []
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, SimpleNamespace(flush=lambda name=name: seen.append(name)))
    monkeypatch.setattr("os._exit", seen.append)
    group.abort(6)
    assert seen == ["stdout", "stderr", 6]


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, {}),
        ({"JAX_COORDINATOR_ADDRESS": "host:1"}, {}),
        ({"JAX_NUM_PROCESSES": "2"}, {}),
        ({"PMI_SIZE": "2"}, "by MPI"),
        ({"PMI_SIZE": "2", "JAX_NUM_PROCESSES": "2"}, "by MPI"),
        (
            {
                "JAX_COORDINATOR_ADDRESS": "host:1",
                "JAX_NUM_PROCESSES": "2",
                "JAX_PROCESS_ID": "1",
                "PMI_SIZE": "2",
            },
            {
                "coordinator_address": "host:1",
                "cluster_detection_method": "deactivate",
                "num_processes": 2,
                "process_id": 1,
            },
        ),
    ],
)
def test_what_jax_is_told_of_the_processes(monkeypatch, environment, wanted):
    from xpnn.distributed import jax_group

    monkeypatch.setattr(jax_group, "by_mpi", lambda: "by MPI")
    assert jax_group.settings(environment) == wanted


@pytest.mark.parametrize(("count", "number"), [("2", "one"), ("", "0"), ("2", None), ("-1", "0")])
def test_invalid_numbers_of_processes_are_refused(count, number):
    from xpnn.distributed import jax_group

    environment = {"JAX_COORDINATOR_ADDRESS": "host:1", "JAX_NUM_PROCESSES": count}
    environment |= {} if number is None else {"JAX_PROCESS_ID": number}
    with pytest.raises(UsageError) as caught:
        jax_group.settings(environment)
    assert caught.value.what == f"JAX_NUM_PROCESSES={count!r}, JAX_PROCESS_ID={number or ''!r}"


def test_the_first_row_of_a_share_is_found_out_by_the_program():
    from xpnn.distributed import jax_group

    assert jax_group.one_for_all(Share(4, 2, 6)) == Share(0, 2, 6)
    assert jax_group.one_for_all(5) == 5


class FakeComm:
    """MPI's communicator of rank 2 of three."""

    def __init__(self):
        self.seen = []

    def Dup(self):  # noqa: N802, MPI's own names
        return self

    def Get_rank(self):  # noqa: N802
        return 2

    def Get_size(self):  # noqa: N802
        return 3

    def Allreduce(self, where, a):  # noqa: N802
        self.seen.append(where)
        a *= 3

    def Bcast(self, a, root):  # noqa: N802
        a[...] = root

    def Alltoall(self, a, out):  # noqa: N802
        out[...] = a[::-1]

    def Allgather(self, a, out):  # noqa: N802
        out[...] = a

    def Abort(self, code):  # noqa: N802
        self.seen.append(code)


def test_messages_by_mpi(monkeypatch):
    from xpnn.distributed import mpi

    comm, waited = FakeComm(), []
    library = SimpleNamespace(COMM_WORLD=comm, IN_PLACE="in place")
    monkeypatch.setattr(mpi, "import_mpi", lambda seconds: waited.append(seconds) or library)
    monkeypatch.setattr(mpi, "wait_for_all", lambda found, seconds: waited.append((found, seconds)))
    monkeypatch.setattr(mpi, "flush_and_discard", lambda: comm.seen.append("flushed"))
    monkeypatch.setattr(mpi, "timeout", lambda: 120.0)
    group = mpi.MPICommunicator()
    mpi.MPICommunicator(3.0)
    assert waited == [120.0, (library, 120.0), 3.0, (library, 3.0)]
    assert (group.rank, group.size, group.engine) == (2, 3, "mpi")
    a = np.arange(3.0)
    group.add(a)
    assert (a.tolist(), comm.seen) == ([0, 3, 6], ["in place"])
    group.broadcast(a)
    assert a.tolist() == [0, 0, 0]
    group.broadcast(a, 2)
    assert a.tolist() == [2, 2, 2]
    assert group.exchange(np.arange(6).reshape(3, 2)).tolist() == [[4, 5], [2, 3], [0, 1]]
    found = group.collect(np.arange(2, dtype=np.int16))
    assert (found.tolist(), found.dtype) == ([[0, 1]] * 3, np.int16)
    group.abort(5)
    assert comm.seen == ["in place", "flushed", 5]


@pytest.mark.parametrize(
    ("error", "what", "why"),
    [
        (ModuleNotFoundError("No module named 'mpi4py'"), "MPI needs mpi4py, which is not installed", ""),
        (ImportError("libmpi.so\nmore"), "mpi4py finds no MPI library", "libmpi.so"),
        (RuntimeError("cannot load MPI library"), "mpi4py finds no MPI library", "cannot load MPI library"),
    ],
)
def test_without_mpi(monkeypatch, error, what, why):
    from xpnn.distributed import mpi

    def fail(seconds):
        raise error

    monkeypatch.setattr(mpi, "import_mpi", fail)
    with pytest.raises(BackendError) as caught:
        mpi.MPICommunicator(1.0)
    assert (caught.value.what, caught.value.why) == (what, why)


@pytest.mark.parametrize("size", ["", "1", "x"])
def test_engines_are_compared_under_mpiexec_alone(monkeypatch, size):
    from xpnn.distributed import mpi

    monkeypatch.setattr(mpi, "MPICommunicator", None)  # to call it would raise
    connecting.check_one_engine("none", {"PMI_SIZE": size} if size else {})


@pytest.mark.parametrize(
    ("chosen", "engine", "said", "finalized"),
    [
        ([1, 1, 1], "mpi", "", 0),
        ([5, 5, 5], "none", "", 1),
        ([1, 5, 1], "mpi", "rank 1 was started with the engine 'none', rank 0 with 'mpi'", 0),
        ([5, 5, 3], "none", "rank 2 was started with the engine 'torch', rank 0 with 'none'", 0),
    ],
)
def test_processes_of_one_mpiexec_have_one_engine(monkeypatch, chosen, engine, said, finalized):
    from xpnn.distributed import mpi

    seen = []
    group = SimpleNamespace(
        each=lambda number: seen.append(number) or [float(one) for one in chosen],
        mpi=SimpleNamespace(Finalize=lambda: seen.append("finalized")),
    )
    monkeypatch.setattr(mpi, "MPICommunicator", lambda: group)
    if said:
        with pytest.raises(UsageError) as caught:
            connecting.check_one_engine(engine, {"PMI_SIZE": "3"})
        assert (caught.value.what, caught.value.agreed) == (said, True)
    else:
        connecting.check_one_engine(engine, {"PMI_SIZE": "2"})
    assert seen == [connecting.ENGINES.index(engine), *["finalized"] * finalized]

    def absent():
        raise BackendError("no mpi4py")

    monkeypatch.setattr(mpi, "MPICommunicator", absent)
    connecting.check_one_engine(engine, {"PMI_SIZE": "3"})
