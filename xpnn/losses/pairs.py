"""Losses of embeddings, which compare the samples of a batch with each other by their class ids."""

from dataclasses import dataclass

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import DataError, ShapeError
from xpnn.kernels import Array
from xpnn.kernels.length import length, unit
from xpnn.losses.base import Host, Loss, Terms
from xpnn.settings import Positive


@dataclass(frozen=True, kw_only=True)
class PairLoss(Loss, abstract=True):
    """A loss of embeddings (N, d) and class ids (N,), over the pairs of a batch. `predict` gives the embeddings.

    With weights, a pair or triple counts as the product of its samples' weights: weight 0 leaves a sample out. For
    "none", each sample has what it adds to the sum. Batches need samples of the same class and of others: larger ones
    than elsewhere, or few classes. Its settings may not be negative.
    """

    kind = "embeddings"
    compares = True

    def __call__(
        self, be: Backend, prediction: Array, target: Array, weight: Array | None = None
    ) -> tuple[Array, Array]:
        """-> (the reduced loss, its gradient): weights belong to pairs, so they are part of the terms."""
        check_pairs(type(self).__name__, tuple(prediction.shape), tuple(target.shape))
        weight = be.xp.ones_like(prediction[:, 0]) if weight is None else weight
        return self.reduce(be, self.weighted(be, prediction, target, weight), None)

    def weighted(self, be: Backend, prediction: Array, target: Array, weight: Array) -> Terms:
        """The terms, with every pair's weight in them."""
        raise NotImplementedError

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """Whole numbers (N,), as int64: any may name a class."""
        name = type(self).__name__
        check_pairs(name, (len(target) if target.ndim else 0, *outputs), target.shape)
        bad = np.zeros(target.shape, bool)
        if target.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                bad = ~((target == np.floor(target)) & (abs(target) < 2.0**53))
        if bad.any():
            i = int(np.argmax(bad))
            raise DataError(f"{name}: label {i} is {target[i]}", why="class ids are whole numbers")
        return target.astype(np.int64)

    def positions(self, outputs: tuple[int, ...]) -> tuple[int, ...]:
        """Return (): samples are compared as a whole."""
        return ()

    def random_target(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        return rng.permutation(np.arange(shape[0]) % 2)


@dataclass(frozen=True)
class Contrastive(PairLoss):
    """L = mean over pairs i < j of d_ij^2 / 2 where they share a class, else max(0, margin - d_ij)^2 / 2.

    d_ij = |z_i - z_j|; z: embeddings (N, d); target: class ids (N,). Gradient: with g_ij = d_ij for a shared class,
    else -max(0, margin - d_ij), dz_i = sum_j g_ij (z_i - z_j) / d_ij / (number of pairs); 0 for pairs in one place.
    Source: Hadsell, Chopra, LeCun, "Dimensionality reduction by learning an invariant mapping", CVPR 2006.
    """

    margin: Positive = 1.0

    def weighted(self, be: Backend, prediction: Array, target: Array, weight: Array) -> Terms:
        """Return the terms; each sample of a pair has half of its loss."""
        xp = be.xp
        directions, d = distances(be, prediction)
        same, other = same_and_other(be, target)
        pairs = weight[:, None] * weight[None, :] * xp.astype(same | other, d.dtype)
        g = xp.where(same, d, -be.relu(self.margin - d))
        losses, counts = xp.sum(pairs * g * g, axis=1) / 4, xp.sum(pairs, axis=1) / 2
        return losses, pulled(be, pairs * g / 2, directions), counts


@dataclass(frozen=True)
class Triplet(PairLoss):
    """L = mean over triples (a, p, n) of max(0, d_ap - d_an + margin), for all of the batch with ids a = p and a != n.

    d_ij = |z_i - z_j|; z: embeddings (N, d); target: class ids (N,). Triples of loss 0 count in the mean. It is
    PyTorch's `triplet_margin_loss` with eps = 0 of all those triples. Gradient: with A_apn = 1 where the loss is above
    0 and g_ij = sum_n A_ijn - sum_p A_ipj, dz_i = sum_j (g_ij + g_ji) (z_i - z_j) / d_ij / (number of triples); 0 for
    pairs in one place. Memory grows with N^3: 2 million triples for 128 samples.
    Source: Hermans, Beyer, Leibe, "In defense of the triplet loss for person re-identification", 2017 (batch all).
    """

    margin: Positive = 1.0

    def weighted(self, be: Backend, prediction: Array, target: Array, weight: Array) -> Terms:
        """Return the terms; the loss of a triple belongs to its anchor."""
        xp = be.xp
        directions, d = distances(be, prediction)
        same, other = (xp.astype(which, d.dtype) * weight[None, :] for which in same_and_other(be, target))
        triples = (weight[:, None] * same)[:, :, None] * other[:, None, :]
        short = d[:, :, None] - d[:, None, :] + self.margin
        losses = xp.sum(triples * be.relu(short), axis=(1, 2))
        active = be.mask(triples, short > 0)
        g = xp.sum(active, axis=2) - xp.sum(active, axis=1)
        return losses, pulled(be, g, directions), xp.sum(triples, axis=(1, 2))


def distances(be: Backend, z: Array) -> tuple[Array, Array]:
    """-> ((z_i - z_j) / |z_i - z_j| (N, N, d), 0 for pairs in one place; |z_i - z_j| (N, N))."""
    steps = z[:, None, :] - z[None, :, :]
    return unit(be, steps, axis=-1), length(be, steps, axis=-1)[..., 0]


def same_and_other(be: Backend, ids: Array) -> tuple[Array, Array]:
    """Return two (N, N) masks: another sample of the same class; a sample of another class."""
    same, n = ids[:, None] == ids[None, :], be.arange(ids.shape[0])
    return same & (n[:, None] != n[None, :]), ~same


def pulled(be: Backend, g: Array, directions: Array) -> Array:
    """dz_i = sum_j (g_ij + g_ji) (z_i - z_j) / d_ij, where d_ij > 0: the square root has no slope at 0."""
    return be.xp.sum((g + g.T)[:, :, None] * directions, axis=1)


def check_pairs(name: str, outputs: tuple[int, ...], target: tuple[int, ...]) -> None:
    """Embeddings (N, d) and ids (N,)."""
    if len(outputs) != 2 or target != outputs[:1]:
        raise ShapeError(
            f"{name}: targets of shape {target} for outputs of shape {outputs}",
            why="wanted class ids (N,) for embeddings (N, d)",
            fix="end the network in Flatten and Dense(d); rows of classes become ids by argmax",
        )
