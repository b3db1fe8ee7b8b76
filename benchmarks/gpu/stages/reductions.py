"""Infinities and NaN in the reductions that xpnn rests on: CuPy has got some of them wrong before."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import xpnn
from benchmarks.gpu.site import Site, first_line

NAN, INF = float("nan"), float("inf")
SHAPES = ((33,), (1, 1), (5, 1000), (1000, 5), (257, 1023), (3, 7, 65), (2, 100_003))
SPECIALS = ((NAN,), (INF,), (-INF,), (INF, NAN), (-INF, INF), (-INF, NAN, INF))
REDUCE = ("max", "argmax", "sum", "mean", "all")
EACH = ("isfinite", "maximum", "where")
ROUNDING = {"sum": 1e-5, "mean": 1e-5}
"""Relative; the rest must be equal."""


def run(place: Site, note: Callable[..., None]) -> None:
    be = xpnn.get_backend(place.backend)
    with be.device_context(), np.errstate(all="ignore"):
        for name in REDUCE:
            wrong = list(faults(be, name))
            note(name=name, ok=not wrong, wrong=wrong[:5])
        for name in EACH:
            wrong = list(elementwise_faults(be, name))
            note(name=name, ok=not wrong, wrong=wrong[:5])


def inputs(shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Numbers with nothing special in them, with specials first, last or inside, and specials alone."""
    rng = np.random.default_rng(sum(shape))
    plain = rng.uniform(0.5, 1.5, shape).astype(np.float32)
    yield "plain", plain
    for special in SPECIALS:
        for place, start in (("first", 0), ("inside", plain.size // 2), ("last", plain.size - len(special))):
            a = plain.copy()
            a.reshape(-1)[max(start, 0) : max(start, 0) + len(special)] = special[: a.size]
            yield f"{special} {place}", a
        yield f"all {special[0]}", np.full(shape, special[0], np.float32)


def faults(be: Any, name: str) -> Iterator[str]:
    """Where a reduction differs from NumPy's."""
    for shape in SHAPES:
        for what, a in inputs(shape):
            x = be.asarray(a)
            for axis in (None, *range(len(shape))):
                wanted = getattr(np, name)(a, axis=axis)
                try:
                    got = be.to_numpy(getattr(be.xp, name)(x, axis=axis))
                except Exception as error:
                    yield f"{shape} axis {axis} {what}: {first_line(error)}"
                    continue
                if not same(got, wanted, ROUNDING.get(name, 0.0)):
                    yield f"{shape} axis {axis} {what}: {np.ravel(got)[:2]}, wanted {np.ravel(wanted)[:2]}"


def elementwise_faults(be: Any, name: str) -> Iterator[str]:
    """Where a function of every element differs from NumPy's."""
    for shape in SHAPES:
        for what, a in inputs(shape):
            more = {"maximum": lambda xp, x: (x, 0.0 * x), "where": lambda xp, x: (x > 1, x, -x)}
            given = more.get(name, lambda xp, x: (x,))
            got = be.to_numpy(getattr(be.xp, name)(*given(be.xp, be.asarray(a))))
            if not same(got, getattr(np, name)(*given(np, a))):
                yield f"{shape} {what}"


def same(got: np.ndarray, wanted: Any, relative: float = 0.0) -> bool:
    """Equal, NaN where NaN is."""
    return np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, relative, 0.0, equal_nan=True)
