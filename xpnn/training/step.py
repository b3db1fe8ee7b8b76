"""The training step: a pure function of arrays, the same on every backend."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from xpnn import fusion
from xpnn.backends.base import Backend
from xpnn.distributed.loss import part_of_batch
from xpnn.distributed.shared_backend import ReducingBackend
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, as_float, as_input
from xpnn.losses import Loss, MultiOutputLoss
from xpnn.losses.base import as_target
from xpnn.optimizers.base import Optimizer, State
from xpnn.optimizers.wrapper import Wrapper
from xpnn.parameters import GradientBuffer, Layout, count, gather
from xpnn.renamed import old_attributes
from xpnn.training.mixing import MIXING, Mixing, blend, mix_targets

Position: TypeAlias = tuple[Array, Array]
"""Where in an epoch a run is: a 0-d cursor into the int64 order of its samples, and that order."""


@dataclass(frozen=True)
class Objective:
    """What training minimizes: the loss of a network on a batch, as a function of its parameters.

    net with the `layout` of its parameters, loss, backend; seed: the root of the draws inside a step, such as dropout's
    masks; mixing: Mixup or CutMix, or None. Its methods give pure functions of arrays, which `be.compile` may compile.
    """

    net: Layer
    loss: Loss
    layout: Layout
    be: Backend
    seed: int
    mixing: Mixing | None = None

    def gradient(
        self,
        *,
        keep: bool = False,
        fuse: bool = False,
        buffer: GradientBuffer | None = None,
        count: bool = False,
    ) -> Callable[..., tuple[Any, Array, Array]]:
        """gradient(theta, phi, tick, x, y, weight=None) -> loss, its gradient as one vector, new phi.

        A last argument `total`, the divisor of a mean over more samples than these, makes both their share in it.
        tick: the 0-d number of the step, for its draws. keep: where the backend can, the next call writes its gradient
        into the same vector, which is `buffer` where that is given. fuse: computed by the rules of `xpnn.fusion`, not
        layer by layer. With a backend that has a share of the batch, all is of that share. count: in place of the loss
        (loss, hits), which are what `counted` says.
        """
        loss, layout, be, seed, mixing = self.loss, self.layout, self.be, self.seed, self.mixing
        net = fusion.fuse(self.net) if fuse else self.net
        loss_of = functools.partial(fusion.loss_and_gradient, loss) if fuse else loss
        split = be.memoized(lambda theta, phi: layout.split(be, theta, phi))
        make_buffer: Callable[[Backend], GradientBuffer] = layout.gradient_buffer
        make_buffer = functools.cache(make_buffer) if keep else make_buffer

        def gradient(
            theta: Array,
            phi: Array,
            tick: Array,
            x: Array,
            y: Array,
            weight: Array | None = None,
            total: Array | None = None,
        ) -> tuple[Any, Array, Array]:
            cx = Ctx(be, train=True, key=(seed,), tick=tick, need_dx=False)
            p = split(theta, phi)
            if weight is not None:
                weight = as_float(cx, weight)
            if mixing is not None:
                x, share = mixing(cx.child(MIXING), x)
            out, cache = net.forward(cx, p, as_input(net, be, x))
            if mixing is not None:
                y, weight = mix_targets(cx, loss, y, weight, share, out.shape[-1])
            y, correct = as_target(be, loss, y), None
            if isinstance(be, ReducingBackend) and be.share is not None:
                value, dout = part_of_batch(loss, be, out, y, weight, total)
            elif total is not None:
                value, dout = loss.part(be, out, y, weight, total)
            elif count and mixing is None:
                value, dout, correct = fusion.loss_gradient_and_correct(loss, be, out, y, weight)
            else:
                value, dout = loss_of(be, out, y, weight)
            if count and mixing is not None:
                value = value, counted_mixtures(loss, be, out, y, weight)
            elif count:
                value = value, counted(loss, be, out, y, correct)
            written = buffer or make_buffer(be)
            _, grads = fusion.backward(net, cx, p, cache, dout, written.tree)
            new_phi = (
                layout.update_stats(be, phi, net.update_stats(cx, p, cache)) if layout.size["phi"] else phi
            )
            return value, layout.join(be, grads, written), new_phi

        return gradient

    def divisor(self) -> Callable[..., Array]:
        """divisor(tick, x, y, weight=None) -> what the mean of that step's loss divides by, up to a factor.

        See `Loss.counts`. 0 for a loss that is a sum.
        """
        loss, be, mixing = self.loss, self.be, self.mixing

        def divisor(tick: Array, x: Any, y: Any, weight: Array | None = None) -> Array:
            if loss.reduction == "sum":
                return be.scalar(0.0)
            cx = Ctx(be, train=True, key=(self.seed,), tick=tick)
            weight = be.zeros((count(y),)) + 1 if weight is None else as_float(cx, weight)
            counts = loss.counts(be, as_target(be, loss, y), weight)
            if mixing is not None:
                _, share = mixing(cx.child(MIXING), x)
                counts = blend(cx, counts, share)
            return be.all_reduce(be.xp.sum(counts, axis=0))

        return divisor

    def step(
        self, optimizer: Optimizer, *, fuse: bool = True, count: bool = False
    ) -> Callable[..., tuple[Any, Array, Array, State]]:
        """step(theta, phi, state, x, y, weight=None) -> loss, theta, phi, state.

        optimizer: bound to the parameters, see `Optimizer.bind`. A loss, gradient or running statistic that is not
        finite changes nothing: the weights stay those of the last good step, the loss returned is NaN, state["ok"]
        turns False and stays so. The same step can then be replayed and explained. New weights beyond the dtype are
        not looked for here: the next step's loss shows them, and Trainer.fit looks now and then.
        theta, phi and state are given away. fuse: computed by the rules of `xpnn.fusion`; False: layer by layer.
        count: (loss, hits) in place of the loss, see `gradient`.
        """
        rescale, rest = fusion.split_rescale(self.net) if fuse and self.mixing is None else (None, self.net)
        if rescale is not None:
            return rescaling(rescale, self.be, replace(self, net=rest).step(optimizer, count=count))
        be, gradient, divisor = self.be, self.gradient(keep=True, fuse=fuse, count=count), self.divisor()
        optimizer = fusion.fuse_optimizer(optimizer) if fuse else optimizer
        update = updater(optimizer, be)

        def step(
            theta: Array, phi: Array, state: State, x: Array, y: Array, weight: Array | None = None
        ) -> tuple[Any, Array, Array, State]:
            value, grad, new_phi = gradient(theta, phi, state["t"], x, y, weight)
            value, *hits = value if count else (value,)
            if "divisor" in state:
                D = divisor(state["t"], x, y, weight)
                state = {
                    **state,
                    "divisor": D if D.ndim == 0 else D[0],
                }  # of several outputs, which count equally
            value, theta, phi, state = update(theta, phi, state, value, grad, new_phi)
            return (value, *hits) if count else value, theta, phi, state

        if not fuse or self.mixing is not None:
            return step
        return fusion.planned(step, self.net, self.loss, self.layout, be, self.seed, optimizer, count)

    def indexed_step(
        self, optimizer: Optimizer, *, fuse: bool = True, count: bool = False
    ) -> Callable[..., tuple[Any, ...]]:
        """indexed(theta, phi, state, position, data, n) -> loss, theta, phi, state, position.

        `step` on the next n samples of the data (x, y, weight), all of them on the device. So an epoch copies nothing
        from the host. The position is given away as well. fuse, count: as for `step`.
        """
        rescale, rest = fusion.split_rescale(self.net) if fuse and self.mixing is None else (None, self.net)
        step = replace(self, net=rest).step(optimizer, fuse=fuse, count=count)

        def indexed(
            theta: Array, phi: Array, state: State, position: Position, data: tuple[Any, ...], n: int
        ) -> tuple[Any, ...]:
            x, y, weight, position = self.rows(position, data, n, rescale)
            return *step(theta, phi, state, x, y, weight), position

        return indexed

    def rows(self, position: Position, data: tuple[Any, ...], n: int, rescale: Any) -> tuple[Any, ...]:
        """-> x, y, weight of the next n samples, and the position behind them. rescale: what x goes through."""
        be, (cursor, order), (x, y, weight) = self.be, position, data
        rows = be.rows_at(order, cursor, n)
        x = fusion.gather_rescaled(be, x, rows, rescale)
        return x, gather(be, y, rows), gather(be, weight, rows), (cursor + n, order)


def rescaling(rescale: Any, be: Backend, step: Callable[..., Any]) -> Callable[..., Any]:
    """`step`, of a network without its first layer, on what that layer makes of the samples."""

    def rescaled(
        theta: Array, phi: Array, state: State, x: Array, y: Array, weight: Array | None = None
    ) -> Any:
        return step(theta, phi, state, fusion.rescaled(be, x, rescale), y, weight)

    return rescaled


def counted(loss: Loss, be: Backend, out: Any, y: Any, correct: Any = None) -> Array:
    """How many labels are right, 0-d int64; where some are ignored: that number, and how many are not, (2,).

    Of several outputs both numbers for each that has labels, one behind the other. correct: `Loss.n_correct`, where it
    is known already.
    """
    if isinstance(loss, MultiOutputLoss):
        correct = (None,) * len(out) if correct is None else correct
        given = zip(loss.losses, out, y, correct, strict=True)
        pairs = [both_counts(one, be, *each) for one, *each in given if one.has_labels]
        return be.xp.concat(pairs)
    if correct is None:
        correct = loss.n_correct(be, out, y)
    kept = loss.valid_mask(be, y)
    return correct if kept is None else be.xp.stack([correct, be.xp.sum(be.xp.astype(kept, be.xp.int64))])


def both_counts(loss: Loss, be: Backend, out: Array, y: Array, correct: Any) -> Array:
    """How many labels are right, and how many are not ignored: (2,)."""
    found = counted(loss, be, out, y, correct)
    ids = loss.target_ids(be, y)
    assert ids is not None
    return found if found.ndim else be.xp.stack([found, found * 0 + math.prod(ids.shape)])


def counted_mixtures(loss: Loss, be: Backend, out: Array, y: Array, weight: Array | None) -> Array:
    """`counted` for mixed labels: right is the class with the largest share; mixtures of weight 0 are left out."""
    if weight is None:
        return counted(loss, be, out, y)
    kept = weight > 0
    right = (loss.labels(be, out) == loss.target_ids(be, y)) & kept
    return be.xp.stack([be.xp.sum(be.xp.astype(a, be.xp.int64)) for a in (right, kept)])


def updater(optimizer: Optimizer, be: Backend) -> Callable[..., tuple[Array, Array, Array, State]]:
    """update(theta, phi, state, value, grad, new_phi) -> loss, theta, phi, state: the second half of a step."""

    def update(
        theta: Array, phi: Array, state: State, value: Array, grad: Array, new_phi: Array
    ) -> tuple[Array, Array, Array, State]:
        ok = state["ok"] & be.all_finite(value, grad, *(() if new_phi is phi else (new_phi,)))

        def then(tree: State) -> State:
            slots = {name: a for name, a in tree.items() if name not in ("theta", "phi")}
            new_theta, slots = optimizer.update(be, tree["theta"], grad, slots)
            return {"theta": new_theta, "phi": new_phi, **slots}

        # all but the update is computed before it: a backend may write the new weights over the old ones
        value = be.nan_unless(ok, value)
        tree = {"theta": theta, "phi": phi, **state}
        tree = be.cond(ok, then, be.copied(tree) if isinstance(optimizer, Wrapper) else tree)
        theta, phi = tree.pop("theta"), tree.pop("phi")
        return value, theta, phi, {**tree, "ok": ok}

    return update


__getattr__ = old_attributes("training.step")
