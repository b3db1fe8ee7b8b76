"""What a backend must know of a chain of Dense and ReLU to compute it for one sample."""

from typing import NamedTuple


class DenseSlot(NamedTuple):
    """A Dense: where W (n_in, units) and b (units,) begin in theta, and whether a ReLU follows."""

    W: int
    b: int
    n_in: int
    units: int
    relu: bool
