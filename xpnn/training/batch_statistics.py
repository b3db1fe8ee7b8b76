"""The running statistics of batch normalizations, measured for the weights as they are."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from xpnn.data.batches import Slices
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, as_input
from xpnn.layers.batchnorm import BatchNorm
from xpnn.layers.containers import refuse_one
from xpnn.layers.lengths import planned
from xpnn.network import Network
from xpnn.parameters import count, gather


def update_bn(model: Network, x: Any, batch_size: int = 128) -> None:
    """Put, for each BatchNorm, the mean over the batches of x of the batch's mean and variance in place of those kept.

    What it keeps while training belongs to the weights of the last steps: averaged weights, or weights from elsewhere,
    need statistics of their own. All batches count equally, in the order of x, seen as in training, with dropout.
    Of a layer that is used several times in one pass, the last use counts. As torch.optim.swa_utils.update_bn.
    Raises what `Model.predict` raises for x, and ShapeError for a last batch of one sample that has no variance.
    """
    x = model.inputs(x)
    n = count(x)
    if n % batch_size == 1 or batch_size == 1:
        refuse_one(model.net, planned(model.input_shape))
    be = model.backend
    measure(model, x, (be.asarray(np.arange(n)[part]) for part in Slices(n, batch_size)))


def measure(model: Network, x: Any, batches: Iterable[Array]) -> None:
    """The same for checked samples x and the rows of each batch."""
    be, layout, net = model.backend, model.layout, with_own_statistics(model.net)
    if not layout.size["phi"]:
        return

    def of_batch(theta: Array, phi: Array, tick: Array, x: Any) -> Array:
        cx, p = Ctx(be, train=True, key=(model.seed,), tick=tick, need_dx=False), layout.split(be, theta, phi)
        _, cache = net.forward(cx, p, as_input(net, be, x))
        return layout.update_stats(be, phi, net.update_stats(cx, p, cache))

    compiled, n = be.compile(of_batch), 0
    with be.device_context():
        total = be.zeros(model.phi.shape)
        for rows in batches:
            total = total + compiled(model.theta, model.phi, be.scalar(n, be.xp.int64), gather(be, x, rows))
            n += 1
        model.phi = total / n


def with_own_statistics(value: Any) -> Any:
    """A copy of a network in which every BatchNorm keeps the statistics of the batch alone."""
    if isinstance(value, tuple):
        parts = [with_own_statistics(item) for item in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, dict):
        return {key: with_own_statistics(item) for key, item in value.items()}
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    new = {f.name: with_own_statistics(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
    return dataclasses.replace(value, **new | ({"momentum": 1.0} if isinstance(value, BatchNorm) else {}))
