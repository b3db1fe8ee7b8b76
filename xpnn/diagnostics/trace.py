"""One training step with every layer watched: what went in and came out, there and back.

The watched network is a copy of the real one in which each layer's `forward` and `backward` write down what they are
given and what they give, and do nothing else. It runs through the trainer's own `Objective`, so the values are
those of a real step, and no kind of container needs to be known: whatever calls its layers is followed.
"""

import copy
import dataclasses
import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.layers.base import Ctx, Layer, Tree
from xpnn.losses import Loss
from xpnn.network import Network
from xpnn.training.step import Objective
from xpnn.trees import leaves

Host = np.ndarray[Any, Any]


@dataclass
class Visit:
    """One call of one layer. Arrays are copies on the host; several inputs or outputs are several entries."""

    path: str
    layer: Layer
    y: tuple[Host, ...]
    parameters: dict[str, Host]
    sources: tuple[int, ...] = ()
    """The visits whose outputs are the inputs of this one."""
    dy: tuple[Host, ...] = ()
    dx: tuple[Host, ...] = ()
    """Empty where it is not needed: before the first layer with parameters to train, and for ids."""
    gradients: dict[str, Host] = field(default_factory=dict)
    turn: int | None = None
    """The place among the backward passes, in the order of their ends; None where the way back ended before it."""


@dataclass(frozen=True)
class Trace:
    """A step: the loss, its gradients by the network's output and by theta, and the layers.

    They stand in the order in which their outputs came out.
    """

    loss: float
    dout: tuple[Host, ...]
    gradient: Host
    visits: tuple[Visit, ...]


def trace(model: Network, x: Any, y: Any, loss: Loss | None = None) -> Trace:
    """The first step that a trainer would make on the batch (x, y), without the update. The model stays as it is.

    A container that gives on what its last layer gives, such as Sequential, has no visit of its own. Raises what
    `Trainer.step` raises.
    """
    loss, be = loss or model.loss, model.backend
    model.check_loss(loss)
    batch, target = model.check_xy(x, y, loss)
    recorder = Recorder(be)
    gradient = Objective(watched(model.net, recorder), loss, model.layout, be, model.seed).gradient()
    with be.device_context():
        tick = be.scalar(0, be.xp.int64)
        value, grad, _ = gradient(model.theta, model.phi, tick, batch, model.targets(target), None)
        gradient_of_theta = recorder.host(grad)[0]
        return Trace(float(be.to_numpy(value)), recorder.dout, gradient_of_theta, tuple(recorder.visits))


def watched(value: Any, recorder: "Recorder") -> Any:
    """A copy of a description in which every layer, however deep, reports to the recorder.

    Its class stays what it was, and only its own two methods are covered: containers that ask for a class, a setting
    or a property get the answers they would get from the original. What a container has worked out from its settings
    and kept is copied in the same way.
    """
    if isinstance(value, tuple):
        parts = [watched(item, recorder) for item in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, dict):
        return {key: watched(item, recorder) for key, item in value.items()}
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    if id(value) not in recorder.copies:  # once each, or nested containers would double the work per level
        traced = recorder.copies[id(value)] = copy.copy(value)
        names = {f.name for f in dataclasses.fields(value)} | getattr(value, "__dict__", {}).keys()
        for name in names:
            object.__setattr__(traced, name, watched(getattr(value, name), recorder))
        if isinstance(value, Layer):
            recorder.cover(traced, value)
    return recorder.copies[id(value)]


class Recorder:
    """Records visits as the layers of a watched network are called."""

    def __init__(self, be: Backend) -> None:
        self.be = be
        self.visits: list[Visit] = []
        self.dout: tuple[Host, ...] = ()
        self.copies: dict[int, Any] = {}
        self._paths: dict[int, str] = {}
        self._outputs: list[
            Any
        ] = []  # those of the visits, still on the device: an input is known by identity
        self._turned, self._turns = False, itertools.count()

    def host(self, value: Any) -> tuple[Host, ...]:
        """Return copies on the host, because a backend may reuse the memory; without what is None."""
        parts = value if isinstance(value, tuple) else (value,)
        return tuple(np.array(self.be.to_numpy(part)) for part in parts if part is not None)

    def cover(self, traced: Any, layer: Layer) -> None:
        """Wrap the methods of the copy so that they report to the recorder."""
        forward, backward = traced.forward, traced.backward

        def tell_forward(cx: Ctx, p: Tree, x: Any) -> tuple[Any, tuple[Any, ...]]:
            before = len(self.visits)
            path = self._path(cx, p)
            y, cache = forward(cx, p, x)
            passes_on = len(self.visits) > before and y is self._outputs[-1]
            if not (passes_on or self._turned):  # what is computed again on the way back was there before
                self._write(path, layer, p, x, y)
            return y, cache

        def tell_backward(cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Any) -> tuple[Any, Tree]:
            if not self._turned:
                self._turned, self.dout = True, self.host(dy)
            dx, gradients = backward(cx, p, cache, dy)
            self._complete(self._path(cx, p), layer, dy, dx, gradients)
            return dx, gradients

        object.__setattr__(traced, "forward", tell_forward)
        object.__setattr__(traced, "backward", tell_backward)

    def _path(self, cx: Ctx, p: Tree) -> str:
        """The path of the parameters it is given: the branches of the tree are objects of their own, named by place."""
        if not self._paths:
            self._name(p, "")
        return self._paths.get(id(p), ".".join(map(str, cx.key[1:])))

    def _name(self, tree: Tree, path: str) -> None:
        if isinstance(tree, dict | tuple):
            self._paths[id(tree)] = path
            for key, branch in tree.items() if isinstance(tree, dict) else enumerate(tree):
                self._name(branch, f"{path}.{key}" if path else str(key))

    def _write(self, path: str, layer: Layer, p: Tree, x: Any, y: Any) -> None:
        inputs = x if isinstance(x, tuple) else (x,)
        latest = (
            max((i for i, given in enumerate(self._outputs) if given is a), default=None) for a in inputs
        )
        sources = tuple(i for i in latest if i is not None)
        named = {name: self.host(a)[0] for name, a in leaves(p)} if not contains_layers(layer) else {}
        self.visits.append(Visit(path, layer, self.host(y), named, sources))
        self._outputs.append(y)

    def _complete(self, path: str, layer: Layer, dy: Any, dx: Any, gradients: Tree) -> None:
        """The latest call of that layer that the way back has not come to yet."""
        for visit in reversed(self.visits):
            if visit.layer is layer and visit.path == path and visit.turn is None:
                visit.turn, visit.dy = next(self._turns), self.host(dy)
                visit.dx = self.host(dx)
                if visit.parameters:
                    visit.gradients = {name: self.host(a)[0] for name, a in leaves(gradients)}
                return


def contains_layers(value: Any) -> bool:
    """Whether there is a layer among the settings of a description, however deep."""
    if isinstance(value, tuple):
        return any(isinstance(item, Layer) or contains_layers(item) for item in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return False
    return contains_layers(tuple(getattr(value, f.name) for f in dataclasses.fields(value)))
