"""Pictures in folders: one folder for each class, named after it.

    PATH/cat/1.png  PATH/dog/7.jpg ...             or PATH/train/cat/..., PATH/test/cat/...

All are of one size. They are grey (H, W, 1) where all of them are, else colour (H, W, 3); transparency is dropped.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.idx import cannot_read
from xpnn.data.picture import open_image
from xpnn.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
GREY = ("1", "L", "LA", "I", "I;16", "F")

Images = tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...], tuple[str, ...]]


def read_images(path: str | os.PathLike[str]) -> Images:
    """`x, y, classes, files`: images uint8 (N, H, W, 1 or 3), class numbers int64, and where each came from.

    In order of the classes' names, then of the files'; hidden files and those of other kinds are passed over. Raises
    FileError when the folder cannot be read, DataError for fewer than two classes, a class without pictures, and a
    picture that is damaged or of another size than the first.
    """
    path = Path(path)
    try:
        folders = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
        found = {folder.name: _pictures(folder) for folder in folders}
    except OSError as error:
        raise cannot_read(str(path), error) from error
    if len(found) < 2:
        raise DataError(
            f"{path} holds {len(found)} folders of pictures",
            why="wanted one for each class, two or more",
            fix="PATH/cat/1.png, PATH/dog/1.png, ...",
        )
    if empty := [name for name, files in found.items() if not files]:
        raise DataError(f"{path / empty[0]} holds no pictures", why=f"wanted files in {', '.join(SUFFIXES)}")
    files = [file for group in found.values() for file in group]
    y = np.repeat(np.arange(len(found), dtype=np.int64), [len(group) for group in found.values()])
    return _stacked(files), y, tuple(found), tuple(str(file.relative_to(path)) for file in files)


def has_parts(path: Path) -> bool:
    """Is there a folder `train` and one `test`?"""
    return (path / "train").is_dir() and (path / "test").is_dir()


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def _stacked(files: list[Path]) -> NDArray[np.uint8]:
    """Grey until the first picture in colour; then all over again in colour."""
    for mode in ("L", "RGB"):
        pictures: list[NDArray[Any]] = []
        for file in files:
            image = open_image(file)
            if mode == "L" and image.mode not in GREY:
                break
            pictures.append(np.asarray(image.convert(mode), dtype=np.uint8))
            _check_size(pictures[-1].shape, pictures[0].shape, file, files[0])
        else:
            break
    x = np.stack(pictures)
    return x[..., np.newaxis] if mode == "L" else x


def _check_size(got: tuple[int, ...], wanted: tuple[int, ...], file: Path, first: Path) -> None:
    if got != wanted:
        raise DataError(
            f"{file} is {got[1]} x {got[0]} pixels, {first} is {wanted[1]} x {wanted[0]}",
            why="wanted pictures of one size",
            fix="bring them to one size first",
        )
