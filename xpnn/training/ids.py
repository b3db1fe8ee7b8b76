"""Ids, targets and weights out of range in `Trainer.step`, whose data was not checked beforehand.

    ids to embed, class ids       0 to size - 1
    labels of sequences (CTC)     0 to size - 1 but not the blank, -1 as padding; lengths from 1 to the frames
    labels as rows                0 or more, each row sums to 1
    targets of yes or no          0 to 1
    targets of a margin           -1 or 1
    counts, probabilities         0 or more
    weights of samples            0 or more, finite

On NumPy a step refuses what is out of range before it computes. Elsewhere the host would have to wait for the
device to see it: there the step changes nothing, its loss is NaN, and `check_steps` names the first bad entry.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import DataError
from xpnn.kernels import Array
from xpnn.layers.base import for_each, is_multiple
from xpnn.losses import CTC, KLDivergence, Loss, MultiOutputLoss, Poisson
from xpnn.losses.binary import BinaryLoss
from xpnn.losses.classes import ClassLoss
from xpnn.losses.margin import MarginLoss
from xpnn.network import Network

LOOK = 32
"""Steps between two looks at the losses: each look waits for the device."""


TOLERANCE = 1e-3
"""How far the sum of a label's row may be from 1."""
Given = dict[str, Any]
"""A batch: its x, y and weight, by these names."""


@dataclass(frozen=True)
class Ids:
    """Which array holds ids: number `part` of x or y, as `name` says; 0 to size - 1 are valid, and `ignored`.

    axes: how many ids in y have; an array of more is made of rows.
    """

    name: str
    part: int
    size: int = 0
    ignored: int | None = None
    axes: int = 1

    fix = "number them from 0, or give the network more of them"

    def of(self, given: Given) -> Array | None:
        """Return the ids among a batch's arrays; None if they are not ids, such as rows of probabilities."""
        a = part_of(given, self)
        return None if self.name == "y" and a.ndim != self.axes else a

    def surely_allowed(self, a: Array) -> bool:
        """Whether one look at NumPy's int64 says that all are in range: below 0 they are huge without their sign."""
        plain = type(a) is np.ndarray and a.dtype == np.int64 and a.size and type(self) is Ids
        return bool(plain and a.view(np.uint64).max() < self.size)

    def allowed(self, be: Backend, a: Array) -> Array:
        """Bool, shaped like a: which of them are in range."""
        whole = be.xp.astype(a, be.xp.int64)
        known = (whole >= 0) & (whole < self.size)
        if be.xp.isdtype(a.dtype, "real floating"):
            known = known & (be.xp.astype(whole, a.dtype) == a)  # 1.5 has become 1
        return known if self.ignored is None else known | (whole == self.ignored)

    @property
    def why(self) -> str:
        """The range that is allowed, in words."""
        what = "classes" if self.name == "y" else "ids to embed"
        return f"{self.size} {what} are numbered 0 to {self.size - 1}"


@dataclass(frozen=True)
class SequenceLabels(Ids):
    """The padded labels (N, S) of `CTC`; frames: with a column of lengths before them, the longest, else 0."""

    blank: int = 0
    frames: int = 0

    fix = "labels without the blank, and -1 at the end of shorter rows"

    def of(self, given: Given) -> Array | None:
        return part_of(given, self)

    def allowed(self, be: Backend, a: Array) -> Array:
        """Return where labels, padding and lengths are valid."""
        whole = be.xp.astype(a, be.xp.int64)
        known = (whole >= -1) & (whole < self.size) & (whole != self.blank)
        if not self.frames:
            return known
        lengths = (whole[:, :1] >= 1) & (whole[:, :1] <= self.frames)
        return be.xp.concat([lengths, known[:, 1:]], axis=1)

    @property
    def why(self) -> str:
        first = f", the first column is from 1 to {self.frames} frames" if self.frames else ""
        return f"labels are 0 to {self.size - 1} but not the blank, {self.blank}, or -1 as padding{first}"


@dataclass(frozen=True)
class Shares(Ids):
    """Targets of yes or no, of any shape."""

    why = "targets are probabilities of the class 1, from 0 to 1"
    fix = "for more than two classes use softmax_cross_entropy"

    def of(self, given: Given) -> Array | None:
        return part_of(given, self)

    def allowed(self, be: Backend, a: Array) -> Array:
        """Return where targets lie between 0 and 1; NaN does not."""
        return (a >= 0) & (a <= 1) if "bool" not in str(a.dtype) else a | ~a


@dataclass(frozen=True)
class Rows(Ids):
    """Labels as one-hot or soft rows (..., size), of `axes` axes."""

    why = "a label's row holds numbers of at least 0 whose sum is 1"
    fix = "divide each row by its sum, or give class ids"

    def of(self, given: Given) -> Array | None:
        """Return the rows; None for ids, and for rows of another width, which the loss refuses."""
        a = super().of(given)
        return None if a is None or a.shape[-1] != self.size else a

    def allowed(self, be: Backend, a: Array) -> Array:
        """Return where a row is a distribution; of one whose sum is not 1 no entry is right."""
        xp = be.xp
        sums = xp.sum(xp.astype(a, xp.float32), axis=-1, keepdims=True)
        near = max(TOLERANCE, float(xp.finfo(be.dtype).eps))  # of bfloat16 the sum cannot be closer
        return (a >= 0) & (xp.abs(sums - 1) < near)


@dataclass(frozen=True)
class Weights(Ids):
    """Weights of samples, or of their positions."""

    why = "weights are finite and at least 0"
    fix = "0 leaves a sample out"

    def allowed(self, be: Backend, a: Array) -> Array:
        """Return where weights are neither negative nor infinite; NaN is not allowed."""
        return (a >= 0) & be.xp.isfinite(a) if "bool" not in str(a.dtype) else a | ~a


WEIGHTS = Weights("weight", 0)


@dataclass(frozen=True)
class Signs(Shares):
    """Targets of the margin losses."""

    why = "targets are -1 or 1"
    fix = "2 * y - 1, if the classes are 0 and 1"

    def allowed(self, be: Backend, a: Array) -> Array:
        """Return where targets are -1 or 1."""
        return (a == 1) | (a == -1)


@dataclass(frozen=True)
class Amounts(Shares):
    """Targets that are counts, or probabilities of a distribution."""

    why = "targets are 0 or more"
    fix = "shift or drop them"

    def allowed(self, be: Backend, a: Array) -> Array:
        """Return where targets are not below 0."""
        return a >= 0 if "bool" not in str(a.dtype) else a | ~a


def ids_of(model: Network, loss: Loss) -> tuple[Ids, ...]:
    """Return a description of everything that a step reads and that has a range."""
    n = len(model.input_shape) if is_multiple(model.input_shape) else 1
    kinds, sizes = for_each(model.net.input_kind, n), for_each(model.net.vocab_size, n)
    found: list[Ids] = [Ids("x", i, sizes[i]) for i in range(n) if kinds[i] == "int" and sizes[i]]
    losses = loss.losses if isinstance(loss, MultiOutputLoss) else (loss,)
    shapes = model.output_shape if is_multiple(model.output_shape) else (model.output_shape,)
    for i, (one, shape) in enumerate(zip(losses, shapes, strict=True)):
        if isinstance(one, ClassLoss) and shape and shape[-1] is not None:
            found.append(Ids("y", i, shape[-1], one.ignore_index, len(shape)))
            found.append(Rows("y", i, shape[-1], axes=len(shape) + 1))
        elif isinstance(one, CTC) and len(shape) == 2 and shape[1] is not None:
            most = shape[0] or 1 << 31  # frames; None where their number varies
            found.append(
                SequenceLabels("y", i, shape[1], blank=one.blank, frames=most if one.input_lengths else 0)
            )
        elif isinstance(one, BinaryLoss):
            found.append(Shares("y", i))
        elif isinstance(one, MarginLoss):
            found.append(Signs("y", i))
        elif isinstance(one, KLDivergence | Poisson):
            found.append(Amounts("y", i))
    return tuple(found)


def guarded(step: Callable[..., Any], be: Backend, ids: tuple[Ids, ...]) -> Callable[..., Any]:
    """Wrap the step: entries out of range are replaced by 0 and state["ok"] becomes False, so that nothing changes."""

    def checked(theta: Array, phi: Array, state: Any, x: Any, y: Any, weight: Array | None = None) -> Any:
        ok, given = state["ok"], {"x": x, "y": y, "weight": weight}
        for one in with_weights(ids, weight):
            a = one.of(given)
            if a is None:
                continue
            known = one.allowed(be, a)
            ok = ok & be.xp.all(known)
            given[one.name] = put(given[one.name], one.part, be.xp.where(known, a, be.xp.zeros_like(a)))
        return step(theta, phi, {**state, "ok": ok}, given["x"], given["y"], given["weight"])

    return checked


def with_weights(ids: tuple[Ids, ...], weight: Array | None) -> tuple[Ids, ...]:
    """Return the ids, and the weights where a step has some."""
    return ids if weight is None else (*ids, WEIGHTS)


def part_of(given: Given, one: Ids) -> Array:
    """Return the array that `one` is about."""
    whole = given[one.name]
    return whole[one.part] if isinstance(whole, tuple | list) else whole


def put(given: Any, part: int, a: Array) -> Any:
    """Return the batch's arrays with the ids replaced."""
    return (*given[:part], a, *given[part + 1 :]) if isinstance(given, tuple) else a


def first_bad(
    be: Backend, ids: tuple[Ids, ...], x: Any, y: Any, weight: Any = None, when: str = ""
) -> DataError | None:
    """Return the error for the first entry out of range, or None. `when` ends its first line."""
    given = {"x": x, "y": y, "weight": weight}
    for one in with_weights(ids, weight):
        a = one.of(given)
        if a is None or one.surely_allowed(a):
            continue
        with np.errstate(invalid="ignore"):  # NaN is out of range, whatever integer it becomes
            bad = ~np.asarray(be.to_numpy(one.allowed(be, a)))
        if bad.any():
            host, at = np.asarray(be.to_numpy(a)), tuple(map(int, np.argwhere(bad)[0]))
            several = isinstance(given[one.name], tuple | list)
            return DataError(
                f"{one.name}{f'[{one.part}]' if several else ''}{list(at)} is {host[at]}{when}",
                why=f"{one.why}; {int(bad.sum())} of {bad.size} are not",
                fix=one.fix,
            )
    return None
