"""What the readers of data refuse, and by which words."""

import numpy as np
import pytest

from xpnn.data import read_npy, read_npz
from xpnn.data.batches import Batches
from xpnn.data.emnist import find_division
from xpnn.data.image_preparation import ImagePreparation
from xpnn.data.tables.columns import DateColumn
from xpnn.errors import DataError, FileError, UsageError
from xpnn.stored_array import StoredArray

X, Y = np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1])
PICTURES = {"height": 4, "width": 4, "channels": 1, "classes": ("a", "b")}


def pictures(**given):
    return lambda: ImagePreparation(**PICTURES | given)


def dates(*parts, means=(0.0,), stds=(1.0,)):
    return lambda: DateColumn("d", tuple(parts), means, stds)


SETTINGS = {
    "channels": (pictures(channels=2), "channels=2): wanted 1 or 3"),
    "equal levels": (pictures(black=9.0, white=9.0), "black=9.0, white=9.0): wanted black < white"),
    "crop of other sizes": (pictures(crop="ink"), "wanted 28 x 28 grey pixels"),
    "no height": (pictures(height=0), "height=0): wanted 1 to 32768"),
    "too wide": (pictures(width=32769), "width=32769): wanted 1 to 32768"),
    "background": (pictures(background=256), "background=256): wanted 0 to 255"),
    "background below": (pictures(background=-1), "background=-1): wanted 0 to 255"),
    "names twice": (pictures(classes=("a", "b", "a")), "holds 3 names, 'a' twice"),
    "no part of a date": (dates("century"), "a date has no 'century'"),
    "a part twice": (dates("month", "month", means=(0.0, 0.0), stds=(1.0, 1.0)), "do not belong together"),
    "parts without numbers": (dates("month", means=()), "do not belong together"),
    "no parts": (dates(means=(), stds=()), "do not belong together"),
    "weights and balanced": (
        lambda: Batches(X, Y, 2, weights=np.ones(4), balanced=True), "weights and balanced at once",
    ),
    "ahead": (lambda: Batches(X, Y, 2, ahead=-1), "ahead=-1: wanted a number of batches, 0 or more"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "words"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting_that_means_nothing(make, words):
    with pytest.raises(UsageError) as caught:
        make()
    assert words in str(caught.value)


def test_the_ends_of_what_a_setting_may_be():
    for given in ({"height": 1}, {"width": 1 << 15}, {"background": 0}, {"background": 255}, {"channels": 3}):
        pictures(**given)()


def test_a_folder_without_files_of_emnist(tmp_path):
    (tmp_path / "emnist-unknown-train").touch()
    with pytest.raises(FileError, match="holds no files of EMNIST"):
        find_division(tmp_path)
    with pytest.raises(FileError, match="cannot read"):
        find_division(tmp_path / "none")


def test_what_is_in_the_way_of_an_archive(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match=r"is not a complete \.npz archive"):
        read_npz(tmp_path / "a.npz")
    for read, name in ((read_npz, "none.npz"), (read_npy, "none.npy"), (read_npy, "."), (read_npz, ".")):
        with pytest.raises(FileError, match="cannot read"):
            read(tmp_path / name)


def test_a_single_number_has_no_samples():
    with pytest.raises(DataError, match="a dataset of a single number"):
        StoredArray(np.array(3.0))
    with pytest.raises(DataError, match="x is a single number"):
        Batches(np.float32(3), Y, 2)


def test_labels_of_another_length():
    with pytest.raises(DataError, match="x has 4 samples, y has 3"):
        Batches(X, Y[:3], 2)
