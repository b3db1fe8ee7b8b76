"""Mixing of samples while training: each with its neighbour in the batch, their labels in the same proportion.

The batch is shuffled, so the neighbour is any other sample. Labels become rows of shares, which every loss on classes
takes. A label counts as much as its sample weighs, and not at all where it is ignored: the others of a mixture then
make up its row, and what they count together is its weight. Mixed are the samples as the network gets them, before
its first layer.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xpnn.config import Config
from xpnn.errors import ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, as_float
from xpnn.losses.base import Loss, is_ids, spread
from xpnn.losses.classes import one_hot
from xpnn.settings import Factor

if TYPE_CHECKING:
    from xpnn.network import Network

MIXING = -1
"""The place of these draws in the path of layer indices, where no layer is."""
TRIES = 24
"""Pairs drawn for one share: of all, at least one in two is accepted, so one in 2^24 shares is not of the law."""


@dataclass(frozen=True)
class Mixing(Config):
    """Base class of what `Trainer` takes as `augment=`: y' = s y + (1 - s) y_next, and how x is mixed.

    s, the share of a sample's own: drawn for each from Beta(alpha, alpha), 0 < alpha <= 1; uniform for alpha = 1.
    """

    alpha: Factor = 1.0

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ShapeError for samples of a shape that cannot be mixed."""

    def __call__(self, cx: Ctx, x: Array) -> tuple[Array, Array]:
        """-> (the mixtures in the model's dtype, the share (N,) of its own sample in each)."""
        return self.mix(cx, as_float(cx, x), shares(cx, self.alpha, samples(cx, x).shape[0]))

    def mix(self, cx: Ctx, x: Array, own: Array) -> tuple[Array, Array]:
        """Return the mixed samples, and the shares that resulted (CutMix rounds to whole pixels)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Mixup(Mixing):
    """x' = s x + (1 - s) x_next, y' = s y + (1 - s) y_next.

    Source: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018.
    """

    def mix(self, cx: Ctx, x: Array, own: Array) -> tuple[Array, Array]:
        return blend(cx, x, own), own


@dataclass(frozen=True)
class CutMix(Mixing):
    """x' = x with a rectangle of x_next in its place, y' = s' y + (1 - s') y_next, s' the share of x left.

    Its sides are sqrt(1 - s) of the image's, about a centre uniform in the image; what lies outside is cut off.
    Source: Yun, Han, Oh, Chun, Choe, Yoo, "CutMix", ICCV 2019.
    """

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises ShapeError for samples that are no images (height, width, channels)."""
        if len(shape) != 3:
            raise ShapeError("CutMix wants images (height, width, channels)", why=f"got samples {shape}")

    def mix(self, cx: Ctx, x: Array, own: Array) -> tuple[Array, Array]:
        """The rectangle of each image, as two stretches."""
        xp, n, (_, height, width, _) = cx.be.xp, own.shape[0], x.shape
        centres, cut = cx.child(1).uniform((n, 2)), xp.sqrt(1 - own)
        rows = stretch(cx, centres[:, 0], cut, height)
        columns = stretch(cx, centres[:, 1], cut, width)
        inside = rows[:, :, None, None] & columns[:, None, :, None]
        x = xp.where(inside, following(cx, x), samples(cx, x))
        sizes = [xp.sum(xp.astype(part, cx.be.dtype), axis=1) for part in (rows, columns)]
        return x, 1 - sizes[0] * sizes[1] / (height * width)


def mix_targets(
    cx: Ctx, loss: Loss, y: Array, weight: Array | None, own: Array, classes: int
) -> tuple[Array, Array | None]:
    """Rows (N, ..., classes), w' y' = own w y + (1 - own) w_next y_next, and w' = own w + (1 - own) w_next (N, ...).

    Position by position where there are any. w: the weights, 0 for ignored labels. A row is 0 where w' is; w' is None
    where every w is 1.
    """
    be, valid = cx.be, loss.valid_mask(cx.be, y)
    y = one_hot(be, y, classes) if is_ids(be, y) else as_float(cx, y)
    if weight is None and valid is None:
        return blend(cx, y, own), None
    w = be.xp.ones_like(y[..., 0]) if weight is None else weight
    w = spread(be, w, y.shape[:-1])
    w = w if valid is None else be.mask(w, valid)
    mixed = blend(cx, w, own)
    divisor = be.xp.where(mixed > 0, mixed, be.xp.ones_like(mixed))
    return blend(cx, w[..., None] * y, own) / divisor[..., None], mixed


def shares(cx: Ctx, alpha: float, n: int) -> Array:
    """Return n draws from Beta(alpha, alpha), alpha <= 1: a / (a + b), the first with a + b <= 1, a = u^(1/alpha).

    In logarithms, so that small numbers keep their digits. Source: M. D. Johnk, Metrika 8 (1964).
    """
    xp = cx.be.xp
    u = cx.child(0).uniform((2, n, TRIES), axis=1) + 2.0**-25
    logs = xp.log(u) / alpha
    accepted = xp.astype(xp.exp(logs[0, ...]) + xp.exp(logs[1, ...]) <= 1, xp.int8)
    first = xp.argmax(accepted, axis=1)[:, None] == cx.be.arange(TRIES)[None, :]
    odds = xp.sum(cx.be.mask(logs[0, ...] - logs[1, ...], first), axis=1)
    return cx.be.sigmoid(odds)


def check_mixing(mixing: Mixing | None, model: "Network", loss: Loss) -> Mixing | None:
    """Raise UsageError unless it is a Mixing and the targets are classes; ShapeError for samples it cannot mix."""
    if mixing is None:
        return None
    if not isinstance(mixing, Mixing):
        raise UsageError(
            f"augment={mixing!r}: wanted Mixup or CutMix",
            fix="other augmentation is made of layers: put Warp((RandomShift(), ...)) first in the network",
        )
    if loss.kind != "classes" or model.net.input_kind == "int":
        raise UsageError(
            f"{mixing!r} cannot be used with {type(loss).__name__}"
            if loss.kind != "classes"
            else f"{mixing!r} cannot mix ids",
            why="it mixes numbers, and labels as shares of classes",
        )
    if isinstance(mixing, CutMix) and len(model.output_shape) > 1:
        raise UsageError(
            f"{mixing!r} cannot be used with a label for each position: outputs {model.output_shape}",
            why="it mixes one label a sample by the share of the image that is left",
            fix="Mixup(), which mixes position by position",
        )
    mixing.check(model.input_shape)
    return mixing


def blend(cx: Ctx, a: Array, own: Array) -> Array:
    """Return own a + (1 - own) a_next along the first axis; the last is mixed with the first."""
    own = cx.be.xp.reshape(own, (-1, *(1,) * (a.ndim - 1)))
    return own * samples(cx, a) + (1 - own) * following(cx, a)


def samples(cx: Ctx, a: Array) -> Array:
    """The samples that are mixed. Where several processes share the batch, the one behind them has come along."""
    return a if cx.be.share is None else a[:-1, ...]


def following(cx: Ctx, a: Array) -> Array:
    """For each of the samples the next one; after the last of the batch comes its first."""
    return cx.be.xp.roll(a, -1, axis=0) if cx.be.share is None else a[1:, ...]


def stretch(cx: Ctx, centre: Array, share: Array, side: int) -> Array:
    """Return Bool (N, side): the pixels within `share` of the side around a centre from 0 to 1."""
    at = (cx.be.xp.astype(cx.be.arange(side), cx.be.dtype) + 0.5) / side
    return cx.be.xp.abs(at[None, :] - centre[:, None]) < (share / 2)[:, None]
