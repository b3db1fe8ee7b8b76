"""Which rows of a batch a rank computes."""

from typing import Any

import numpy as np

from xpnn.backends.share import Share
from xpnn.distributed.communicator import Communicator

Rows = np.ndarray[Any, Any]


def own_rows(group: Communicator, rows: Rows, mixing: bool) -> tuple[Rows, Share]:
    """This rank's rows of a batch, and their share.

    All of them where there are fewer than ranks, or where the ranks want equal shares and cannot have them.
    mixing: each sample is mixed with the next, so that of the rank behind comes along.
    """
    n = len(rows)
    if n < group.size or (group.equal_rows and n % group.size):
        return rows, Share(0, n, n)
    first, stop = group.rows(n)
    own = rows[first:stop]
    return np.append(own, rows[stop % n]) if mixing else own, Share(first, stop - first, n)
