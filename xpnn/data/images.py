"""Pictures in folders: one folder for each class, named after it; folders inside it belong to that class too.

    PATH/cat/1.png  PATH/dog/7.jpg  PATH/dog/puppies/8.jpg ...

All come on one scale: grey (H, W, 1) where all of them are, else colour (H, W, 3); upright; of deep pictures the same
level is black and the same white in all; where they are transparent, one background shows.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xpnn.data.idx import cannot_read
from xpnn.data.image_file import (
    BYTES,
    Levels,
    Look,
    as_sample,
    deep_range,
    levels_for,
    look_at,
    open_image,
    open_upright,
)
from xpnn.data.image_preparation import ImagePreparation, prepare_one
from xpnn.errors import DataError
from xpnn.printing import counted, to_stderr
from xpnn.system import user_path

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
WORKERS = 4
"""Threads that decode: Pillow works outside the interpreter's lock."""
TOGETHER = 64
"""Pictures that a thread reads at a time."""
NAMED = 5
"""Files that an error names."""

Images = tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...], tuple[str, ...]]
Watch = Callable[[int, int], None]
"""Called as watch(pictures read, pictures in all) now and then."""


@dataclass(frozen=True)
class Wanted:
    """How pictures are to be: None leaves it to the pictures themselves. size: (H, W).

    preparation: that of a model, which fixes all settings; classes: how many there must be at least.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    background: int | None = None
    levels: Levels | None = None
    preparation: ImagePreparation | None = None
    classes: int = 2


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Pictures uint8 (N, H, W, C), numbers of their classes, where each came from, and how they were made one set."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    classes: tuple[str, ...]
    files: tuple[str, ...]
    background: int
    levels: Levels
    notes: tuple[str, ...]

    @property
    def form(self) -> Wanted:
        """What another folder must be read with to be like this one."""
        return Wanted((self.x.shape[1], self.x.shape[2]), self.x.shape[3], self.background, self.levels)


def read_images(
    path: str | os.PathLike[str], resize: tuple[int, int] | None = None, *, verbose: int = 1
) -> Images:
    """`x, y, classes, files`: images uint8 (N, H, W, 1 or 3), class numbers int64, and where each came from.

    In order of the classes' names, then of the files'; hidden files and those of other kinds are passed over. resize:
    (H, W), to which pictures of other sizes are brought. verbose: 1 prints to stderr what was passed over or
    resized, a line for each; 0 prints nothing. Raises FileError when the folder cannot be read, DataError for
    fewer than two classes, a class without pictures, a picture that is damaged or of one colour all over, and pictures
    of several sizes without `resize`.
    """
    found = read_image_set(path, Wanted(resize))
    if verbose:
        to_stderr(found.notes)
    return found.x, found.y, found.classes, found.files


def read_image_set(
    path: str | os.PathLike[str], wanted: Wanted | None = None, watch: Watch | None = None
) -> ImageSet:
    """`read_images`, with what was found out on the way."""
    path, wanted = user_path(path), wanted or Wanted()
    groups, notes = _class_folders(path, wanted.classes)
    files = [file for group in groups.values() for file in group]
    x, done, looks = _first_pass(files, wanted, watch)
    size = x.shape[1:3]
    channels = wanted.channels or (1 if all(look.grey for look in looks) else 3)
    levels = wanted.levels or _levels([f for f, look in zip(files, looks, strict=True) if look.deep])
    clear = [f for f, look in zip(files, looks, strict=True) if look.transparent]
    background = _background(clear) if wanted.background is None else wanted.background
    if x.shape[-1] != channels:
        x, done = np.empty((len(files), *size, channels), np.uint8), np.zeros(len(files), bool)

    def read(i: int) -> None:
        x[i] = as_sample(open_upright(files[i]), channels, background, levels, size)

    _each(read, np.flatnonzero(~done).tolist(), watch)
    _check_varied(x, files)
    y = np.repeat(np.arange(len(groups), dtype=np.int64), [len(group) for group in groups.values()])
    notes += _remarks(looks, size, levels, background)
    names = tuple(str(file.relative_to(path)) for file in files)
    return ImageSet(x, y, tuple(groups), names, background, levels, tuple(notes))


class _Folders(NamedTuple):
    groups: dict[str, list[Path]]
    notes: list[str]


def _class_folders(path: Path, least: int) -> _Folders:
    """The pictures of each class, and what lies beside them."""
    try:
        inside = sorted(p for p in path.iterdir() if not p.name.startswith("."))
        folders = [p for p in inside if p.is_dir()]
        everything = {folder.name: sorted(_files(folder)) for folder in folders}
    except OSError as error:
        raise cannot_read(str(path), error) from error
    groups = {name: [f for f in files if is_picture(f)] for name, files in everything.items()}
    if len(groups) < least:
        raise DataError(
            f"{path} holds {counted(len(groups), 'folder')} of pictures",
            why="wanted one for each class" + (", two or more" if least > 1 else ""),
            fix="PATH/cat/1.png, PATH/dog/1.png, ...",
        )
    if empty := [name for name, files in groups.items() if not files]:
        raise DataError(f"{path / empty[0]} holds no pictures", why=f"wanted files in {', '.join(SUFFIXES)}")
    notes = []
    others = [f for files in everything.values() for f in files if not is_picture(f)]
    loose = [p for p in inside if is_picture(p) and not p.is_dir()]
    if others:
        notes.append(f"left out: {counted(len(others), 'file')} of other kinds, such as {others[0].name}")
    if loose:
        notes.append(
            f"left out: {counted(len(loose), 'picture')} in no folder of a class, such as {loose[0].name}"
        )
    return _Folders(groups, notes)


def _files(folder: Path) -> list[Path]:
    return [
        p for p in folder.rglob("*")
        if not any(part.startswith(".") for part in p.relative_to(folder).parts) and p.is_file()
    ]  # fmt: skip


def is_picture(path: Path) -> bool:
    """Return whether the name has the suffix of a picture."""
    return path.suffix.lower() in SUFFIXES


def _first_pass(
    files: list[Path], wanted: Wanted, watch: Watch | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[Look]]:
    """Each file opened once: the pixels of those that are like the first, which of them are read, and all heads.

    Left for later is what depends on all pictures: deep and transparent ones, and colour among grey. Raises DataError
    for pictures of several sizes where none is wanted.
    """
    first, _ = look_at(files[0], lambda look: False)
    size = wanted.size or first.size
    channels = wanted.channels or (1 if first.grey else 3)
    x, done = np.empty((len(files), *size, channels), np.uint8), np.zeros(len(files), bool)
    looks = [first] * len(files)
    known = wanted.preparation
    levels, background = wanted.levels or BYTES, 255 if wanted.background is None else wanted.background

    def plain(look: Look) -> bool:
        same_channels = wanted.channels is not None or look.grey == first.grey
        deep = look.deep and wanted.levels is None
        return known is not None or (
            same_channels and not deep and not (look.transparent and wanted.background is None)
        )

    def read(i: int) -> None:
        looks[i], image = look_at(files[i], plain)
        if wanted.size is None and looks[i].size != size:
            raise _another_size(files[i], looks[i].size, files[0], size)
        if image is not None:
            x[i] = (
                as_sample(image, channels, background, levels, size)
                if known is None
                else prepare_one(known, image, str(files[i])).pixels
            )
            done[i] = True

    _each(read, range(len(files)), watch)
    return x, done, looks


def _another_size(file: Path, size: tuple[int, int], first: Path, wanted: tuple[int, int]) -> DataError:
    return DataError(
        f"{file} is {size[1]} x {size[0]} pixels, {first} is {wanted[1]} x {wanted[0]}",
        why="wanted pictures of one size",
        fix="--resize 64 (or resize=(64, 64) in Python) brings all of them to 64 x 64",
    )


def _levels(deep: list[Path]) -> Levels:
    """Black and white of all deep pictures together."""
    if not deep:
        return BYTES
    with ThreadPoolExecutor(WORKERS) as pool:
        ranges = list(pool.map(lambda file: deep_range(open_image(file), str(file)), deep))
    return levels_for(min(low for low, _ in ranges), max(high for _, high in ranges))


def _background(clear: list[Path]) -> int:
    """The grey over which the transparent pictures show most: white, unless black shows more of them."""
    if not clear:
        return 255
    with ThreadPoolExecutor(WORKERS) as pool:
        shown = list(pool.map(_shows, clear))
    white, black = (sum(one[k] for one in shown) for k in (0, 1))
    return 255 if white >= black else 0


def _shows(file: Path) -> tuple[bool, bool]:
    """Whether anything is to be seen over white, and over black."""
    image = open_image(file)
    white, black = (bool(np.ptp(as_sample(image, 3, grey))) for grey in (255, 0))
    return white, black


def _each(read: Callable[[int], None], numbers: Sequence[int], watch: Watch | None) -> None:
    """read(i) for all of them, in threads; the first error in their order is raised."""

    def several(start: int) -> None:
        for i in numbers[start : start + TOGETHER]:
            read(i)

    with ThreadPoolExecutor(WORKERS) as pool:
        starts = range(0, len(numbers), TOGETHER)
        for start, _ in zip(starts, pool.map(several, starts), strict=True):
            if watch is not None:
                watch(min(start + TOGETHER, len(numbers)), len(numbers))


def _check_varied(x: NDArray[np.uint8], files: list[Path]) -> None:
    """Raises DataError for pictures that show nothing."""
    blank = [file for file, pixels in zip(files, x, strict=True) if pixels.min() == pixels.max()]
    if blank:
        more = f" and {len(blank) - NAMED:,} more" if len(blank) > NAMED else ""
        raise DataError(
            f"{', '.join(map(str, blank[:NAMED]))}{more}: all of one colour",
            why=f"{len(blank):,} of {counted(len(files), 'picture')}",
            fix="remove them, or look at how they were saved",
        )


def _remarks(looks: list[Look], size: tuple[int, int], levels: Levels, background: int) -> list[str]:
    """What was done to the pictures, a line each."""
    notes, sizes = [], Counter(look.size for look in looks)
    if changed := sum(count for one, count in sizes.items() if one != size):
        notes.append(
            f"{counted(changed, 'picture')} resized to {size[0]} x {size[1]}, from {counted(len(sizes), 'size')}"
        )
    if any(look.deep for look in looks):
        notes.append(f"grey levels {levels[0]:g} to {levels[1]:g} read as 0 to 255")
    if any(look.transparent for look in looks):
        notes.append(f"transparent pixels laid over grey level {background}")
    if moving := sum(look.frames > 1 for look in looks):
        notes.append(f"of {counted(moving, 'picture')} with several frames the first is used")
    return notes
