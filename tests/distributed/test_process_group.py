"""What each rank prints and waits for when a command ends, and what rank 0 alone does."""

import os
import signal
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from xpnn.cli import process_group, ranks
from xpnn.cli.options import Name
from xpnn.cli.process_group import LAUNCHERS, MEETING, PATIENCE, OtherRankError, end, end_all, place, stop_all
from xpnn.cli.state import State
from xpnn.distributed import Communicator, mpi
from xpnn.distributed.rendezvous import FORWARDED
from xpnn.errors import BackendError, DataError, DivergedError, UsageError


class Group(Communicator):
    """Processes of which each has met what `codes` says; it notes whether they were ended, and with which code."""

    def __init__(self, rank, size, codes=()):
        self.rank, self.size, self.codes, self.ended = rank, size, codes, []

    def each(self, number):
        self.asked = number
        return self.codes

    def abort(self, code):
        self.ended.append(code)

    def text(self, words):
        self.sent = words
        return words or "the folder of rank 0"


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds that are waited: none pass. And no launcher's variables."""
    found = []
    monkeypatch.setattr(time, "sleep", found.append)
    for pair in LAUNCHERS:
        for name in pair:
            monkeypatch.delenv(name, raising=False)
    for name, value in (("group", None), ("shared", False), ("preparing", False)):
        monkeypatch.setattr(process_group, name, value)
    return found


def join(monkeypatch, *args, **more):
    group = Group(*args, **more)
    monkeypatch.setattr(process_group, "group", group)
    return group


@pytest.mark.parametrize("pair", LAUNCHERS)
def test_launchers_say_which_process_this_is(monkeypatch, pair):
    assert place() == (0, 1)
    for name, value in zip(pair, ("2", "5"), strict=True):
        assert place() == (0, 1)  # one of the two says nothing
        monkeypatch.setenv(name, value)
    assert place() == (2, 5)
    monkeypatch.setenv(pair[0], "two")
    assert place() == (0, 1)
    join(monkeypatch, 3, 4)
    assert place() == (3, 4)


@pytest.mark.parametrize(("codes", "first"), [([0, 0], None), ([0, 4, 7], (1, 4)), ([3, 4], (0, 3))])
def test_all_wait_for_each_other_or_end(monkeypatch, codes, first):
    process_group.go_on_together()  # alone
    group = join(monkeypatch, 1, len(codes), codes)
    if first is None:
        process_group.go_on_together()
    else:
        with pytest.raises(OtherRankError, match=f"rank {first[0]} cannot go on") as found:
            process_group.go_on_together()
        assert (found.value.reporter, found.value.exit_code, found.value.agreed) == (*first, True)
    assert group.asked == 0
    process_group.first_failure(7)
    assert group.asked == 7


def test_what_one_process_alone_has_met_is_reported_at_once(waits, capsys):
    reported = []
    assert end_all(DataError("no"), lambda error: reported.append(error.what) or 4) == 4
    assert stop_all(130, False, lambda: 130) == 130
    assert stop_all(130, True, lambda: 130) == 130
    assert end(5, lambda: 6, True) == 6
    assert (reported, waits, capsys.readouterr().err) == (["no"], [], "")


@pytest.mark.parametrize(("rank", "error", "said", "waited", "ended"), [
    (0, DataError("no"), True, [FORWARDED], [4]),  # the others would wait for it for ever
    (1, DataError("no"), True, [PATIENCE, FORWARDED], [4]),
    (1, UsageError("no"), True, [PATIENCE, FORWARDED], [2]),  # they have met: who else knows is not known
    (0, DivergedError("no"), True, [], []), (1, DivergedError("no"), False, [], []),  # all know of it
])  # fmt: skip
def test_an_error_of_processes_that_have_met(monkeypatch, waits, capsys, rank, error, said, waited, ended):
    group, reported = join(monkeypatch, rank, 3), []
    code = end_all(error, lambda found: reported.append(found) or found.exit_code)
    assert (code, reported) == (error.exit_code, [error] * said)
    assert (waits, group.ended) == (waited, ended)
    named = said and rank
    assert capsys.readouterr().err == (f"xpnn: rank {rank} of 3:\n" if named else "")


def test_an_error_before_they_have_met(monkeypatch, waits, capsys):
    """Of what all have met, such as an unknown flag, rank 0 alone reports; of another error each."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    reported = []
    assert end_all(UsageError("no"), reported.append) == 2
    assert (reported, waits) == ([], [])
    assert end_all(DataError("no"), lambda error: 4) == 4
    assert (waits, capsys.readouterr().err) == ([PATIENCE], "xpnn: rank 1 of 2:\n")
    monkeypatch.setenv("RANK", "0")
    waits.clear()
    assert end_all(UsageError("no"), lambda error: 2) == 2
    assert (waits, capsys.readouterr().err) == ([], "")


@pytest.mark.parametrize(("rank", "agreed", "code", "waited", "ended"), [
    (0, True, 11, [], []), (1, True, 130, [], []),
    (0, False, 11, [FORWARDED], [11]), (1, False, 11, [PATIENCE, FORWARDED], [11]),
])  # fmt: skip
def test_a_stop_of_processes_that_have_met(monkeypatch, waits, rank, agreed, code, waited, ended):
    """Where all have agreed rank 0 alone says why; one that stops by itself ends the others."""
    group = join(monkeypatch, rank, 2)
    assert stop_all(130, agreed, lambda: 11) == code
    assert (waits, group.ended) == (waited, ended)


def test_a_process_that_is_stopped_before_it_has_met_the_others_says_nothing(monkeypatch, waits):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert stop_all(143, False, lambda: 11) == 143
    assert waits == []


def test_mpi_waits_for_a_process_that_ends_early(monkeypatch):
    """Nothing is done where they have met, where a command runs alone, and without mpiexec."""
    joined = []

    def join_mpi(seconds):
        joined.append(seconds)
        return Group(1, 2)

    monkeypatch.setattr(mpi, "MPICommunicator", join_mpi)
    process_group.meet()
    monkeypatch.setattr(process_group, "shared", True)
    process_group.meet()
    assert (joined, process_group.group) == ([], None)
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setattr(process_group, "shared", False)
    process_group.meet()
    assert joined == []
    monkeypatch.setattr(process_group, "shared", True)
    process_group.meet()
    assert (joined, process_group.group.size) == ([MEETING], 2)
    process_group.meet()
    assert joined == [MEETING]

    def refuse(seconds):
        raise BackendError("no MPI here")

    monkeypatch.setattr(process_group, "group", None)
    monkeypatch.setattr(mpi, "MPICommunicator", refuse)
    process_group.meet()
    assert process_group.group is None


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_of_mpi_meet_before_one_of_them_ends_all(monkeypatch, waits, rank):
    monkeypatch.setenv("PMI_RANK", str(rank))
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setattr(process_group, "shared", True)
    group = Group(rank, 2)
    monkeypatch.setattr(mpi, "MPICommunicator", lambda seconds: group)
    assert end(4, lambda: 9, everywhere=True) == 9
    assert group.ended == [9]
    assert waits == [PATIENCE] * rank + [FORWARDED]


def test_seconds_that_processes_wait():
    """Rank 0 has a second to say what all have met; one that ends waits a third of a minute for those to come."""
    assert (PATIENCE, MEETING) == (1.0, 20)


# What the other processes of a training leave alone


def options_of(add):
    return {one.opts[0]: one for one in add(lambda: None).__click_params__}


def test_the_flags_of_several_processes():
    found = options_of(ranks.distributed_options)
    assert list(found) == ["--gradient-compression", "--batch-norm", "--distributed"]
    assert {name: (one.type.what, one.type.choices, one.default, one.show_default) for name, one in found.items()
            if name != "--gradient-compression"} == {
        "--batch-norm": ("batch norm", ("global", "local"), "global", True),
        "--distributed": ("engine", ("auto", "mpi", "nccl", "torch", "jax", "none"), "auto", True),
    }  # fmt: skip
    compression = found["--gradient-compression"].type
    assert isinstance(compression, Name)
    assert (compression.what, compression.choices) == ("compression", ("bf16",))


@pytest.mark.parametrize(("rank", "size"), [(0, 1), (0, 2), (1, 2)])
def test_ranks_above_0_print_nothing(monkeypatch, rank, size):
    calls, here, group = [], State(), Group(rank, size)
    connect = import_module("xpnn.distributed.connect")  # the package's name is the function
    monkeypatch.setattr(connect, "open_group", lambda *args: calls.append(args) or group)
    monkeypatch.setattr(connect, "check_versions", calls.append)
    monkeypatch.setattr(ranks, "watch_reader", lambda: calls.append("watched"))
    monkeypatch.setattr(ranks, "state", lambda: here)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", sys.stdout)
        out = sys.stdout
        assert ranks.join("mpi", "local", None) is group
        silent = sys.stdout is not out
        if silent:
            assert sys.stdout.name == os.devnull
            assert sys.stdout.writable()
            sys.stdout.close()
    assert calls == [("mpi", "local", "", os.environ), group, *["watched"] * (rank == 0)]
    assert (process_group.group, process_group.preparing) == (group, size > 1)
    assert (here.quiet, silent) == (rank > 0, rank > 0)
    if rank == 0:
        ranks.join("mpi", "local", "bf16")
        assert calls[-3][:3] == ("mpi", "local", "bf16")


@pytest.mark.parametrize("rank", [0, 1])
def test_rank_0_makes_the_folder_for_all(monkeypatch, rank):
    monkeypatch.setattr(process_group, "preparing", True)
    group, made = join(monkeypatch, rank, 2, [0, 0]), []

    class Made:
        folder = Path("runs/a")

    def make():
        assert not process_group.preparing
        made.append(Made())
        return made[-1]

    run = ranks.shared_run(group, make)
    assert process_group.preparing is False
    if rank == 0:
        assert [run] == made
        assert group.sent == "runs/a"
        return
    assert (made, group.sent, run.folder) == ([], "", Path("the folder of rank 0"))
    assert (run.made, run.lock.stale) == (False, "")
    assert (run.write({}), run.close(), run.lock.release()) == (None, None, None)
    assert not run.folder.exists()


def test_no_folder_is_made_where_one_process_cannot_go_on(monkeypatch):
    group = join(monkeypatch, 0, 2, [0, 4])
    with pytest.raises(OtherRankError):
        ranks.shared_run(group, lambda: pytest.fail("made a folder"))


@pytest.mark.parametrize("size", [1, 2])
def test_the_others_wait_for_rank_0_whatever_stops_commands(monkeypatch, size):
    ignored = []
    monkeypatch.setattr(signal, "signal", lambda *args: ignored.append(args))
    ranks.leave_the_rest(Group(1, size))
    assert ignored == [(number, signal.SIG_IGN) for number in ranks.STOPPING] * (size - 1)


def test_standard_input_is_read_by_one_process_alone():
    ranks.check_data(Group(0, 1), Path("-"))
    ranks.check_data(Group(0, 2), Path("a.csv"))
    ranks.check_data(Group(0, 2), None)
    with pytest.raises(UsageError, match="--data - by 2 processes"):
        ranks.check_data(Group(0, 2), Path("-"))
