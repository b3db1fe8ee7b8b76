"""The lock of a run folder: one training at a time, who holds it, and what happens when its holder dies."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading

import filelock
import pytest

from xpnn.cli import run
from xpnn.cli.lock import HOLDER, LOCK, Lock
from xpnn.errors import FileError

QUICK = ["train", "spiral", "--backend", "numpy", "--hidden", "8", "--epochs", "1"]


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """train() -> exit code, stderr; into tmp_path/run."""
    monkeypatch.delenv("XPNN_BACKEND", raising=False)

    def call():
        code = run([*QUICK, "--out", str(tmp_path / "run")])
        return code, capsys.readouterr().err

    return call


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def left(folder, **holder):
    """The file of a holder that never released it."""
    holder = {"pid": dead(), "host": socket.gethostname(), "since": "2026-01-02T03:04:05+0000"} | holder
    (folder / HOLDER).write_text(json.dumps(holder))
    return holder


HOLD = "import sys, pathlib; from xpnn.cli.lock import Lock; Lock(pathlib.Path(sys.argv[1])); "


def test_a_second_training_is_refused_with_who_holds_the_folder(folder, train):
    code = HOLD.replace("Lock(pathlib", "lock = Lock(pathlib") + "print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        code, said = train()
        assert code == 7
        assert f"another training writes to {folder}" in said
        assert f"process {process.pid} of host {socket.gethostname()}, since 20" in said
        assert "choose another folder with --out" in said
        assert {p.name for p in folder.iterdir()} == {LOCK, HOLDER}
        process.kill()
    code, said = train()  # the kernel knows that it is dead
    assert code == 0
    assert f"process {process.pid} of host" in said
    assert f"ended without releasing {folder}: its lock is taken over" in said
    assert not (folder / LOCK).exists()


def test_a_stale_lock_is_taken_over_and_orphans_are_swept(folder, train):
    pid = left(folder)["pid"]
    (folder / f".xpnn-{pid}-0123456789abcdef.tmp").touch()
    code, said = train()
    assert code == 0
    assert said.count("is taken over") == 1
    assert f"process {pid} of host" in said
    assert "since 2026-01-02T03:04:05+0000" in said
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


def test_a_lock_of_another_host_is_named_and_not_taken(folder, train):
    """Its process may live: the number says nothing here."""
    left(folder, host="elsewhere", pid=4321)
    before = (folder / HOLDER).read_bytes()
    code, said = train()
    assert code == 7
    assert "process 4321 of host elsewhere" in said
    assert "if it has ended, --force-lock" in said
    assert (folder / HOLDER).read_bytes() == before
    assert [p.name for p in folder.iterdir()] == [HOLDER]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "9" * 5000, "[" * 900, "\0" * 100])
def test_a_lock_that_says_nothing_sensible_is_nobodys(folder, train, text):
    """Power was cut while it was written: the kernel knows that nobody holds it."""
    (folder / HOLDER).write_text(text)
    assert train()[0] == 0
    assert not (folder / HOLDER).exists()


def test_bytes_that_are_no_text(folder, train):
    (folder / HOLDER).write_bytes(b"\xff\xfe{")
    assert train()[0] == 0


@pytest.mark.parametrize("keys", [{}, {"pid": True}, {"pid": None, "host": None}, {"pid": "x" * 10**5}])
def test_what_the_lock_says_is_not_trusted(folder, train, keys):
    left(folder, **keys)
    code, said = train()
    assert code == 0
    assert len(said) < 2000


def test_it_is_released_after_errors_and_refusals(folder, train, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("xpnn.cli.train.train", lambda *args: 1 / 0)
        assert train()[0] == 1
        assert not list(folder.iterdir())
    assert train()[0] == 0
    assert not (folder / LOCK).exists()
    pid = left(folder)["pid"]
    (folder / f".xpnn-{pid}-0123456789abcdef.tmp").touch()
    code, said = train()
    assert code == 2
    assert "already holds a trained model" in said
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks(folder, train, monkeypatch, error):
    """Then the number of the process decides."""

    def refuse(*args):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", refuse)
    left(folder, pid=os.getppid())
    assert train()[0] == 7
    left(folder)
    code, said = train()
    assert code == 0
    assert "is taken over" in said


def test_a_full_disk_leaves_no_lock(folder, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FileError, match="No space"):
            Lock(folder)
    assert not list(folder.iterdir())
    Lock(folder).release()


def test_it_has_one_holder_at_a_time(folder):
    """Eight that take and release it, over and over: the name is removed under those who have just opened it."""
    held, most, taken = [], [], []

    def work():
        for _ in range(200):
            try:
                lock = Lock(folder)
            except FileError:
                continue
            held.append(1)
            most.append(len(held))
            taken.append(1)
            held.pop()
            lock.release()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(taken) >= 8
    assert not list(folder.iterdir())


def test_a_removed_lock_file_lets_nobody_in(folder, train):
    """Somebody deleted it by hand: the folder itself is locked too."""
    code = HOLD.replace("Lock(pathlib", "lock = Lock(pathlib") + "print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        for name in (LOCK, HOLDER):
            (folder / name).unlink()
        code, said = train()
        assert code == 7
        assert "a process that has not said which holds" in said
        process.kill()
    assert train()[0] == 0


@pytest.mark.parametrize("name", [LOCK, HOLDER])
@pytest.mark.parametrize("target", ["precious.txt", "run", "nowhere", "/dev/null"])
def test_a_link_in_the_place_of_a_lock_is_left_alone(folder, tmp_path, train, name, target):
    precious = tmp_path / "precious.txt"
    precious.write_text("precious content")
    (folder / name).symlink_to(tmp_path / target)
    code, said = train()
    assert code == 7
    assert f"{folder / name} is a link" in said
    assert precious.read_text() == "precious content"
    assert not (tmp_path / "nowhere").exists()
    assert [p.name for p in folder.iterdir()] == [name]


@pytest.mark.parametrize("name", [LOCK, HOLDER])
def test_a_pipe_in_the_place_of_a_lock_keeps_nobody_waiting(folder, train, name):
    os.mkfifo(folder / name)
    code, said = train()
    assert code == 7
    assert f"{folder / name} is not a regular file" in said


@pytest.mark.filterwarnings("ignore:.*multi-?threaded")  # this thread alone forks
def test_a_forked_process_gives_nothing_back(folder):
    """It closes its copy; the lock, and the files that say so, are its parent's."""
    lock = Lock(folder)
    held = sorted(path.name for path in folder.iterdir())
    child = os.fork()
    if child == 0:
        lock.release()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert sorted(path.name for path in folder.iterdir()) == held != []
    with pytest.raises(FileError, match="another training writes"):
        Lock(folder)
    lock.release()
    assert not list(folder.iterdir())


def test_nobody_waits_for_the_lock_of_another(tmp_path, monkeypatch):
    asked = []

    class Noted(filelock.FileLock):
        def __init__(self, *args, **settings):
            asked.append([settings[name] for name in ("timeout", "thread_local", "fallback_to_soft")])
            super().__init__(*args, **settings)

    monkeypatch.setattr(filelock, "FileLock", Noted)
    Lock(tmp_path).release()
    assert asked == [[0, False, False]]
