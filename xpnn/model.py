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
    one, kept in `model.seed`. Raises ShapeError, with the layer's path, when the layers do not fit.
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
    ) -> None:
        layers = (net,) if isinstance(net, Layer) else tuple(net)
        self.net = net if isinstance(net, Sequential) else Sequential(layers)
        self.input_shape = tuple(int(n) for n in input_shape)
        self.seed = secrets.randbits(32) if seed is None else check_seed(seed)
        specs, self.output_shape = self.net.plan(self.input_shape)
        self.layout = Layout(specs)
        self.backend = get_backend(backend, device, dtype)
        self.loss: Loss = SoftmaxCrossEntropy()
        with self.backend.scope():
            self.theta, self.phi = self.layout.draw(self.backend, self.seed)
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
        y = measure.check(to_host(y), self.output_shape)
        x = self.inputs(x)
        if len(y) != x.shape[0]:
            raise DataError(f"x has {x.shape[0]} samples, y has {len(y)}")
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

    def inputs(self, x: Any, name: str = "x") -> Array:
        """Samples as an array of the backend: bytes stay bytes, other numbers take the model's dtype.

        Raises ShapeError, or DataError for no samples at all and for NaN or infinity.
        """
        be = self.backend
        if not be.owns(x):
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
        be = self.backend
        return be.asarray(y if y.dtype == np.int64 and y.ndim == 1 else np.asarray(y, be.dtype_name))

    def weights(self, weight: Any, samples: int) -> Array | None:
        """Sample weights (N,), finite, at least 0 and not all 0, in the model's dtype."""
        if weight is None:
            return None
        w = to_host(weight)
        if w.shape != (samples,):
            raise ShapeError(f"sample_weight of shape {w.shape}", why=f"wanted ({samples},)")
        if not (np.isfinite(w) & (w >= 0)).all() or not w.any():
            raise DataError("sample_weight must be finite, at least 0 and not all 0")
        return self.backend.asarray(np.asarray(w, self.backend.dtype_name))

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
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed={seed!r}: wanted a whole number of at least 0")
    return int(seed)


def shape_hint(got: tuple[int, ...], wanted: tuple[int, ...], name: str) -> str:
    """What probably happened."""
    if got == wanted:
        return f"a single sample? {name}[None]"
    if got[1:] == (*wanted[2:], *wanted[:2]) and len(wanted) == 3:
        return f"channels come last: np.moveaxis({name}, 1, -1)"
    if int(np.prod(got[1:])) == int(np.prod(wanted)):
        return f"{name}.reshape(-1, {', '.join(map(str, wanted))})"
    return f"give (N, {', '.join(map(str, wanted))}), or build the model with input_shape={got[1:]}"
