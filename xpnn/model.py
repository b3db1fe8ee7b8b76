"""A model: a network, a backend, and the arrays. The only holder of parameters."""

import functools
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn import validation
from xpnn.backends import get_backend
from xpnn.backends.convert import to_host
from xpnn.backends.in_place import by_identity
from xpnn.config import short_repr
from xpnn.errors import DataError, ShapeError, UsageError, did_you_mean
from xpnn.fusion import fuse
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, as_input, for_each, is_multiple
from xpnn.layers.graph import as_net
from xpnn.losses import Loss, MultiOutputLoss, get_loss
from xpnn.parameters import Layout, count, leaves, on_device, rows_of, tree_map
from xpnn.scoring import check_fit, check_meaning, default_loss, scores

if TYPE_CHECKING:
    from xpnn.data.preparation import Preparation
    from xpnn.diagnostics.explain import Explanation
    from xpnn.optimizers import Optimizer
    from xpnn.schedules import Schedule
    from xpnn.training import Callback, History
    from xpnn.training.mixing import Mixing

Host = np.ndarray[Any, Any]


class Model:
    """A network with parameters, on one backend.

    net: a layer, such as a Graph, or a list of layers. input_shape: of one sample, such as (28, 28, 1); of several
    inputs a tuple of shapes, and every x is a tuple of arrays then; y and predictions are tuples where the network has
    several outputs. backend, device, dtype, precision: see `xpnn.get_backend`. seed: the root of every random draw;
    equal seeds give equal parameters on every backend; None draws one, kept in `model.seed`. vectors: theta and phi, as
    `snapshot` gives them, in place of drawn ones. loss: what `predict` and `evaluate` take the outputs for, and what
    `fit` minimises unless it is given another; softmax_cross_entropy by default. preparation: how raw data becomes
    samples of this network; saved with it.
    Raises ShapeError, with the layer's path, when the layers do not fit, UsageError for a loss that does not.
    """

    def __init__(
        self,
        net: Layer | Sequence[Layer],
        input_shape: Sequence[Any],
        *,
        backend: str = "numpy",
        device: str | None = None,
        dtype: str = "float32",
        precision: str = "fp32",
        seed: int | None = None,
        vectors: dict[str, Host] | None = None,
        loss: "str | Loss | None" = None,
        preparation: "Preparation | None" = None,
    ) -> None:
        self.net = as_net(net)
        self.input_shape = validation.check_input_shape(input_shape)
        self.seed = secrets.randbits(32) if seed is None else validation.check_seed(seed)
        specs, self.output_shape = self.net.plan(self.input_shape)
        self.layout = Layout(specs)
        self._fused = fuse(self.net)
        self.backend = get_backend(backend, device, dtype, precision)
        self.loss: Loss = default_loss(self.output_shape) if loss is None else get_loss(loss)
        if loss is not None:
            self.check_loss(self.loss)
        self.preparation = preparation
        if preparation is not None:
            preparation.check_model(self.input_shape, self.output_shape)
        with self.backend.device_context():
            if vectors is None:
                self.theta, self.phi = self.layout.initialize(self.backend, self.seed)
            else:
                self.theta, self.phi = self.layout.load(self.backend, vectors)
        self._forward: Callable[..., Array] = self.backend.compile(self._run, resident=(0,))
        self._split = by_identity(functools.partial(self.layout.split, self.backend))

    # What a user does with it

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        loss: "str | Loss | None" = None,
        optimizer: "str | Optimizer" = "adam",
        schedule: "str | Schedule | None" = None,
        augment: "Mixing | None" = None,
        epochs: int = 5,
        batch_size: int = 128,
        validation: float | int | tuple[Any, Any] | None = None,
        sample_weight: Any = None,
        callbacks: "Sequence[Callback | Callable[..., Any]]" = (),
        resume: str | Path | None = None,
        verbose: int = 1,
    ) -> "History":
        """Train from the present weights with a fresh optimizer; see `Trainer.fit`. augment: Mixup or CutMix.

        loss: the model's own by default; another one becomes the model's. verbose=1 prints a row per epoch.
        """
        from xpnn.training import Trainer

        watchers = list(callbacks)
        if verbose:
            from xpnn.training.progress import Progress

            watchers.append(Progress())
        trainer = Trainer(self, loss, optimizer, schedule=schedule, augment=augment)
        return trainer.fit(
            x, y, epochs=epochs, batch_size=batch_size, validation=validation,
            sample_weight=sample_weight, callbacks=watchers, resume=resume,
        )  # fmt: skip

    def evaluate(self, x: Any, y: Any, *, loss: "str | Loss | None" = None) -> dict[str, float]:
        """{"loss": mean loss, "accuracy": share of hits}; a regression has no accuracy.

        Of several outputs also {"loss[0]": ..., "accuracy[0]": ..., ...}. `loss`: the trained one by default; with
        reduction="sum", "loss" is the sum over all samples. A loss that compares samples is measured on shuffled
        batches of 128. Raises UsageError for reduction="none".
        """
        measure = self.loss if loss is None else get_loss(loss)
        self.check_loss(measure)
        x, y = self.check_xy(x, y, measure)
        return self.score(x, self.targets(y), measure)

    def predict(self, x: Any) -> Any:
        """Class ids (N,) for a classifier, 0 or 1 for a binary one, the outputs for a regression; as NumPy.

        Of one output per sample (N,), so that it compares with labels (N,). Of several outputs a tuple, as in
        `predict_proba` and `forward`. Raises UsageError where the one output of a network belongs to no loss.
        """
        check_meaning(self.loss, self.output_shape)
        be, out = self.backend, self.outputs(self.inputs(x))
        with be.device_context():
            labels = self._host(self.loss.labels(be, out))
        return labels[:, 0] if self.output_shape == (1,) and labels.ndim == 2 else labels

    def predict_proba(self, x: Any) -> Any:
        """Probabilities (N, C), as NumPy. Raises UsageError for a regression, and as `predict` does."""
        check_meaning(self.loss, self.output_shape)
        out = self.outputs(self.inputs(x))
        with self.backend.device_context():
            if isinstance(self.loss, MultiOutputLoss):
                each = zip(self.loss.losses, for_each(self.net.output_kind, len(out)), out, strict=True)
                return tuple(self._probabilities(*one) for one in each)
            return self._probabilities(self.loss, self.net.output_kind, out)

    def forward(self, x: Any) -> Any:
        """The network's own outputs (logits, for a classifier), as NumPy."""
        return self._host(self.outputs(self.inputs(x)))

    def parameters(self) -> dict[str, Array]:
        """{"2.W": array, ...}: live views of theta and phi where the library has views, else their present values."""
        with self.backend.device_context():
            return dict(leaves(self._tree()))

    def explain(
        self,
        x: Any,
        y: Any,
        *,
        loss: "str | Loss | None" = None,
        optimizer: "str | Optimizer | None" = None,
    ) -> "Explanation":
        """One training step on the batch (x, y), layer by layer; nothing is changed.

        Shapes, pre-activations and outputs (mean, std, min, max), zeros and dead units, norms of every gradient. With
        an optimizer, also |update| / |parameter| of its first step. `loss`: the trained one by default. `print` shows
        a table; `to_dict` and `to_json` give plain data. Raises what `Trainer.step` raises.
        """
        from xpnn.diagnostics.explain import explain

        return explain(self, x, y, loss=loss, optimizer=optimizer)

    def summary(self) -> str:
        """A table of layers: shapes, parameters, their bytes, and FLOPs of one sample on its way forward."""
        from xpnn.diagnostics.summary import summary

        return summary(self)

    def save(self, path: str | Path, *, keep: bool = False) -> None:
        """One safetensors file: the architecture as JSON, the parameters by name.

        Replaces the file whole or not at all. keep: the file that was there stays beside it, a.1.safetensors for
        a.safetensors; `xpnn.load` names it where the newer one is damaged.
        """
        from xpnn.training.checkpoint import save

        save(self, Path(path), keep=keep)

    # What training is made of

    def check_xy(self, x: Any, y: Any, loss: Loss, name: str = "") -> tuple[Any, Any]:
        """Samples on the device and their targets, checked, still on the host. `name` is put before x and y."""
        if isinstance(loss, MultiOutputLoss):
            y = tuple(map(to_host, validation.split(f"{name}y", y, len(loss.losses))))
        else:
            y = to_host(y)
        y = loss.check(y, self.output_shape)
        x = self.inputs(x, f"{name}x")
        if count(y) != count(x):
            raise DataError(
                f"{name}x has {count(x)} samples, {name}y has {count(y)}",
                fix="give one target for each sample",
            )
        return x, y

    def inputs(self, x: Any, name: str = "x") -> Any:
        """Samples as arrays of the backend, checked: bytes stay bytes, other numbers take the model's dtype.

        Ids become int64 where the network takes ids.
        """
        return validation.inputs(self.backend, self.net, self.input_shape, x, name)

    def targets(self, y: Any) -> Any:
        """Checked targets on the device: ids as int64, everything else in the model's dtype."""
        return validation.targets(self.backend, y)

    def check_sample_weight(self, weight: Any, samples: int) -> Array | None:
        """Sample weights (N,), finite, at least 0 and not all 0, in the model's dtype."""
        return validation.check_sample_weight(self.backend, weight, samples)

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
            vectors[vector][start:stop] = validation.narrow(self.backend, host, path).reshape(-1)
        self.restore(vectors)

    def outputs(self, x: Any, batch_size: int = 1024) -> Any:
        """The network's outputs for device samples, in batches of one size."""
        be, n = self.backend, count(x)
        with (
            be.device_context(),
            be.oom_guard("a forward pass", min(n, batch_size), "model.outputs(x, batch_size={})"),
        ):
            if n <= batch_size:
                return self._forward(self._tree(), on_device(be, x))
            p, parts = self._tree(), []
            for i in range(0, n, batch_size):
                parts.append(self._forward(p, on_device(be, rows_of(x, i, min(i + batch_size, n)))))
            if is_multiple(self.output_shape):
                return tuple(map(be.xp.concat, zip(*parts, strict=True)))
            return be.xp.concat(parts)

    def _host(self, tree: Any) -> Any:
        return tree_map(lambda _, a: self.backend.to_numpy(a), tree)

    def _probabilities(self, loss: Loss, output_kind: str, out: Array) -> Host:
        p = out if output_kind == "probabilities" else loss.probabilities(self.backend, out)
        if p is None:
            raise UsageError(
                f"a model trained with {short_repr(loss)} has no probabilities", fix="use predict or forward"
            )
        return self.backend.to_numpy(p)

    def _tree(self) -> Any:
        """The parameters by name."""
        return self._split(self.theta, self.phi)

    def _run(self, p: Any, x: Any) -> Any:
        """The pure forward pass, as in evaluation: no dropout."""
        be = self.backend
        return self._fused.forward(Ctx(be, key=(self.seed,)), p, as_input(self.net, be, x))[0]

    def score(self, x: Any, y: Any, loss: Loss | None = None) -> dict[str, float]:
        """`evaluate` for arrays that are checked and on the device already."""
        with self.backend.device_context():
            return scores(self.backend, loss or self.loss, self.outputs(x), y, self.seed)

    def snapshot(self) -> dict[str, Host]:
        """theta and phi, copied to the host."""
        return {name: np.array(self.backend.to_numpy(getattr(self, name))) for name in ("theta", "phi")}

    def restore(self, vectors: dict[str, Host]) -> None:
        """Put a snapshot back."""
        with self.backend.device_context():
            self.theta, self.phi = self.layout.load(self.backend, vectors)

    def check_loss(self, loss: Loss) -> None:
        """A loss is one number; one from logits does the squashing itself, and twice would flatten the gradients."""
        check_fit(self.net, self.output_shape, loss)

    def __repr__(self) -> str:
        size = self.layout.size["theta"]
        return f"<Model {self.input_shape} -> {self.output_shape}, {size:,} parameters, {self.backend!r}>"
