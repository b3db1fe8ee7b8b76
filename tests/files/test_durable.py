"""Writing a file: the old one or the new one, whole, whichever call of the operating system fails."""

import errno
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from recording_disk import Disk

import xpnn
from xpnn.durable import alive, append_durably, make_folder, sweep, write_durably
from xpnn.errors import FileError

ORDER = ["open file", "write", "flush", "fsync file", "replace", "open folder", "fsync folder"]


def test_the_order_of_the_calls(tmp_path):
    with Disk() as disk:
        write_durably(tmp_path / "m", b"new contents")
    assert disk.log == ORDER
    assert (tmp_path / "m").read_bytes() == b"new contents"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("k", range(1, len(ORDER) + 1))
@pytest.mark.parametrize("old", [b"old contents", None])
def test_the_kth_call_fails(tmp_path, k, error, old):
    path = tmp_path / "m"
    if old is not None:
        path.write_bytes(old)
    with Disk(k, error) as disk, pytest.raises(FileError) as caught:
        write_durably(path, b"new contents")
    assert disk.log == ORDER[:k]
    assert str(path) in caught.value.what
    assert "injected (12 bytes to write)" in caught.value.why
    replaced = "replace" in ORDER[: k - 1]
    expected = b"new contents" if replaced else old
    assert (path.read_bytes() if path.exists() else None) == expected
    assert list(tmp_path.iterdir()) == ([path] if expected is not None else [])  # no temporary is left
    write_durably(path, b"later contents")
    assert path.read_bytes() == b"later contents"


@pytest.mark.parametrize("k", range(1, ORDER.index("replace") + 2))
def test_an_interrupt_leaves_no_temporary_either(tmp_path, k):
    path = tmp_path / "m"
    path.write_bytes(b"old contents")
    with Disk(k, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        write_durably(path, b"new contents")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old contents"


KEEP = [
    "open file",
    "write",
    "flush",
    "fsync file",
    "link",
    "replace",
    "replace",
    "open folder",
    "fsync folder",
]


def test_the_file_before_is_kept(tmp_path):
    path, older = tmp_path / "m.st", tmp_path / "m.1.st"
    write_durably(path, b"one", keep=True)
    assert list(tmp_path.iterdir()) == [path]
    with Disk() as disk:
        write_durably(path, b"two", keep=True)
    assert disk.log == KEEP
    write_durably(path, b"three", keep=True)
    assert sorted(tmp_path.iterdir()) == [older, path]
    assert (path.read_bytes(), older.read_bytes()) == (b"three", b"two")
    write_durably(path, b"four")
    assert (path.read_bytes(), older.read_bytes()) == (b"four", b"two")


@pytest.mark.parametrize("k", range(1, len(KEEP) + 1))
def test_the_kth_call_fails_while_the_file_before_is_kept(tmp_path, k):
    """And after it, the next save: an older generation is replaced by a whole one only."""
    path, older = tmp_path / "m.st", tmp_path / "m.1.st"
    write_durably(path, b"one", keep=True)
    write_durably(path, b"two", keep=True)
    with Disk(k) as disk:
        if KEEP[k - 1] == "link":  # not an error: a file system without second names gets a copy
            write_durably(path, b"three", keep=True)
            assert "fsync file" in disk.log[k:]
        else:
            with pytest.raises(FileError):
                write_durably(path, b"three", keep=True)
    assert sorted(tmp_path.iterdir()) == [older, path]
    now, before = path.read_bytes(), older.read_bytes()
    if k < 7 and KEEP[k - 1] != "link":
        assert (now, before) == (b"two", b"one")
    elif k == 7:  # both names are one file for the while
        assert (now, before) == (b"two", b"two")
    else:
        assert (now, before) == (b"three", b"two")
    write_durably(path, b"four", keep=True)
    assert sorted(tmp_path.iterdir()) == [older, path]
    assert (path.read_bytes(), older.read_bytes()) == (b"four", now)


def test_new_folders_are_flushed_from_the_top(tmp_path):
    with Disk() as disk:
        write_durably(tmp_path / "a" / "b" / "m", b"x")
    made = [op[1] for op in disk.ops if op[0] == "mkdir"]
    assert made[-2:] == [tmp_path / "a", tmp_path / "a" / "b"]  # before, b is tried without a
    flushed = [op[1] for op in disk.ops if op[0] == "open folder"]
    assert flushed == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]


@pytest.mark.parametrize("new", [False, True])
def test_a_folder_that_is_not_flushed_is_not_made(tmp_path, new):
    with Disk(3, errno.EIO), pytest.raises(OSError, match="injected"):
        make_folder(tmp_path / "a", new=new)
    assert not list(tmp_path.iterdir())


def test_a_new_folder_is_not_one_that_is_there(tmp_path):
    with pytest.raises(FileExistsError):
        make_folder(tmp_path, new=True)


def test_what_killed_writers_left_is_swept(tmp_path):
    """Temporaries of dead processes, here and one folder down; nothing else, however it looks."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / "film" / "deeper").mkdir(parents=True)
    gone = [
        tmp_path / f".xpnn-{dead.pid}-0123456789abcdef.tmp",
        tmp_path / "film" / f".xpnn-{dead.pid}-0123456789abcdef.tmp",
        tmp_path
        / f".xpnn-{os.getpid()}-0123456789abcdef.tmp",  # a container gives its one process the same number each time
        tmp_path / f".xpnn-{10**30}-0123456789abcdef.tmp",
    ]
    kept = [
        tmp_path / f".xpnn-{os.getppid()}-0123456789abcdef.tmp",  # it lives
        tmp_path / ".xpnn-1-0123456789abcdef.tmp",
        tmp_path / ".xpnn-x-0123456789abcdef.tmp",
        tmp_path / ".xpnn-notes.tmp",
        tmp_path / f".xpnn-{dead.pid}-draft-of-mine.tmp",
        tmp_path / "mine.tmp",
        tmp_path / "film" / "deeper" / f".xpnn-{dead.pid}-0123456789abcdef.tmp",
    ]
    for file in gone + kept:
        file.touch()
    assert sweep(tmp_path) == len(gone)
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)


def test_a_limit_on_file_sizes(tmp_path):
    """The kernel's own refusal, in a process of its own."""
    path = tmp_path / "m"
    path.write_bytes(b"old contents")
    code = """if True:
        import pathlib, resource, signal, sys
        from xpnn.durable import write_durably
        from xpnn.errors import FileError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_durably(pathlib.Path(sys.argv[1]), bytes(5000))
        except FileError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert f"cannot write {path}" in done.stdout
    assert "File too large (5,000 bytes to write)" in done.stdout
    assert path.read_bytes() == b"old contents"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o027])
def test_permissions_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_durably(tmp_path / "m", b"x")
        assert os.umask(umask) == umask  # and it is left as it was
    finally:
        os.umask(before)
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o666 & ~umask


def test_folders_are_made_on_the_way(tmp_path):
    write_durably(tmp_path / "a" / "b" / "m", b"x")
    assert (tmp_path / "a" / "b" / "m").read_bytes() == b"x"


def refused(path, why):
    model = xpnn.Model([xpnn.Dense(1)], (1,), seed=0)
    with pytest.raises(FileError) as caught:
        model.save(path)
    assert f"cannot write {path}" in caught.value.what
    assert why in caught.value.why
    assert caught.value.fix


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file/m", "File exists"),
        ("file/deeper/m", "Not a directory"),
        ("folder", "not a regular file"),
        ("pipe", "not a regular file"),
        ("link to nowhere/m", ""),
        ("null\0character", "null"),
        ("x" * 300, "File name too long"),
    ],
)
def test_places_that_cannot_be_written(tmp_path, name, why):
    (tmp_path / "file").write_bytes(b"in the place of a folder")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link to nowhere").symlink_to(tmp_path / "file" / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    refused(tmp_path / name, why)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("device", ["/dev/full", "/dev/null"])
def test_devices_are_not_replaced_by_files(device):
    refused(device, "not a regular file")
    assert not os.path.isfile(device)


def test_a_read_only_folder(tmp_path):
    """Permissions do not bind root, who becomes nobody for the while."""
    xpnn.Model([xpnn.Dense(1)], (1,)).save(tmp_path / "m")  # imports what it needs
    folder, user = Path(tempfile.mkdtemp()), os.geteuid()
    folder.chmod(0o555)
    if user == 0:
        os.seteuid(65534)
    try:
        refused(folder / "m", "Permission denied")
    finally:
        if user == 0:
            os.seteuid(user)
        assert list(folder.iterdir()) == []
        folder.rmdir()


def test_many_writers_of_one_path(tmp_path):
    """One wins, whole."""
    path, contents = tmp_path / "m", [bytes([i]) * 10_000 for i in range(8)]
    threads = [
        threading.Thread(target=lambda data: [write_durably(path, data) for _ in range(5)], args=(data,))
        for data in contents
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert not path.exists() or path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_the_current_folder_was_deleted(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileError, match="No such file or directory"):
        write_durably(Path("a") / "m", b"x")


def test_a_process_of_somebody_else_lives(monkeypatch):
    def refuse(process, signal):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert alive(1)


@pytest.mark.skipif(os.name == "nt", reason="no such file")
@pytest.mark.parametrize("write", [write_durably, append_durably])
def test_nothing_is_written_to_a_device_a_pipe_or_a_folder(tmp_path, write):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (Path(os.devnull), tmp_path / "pipe", tmp_path / "folder"):
        with pytest.raises(FileError, match="is not a regular file"):
            write(path, b"text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


def test_a_link_is_not_appended_to(tmp_path):
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(FileError, match="is not a regular file"):
        append_durably(tmp_path / "link", b"text")
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
