"""Writing a file: the old one or the new one, whole, whichever call of the operating system fails."""

import errno
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

import xpnn
from xpnn.durable import write_durably
from xpnn.errors import FileError


class FaultyFile:
    """A file whose writing, flushing and closing are counted and may fail like the calls of `os`."""

    def __init__(self, file, call):
        self.file, self.call = file, call

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.file.close()

    def write(self, data):
        self.file.write(data[: len(data) // 2])  # a disk fills up in the middle
        self.call("write", lambda: self.file.write(data[len(data) // 2 :]))

    def flush(self):
        self.call("flush", self.file.flush)

    def fileno(self):
        return self.file.fileno()


class Disk:
    """Stands in for the calls that `write_durably` makes: records them, and fails the k-th."""

    def __init__(self, monkeypatch, fail=0, error=errno.ENOSPC):
        self.log, self.fail, self.error = [], fail, error
        real = {name: getattr(os, name) for name in ("open", "fsync", "replace")}
        folders = set()

        def call(name, act):
            self.log.append(name)
            if len(self.log) == self.fail:
                raise self.error if isinstance(self.error, BaseException) else OSError(self.error, "injected")
            return act()

        def opened(path, flags, *mode):
            name = "open file" if flags & os.O_CREAT else "open folder"
            handle = call(name, lambda: real["open"](path, flags, *mode))
            (folders.discard if flags & os.O_CREAT else folders.add)(handle)
            return handle

        def fsync(handle):
            call("fsync folder" if handle in folders else "fsync file", lambda: real["fsync"](handle))

        monkeypatch.setattr(os, "open", opened)
        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(os, "replace", lambda a, b: call("replace", lambda: real["replace"](a, b)))
        monkeypatch.setattr("xpnn.durable.open", lambda *a: FaultyFile(open(*a), call), raising=False)  # noqa: SIM115


ORDER = ["open file", "write", "flush", "fsync file", "replace", "open folder", "fsync folder"]


def test_the_order_of_the_calls(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    write_durably(tmp_path / "m", b"new contents")
    assert disk.log == ORDER
    assert (tmp_path / "m").read_bytes() == b"new contents"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("k", range(1, len(ORDER) + 1))
@pytest.mark.parametrize("old", [b"old contents", None])
def test_the_kth_call_fails(tmp_path, monkeypatch, k, error, old):
    path = tmp_path / "m"
    if old is not None:
        path.write_bytes(old)
    with monkeypatch.context() as patch:
        disk = Disk(patch, k, error)
        with pytest.raises(FileError) as caught:
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
def test_an_interrupt_leaves_no_temporary_either(tmp_path, monkeypatch, k):
    path = tmp_path / "m"
    path.write_bytes(b"old contents")
    with monkeypatch.context() as patch:
        Disk(patch, k, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            write_durably(path, b"new contents")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old contents"


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
