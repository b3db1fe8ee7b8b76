"""Parts of an axis: one of them, or several side by side."""

from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.layers.axes import along, axis_of, check_axes, stretches, zeros_beside
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.layers.lengths import Length


@dataclass(frozen=True)
class Slice(Layer):
    """y = x[start:stop:step] on one axis, as Python counts: from the end where negative, step -1 the other way round.

    axis: 1 is the first behind the samples', -1 the last. Backward: dx = dy where x was taken, else 0.
    Raises UsageError for step 0 and for the axis of the samples.
    """

    role = "shape"
    input_kind = None
    output_kind = None
    start: int | None = None
    stop: int | None = None
    step: int = 1
    axis: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_axes(self, self.axis)
        if self.step == 0:
            raise UsageError("Slice(step=0): wanted a whole number other than 0")

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Raises ShapeError where nothing would be left."""
        axis = axis_of(self.axis, shape)
        whole = shape[axis - 1]
        n = len(self._taken(whole))
        n = Length(n) if isinstance(whole, Length) else n
        if n == 0:
            raise ShapeError(
                f"takes nothing of the {shape[axis - 1]} on axis {axis}", why=f"a sample is {shape}"
            )
        return {}, (*shape[: axis - 1], n, *shape[axis:])

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keep the shape. Not every library has negative steps: the values are cut forwards, then reversed."""
        axis = axis_of(self.axis, x.shape[1:])
        low, high, step = self._forwards(x.shape[axis])
        y = x[(*along(axis, low, high + 1, step), ...)]
        return (cx.be.xp.flip(y, axis=axis) if self.step < 0 else y), (x.shape,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """Zeros between the steps, then before and behind."""
        (shape,), xp = cache, cx.be.xp
        axis = axis_of(self.axis, shape[1:])
        low, high, step = self._forwards(shape[axis])
        dx = xp.flip(dy, axis=axis) if self.step < 0 else dy
        if step > 1:
            apart = zeros_beside(cx, xp.expand_dims(dx, axis=axis + 1), axis + 1, 0, step - 1)
            dx = xp.reshape(apart, (*dx.shape[:axis], -1, *dx.shape[axis + 1 :]))
            dx = dx[(*along(axis, 0, high - low + 1), ...)]
        return zeros_beside(cx, dx, axis, low, shape[axis] - 1 - high), {}

    def _taken(self, n: int) -> range:
        """Which places of an axis of length n are kept."""
        return range(*slice(self.start, self.stop, self.step).indices(n))

    def _forwards(self, n: int) -> tuple[int, int, int]:
        """The lowest and the highest of them, and how far apart they are."""
        taken = self._taken(n)
        return min(taken[0], taken[-1]), max(taken[0], taken[-1]), abs(self.step)


@dataclass(frozen=True)
class Split(Layer):
    """(y_0, y_1, ...) = x cut into parts on one axis: several outputs, one after the other the whole of x.

    parts: how many equal ones, or the size of each. axis: as for Slice. What takes several inputs may follow in a
    chain; in a Graph, `SelectOutput(i)` takes one part. Backward: dx = (dy_0, dy_1, ...) side by side.
    Raises UsageError for fewer than one part or a size below 1.
    """

    role = "shape"
    input_kind = None
    output_kind = None
    parts: int | tuple[int, ...]
    axis: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_axes(self, self.axis)
        sizes = (self.parts,) if isinstance(self.parts, int) else self.parts
        if not sizes or min(sizes) < 1:
            raise UsageError(f"Split(parts={self.parts}): wanted whole numbers of at least 1")

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """A tuple of shapes. Raises ShapeError where the parts do not make up the axis."""
        axis = axis_of(self.axis, shape)
        return {}, tuple((*shape[: axis - 1], n, *shape[axis:]) for n in self._sizes(shape[axis - 1]))

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        axis = axis_of(self.axis, x.shape[1:])
        parts = stretches(self._sizes(x.shape[axis]))
        return tuple(x[(*along(axis, i, j), ...)] for i, j in parts), (x.shape,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Any) -> tuple[Array | None, Tree]:
        """Zeros for a part that nothing has taken."""
        (shape,) = cache
        axis = axis_of(self.axis, shape[1:])
        dys = [
            cx.be.zeros((*shape[:axis], n, *shape[axis + 1 :])) if d is None else d
            for d, n in zip(dy, self._sizes(shape[axis]), strict=True)
        ]
        return cx.be.xp.concat(dys, axis=axis), {}

    def _sizes(self, n: int) -> tuple[int, ...]:
        """The lengths of the parts of an axis of length n."""
        if isinstance(self.parts, int):
            if n % self.parts:
                raise ShapeError(f"cuts an axis into {self.parts} equal parts", why=f"it has {n}")
            return (n // self.parts,) * self.parts
        if sum(self.parts) != n:
            raise ShapeError(f"cuts an axis into {self.parts}, {sum(self.parts)} together", why=f"it has {n}")
        return self.parts
