"""Which samples of a batch a call computes, where several processes share one."""

from typing import NamedTuple


class Share(NamedTuple):
    """Of a batch of `total` samples the `rows` from number `first` on.

    Numbers, not arrays: they are part of a compiled step's signature, for a step compiled for one share draws the
    random numbers of that share.
    """

    first: int
    rows: int
    total: int
