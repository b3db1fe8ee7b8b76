"""`xpnn predict` for tables and arrays: an answer for each row, as CSV or as JSON lines."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xpnn.cli.output import emit, status, write
from xpnn.cli.runs import Saved
from xpnn.data import TablePreparation, read_npy, read_npz
from xpnn.data.array_store import STORED, stored_samples
from xpnn.data.tables.files import STDIN, expand
from xpnn.data.tables.reading import read_table
from xpnn.data.tables.stored import AnyTable
from xpnn.data.tables.summary import summarize
from xpnn.data.tables.table import Table
from xpnn.data.tables.values import unnamed
from xpnn.durable import write_durably
from xpnn.errors import DataError, UsageError, XpnnError
from xpnn.printing import listed
from xpnn.temporary_files import spool

if TYPE_CHECKING:
    from xpnn.model import Model

ARRAYS = (".npy", ".npz", *STORED)
MANY, LARGE = 1 << 16, 64 << 20
"""Rows of an array that are answered together, and bytes of them, at most."""


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's answers for rows of one file; `shares` (N, C): probabilities, None for a regression.

    start: the number of rows of the file before them.
    """

    file: str
    label: str
    answers: NDArray[Any]
    classes: tuple[str, ...]
    shares: NDArray[Any] | None
    table: Table | None = None
    start: int = 0

    def __len__(self) -> int:
        return len(self.answers)


def predict_rows(
    saved: Saved,
    model: "Model",
    files: tuple[Path, ...],
    out: Path | None,
    columns: tuple[str, ...],
    as_json: bool,
) -> int:
    """Print or write the answers for every file; the exit code of the last error, 0 without one.

    A file that cannot be answered is reported, and the others are answered all the same. Raises UsageError for columns
    that cannot be written, and FileError where `out` cannot.
    """
    from xpnn.cli import report

    code, header, several = 0, [""], len(files) > 1
    with spool() as kept:
        for file, error in every_file(files):
            place, before, count = kept.tell(), header, 0
            try:
                if error is not None:
                    raise error
                for found in answers(saved, model, file, columns):
                    if as_json:
                        for event in events(found):
                            emit(event)
                        continue
                    names, rows = laid_out(found, columns, several)
                    text = as_csv(names if header != names else None, rows)
                    header, count = names, count + len(found)
                    if out is None:
                        write(text.removesuffix("\n"))
                    else:
                        kept.write(text.encode())
            except XpnnError as problem:
                if not several:
                    raise
                code = report(of_file(file, problem))
                kept.seek(place)
                kept.truncate()
                header = before if out is not None else header
                continue
            if out is not None and not as_json:
                status(f"{file}: {count:,} rows answered")
        if out is not None:
            kept.seek(0)
            write_durably(out, iter(lambda: kept.read(1 << 20), b""))
            status(f"saved  {out}")
    return code


def of_file(file: Path, problem: XpnnError) -> XpnnError:
    """Return the error with the name of the file, of several, that it is about."""
    if str(file) in problem.what:
        return problem
    return type(problem)(f"{file}: {problem.what}", why=problem.why, fix=problem.fix)


def as_csv(names: list[str] | None, rows: Iterable[Any]) -> str:
    """Lines of CSV, with a first one of names where there are some."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if names is not None:
        writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue()


def every_file(files: tuple[Path, ...]) -> Iterator[tuple[Path, XpnnError | None]]:
    """Return every file that the names stand for, or the error why there is none."""
    for name in files:
        if str(name) == STDIN or name.suffix in ARRAYS:
            yield name, None
            continue
        try:
            found = expand(name)
        except XpnnError as error:
            yield name, error
        else:
            for file in found:
                yield file, None


def answers(saved: Saved, model: "Model", file: Path, columns: tuple[str, ...]) -> Iterator[Answers]:
    """Yield the answers for one file, part by part: it may be larger than memory.

    Raises DataError for rows that the model cannot take.
    """
    preparation = model.preparation
    if isinstance(preparation, TablePreparation):
        named = read_table(str(file), as_words=columns, dates=preparation.dates)
        preparation.check_columns(named)
        for note in (*named.notes, *preparation.remarks(named)):
            status(f"{file}: {note}")
        for start, part in named.parts():
            found, shares = preparation.predict(model, part)
            yield Answers(str(file), preparation.label, found, preparation.classes, shares, part, start)
        return
    for start, table, x in samples_of(file, model, columns):
        if model.loss.kind not in ("classes", "binary"):
            yield Answers(str(file), "prediction", model.predict(x), (), None, table, start)
            continue
        ids, shares = np.atleast_1d(model.predict(x)), model.predict_proba(x)
        if shares.shape[1:] == (1,):  # of a single yes or no
            shares = np.concatenate([1 - shares, shares], axis=1)
        classes, many = tuple(saved.classes), shares.shape[-1]
        names = classes if len(classes) == many else tuple(map(str, range(many)))
        yield Answers(str(file), "label", np.array(names, object)[ids], names, shares, table, start)


def samples_of(
    file: Path, model: "Model", columns: tuple[str, ...]
) -> Iterator[tuple[int, Table | None, NDArray[Any]]]:
    """Yield the samples in a file for a model that has no column names, each part with the number of its first row.

    For a table, its columns of numbers, in order. Raises DataError for samples that the model does not take.
    """
    if file.suffix in ARRAYS:
        x = array_of(file)
        many = max(1, min(MANY, LARGE * len(x) // max(1, x.nbytes)))
        for start in range(0, len(x), many):
            yield start, None, x[start : start + many]
        return
    table = read_table(str(file), as_words=columns)
    kept = [name for name in table if name not in columns and not numbers_rows(table, name)]
    if len(model.input_shape) != 1 or len(kept) != model.input_shape[0]:
        raise DataError(
            f"{table.name} has {len(kept)} columns, the model takes samples of shape {model.input_shape}",
            why="it was not trained on a table, and has no record of the names of columns",
            fix="give as many columns of numbers, in order, or an array in a .npy file",
        )
    for start, part in table.parts():
        yield start, part, np.stack([part[name].numbers() for name in kept], axis=1)


def numbers_rows(table: AnyTable, name: str) -> bool:
    """Whether a column is the unnamed index of a data frame."""
    return unnamed(name) and summarize(table, name).is_index()


def array_of(file: Path) -> Any:
    """Return the samples in a file of arrays: x, x_test, or the only one. Those of HDF5 and Zarr stay there."""
    if file.suffix in STORED:
        return stored_samples(file)
    if file.suffix == ".npy":
        return read_npy(file)
    arrays = read_npz(file)
    name = next((name for name in ("x", "x_test") if name in arrays), None)
    if name is None and len(arrays) != 1:
        raise DataError(
            f"{file} holds {listed(arrays)}", why="wanted an array called x", fix="numpy.savez(file, x=x)"
        )
    return arrays[name] if name else next(iter(arrays.values()))


def events(found: Answers) -> Iterator[dict[str, Any]]:
    """Yield a JSON object for each row."""
    for i in range(len(found)):
        event: dict[str, Any] = {
            "file": found.file,
            "row": found.start + i + 1,
            found.label: plain(found.answers[i]),
        }
        if found.shares is not None:
            event |= {"probability": float(found.shares[i].max())}
            event |= {"probabilities": dict(zip(found.classes, found.shares[i].tolist(), strict=True))}
        yield event


def plain(value: Any) -> Any:
    """Return a NumPy value as a plain one for JSON."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def laid_out(
    found: Answers, columns: tuple[str, ...], several: bool
) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """Return names and rows of the CSV: the answer and the probability of each class, or the columns asked for."""
    if columns:
        made = [asked_for(found, name, i, columns) for i, name in enumerate(columns)]
        return list(columns), zip(*made, strict=True)
    names = ["file", "row", found.label] if several else [found.label]
    answers = found.answers.tolist() if found.answers.ndim == 1 else list(map(str, found.answers.tolist()))
    made = [[found.file] * len(found), numbered(found), answers] if several else [answers]
    if found.shares is not None:
        names += [f"probability {name}" for name in found.classes]
        made += [[f"{share:.6g}" for share in column] for column in found.shares.T.tolist()]
    return names, zip(*made, strict=True)


def asked_for(found: Answers, name: str, place: int, columns: tuple[str, ...]) -> Any:
    """Return a column by name: the answer, a column of the table, a class's probability, or the row number."""
    if name.lower() == found.label.lower() or name == found.label:
        return found.answers.tolist()
    if found.table is not None and name in found.table:
        return found.table[name].words().tolist()
    share = name.removeprefix("probability ")
    if found.shares is not None and share in found.classes:
        return [f"{value:.6g}" for value in found.shares[:, found.classes.index(share)]]
    if place == len(columns) - 1:
        if not found.start:
            status(f"column {name!r} of the output: the answers ({found.label!r} in training)")
        return found.answers.tolist()
    if place == 0:
        if not found.start:
            status(f"column {name!r} of the output: {found.file} has none, so the rows are numbered from 1")
        return numbered(found)
    raise UsageError(
        f"--columns {','.join(columns)}: nothing is called {name!r}",
        why=f"{found.file} has {listed(found.table or ())}, and the answer is {found.label!r}",
        fix="--columns ID,ANSWER: a column of the file, then the answers",
    )


def numbered(found: Answers) -> range:
    """The number of each row in its file, from 1."""
    return range(found.start + 1, found.start + len(found) + 1)
