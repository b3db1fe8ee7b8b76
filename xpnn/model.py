"""A model: a network, a backend, and the arrays. The only holder of parameters."""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.backends import get_backend
from xpnn.backends.convert import to_host
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, as_input
from xpnn.layers.sequential import Sequential
from xpnn.losses import Loss, SoftmaxCrossEntropy, get_loss
from xpnn.parameters import Layout, leaves

if TYPE_CHECKING:
    from xpnn.optimizers import Optimizer
    from xpnn.schedules import Schedule
    from xpnn.training import Callback, History

Host = np.ndarray[Any, Any]


class Model:
    """A network with parameters, on one backend.

    net: a layer or a list of layers. input_shape: of one sample, such as (28, 28, 1). backend, device, dtype: see
    `xpnn.get_backend`. seed: the root of every random draw; equal seeds give equal parameters on every
    backend. None draws
    one, kept in `model.seed`. vectors: theta and phi, as `snapshot` gives them, in place of drawn ones.
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
        self.input_shape = check_input_shape(input_shape)
        self.seed = secrets.randbits(32) if seed is None else check_seed(seed)
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
        epochs: int = 5,
        batch_size: int = 128,
        validation: float | int | tuple[Any, Any] | None = None,
        sample_weight: Any = None,
        callbacks: "Sequence[Callback]" = (),
        verbose: int = 1,
    ) -> "History":
        """Train from the present weights with a fresh optimizer; see `Trainer.fit`.

        verbose=1 prints a row per epoch.
        """
        from xpnn.training import Trainer

        watchers = list(callbacks)
        if verbose:
            from xpnn.training.progress import Progress

            watchers.append(Progress())
        trainer = Trainer(self, loss, optimizer, schedule=schedule)
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
        """Samples as an array of the backend: bytes stay bytes, other numbers take the model's dtype.

        Raises ShapeError, or DataError for no samples at all and for NaN or infinity.
        """
        be = self.backend
        if be.owns(x):
            be.require(name, x)
        else:
            x = to_host(x)
        self.check_shape(name, x)
        if x.shape[0] == 0:
            raise DataError(f"{name} has no samples")
        raw = str(x.dtype).rsplit(".", maxsplit=1)[-1] in ("uint8", "bool")
        with np.errstate(over="ignore"):
            x = (
                be.asarray(x, None if raw else be.dtype)
                if be.owns(x) or raw
                else be.asarray(x.astype(be.dtype_name, copy=False))
            )
        with be.scope():
            if not raw and not bool(be.all_finite(x)):
                i = int(np.argmin(np.isfinite(be.to_numpy(x)).reshape(x.shape[0], -1).all(axis=1)))
                raise DataError(
                    f"{name}[{i}] holds NaN or infinity (as {be.dtype_name})", fix="drop or fill such samples"
                )
        return x

    def targets(self, y: Host) -> Array:
        """Checked targets on the device: ids as int64, everything else in the model's dtype."""
        return self.backend.asarray(y if y.dtype == np.int64 and y.ndim == 1 else self.narrow(y, "y"))

    def narrow(self, a: Host, name: str) -> Host:
        """Finite numbers in the model's dtype. Raises DataError where they do not fit into it."""
        with np.errstate(over="ignore"):
            new: Host = a.astype(self.backend.dtype_name, copy=False)
        bad = np.argwhere(~np.isfinite(new))
        if len(bad):
            i = tuple(bad[0].tolist())
            raise DataError(
                f"{name}{list(i)} is {a[i]}, too large for {self.backend.dtype_name}", fix="scale it down"
            )
        return new

    def weights(self, weight: Any, samples: int) -> Array | None:
        """Sample weights (N,), finite, at least 0 and not all 0, in the model's dtype."""
        if weight is None:
            return None
        w = to_host(weight)
        if w.shape != (samples,):
            raise ShapeError(
                f"sample_weight has shape {w.shape}, x has {samples} samples", fix="one for each sample"
            )
        bad = ~(np.isfinite(w) & (w >= 0))
        if bad.any() or not w.any():
            i = int(np.argmax(bad))
            raise DataError(
                f"sample_weight[{i}] is {w[i]}" if bad.any() else "every sample_weight is 0",
                why="weights are finite, at least 0 and not all 0",
            )
        return self.backend.asarray(self.narrow(w, "sample_weight"))

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
        if loss.wants == "logits" and self.net.gives == "probabilities":
            raise UsageError(
                f"the network ends in {self.net.layers[-1]!r}, but {type(loss).__name__} wants logits",
                why="it applies the squashing itself, where it can be done without overflow",
                fix="drop the last layer; predict_proba gives the probabilities",
            )

    def check_shape(self, name: str, x: Any) -> None:
        """Raise the ShapeError that says how `x` differs from (N, *input_shape)."""
        if tuple(x.shape[1:]) == self.input_shape and len(x.shape) == len(self.input_shape) + 1:
            return
        raise ShapeError(
            f"{name} has shape {tuple(x.shape)}, the model takes (N, {', '.join(map(str, self.input_shape))})",
            fix=shape_hint(tuple(x.shape), self.input_shape, name),
        )

    def __repr__(self) -> str:
        size = self.layout.size["theta"]
        return f"<Model {self.input_shape} -> {self.output_shape}, {size:,} parameters, {self.backend!r}>"


def check_seed(seed: int) -> int:
    """A whole number of at least 0."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed={seed!r}: wanted a whole number of at least 0")
    return int(seed)


def check_input_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The sizes of one sample, each a whole number of at least 1; () for samples that are single numbers."""
    sizes = list(shape) if isinstance(shape, Sequence | np.ndarray) else [None]
    if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in sizes):
        raise UsageError(
            f"input_shape={shape!r}: wanted the sizes of one sample, each a whole number of at least 1",
            fix=f"input_shape=({shape},)" if isinstance(shape, int) else "such as (784,) or (28, 28, 1)",
        )
    return tuple(int(n) for n in sizes if n is not None)


def shape_hint(got: tuple[int, ...], wanted: tuple[int, ...], name: str) -> str:
    """What probably happened."""
    if got == wanted:
        return f"a single sample? {name}[None]"
    if got[1:] == (*wanted[2:], *wanted[:2]) and len(wanted) == 3:
        return f"channels come last: np.moveaxis({name}, 1, -1)"
    if int(np.prod(got[1:])) == int(np.prod(wanted)):
        return f"{name}.reshape(-1, {', '.join(map(str, wanted))})"
    return f"give (N, {', '.join(map(str, wanted))}), or build the model with input_shape={got[1:]}"
