"""The training step: a pure function of arrays, the same on every backend."""

from collections.abc import Callable
from typing import Any

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, as_float, as_input
from xpnn.losses.base import Loss, as_target
from xpnn.optimizers.base import Optimizer, State
from xpnn.parameters import Layout
from xpnn.training.mixing import MIXING, Mixing, mix_targets


def make_gradient(
    net: Layer, loss: Loss, layout: Layout, be: Backend, seed: int, mixing: Mixing | None = None
) -> Callable[..., Any]:
    """gradient(theta, phi, tick, x, y, weight) -> loss, its gradient as one vector, new phi."""

    def gradient(
        theta: Array, phi: Array, tick: Array, x: Array, y: Array, weight: Array | None
    ) -> tuple[Array, ...]:
        cx = Ctx(be, train=True, key=(seed,), tick=tick, need_dx=False)
        p = layout.split(be, theta, phi)
        if weight is not None:
            weight = as_float(cx, weight)
        if mixing is not None:
            x, own = mixing(cx.child(MIXING), x)
        out, cache = net.forward(cx, p, as_input(net, be, x))
        if mixing is not None:
            y, weight = mix_targets(cx, y, weight, own, out.shape[-1])
        value, dout = loss(be, out, as_target(be, loss, y), weight)
        _, grads = net.backward(cx, p, cache, dout)
        return value, layout.join(be, grads), layout.settle(be, phi, net.settle(cx, p, cache))

    return gradient


def make_step(
    net: Layer,
    loss: Loss,
    optimizer: Optimizer,
    layout: Layout,
    be: Backend,
    seed: int,
    mixing: Mixing | None = None,
) -> Callable[..., tuple[Array, Array, Array, State]]:
    """step(theta, phi, state, x, y, weight) -> loss, theta, phi, state; compiled by the backend.

    A loss, gradient or running statistic that is not finite changes nothing: the weights stay those of the last
    good step, the loss returned is NaN, state["ok"] turns False and stays so. The same step can then be replayed
    and explained. New weights beyond the dtype are not looked for here: the next step's loss shows them, and
    Trainer.fit looks now and then.
    theta and state are given away.
    """
    gradient = make_gradient(net, loss, layout, be, seed, mixing)

    def step(
        theta: Array, phi: Array, state: State, x: Array, y: Array, weight: Array | None
    ) -> tuple[Array, Array, Array, State]:
        value, grad, new_phi = gradient(theta, phi, state["t"], x, y, weight)
        ok = state["ok"] & be.xp.isfinite(value) & be.all_finite(grad)
        if new_phi is not phi:
            ok = ok & be.all_finite(new_phi)

        def update(tree: State) -> State:
            slots = {name: a for name, a in tree.items() if name not in ("theta", "phi")}
            new_theta, slots = optimizer.update(be, tree["theta"], grad, slots)
            return {"theta": new_theta, "phi": new_phi, **slots}

        tree = be.cond(ok, update, {"theta": theta, "phi": phi, **state})
        theta, phi = tree.pop("theta"), tree.pop("phi")
        value = be.xp.where(ok, value, be.xp.full_like(value, float("nan")))
        return value, theta, phi, {**tree, "ok": ok}

    return be.compile(step, donated=(0, 2))
