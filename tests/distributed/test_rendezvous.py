"""Processes of MPI that do not meet: what one says and does then, without a launcher."""

import io
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
