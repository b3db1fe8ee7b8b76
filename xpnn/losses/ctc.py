"""Connectionist temporal classification: sequences of labels without their places in time."""

import math
from dataclasses import dataclass

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, Terms
from xpnn.settings import Index

NEVER = -1e30
"""The logarithm of what cannot happen: finite, so that sums and differences stay numbers."""


@dataclass(frozen=True)
class CTC(Loss):
    """L = mean of -log p(labels | z) / max(1, number of labels): p is the sum over all paths that spell the labels.

    A path has a class for each frame; with repeats merged, then blanks dropped, it spells its labels.
    z: logits (N, T, C), one class of which is `blank`. Target: (N, S) ids, padded at the end with -1; or (N, 1 + S),
    with input_lengths=True, where the first column says how many of the T frames are the sample's, from 1 to T.
    With the states s of blank, label, blank, label, ..., blank, of class c_s, and y_t = log softmax(z_t):

        alpha_t(s) = y_t(c_s) + log sum e^alpha_(t-1)(s')    over s' = s, s - 1, and s - 2 if c_s != blank, c_(s-2)
        beta_t(s)  = log sum e^(beta_(t+1)(s') + y_(t+1)(c_s'))    over the s' that s leads to
        log p      = log sum e^alpha_T(s)    over the last two states
        dz_tk      = softmax(z_t)_k - sum over s with c_s = k of softmax_s(alpha_t(s) + beta_t(s))

    where the last softmax is e^(alpha + beta - log p), but rounds less: the states of each frame add up to 1.
    "sum" and "none" do not divide by the number of labels: PyTorch's `ctc_loss` of log softmax(z). `check` refuses
    labels that do not fit into their frames (two equal ones need a blank between); in a step their loss is infinite
    and the gradient 0. `predict` gives the likeliest class of each frame (N, T).
    Source: Graves, Fernandez, Gomez, Schmidhuber, "Connectionist temporal classification", ICML 2006.
    """

    blank: Index = 0
    input_lengths: bool = False

    wants = "logits"
    kind = "sequences"

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        xp, (frames, classes) = be.xp, prediction.shape[1:]
        check_shapes(tuple(prediction.shape), tuple(target.shape), self.input_lengths)
        target = xp.astype(target, xp.int64)
        known, ids = xp.full_like(target[:, 0], frames), target
        if self.input_lengths:
            known, ids = target[:, 0], target[:, 1:]
        lengths = xp.sum(xp.astype(ids >= 0, xp.int64), axis=1)
        states = with_blanks(be, ids, self.blank)
        y, p = log_softmax(be, prediction)
        at = xp.broadcast_to(states[:, None, :], (*y.shape[:2], states.shape[1]))
        alpha, beta, log_p = passes(be, xp.take_along_axis(y, at, axis=2), states, known, lengths, self.blank)
        possible = log_p > NEVER / 2
        hot = xp.astype(states[:, :, None] == be.arange(classes)[None, None, :], y.dtype)
        slopes = p - be.matmul(be.softmax(alpha + beta), hot)
        inside = (be.arange(frames)[None, :] < known[:, None]) & possible[:, None]
        slopes = be.mask(slopes, xp.broadcast_to(inside[:, :, None], slopes.shape))
        losses = xp.where(possible, -log_p, xp.full_like(log_p, math.inf))
        if self.reduction == "mean":
            many = xp.astype(xp.where(lengths > 0, lengths, xp.ones_like(lengths)), y.dtype)
            losses, slopes = losses / many, slopes / many[:, None, None]
        return losses, slopes, None

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """Ids as int64, padded with -1 at the end only, that fit into their frames."""
        check_shapes((len(target) if target.ndim else 0, *outputs), target.shape, self.input_lengths)
        frames, classes = outputs
        if self.blank >= classes:
            raise UsageError(f"CTC(blank={self.blank}): there are {classes} classes, 0 to {classes - 1}")
        known, ids = np.full(len(target), frames), target
        if self.input_lengths:
            known, ids = target[:, 0], target[:, 1:]
        with np.errstate(invalid="ignore"):
            whole = (target == np.floor(target)).all(axis=1) if target.dtype.kind == "f" else True
            padding = ids == -1
            labels = padding | ((ids >= 0) & (ids < classes) & (ids != self.blank))
            once = (padding[:, 1:] | ~padding[:, :-1]).all(axis=1)
            repeats = (ids[:, 1:] == ids[:, :-1]) & ~padding[:, 1:]
        needed = (~padding).sum(axis=1) + repeats.sum(axis=1)
        for good, why in (
            (whole & labels.all(axis=1), f"labels are 0 to {classes - 1} but not the blank, {self.blank}"),
            (once, "-1 pads the end of a row alone"),
            ((known >= 1) & (known <= frames), f"the first column, its number of frames, is 1 to {frames}"),
            (needed <= known, "it needs a frame for each label, and one more between two equal ones"),
        ):
            if not good.all():
                i = int(np.argmin(good))
                raise DataError(f"CTC: target {i} is {np.array2string(target[i], threshold=20)}", why=why)
        return target.astype(np.int64)

    def positions(self, outputs: tuple[int, ...]) -> tuple[int, ...]:
        """Return (): a sequence is compared as a whole."""
        return ()

    def labels(self, be: Backend, prediction: Array) -> Array:
        """The likeliest class of each frame, blanks and repeats among them."""
        return be.xp.argmax(prediction, axis=-1)

    def random_target(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """Rows of labels that fit, even if all are equal; every second one is a label shorter."""
        n, frames, classes = shape
        ids = rng.integers(0, classes - 1, (n, (frames + 1) // 2))
        ids = ids + (ids >= self.blank)
        ids[::2, -1] = -1
        return np.hstack([np.full((n, 1), frames), ids]) if self.input_lengths else ids


def with_blanks(be: Backend, ids: Array, blank: int) -> Array:
    """(N, S) ids to the states (N, 2 S + 1): blank, label, blank, ..., blank; padding becomes blanks too."""
    xp = be.xp
    blanks = xp.full_like(ids, blank)
    pairs = xp.stack([blanks, xp.where(ids >= 0, ids, blanks)], axis=2)
    return xp.concat([xp.reshape(pairs, (ids.shape[0], 2 * ids.shape[1])), blanks[:, :1]], axis=1)


def log_softmax(be: Backend, z: Array) -> tuple[Array, Array]:
    """-> (log softmax(z), at least NEVER; softmax(z))."""
    xp = be.xp
    z = z - xp.max(z, axis=-1, keepdims=True)
    e = xp.exp(z)
    total = xp.sum(e, axis=-1, keepdims=True)
    y = z - xp.log(total)
    return xp.where(y > NEVER, y, xp.full_like(y, NEVER)), e / total


def passes(
    be: Backend, y: Array, states: Array, known: Array, lengths: Array, blank: int
) -> tuple[Array, Array, Array]:
    """-> (alpha, beta (N, T, states), log p (N,)). y: (N, T, states); known: frames, lengths: labels of each sample."""
    xp, s, last = be.xp, be.arange(states.shape[1])[None, :], 2 * lengths[:, None]
    never = xp.full_like(y[:, 0, :], NEVER)
    end = xp.where((s == last) | (s == last - 1), xp.zeros_like(never), never)
    # the first two states are compared with themselves: nothing skips to them
    skips = (states != blank) & (states != xp.concat([states[:, :2], states[:, :-2]], axis=1))
    alphas = [xp.where(s < 2, y[:, 0, :], never)]
    for t in range(1, y.shape[1]):
        a = alphas[-1]
        one, two = (xp.concat([never[:, :by], a[:, :-by]], axis=1) for by in (1, 2))
        new = xp.logaddexp(xp.logaddexp(a, one), xp.where(skips, two, never)) + y[:, t, :]
        alphas.append(xp.where((known > t)[:, None], new, a))
    betas = [end]
    for t in range(y.shape[1] - 1, 0, -1):
        b = betas[-1] + y[:, t, :]
        one = xp.concat([b[:, 1:], never[:, :1]], axis=1)
        two = xp.concat([xp.where(skips, b, never)[:, 2:], never[:, :2]], axis=1)
        betas.append(xp.where((known > t)[:, None], xp.logaddexp(xp.logaddexp(b, one), two), end))
    final = alphas[-1] + end
    top = xp.max(final, axis=1, keepdims=True)
    log_p = top[:, 0] + xp.log(xp.sum(xp.exp(final - top), axis=1))
    return xp.stack(alphas, axis=1), xp.stack(betas[::-1], axis=1), log_p


def check_shapes(outputs: tuple[int, ...], target: tuple[int, ...], input_lengths: bool) -> None:
    """Logits (N, T, C) and padded ids (N, S), with a column of lengths before them where there is one."""
    if len(outputs) != 3 or len(target) != 2 or target[0] != outputs[0] or target[1] < 1 + input_lengths:
        raise ShapeError(
            f"CTC: targets of shape {target} for outputs of shape {outputs}",
            why=f"wanted ids {'(N, 1 + S)' if input_lengths else '(N, S)'} for logits (N, frames, classes)",
            fix="pad the shorter rows of ids with -1",
        )
