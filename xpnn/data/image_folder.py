"""A folder of pictures as a dataset: PATH/cat/1.png, or PATH/train/cat/1.png and PATH/test/cat/2.png."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpnn.data.dataset import Dataset, Location
from xpnn.data.image_preparation import ImagePreparation, measure
from xpnn.data.images import ImageSet, Wanted, Watch, read_image_set
from xpnn.data.user_data import held_out, required
from xpnn.errors import DataError, UsageError

PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""What the folders of the parts of a dataset are called."""


def image_dataset(
    path: Location,
    resize: tuple[int, int] | None = None,
    known: ImagePreparation | None = None,
    watch: Watch | None = None,
) -> Dataset:
    """Pictures: see `read_images`. Parts such as PATH/train, PATH/val and PATH/test are taken as they are.

    Else a fifth is held out by a hash of each file's name. known: the preparation of a model that goes on with these
    pictures: they are read as its own were. Raises what `read_images` raises, and DataError for parts that do not
    belong together.
    """
    path = required(path, "images", "FOLDER").expanduser()
    if known is not None and resize not in (None, (known.height, known.width)):
        raise UsageError(
            f"--resize to {resize}: the model takes pictures of {known.height} x {known.width} pixels",
            fix="leave --resize out",
        )
    parts = find_parts(path)
    train = read_image_set(parts.get("train", path), _wanted(known) if known else Wanted(resize), watch)
    form = _wanted(known) if known else train.form
    others = {
        name: read_image_set(folder, replace(form, classes=1), watch)
        for name, folder in parts.items() if name != "train"
    }  # fmt: skip
    numbers = {name: class_numbers(one, train.classes, parts[name]) for name, one in others.items()}
    if "test" in others:
        data = Dataset(
            "images", train.x, train.y, others["test"].x, numbers["test"], train.classes, str(path)
        )
    else:
        data = held_out("images", train.x, train.y, train.classes, list(train.files), str(path))
    notes = [*train.notes, *data.notes]
    notes += [f"{parts[name].name}: {note}" for name, one in others.items() for note in one.notes]
    preparation = (
        replace(known, classes=train.classes)
        if known
        else measure(train.x, train.classes, train.background, train.levels)
    )
    held = (others["validation"].x, numbers["validation"]) if "validation" in others else None
    return replace(data, preparation=preparation, notes=tuple(notes), validation=held)


def whole_folder(path: Path, known: ImagePreparation, watch: Watch | None = None) -> Dataset:
    """All pictures of another folder, to test a model with: read as its own were, classes matched by name.

    Of a folder with parts, the one for tests. Raises DataError for a class that the model does not know.
    """
    parts = find_parts(path)
    folder = parts.get("test", path) if parts else path
    found = read_image_set(folder, replace(_wanted(known), classes=1), watch)
    y = class_numbers(found, known.classes, folder)
    notes = (*found.notes, f"all {len(y):,} pictures of {folder} are used")
    return Dataset("images", found.x[:0], y[:0], found.x, y, known.classes, str(folder), known, notes)


def class_numbers(found: ImageSet, classes: tuple[str, ...], folder: Path) -> NDArray[np.int64]:
    """The labels of a set as `classes` number them. Raises DataError for a class that is not among them."""
    unknown = [name for name in found.classes if name not in classes]
    if unknown:
        raise DataError(
            f"{folder} holds pictures of {', '.join(unknown)[:80]}, which the model does not know",
            why=f"it knows {', '.join(classes)[:120]}",
            fix="leave those folders out, or train with them",
        )
    return np.array([classes.index(name) for name in found.classes], np.int64)[found.y]


def _wanted(known: ImagePreparation) -> Wanted:
    size = known.height, known.width
    return Wanted(size, known.channels, known.background, (known.black, known.white), known)


def find_parts(path: Path) -> dict[str, Path]:
    """{"train": ..., "validation": ..., "test": ...}, as far as they are there; empty where it has no parts.

    A folder for training makes parts of them together with one of the others: alone it is a class. Raises DataError
    for other folders beside the parts.
    """
    inside = {p.name.lower(): p for p in path.iterdir() if p.is_dir()} if path.is_dir() else {}
    found = {
        part: next(inside[name] for name in names if name in inside)
        for part, names in PARTS.items() if any(name in inside for name in names)
    }  # fmt: skip
    if "train" not in found or len(found) == 1:
        return {}
    others = sorted(p.name for p in inside.values() if p not in found.values() and not p.name.startswith("."))
    if others:
        raise DataError(
            f"{path} holds {', '.join(others)[:80]} beside {', '.join(p.name for p in found.values())}",
            why="it is either one folder for each class, or one for each part of the data",
            fix="move them elsewhere, or name the folder that is meant with --data",
        )
    return found
