"""Samples and targets of the parts of a table: in memory, or of a table on the disk on the disk as well."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.tables.preparation import TablePreparation
from xpnn.data.tables.row_split import RowSplit
from xpnn.data.tables.stored import AnyTable, StoredTable
from xpnn.errors import FileError
from xpnn.temporary_files import Scratch, release, temporary_place

KEPT = 200_000
"""Rows of a part of a table on the disk up to which it is kept in memory."""


def take_samples(
    table: AnyTable, preparation: TablePreparation, split: RowSplit
) -> tuple[list[Any], list[NDArray[Any]]]:
    """x and y of each part of `split`, the rows in their order.

    Of a table on the disk they are on the disk too, but for a part of at most 200,000 rows. Raises FileError where
    the disk has no room for them.
    """
    count = 1 + len(split.parts)
    if not isinstance(table, StoredTable):
        masks = [split.mask(part) for part in range(count)]
        y = preparation.targets(table[preparation.label])
        return [preparation.samples(table.part(mask)) for mask in masks], [y[mask] for mask in masks]
    check_room(table.rows * (4 * len(preparation.features) + 8 * len(preparation.embedded) + 8))
    files = [Files(preparation) for _ in range(count)]
    for start, piece in table.parts():
        x, y = preparation.samples(piece), preparation.targets(piece[preparation.label])
        for part, file in enumerate(files):
            file.write(x, y, split.mask(part, start, start + len(y)))
        release()
    found = [file.arrays() for file in files]
    return [x for x, _ in found], [y for _, y in found]


class Files:
    """The samples and targets of one part, on the disk."""

    def __init__(self, preparation: TablePreparation) -> None:
        embedded = len(preparation.embedded)
        shapes = ((len(preparation.features),), *((),) * embedded)
        dtypes = ("float32", *("int64",) * embedded)
        self.x = [Scratch(dtype, shape) for dtype, shape in zip(dtypes, shapes, strict=True)]
        self.y = Scratch("int64" if preparation.classes else "float64")
        self.embedded = embedded > 0

    def write(self, x: Any, y: NDArray[Any], rows: NDArray[np.bool_]) -> None:
        """More samples, of which those rows belong here."""
        for array, file in zip((*x, y) if self.embedded else (x, y), (*self.x, self.y), strict=True):
            file.write(array[rows])

    def arrays(self) -> tuple[Any, NDArray[Any]]:
        """x and y of all samples."""
        found = [file.array() for file in (*self.x, self.y)]
        if self.y.rows <= KEPT:
            found = [np.array(one) for one in found]
        *x, y = found
        return tuple(x) if self.embedded else x[0], y


def check_room(size: int) -> None:
    """Raises FileError where the folder for temporary files has no room for so many bytes."""
    folder, free = temporary_place()
    if size > free:
        raise FileError(
            f"the samples of this table take {size / 1e9:.1f} GB, {folder} has {free / 1e9:.1f} GB free",
            fix="TMPDIR=FOLDER, on a larger disk",
        )
