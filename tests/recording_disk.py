"""A disk that records its calls in order, and lets a chosen one fail."""

import contextlib
import errno
import itertools
import os
from pathlib import Path
from unittest import mock


class File:
    """Writes go to the system at `flush`, at the latest at the end, as those of a real buffered file."""

    def __init__(self, file, disk, inode):
        self.file, self.disk, self.inode, self.waiting = file, disk, inode, b""

    def __enter__(self):
        return self

    def __exit__(self, *args):
        if self.waiting:
            self.disk.ops.append(("close", self.inode, self.waiting))
        self.file.close()

    def write(self, data):
        half = len(data) // 2
        self.file.write(data[:half])  # a disk fills up in the middle
        self.disk.call(("write", self.inode), lambda: self.file.write(data[half:]))
        self.waiting += data

    def flush(self):
        data, self.waiting = self.waiting, b""
        self.disk.call(("flush", self.inode, data), self.file.flush)

    def fileno(self):
        return self.file.fileno()


class Disk:
    """Stands in for the calls that write files, while entered: notes each in `ops`, and lets the k-th fail.

    An operation is its name, then the inodes (numbers), paths and bytes that it is about.
    """

    def __init__(self, fail=0, error=errno.ENOSPC):
        self.ops, self.fail, self.error = [], fail, error
        self.handles, self.inodes, self.numbers = {}, {}, itertools.count()
        self.count = 0

    @property
    def log(self):
        """The names of the calls that may fail."""
        return [op[0] for op in self.ops if op[0] not in ("unlink", "close")]

    def call(self, op, act):
        self.ops.append(op)
        self.count += 1
        if self.count == self.fail:
            raise self.error if isinstance(self.error, BaseException) else OSError(self.error, "injected")
        return act()

    def __enter__(self):
        real = {k: getattr(os, k) for k in ("open", "fsync", "replace", "link", "unlink", "mkdir", "write")}

        def opened(path, flags, *more, **named):
            if not flags & os.O_CREAT:
                handle = self.call(("open folder", Path(path)), lambda: real["open"](path, flags))
                self.handles[handle] = Path(path)
                return handle
            old = None if flags & os.O_EXCL else self.inodes.get(Path(path))
            inode = next(self.numbers) if old is None else old
            op = ("open file", Path(path), inode) if old is None else ("truncate", inode)
            handle = self.call(op, lambda: real["open"](path, flags, *more, **named))
            self.handles[handle] = self.inodes[Path(path)] = inode
            return handle

        def fsync(handle):
            what = self.handles.get(handle)
            name = "fsync folder" if isinstance(what, Path) else "fsync file"
            self.call((name, what), lambda: real["fsync"](handle))

        def renamed(a, b):
            inode = self.inodes.get(Path(a))
            self.call(("replace", Path(a), Path(b), inode), lambda: real["replace"](a, b))
            self.inodes[Path(b)] = self.inodes.pop(Path(a), None)

        def linked(a, b):
            inode = self.inodes.get(Path(a))
            self.call(("link", Path(b), inode), lambda: real["link"](a, b))
            self.inodes[Path(b)] = inode

        def unlinked(path, **named):
            real["unlink"](path, **named)
            self.ops.append(("unlink", Path(path)))

        def made(path, *more):
            self.call(("mkdir", Path(path)), lambda: real["mkdir"](path, *more))

        def written(handle, data):
            op = ("flush", self.handles.get(handle), bytes(data))
            return self.call(op, lambda: real["write"](handle, data))

        self.patches = contextlib.ExitStack()
        for name, stand_in in {
            "open": opened, "fsync": fsync, "replace": renamed, "link": linked, "unlink": unlinked, "mkdir": made,
            "write": written,
        }.items():  # fmt: skip
            self.patches.enter_context(mock.patch.object(os, name, stand_in))
        wrapped = lambda handle, mode: File(open(handle, mode), self, self.handles[handle])  # noqa: E731, SIM115
        self.patches.enter_context(mock.patch("xpnn.durable.open", wrapped, create=True))
        return self

    def __exit__(self, *args):
        self.patches.close()
