"""Tables that are in memory already, taken by what they can do: none of their libraries is imported.

pandas, polars   DataFrame, Series        PyArrow   Table, RecordBatch
a list of dicts, a dict of columns, a NumPy array of rows
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xpnn.data.tables.table import Table, as_values, make_table
from xpnn.data.tables.values import Values
from xpnn.errors import DataError
from xpnn.printing import counted, listed

TAKEN = "a pandas or polars DataFrame, a PyArrow table, a list of dicts, a dict of columns, or a file's path"


def is_frame(data: Any) -> bool:
    """Whether it names its columns: what `Model.predict` matches by name."""
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return bool(data) and all(isinstance(row, Mapping) for row in data)
    return isinstance(data, Mapping | Table) or hasattr(data, "columns") or hasattr(data, "column_names")


def from_memory(data: Any, name: str = "the table") -> Table:
    """The table in `data`. Raises DataError for anything else, with a sentence for what people try."""
    if isinstance(data, Table):
        return data
    if hasattr(data, "tocsr") and hasattr(data, "nnz"):
        raise DataError(
            f"{name} is a sparse matrix",
            why="it has no names of columns, and a network takes all of its numbers",
            fix="pandas.DataFrame.sparse.from_spmatrix(x), or x.toarray() where that fits into memory",
        )
    if hasattr(data, "collect") and hasattr(data, "collect_schema"):
        raise DataError(f"{name} is a query that has not run", fix="call its collect() first")
    if hasattr(data, "compute") and hasattr(data, "npartitions"):
        raise DataError(
            f"{name} has not been computed", fix="call its compute() first, or give the files behind it"
        )
    return make_table(name, columns_of(data, name), categories_of(data), index_note(data))


def columns_of(data: Any, name: str) -> dict[str, Values]:
    """{name: column} of every kind that is taken."""
    if isinstance(data, Mapping):
        check_once(list(map(str, data)), name)
        return {str(key): from_column(str(key), column) for key, column in data.items()}
    if hasattr(data, "iloc"):
        return from_pandas(data, name)
    if hasattr(data, "get_columns"):  # polars
        return {column.name: from_polars(column) for column in data.get_columns()}
    if hasattr(data, "is_null") and hasattr(data, "to_list"):
        return {data.name or "0": from_polars(data)}
    if hasattr(data, "column_names") and hasattr(data, "column"):  # PyArrow
        check_once(data.column_names, name)
        return {key: from_arrow(key, data.column(i)) for i, key in enumerate(data.column_names)}
    if isinstance(data, np.ndarray) and data.ndim == 2:
        return {str(i): as_values(str(i), data[:, i]) for i in range(data.shape[1])}
    if isinstance(data, np.ndarray) and data.dtype.names:
        return {key: as_values(key, data[key]) for key in data.dtype.names}
    if isinstance(data, Sequence) and not isinstance(data, str | bytes) and is_frame(data):
        keys = list(dict.fromkeys(key for row in data for key in row))
        check_once(list(map(str, keys)), name)
        return {str(key): as_values(str(key), [row.get(key) for row in data]) for key in keys}
    raise DataError(
        f"{name} is of type {type(data).__name__}",
        why=f"wanted {TAKEN}",
        fix="pandas.DataFrame(rows, columns=[...]) gives rows their names",
    )


def check_once(names: Sequence[str], table: str) -> None:
    """Raises DataError where two columns have one name: the second would take the place of the first."""
    if len(set(names)) < len(names):
        twice = next(key for i, key in enumerate(names) if key in names[:i])
        raise DataError(f"{table} has two columns called {twice!r}", fix="rename one of them")


def from_column(name: str, column: Any) -> Values:
    """A column of a dict: a list, an array or a Series. Raises DataError for a single entry."""
    if hasattr(column, "iloc"):
        return pandas_column(name, column)
    if hasattr(column, "__array__"):
        return as_values(name, np.asarray(column))
    if isinstance(column, str | bytes) or not hasattr(column, "__iter__"):
        raise DataError(
            f"column {name!r} is {str(column)[:40]!r}",
            why="wanted a list or an array, an entry for each row",
            fix="[{...}], a list of one dict, for a single row",
        )
    return as_values(name, list(column))


def categories_of(data: Any) -> tuple[str, ...]:
    """The columns that pandas calls categories, which may be numbers: 3 is then a name like any other."""
    if not hasattr(data, "iloc") or not hasattr(data, "columns"):
        return ()
    return tuple(str(key) for key, kind in data.dtypes.items() if str(kind) == "category")


def index_note(data: Any) -> tuple[str, ...]:
    """What is said of the index of a DataFrame that holds more than numbers of rows: it is no column."""
    if not hasattr(data, "iloc") or not hasattr(data, "columns") or not len(data.index):
        return ()
    names = [str(name) for name in data.index.names if name is not None]
    if names:
        return (
            f"left out: the index {listed(names)}: df.reset_index() makes it {counted(len(names), 'column')}",
        )
    if str(data.index.dtype).startswith(("int", "uint")):
        return ()
    return (
        f"left out: the index, such as {str(data.index[0])[:40]!r}: df.reset_index() makes a column of it",
    )


def from_pandas(data: Any, name: str) -> dict[str, Values]:
    """Of a DataFrame its columns by position; of a Series a row where its index holds names, else a column."""
    if not hasattr(data, "columns"):
        if len(data.index) and all(isinstance(key, str) for key in data.index):
            return {key: as_values(key, [data.iloc[i]]) for i, key in enumerate(data.index)}
        key = "0" if data.name is None else str(data.name)
        return {key: pandas_column(key, data)}
    names = [str(key) for key in data.columns]
    check_once(names, name)
    return {key: pandas_column(key, data.iloc[:, i]) for i, key in enumerate(names)}


def pandas_column(name: str, series: Any) -> Values:
    """A Series, whatever its dtype: categories as their values, times in UTC."""
    missing = np.asarray(series.isna(), bool)
    kind = str(series.dtype)
    if kind.startswith("datetime64") and "," in kind:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    if kind.startswith("period["):
        series = series.dt.to_timestamp()
    if kind == "category":
        words = as_values(name, np.asarray(series.astype(object), dtype=object), missing).words()
        return Values(name, words, missing)
    if not isinstance(series.dtype, np.dtype):
        data = np.asarray(series.astype(object), dtype=object)
    else:
        data = series.to_numpy()
    return as_values(name, data, missing)


def from_polars(series: Any) -> Values:
    """A column of polars."""
    missing = np.asarray(series.is_null().to_numpy(), bool)
    data = None if str(series.dtype).endswith("Int128") else series.to_numpy()  # NumPy has no such numbers
    if data is None or data.dtype.kind not in "biufM":
        data = np.array([*series.to_list(), None], object)[:-1]
    return as_values(series.name or "0", data, missing)


def from_arrow(name: str, column: Any) -> Values:
    """A column of PyArrow."""
    return as_values(name, from_arrow_list(column.to_pylist()))


def from_arrow_list(entries: list[Any]) -> Any:
    """As objects, so that dates do not become text."""
    found = np.empty(len(entries), object)
    found[:] = entries
    return found
