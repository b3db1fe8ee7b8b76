"""HDF5 files from elsewhere: they may lead to other files, go round in circles, or stand for more than they hold."""

import os
from pathlib import Path
from typing import Any

from xpnn.errors import CheckpointError

FREE, RATIO = 1 << 28, 200
"""Bytes that a file's arrays may take whatever its size, and how many more for each byte in the file."""


def check_h5(file: Any, h5py: Any, path: Path) -> None:
    """Raise CheckpointError unless every array lies in the file itself, each is reached once, and all fit in memory.

    Links to other files, soft links, virtual datasets and external storage are refused; only the outline is read.
    """
    room = FREE + RATIO * os.path.getsize(path)
    left, seen = [file], set()
    while left:
        group = left.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            raise refused(path, f"{group.name} is in it twice", "a group of layers has one place")
        seen.add(address)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise refused(path, f"{name} is a link", "links may lead to other files, or round in circles")
            entry = group[name]
            if isinstance(entry, h5py.Group):
                left.append(entry)
            elif isinstance(entry, h5py.Dataset):
                if entry.is_virtual or entry.external:
                    raise refused(path, f"{name} lies in another file", "weights come from the file alone")
                room -= entry.nbytes
        if room < 0:
            raise refused(
                path, "its arrays are far larger than the file",
                f"at most {RATIO} bytes are unpacked for each byte of a file, and {FREE:,} always",
            )  # fmt: skip


def refused(path: Path, what: str, why: str) -> CheckpointError:
    """The error for a file that is not read any further."""
    return CheckpointError(
        f"{path}: {what}", why=why, fix="save the weights again with Keras: model.save_weights(path)"
    )
