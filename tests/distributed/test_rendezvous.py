"""Processes of MPI that do not meet: what one says and does then, without a launcher."""

import io
import os
import sys
import threading
from types import SimpleNamespace

import pytest

from xpnn.distributed import rendezvous
from xpnn.errors import UsageError


def said(monkeypatch, seconds):
    """What is printed by a process that has waited for so long, and how often it ended."""
    printed, ended = io.StringIO(), []
    monkeypatch.setattr(sys, "stderr", printed)
    monkeypatch.setattr(rendezvous, "flush_and_discard", lambda: None)
    monkeypatch.setattr(rendezvous, "FORWARDED", 0)
    rendezvous.give_up("rank 1", seconds, lambda: ended.append(True))
    assert len(ended) == 1
    return printed.getvalue()


def test_the_variable_is_named_to_those_who_waited_as_long_as_it_says(monkeypatch):
    monkeypatch.setenv("XPNN_RENDEZVOUS_TIMEOUT", "30")
    assert "where hosts start slowly XPNN_RENDEZVOUS_TIMEOUT=300" in said(monkeypatch, 30)
    other = said(monkeypatch, 20)
    assert "waited 20 s for rank 1" in other
    assert "XPNN_RENDEZVOUS_TIMEOUT" not in other


def test_a_process_that_gives_up_ends_though_nobody_reads_its_output(monkeypatch):
    class Closed(io.StringIO):
        def flush(self):
            raise BrokenPipeError

    ended = []
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        rendezvous.give_up("rank 1", 5, lambda: ended.append(True))
    assert ended


def test_an_mpi_that_cannot_begin_leaves_no_alarm_behind(monkeypatch):
    """It would end a program that had gone on without MPI."""

    def fail():
        raise RuntimeError("no network")

    mpi = SimpleNamespace(Is_initialized=lambda: False, Init_thread=fail, __file__="not a library")
    package = SimpleNamespace(MPI=mpi, rc=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "mpi4py", package)
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", mpi)
    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="no network"):
        rendezvous.import_mpi(100)
    waiting = [one for one in threading.enumerate() if one not in before and not one.finished.is_set()]
    for timer in waiting:
        timer.cancel()
    assert not waiting


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "1e30", ""])
def test_a_time_that_cannot_be_waited_is_refused_with_its_bounds(monkeypatch, given):
    monkeypatch.setenv("XPNN_RENDEZVOUS_TIMEOUT", given)
    with pytest.raises(UsageError, match="above 0, and no more than") as caught:
        rendezvous.timeout()
    assert f"XPNN_RENDEZVOUS_TIMEOUT={given!r}" in str(caught.value)
    assert "unset it" in caught.value.fix


def package_of(monkeypatch, initialized=False):
    """mpi4py with a module MPI that notes whether it was initialized."""
    mpi = SimpleNamespace(Is_initialized=lambda: initialized, __file__="not a library", begun=[])
    mpi.Init_thread = lambda: mpi.begun.append(True)
    package = SimpleNamespace(MPI=mpi, rc=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "mpi4py", package)
    monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    return package


@pytest.mark.parametrize(("rank", "turn"), [("", 0), ("0", 0), ("3", 3), ("10", 10), ("25", 10), ("x", 0)])
def test_each_rank_waits_a_second_longer_for_the_others_to_begin(monkeypatch, rank, turn):
    """So that one speaks for all; then the alarm is switched off."""
    seen = []

    class Timer:
        def __init__(self, seconds, f):
            self.f, self.daemon = f, False
            seen.append(seconds)

        def start(self):
            assert self.daemon
            seen.append("start")

        def cancel(self):
            seen.append("cancel")
            self.f()

    monkeypatch.setattr(rendezvous.threading, "Timer", Timer)
    monkeypatch.setattr(rendezvous, "absent", lambda: "rank 7")
    monkeypatch.setattr(rendezvous, "give_up", lambda *about: seen.append(about))
    monkeypatch.setenv("PMI_RANK", rank)
    package = package_of(monkeypatch)
    assert rendezvous.import_mpi(100.0) is package.MPI
    assert (package.rc.initialize, package.rc.finalize, package.MPI.begun) == (False, True, [True])
    assert seen == [100.0 + turn, "start", "cancel", ("rank 7", 100.0, rendezvous.end_before_init)]


def test_an_mpi_that_has_begun_is_taken_as_it_is(monkeypatch):
    package = package_of(monkeypatch, initialized=True)
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", package.MPI)
    monkeypatch.setattr(rendezvous.threading, "Timer", None)  # to call it would raise
    assert rendezvous.import_mpi(100.0) is package.MPI
    assert not package.MPI.begun
    assert vars(package.rc) == {}


@pytest.mark.parametrize("launched", [True, False])
def test_the_launcher_is_told_the_code_that_all_end_with(monkeypatch, launched):
    read, write = os.pipe()
    seen = []
    monkeypatch.delenv("PMI_FD", raising=False)
    if launched:
        monkeypatch.setenv("PMI_FD", str(write))
    monkeypatch.setattr(rendezvous.time, "sleep", seen.append)
    monkeypatch.setattr(rendezvous.os, "_exit", seen.append)
    rendezvous.end_before_init()
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == (b"cmd=abort exitcode=3\n" if launched else b"")
    assert seen == ([5.0, 3] if launched else [3])


class World:
    """MPI's communicator, by whose clock a message of rank r comes at the time `comes[r]`."""

    def __init__(self, rank, size, comes):
        self.rank, self.size, self.comes, self.now, self.seen = rank, size, comes, 0.0, []

    def Get_rank(self):  # noqa: N802, MPI's own names
        return self.rank

    def Get_size(self):  # noqa: N802
        return self.size

    def Irecv(self, nothing, source, tag):  # noqa: N802
        self.seen.append(("from", source, tag, nothing))
        return SimpleNamespace(Test=lambda: self.now >= self.comes.get(source, 0.0))

    def Send(self, nothing, to, tag):  # noqa: N802
        self.seen.append(("to", to, tag, nothing))

    def Abort(self, code):  # noqa: N802
        self.seen.append(code)

    def sleep(self, seconds):
        assert seconds == 0.002
        self.now += 0.5


def meet(monkeypatch, rank, size, comes=(), seconds=4.0):
    """What the process of that rank sends and receives, and when it has met the others."""
    world = World(rank, size, dict(comes))
    monkeypatch.setattr(rendezvous, "time", SimpleNamespace(monotonic=lambda: world.now, sleep=world.sleep))
    mpi = SimpleNamespace(COMM_WORLD=world, BYTE="byte")
    rendezvous.wait_for_all(mpi, seconds)
    return world.seen, world.now


NOTHING = [None, 0, "byte"]


def test_rank_0_hears_from_all_and_tells_all(monkeypatch):
    seen, now = meet(monkeypatch, 0, 3, {2: 3.5})
    asked = [("from", 1, 71, NOTHING), ("from", 2, 71, NOTHING)]
    assert seen == [*asked, ("to", 1, 72, NOTHING), ("to", 2, 72, NOTHING)]
    assert now == 3.5
    assert meet(monkeypatch, 0, 1) == ([], 0.0)


def test_the_others_tell_rank_0_and_hear_from_it(monkeypatch):
    for rank in (1, 2):
        seen, now = meet(monkeypatch, rank, 3, {0: 2.0})
        assert seen == [("to", 0, 71, NOTHING), ("from", 0, 72, NOTHING)]
        assert now == 2.0


@pytest.mark.parametrize(("rank", "late", "who", "gone"), [
    (0, {1: 99.0, 3: 99.0}, "rank 1, rank 3", 4.5), (0, {2: 99.0}, "rank 2", 4.5), (3, {0: 99.0}, "rank 0", 7.5),
    (12, {0: 99.0}, "rank 0", 14.5), (0, {1: 4.0}, "", 4.0),
])  # fmt: skip
def test_late_ranks_are_named_and_all_end(monkeypatch, rank, late, who, gone):
    """After the seconds, and one more for each rank up to ten."""

    class GivenUpError(Exception):
        pass

    ended = []

    def give_up(named, seconds, end):
        assert seconds == 4.0
        end()
        ended.append(named)
        raise GivenUpError

    monkeypatch.setattr(rendezvous, "give_up", give_up)
    world = World(rank, 4, late)
    monkeypatch.setattr(rendezvous, "time", SimpleNamespace(monotonic=lambda: world.now, sleep=world.sleep))
    mpi = SimpleNamespace(COMM_WORLD=world, BYTE="byte")
    if who:
        with pytest.raises(GivenUpError):
            rendezvous.wait_for_all(mpi, 4.0)
        assert (ended, world.seen[-1]) == ([who], 3)
    else:
        rendezvous.wait_for_all(mpi, 4.0)
    assert world.now == gone


@pytest.mark.parametrize(
    ("here", "environment", "said"),
    [
        ({0: "xpnn a", 1: "xpnn a"}, {}, "processes that this host does not show"),
        ({0: "xpnn a", 1: "xpnn b"}, {}, "rank 1, which runs 'xpnn b'"),
        ({0: "xpnn a", 1: "xpnn b"}, {"PMI_RANK": "1"}, "rank 0, which runs 'xpnn a'"),
        (
            {0: "xpnn a", 2: "s" * 90},
            {"PMI_SIZE": "4", "MPI_LOCALNRANKS": "4"},
            f"rank 2, which runs '{'s' * 80}' and rank 1, which has ended and rank 3, which has ended",
        ),
        ({0: "xpnn a"}, {"PMI_SIZE": "3", "MPI_LOCALNRANKS": "2"}, "processes that this host does not show"),
    ],
)
def test_processes_that_do_not_take_part_are_counted(monkeypatch, here, environment, said):
    for name in ("PMI_SIZE", "PMI_RANK", "MPI_LOCALNRANKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rendezvous, "programs", lambda: here)
    assert rendezvous.absent() == said


def test_the_programs_of_the_same_launcher(monkeypatch, tmp_path):
    """By their environment; those of other parents, without a rank, or that cannot be read do not count."""
    rows = {
        "30": ("(a b) c) S 77", b"A=1\0PMI_RANK=2\0", b"xpnn\0train\0"),
        "20": ("(x) S 77", b"PMI_RANK=0\0", b"xpnn\0"),
        "40": ("(x) S 78", b"PMI_RANK=1\0", b"other parent\0"),
        "50": ("(x) S 77", b"A=1\0", b"no rank\0"),
        "60": ("(x) S 77", b"PMI_RANK=one\0", b"no number\0"),
        "self": ("(x) S 77", b"PMI_RANK=5\0", b"no process\0"),
    }
    for name, (stat, environ, line) in rows.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "stat").write_text(f"{name} {stat} 1 2 3\n")
        (tmp_path / name / "environ").write_bytes(environ)
        (tmp_path / name / "cmdline").write_bytes(line)
    (tmp_path / "70").mkdir()
    monkeypatch.setattr(rendezvous, "Path", {"/proc": tmp_path}.__getitem__)
    monkeypatch.setattr(rendezvous.os, "getppid", lambda: 77)
    assert list(rendezvous.programs().items()) == [(0, "xpnn"), (2, "xpnn train")]


@pytest.mark.parametrize("threads", [3, None])
def test_mpi_begins_without_the_interpreters_lock_where_it_can(monkeypatch, threads):
    seen = []

    def begin(*given):
        seen.append((given[:2], given[2].value, type(given[3]._obj).__name__))

    library = SimpleNamespace(MPI_Init_thread=begin) if threads else SimpleNamespace()
    monkeypatch.setattr(rendezvous.ctypes, "CDLL", {"libmpi": library}.__getitem__)
    mpi = SimpleNamespace(__file__="libmpi", THREAD_MULTIPLE=3, Init_thread=lambda: seen.append("by mpi4py"))
    rendezvous.initialize(mpi)
    assert seen == ([((None, None), 3, "c_int")] if threads else ["by mpi4py"])


def test_a_time_is_the_variables_where_it_is_that(monkeypatch):
    monkeypatch.delenv("XPNN_RENDEZVOUS_TIMEOUT", raising=False)
    assert rendezvous.timeout() == 120.0
    assert rendezvous.is_timeout(120.0)
    assert not rendezvous.is_timeout(60.0)
    monkeypatch.setenv("XPNN_RENDEZVOUS_TIMEOUT", "0.5")
    assert rendezvous.timeout() == 0.5
    monkeypatch.setenv("XPNN_RENDEZVOUS_TIMEOUT", "soon")
    assert not rendezvous.is_timeout(120.0)
