"""Entries that other libraries mark as missing: NumPy would turn whole numbers and booleans into floats with NaN."""

from typing import Any

import numpy as np

from xpnn.errors import DataError
from xpnn.printing import library_of, name_of


def refuse_missing(a: Any) -> None:
    """Raise DataError for pandas, polars or Arrow data with missing entries, naming the first.

    NaN in plain floats of pandas is left to those who know whether it is allowed.
    """
    if hasattr(a, "isna") and (hasattr(a, "dtype") or hasattr(a, "iloc")):  # pandas and its like
        columns = [a.iloc[:, i] for i in range(a.shape[1])] if hasattr(a, "columns") else [a]
        marked = [one for one in columns if not isinstance(one.dtype, np.dtype)]
        masks = [(getattr(one, "name", None) or "", one.dtype, one.isna()) for one in marked]
    elif library_of(a) == "polars" and hasattr(a, "null_count"):
        columns = a.get_columns() if hasattr(a, "get_columns") else [a]
        masks = [(one.name, one.dtype, one.is_null()) for one in columns if one.null_count()]
    elif library_of(a) == "pyarrow" and hasattr(a, "is_null"):
        masks = [("", a.type, a.is_null())]
    elif library_of(a) == "pyarrow" and hasattr(a, "column_names"):
        named = zip(a.column_names, a.columns, strict=True)
        masks = [(name, one.type, one.is_null()) for name, one in named if one.null_count]
    else:
        return
    for name, dtype, mask in masks:
        missing = np.asarray(mask, bool)
        if missing.any():
            column = f", column {str(name)[:40]!r}," if hasattr(a, "columns") or name else ""
            raise DataError(
                f"entry {int(np.argmax(missing))} of a {name_of(a)}{column} of {dtype} is missing",
                why=f"{int(missing.sum()):,} of {len(missing):,} entries are, and no number stands for them",
                fix="leave those samples out (of pandas: keep = y.notna().to_numpy(); x[keep], y[keep]), or fill them; "
                "xpnn.data.prepare_table fills columns to learn from",
            )
