"""The samples a trained model is tested on: those held out of its training, or all those of a given file.

Classes and columns are matched by name; unknown ones are refused by name.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.cli.runs import Saved
from xpnn.data import Dataset, ImagePreparation, TablePreparation, load
from xpnn.data.image_folder import whole_folder
from xpnn.data.tables.dataset import whole_table
from xpnn.errors import DataError, UsageError
from xpnn.printing import count_of, listed
from xpnn.stored_array import StoredArray

if TYPE_CHECKING:
    from xpnn.model import Model


def test_samples(saved: Saved, model: "Model", data: Path | None, what: str) -> Dataset:
    """Return x_test and y_test for `model`, and notes that say which samples they are.

    data: None, or the file that was trained on, for the part that was held out; any other file is used whole. what:
    how to go on without a run.json. Raises UsageError where nothing says what was trained on, DataError for classes and
    columns that the model was not trained on.
    """
    about, preparation = saved.about, model.preparation
    trained_on = about.get("data")
    check_known(saved, data, what)
    same = data is None or (trained_on is not None and Path(trained_on) == data.resolve())
    if isinstance(preparation, TablePreparation) and not same:
        assert data is not None
        return whole_table(data, preparation)
    if isinstance(preparation, ImagePreparation) and not same and data is not None and has_folders(data):
        return whole_folder(data, preparation)
    check_known(saved, None, what)  # a file alone says nothing of its kind where the model does not
    samples = again(about, trained_on if same else data, preparation)
    if not same and samples.held_out:
        x, y = together(samples)
        notes = (*samples.notes, f"all samples of {data} are used")
        samples = replace(samples, x_test=x, y_test=y, notes=notes)
    elif data is not None and same and samples.held_out:
        line = f"{data} was trained on: the {len(samples.y_test):,} held-out samples are used"
        samples = replace(samples, notes=(*samples.notes, line))
    names = class_names(saved, model)
    return match_classes(samples, names) if names and samples.classes else samples


def together(samples: Dataset) -> tuple[Any, Any]:
    """Return the samples of both parts and their targets; those that stay on the disk in the order of the file."""
    x, y = samples.x, np.concatenate([samples.y, samples.y_test])
    if not isinstance(x, StoredArray):
        return np.concatenate([x, samples.x_test]), y
    rows = np.concatenate([x.rows, samples.x_test.rows])
    order = np.argsort(rows)
    return StoredArray(x.dataset, rows[order]), y[order]


def check_known(saved: Saved, data: Path | None, what: str) -> None:
    """Raise UsageError if neither run.json nor a given file says what to test on."""
    if "dataset" not in saved.about and data is None:
        raise UsageError(
            f"no run.json beside {saved.weights} says which dataset it was trained on",
            fix=f"name a folder written by xpnn train, or {what}",
        )


def again(about: dict[str, Any], path: Any, preparation: Any = None) -> Dataset:
    """Load the dataset of a run.json again, from `path`."""
    table = isinstance(preparation, TablePreparation)
    seed, given = int(about.get("seed", 0)), (about.get("label"), about.get("task"))
    return load(
        str(about["dataset"]), path, seed, *((None, None) if table else given), known=preparation, verbose=0
    )


def has_folders(path: Path) -> bool:
    """Return whether it is a folder with folders in it, such as pictures by class."""
    return path.is_dir() and any(p.is_dir() and not p.name.startswith(".") for p in path.iterdir())


def class_names(saved: Saved, model: "Model") -> tuple[str, ...]:
    """Return the model's class names; [] if neither its file nor run.json has them."""
    return model.preparation.class_names if model.preparation else tuple(saved.classes)


def match_classes(samples: Dataset, names: tuple[str, ...]) -> Dataset:
    """Return the samples with their classes numbered as in `names`. Raises DataError for a class not in `names`."""
    if samples.classes == names:
        return samples
    number = {name: i for i, name in enumerate(names)}
    there = np.unique(np.concatenate([samples.y, samples.y_test]))
    unknown = [samples.classes[k] for k in there if samples.classes[k] not in number]
    if unknown:
        raise DataError(
            f"{samples.name}: {count_of(unknown, 'class')} {listed(unknown)} unknown to the model",
            why=f"it knows {listed(names)}",
            fix="leave those samples out, or train a model that knows these classes",
        )
    renumbered = np.array([number.get(name, 0) for name in samples.classes], np.int64)
    return replace(samples, y=renumbered[samples.y], y_test=renumbered[samples.y_test], classes=names)
