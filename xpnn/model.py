"""A model: a network, a backend, and the arrays. The only holder of parameters."""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn import edge
from xpnn.backends import get_backend
from xpnn.backends.convert import to_host
from xpnn.errors import DataError, ShapeError, UsageError, did_you_mean
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, as_input
from xpnn.layers.sequential import Sequential
from xpnn.losses import Loss, SoftmaxCrossEntropy, get_loss
from xpnn.parameters import Layout, leaves

if TYPE_CHECKING:
    from xpnn.optimizers import Optimizer
    from xpnn.schedules import Schedule
    from xpnn.training import Callback, History
    from xpnn.training.mixing import Mixing

Host = np.ndarray[Any, Any]


class Model:
    """A network with parameters, on one backend.

    net: a layer or a list of layers. input_shape: of one sample, such as (28, 28, 1). backend, device, dtype: see
    `xpnn.get_backend`. seed: the root of every random draw; equal seeds give equal parameters on every backend; None
    draws one, kept in `model.seed`. vectors: theta and phi, as `snapshot` gives them, in place of drawn ones.
    Raises ShapeError, with the layer's path, when the layers do not fit.
    """

    def __init__(
        self,
        net: Layer | Sequence[Layer],
        input_shape: Sequence[int],
        *,
        backend: str = "numpy",
        device: str | None = None,
        dtype: str = "float32",
        seed: int | None = None,
        vectors: dict[str, Host] | None = None,
    ) -> None:
        layers = (net,) if isinstance(net, Layer) else net
        self.net = net if isinstance(net, Sequential) else Sequential(layers)  # type: ignore[arg-type]
        self.input_shape = edge.check_input_shape(input_shape)
        self.seed = secrets.randbits(32) if seed is None else edge.check_seed(seed)
        specs, self.output_shape = self.net.plan(self.input_shape)
        self.layout = Layout(specs)
        self.backend = get_backend(backend, device, dtype)
        self.loss: Loss = SoftmaxCrossEntropy()
        with self.backend.scope():
            if vectors is None:
                self.theta, self.phi = self.layout.draw(self.backend, self.seed)
            else:
                self.theta, self.phi = self.layout.load(self.backend, vectors)
        self._forward: Callable[..., Array] = self.backend.compile(self._run)

    # What a user does with it

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        loss: "str | Loss" = "softmax_cross_entropy",
        optimizer: "str | Optimizer" = "adam",
        schedule: "str | Schedule | None" = None,
        augment: "Mixing | None" = None,
        epochs: int = 5,
        batch_size: int = 128,
        validation: float | int | tuple[Any, Any] | None = None,
        sample_weight: Any = None,
        callbacks: "Sequence[Callback]" = (),
        verbose: int = 1,
    ) -> "History":
        """Train from the present weights with a fresh optimizer; see `Trainer.fit`. augment: Mixup or CutMix.

        verbose=1 prints a row per epoch.
        """
        from xpnn.training import Trainer

        watchers = list(callbacks)
        if verbose:
            from xpnn.training.progress import Progress

            watchers.append(Progress())
        trainer = Trainer(self, loss, optimizer, schedule=schedule, augment=augment)
        return trainer.fit(
            x, y, epochs=epochs, batch_size=batch_size, validation=validation,
            sample_weight=sample_weight, callbacks=watchers,
        )  # fmt: skip

    def evaluate(self, x: Any, y: Any, *, loss: "str | Loss | None" = None) -> dict[str, float]:
        """{"loss": mean loss, "accuracy": share of hits}; a regression has no accuracy.

        `loss`: the trained one by default.
        """
        measure = self.loss if loss is None else get_loss(loss)
        self.check_ending(measure)
        x, y = self.pair(x, y, measure)
        return self.score(x, self.targets(y), measure)

    def predict(self, x: Any) -> Host:
        """Class ids (N,) for a classifier, 0 or 1 for a binary one, the outputs for a regression; as NumPy."""
        be, out = self.backend, self.outputs(self.inputs(x))
        with be.scope():
            return be.to_numpy(self.loss.labels(be, out))

    def predict_proba(self, x: Any) -> Host:
        """Probabilities (N, C), as NumPy. Raises UsageError for a regression."""
        be, out = self.backend, self.outputs(self.inputs(x))
        with be.scope():
            if self.net.gives == "probabilities":
                return be.to_numpy(out)
            p = self.loss.probabilities(be, out)
            if p is None:
                raise UsageError(
                    f"a model trained with {self.loss} has no probabilities", fix="use predict or forward"
                )
            return be.to_numpy(p)

    def forward(self, x: Any) -> Host:
        """The network's own outputs (logits, for a classifier), as NumPy."""
        return self.backend.to_numpy(self.outputs(self.inputs(x)))

    def parameters(self) -> dict[str, Array]:
        """{"2.W": array, ...}: live views of theta and phi where the library has views, else their present values."""
        with self.backend.scope():
            return dict(leaves(self.layout.split(self.backend, self.theta, self.phi)))

    def summary(self) -> str:
        """A table of layers, shapes and parameters."""
        from xpnn.diagnostics.summary import summary

        return summary(self)

    def save(self, path: str | Path) -> None:
        """One safetensors file: the architecture as JSON, the parameters by name.

        Replaces the file whole or not at all.
        """
        from xpnn.training.checkpoint import save

        save(self, Path(path))

    # What training is made of

    def pair(self, x: Any, y: Any, loss: Loss, name: str = "") -> tuple[Array, Host]:
        """Samples on the device and their targets, checked, still on the host. `name` is put before x and y."""
        y = loss.check(to_host(y), self.output_shape)
        x = self.inputs(x, f"{name}x")
        if len(y) != x.shape[0]:
            raise DataError(
                f"{name}x has {x.shape[0]} samples, {name}y has {len(y)}",
                fix="give one target for each sample",
            )
        return x, y

    def inputs(self, x: Any, name: str = "x") -> Array:
        """Samples as an array of the backend, checked: bytes stay bytes, other numbers take the model's dtype.

        Ids become int64 where the network takes ids.
        """
        vocabulary = self.net.vocabulary() if self.net.takes == "int" else 0
        return edge.inputs(self.backend, self.input_shape, x, name, vocabulary)

    def targets(self, y: Host) -> Array:
        """Checked targets on the device: ids as int64, everything else in the model's dtype."""
        return edge.targets(self.backend, y)

    def weights(self, weight: Any, samples: int) -> Array | None:
        """Sample weights (N,), finite, at least 0 and not all 0, in the model's dtype."""
        return edge.weights(self.backend, weight, samples)

    def load_parameters(self, named: dict[str, Any]) -> None:
        """Put arrays in place of parameters: {"0.W": ..., "0.b": ...}, any of those that `parameters` names.

        Raises UsageError for an unknown name, ShapeError or DataError for what does not fit; nothing changes then.
        """
        vectors = self.snapshot()
        for path, a in named.items():
            if path not in self.layout.named:
                raise UsageError(f"there is no parameter {path!r}", fix=did_you_mean(path, self.layout.named))
            host, shape = to_host(a), self.layout.named[path].shape
            if host.shape != shape:
                raise ShapeError(f"parameter {path} has shape {shape}, got {host.shape}")
            vector, start, stop = self.layout.slots[path]
            vectors[vector][start:stop] = edge.narrow(self.backend, host, path).reshape(-1)
        self.restore(vectors)

    def outputs(self, x: Array, batch_size: int = 1024) -> Array:
        """The network's outputs for device samples, in batches of one size."""
        be = self.backend
        with be.scope():
            n = x.shape[0]
            batches = [x[i : min(i + batch_size, n), ...] for i in range(0, n, batch_size)]
            parts = [self._forward(self.theta, self.phi, batch) for batch in batches]
            return parts[0] if len(parts) == 1 else be.xp.concat(parts)

    def _run(self, theta: Array, phi: Array, x: Array) -> Array:
        """The pure forward pass, as in evaluation: no dropout."""
        be = self.backend
        y, _ = self.net.forward(
            Ctx(be, key=(self.seed,)), self.layout.split(be, theta, phi), as_input(self.net, be, x)
        )
        return y

    def score(self, x: Array, y: Array, loss: Loss | None = None) -> dict[str, float]:
        """`evaluate` for arrays that are checked and on the device already."""
        be, loss, out = self.backend, loss or self.loss, self.outputs(x)
        with be.scope():
            value, _ = loss(be, out, y)
            scores = {"loss": float(value)}
            ids = loss.target_ids(be, y)
            if ids is not None:
                hits = be.xp.astype(loss.labels(be, out) == ids, be.dtype)
                scores["accuracy"] = float(np.mean(be.to_numpy(hits), dtype=np.float64))
            return scores

    def snapshot(self) -> dict[str, Host]:
        """theta and phi, copied to the host."""
        return {name: np.array(self.backend.to_numpy(getattr(self, name))) for name in ("theta", "phi")}

    def restore(self, vectors: dict[str, Host]) -> None:
        """Put a snapshot back."""
        with self.backend.scope():
            self.theta, self.phi = self.layout.load(self.backend, vectors)

    def check_ending(self, loss: Loss) -> None:
        """A loss from logits applies its own softmax or sigmoid; a second one would flatten the gradients."""
        if loss.wants and self.net.gives == "probabilities":
            raise UsageError(
                f"the network ends in {self.net.layers[-1]!r}, but {type(loss).__name__} wants {loss.wants}",
                why="it applies the squashing itself, where it can be done without overflow",
                fix="drop the last layer; predict_proba gives the probabilities",
            )

    def __repr__(self) -> str:
        size = self.layout.size["theta"]
        return f"<Model {self.input_shape} -> {self.output_shape}, {size:,} parameters, {self.backend!r}>"
