"""Ids out of range in `Trainer.step`, whose data was not checked beforehand: class ids, and ids to embed.

On NumPy a step refuses ids that are out of range before it computes. Elsewhere the host would have to wait for the
device to see them: there the step changes nothing, its loss is NaN, and `check_steps` names the id.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import DataError
from xpnn.kernels import Array
from xpnn.layers.base import for_each, is_multiple
from xpnn.losses import Loss, MultiOutputLoss
from xpnn.losses.classes import ClassLoss
from xpnn.network import Network

LOOK = 32
"""Steps between two looks at the losses: each look waits for the device."""


class Ids(NamedTuple):
    """Which array holds ids: number `part` of x or y, valid from 0 to size - 1, and `ignore_index` besides.

    axes: how many ids in y have; an array of more is made of rows.
    """

    name: str
    part: int
    size: int
    ignored: int | None = None
    axes: int = 1

    def of(self, x: Any, y: Any) -> Array | None:
        """Return the ids among a batch's arrays; None if they are not ids, such as rows of probabilities."""
        given = x if self.name == "x" else y
        a = given[self.part] if isinstance(given, tuple | list) else given
        return None if self.name == "y" and a.ndim != self.axes else a


def ids_of(model: Network, loss: Loss) -> tuple[Ids, ...]:
    """Return a description of all the ids that a step reads."""
    n = len(model.input_shape) if is_multiple(model.input_shape) else 1
    kinds, sizes = for_each(model.net.input_kind, n), for_each(model.net.vocab_size, n)
    found = [Ids("x", i, sizes[i]) for i in range(n) if kinds[i] == "int" and sizes[i]]
    losses = loss.losses if isinstance(loss, MultiOutputLoss) else (loss,)
    shapes = model.output_shape if is_multiple(model.output_shape) else (model.output_shape,)
    for i, (one, shape) in enumerate(zip(losses, shapes, strict=True)):
        if isinstance(one, ClassLoss) and shape and shape[-1] is not None:
            found.append(Ids("y", i, shape[-1], one.ignore_index, len(shape)))
    return tuple(found)


def guarded(step: Callable[..., Any], be: Backend, ids: tuple[Ids, ...]) -> Callable[..., Any]:
    """Wrap the step: ids out of range are replaced by 0 and state["ok"] becomes False, so that nothing changes."""
    if not ids:
        return step

    def checked(theta: Array, phi: Array, state: Any, x: Any, y: Any, weight: Array | None = None) -> Any:
        ok = state["ok"]
        for one in ids:
            a = one.of(x, y)
            if a is None:
                continue
            known = in_range(be, a, one)
            ok = ok & be.xp.all(known)
            a = be.xp.where(known, a, be.xp.zeros_like(a))
            x, y = (put(x, one.part, a), y) if one.name == "x" else (x, put(y, one.part, a))
        return step(theta, phi, {**state, "ok": ok}, x, y, weight)

    return checked


def in_range(be: Backend, a: Array, ids: Ids) -> Array:
    """Return Bool, shaped like a: True where an id is valid."""
    whole = be.xp.astype(a, be.xp.int64)
    known = (whole >= 0) & (whole < ids.size)
    return known if ids.ignored is None else known | (whole == ids.ignored)


def put(given: Any, part: int, a: Array) -> Any:
    """Return the batch's arrays with the ids replaced."""
    return (*given[:part], a, *given[part + 1 :]) if isinstance(given, tuple) else a


def first_bad(be: Backend, ids: tuple[Ids, ...], x: Any, y: Any, when: str = "") -> DataError | None:
    """Return the error for the first id out of range, or None. `when` ends its first line."""
    for one in ids:
        a = one.of(x, y)
        if a is None:
            continue
        host = np.asarray(be.to_numpy(a))
        bad = (host < 0) | (host >= one.size)
        bad = bad if one.ignored is None else bad & (host != one.ignored)
        if bad.any():
            at = tuple(map(int, np.argwhere(bad)[0]))
            several = isinstance(x if one.name == "x" else y, tuple | list)
            what = "classes" if one.name == "y" else "ids to embed"
            return DataError(
                f"{one.name}{f'[{one.part}]' if several else ''}{list(at)} is {host[at]}{when}",
                why=f"{one.size} {what} are numbered 0 to {one.size - 1}; {int(bad.sum())} of {host.size} are not",
                fix="number them from 0, or give the network more of them",
            )
    return None
