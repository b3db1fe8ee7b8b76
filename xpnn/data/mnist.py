"""MNIST: 60,000 + 10,000 handwritten digits, 28 x 28 grey, in the package itself: no network needed.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
recognition", Proc. IEEE 86(11), 1998. Licence of the data: CC BY-SA 3.0, see embedded/LICENSE-MNIST.
"""

import os

from xpnn.data.folder import NAMES, Arrays, read_folder
from xpnn.errors import DataError
from xpnn.system import user_path

MNIST_CLASSES = tuple("0123456789")

# Of the unpacked bytes: copies differ in how they are packed, never in what they hold.
SHA256 = dict(
    zip(
        NAMES,
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        strict=True,
    )
)


def mnist(path: str | os.PathLike[str] | None = None) -> Arrays:
    """`x, y, x_test, y_test`: images uint8 (N, 28, 28, 1) of 0 to 255, labels int64 (N,) of 0 to 9.

    Without `path`, the embedded files, whose SHA-256 is checked. With it, a folder of four IDX files
    of this layout (raw, gzip or xz), whatever they show: KMNIST reads as well. Raises `FileError`
    when they are missing and `DataError` when they are damaged or of another size.
    """
    if path is None:
        from importlib.resources import files

        return read_folder(files("xpnn.data").joinpath("embedded"), SHA256)
    arrays = read_folder(user_path(path))
    if arrays[0].shape[1:3] != (28, 28):
        raise DataError(
            f"{path} holds images of {arrays[0].shape[1:3]} pixels",
            why="expected (28, 28), the size of MNIST's",
            fix="xpnn train idx --data FOLDER takes images of any size",
        )
    return arrays
