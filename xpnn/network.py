"""A network with its arrays: the passes that training and evaluation are made of. The only holder of parameters."""

import functools
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from xpnn import validation
from xpnn.backends import Backend, get_backend
from xpnn.backends.advice import refuse_container
from xpnn.backends.convert import to_host
from xpnn.backends.in_place import by_identity
from xpnn.config import from_config, to_config
from xpnn.errors import DataError, ShapeError, UsageError, did_you_mean
from xpnn.fusion import fuse, single_sample
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, LayerLike, as_input, is_multiple
from xpnn.layers.graph import as_net
from xpnn.layers.lengths import is_open, planned, shown
from xpnn.losses import Loss, MultiOutputLoss, get_loss
from xpnn.metrics.by_name import Chosen, values
from xpnn.nesting import allow_nesting
from xpnn.parameters import Layout, count, on_device, rows_of
from xpnn.renamed import old_members
from xpnn.scoring import check_fit, default_loss, scores
from xpnn.trees import leaves, tree_map

if TYPE_CHECKING:
    from xpnn.data.preparation import Preparation

Host = np.ndarray[Any, Any]
LENGTHS = 256
"""How many shapes of samples are remembered to fit."""


@old_members
class Network:
    """A network with its parameters on one backend: what training, evaluation and diagnostics need of a model.

    Its arguments, and the methods that a person calls, are those of `xpnn.Model`, which is a Network. It holds the
    vectors theta and phi, the `layout` that names their parts, and what a file keeps beside them: loss and preparation.
    """

    def __init__(
        self,
        net: LayerLike | Sequence[LayerLike],
        input_shape: Sequence[Any],
        *,
        backend: str | Backend = "numpy",
        device: str | None = None,
        dtype: str | None = None,
        precision: str | None = None,
        seed: int | None = None,
        vectors: dict[str, Host] | None = None,
        loss: "str | Loss | Callable[..., Any] | None" = None,
        preparation: "Preparation | None" = None,
    ) -> None:
        self.net = as_net(net)
        allow_nesting(self.net)
        self.input_shape = validation.check_input_shape(input_shape)
        self.seed = secrets.randbits(32) if seed is None else validation.check_seed(seed)
        specs, out = self.net.plan(planned(self.input_shape))
        self.output_shape = shown(out)
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
                self._theta, self._phi = self.layout.initialize(self.backend, self.seed)
            else:
                self._theta, self._phi = self.layout.load(self.backend, vectors)
        forward: Callable[..., Array] = self.backend.compile(self._run, resident=(0,))
        self._forward = self.backend.for_samples(forward)
        self._forward_one = self.backend.for_one_sample(forward)
        self._out_of = functools.lru_cache(LENGTHS)(lambda shape: self.net.plan(shape)[1])
        self._split = by_identity(functools.partial(self.layout.split, self.backend))
        self._one: tuple[Any, ...] | None = None  # shape and dtype of one sample that takes the short way
        self._outputs_of_one: Callable[[Array, Array], Array | None] | None = None
        if len(self.input_shape) == 1 and None not in self.input_shape and single_sample.is_chain(self.net):
            self._outputs_of_one = self.backend.one_sample(single_sample.slots_of(self.net, self.layout))
            if self._outputs_of_one is not None:
                self._one = (1, *self.input_shape), np.dtype(self.backend.dtype_name)

    @property
    def theta(self) -> Array:
        """All trainable parameters as one vector."""
        return self.backend.lend(self._theta)

    @theta.setter
    def theta(self, vector: Array) -> None:
        self._theta = vector

    @property
    def phi(self) -> Array:
        """All running statistics as one vector."""
        return self.backend.lend(self._phi)

    @phi.setter
    def phi(self, vector: Array) -> None:
        self._phi = vector

    def given_away(self) -> tuple[Array, Array]:
        """theta and phi, for a step that may use their memory for the new ones which it returns.

        The new ones are put into _theta and _phi by one statement: no error can come between them.
        """
        return self._theta, self._phi

    def copy(self, backend: str | Backend | None = None) -> Self:
        """The same network, with the same seed and copies of the parameters, on its own backend or on another one."""
        place = self.backend if backend is None else get_backend(backend)
        twin = type(self)(self.net, self.input_shape, backend=place, seed=self.seed, vectors=self.snapshot())
        twin.loss, twin.preparation = self.loss, self.preparation
        return twin

    def __copy__(self) -> Self:
        """`copy.copy` shares no weights: training one would move the other."""
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """The same as `copy`."""
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle and joblib keep: descriptions as JSON, the vectors as NumPy arrays, and the backend by name."""
        be = self.backend
        about = {
            "net": to_config(self.net),
            "input_shape": self.input_shape,
            "seed": self.seed,
            "loss": to_config(self.loss),
            "preparation": to_config(self.preparation),
        }
        place = (be.name, be.device_name, be.dtype_name, be.precision)
        return _restored, (type(self), about, place, self.snapshot())

    def check_xy(self, x: Any, y: Any, loss: Loss, name: str = "") -> tuple[Any, Any]:
        """Samples on the device and their targets, checked, still on the host. `name` is put before x and y."""
        if self.preparation is None:
            refuse_container(x)  # before its labels, which a loader has inside
        if isinstance(loss, MultiOutputLoss):
            y = tuple(map(to_host, validation.split(f"{name}y", y, len(loss.losses))))
        else:
            y = to_host(y)
        x = self.inputs(x, f"{name}x")
        y = loss.check(y, self.output_shape_for(x))
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
        if self.preparation is not None:
            x = self.preparation.inputs(x)
        x = validation.inputs(self.backend, self.net, self.input_shape, x, name)
        self.output_shape_for(x)
        return x

    def output_shape_for(self, x: Any) -> Any:
        """`output_shape` with the sizes that samples x of a fitting shape fill in for None.

        Raises ShapeError where x is too short for a layer, or the lengths of several inputs do not fit each other.
        """
        if not is_open(planned(self.input_shape)):
            return self.output_shape
        return self._out_of(
            tree_map(lambda _, a: tuple(a.shape[1:]), x) if isinstance(x, tuple) else tuple(x.shape[1:])
        )

    def targets(self, y: Any) -> Any:
        """Checked targets on the device: ids as int64, everything else in the model's dtype."""
        return validation.targets(self.backend, y)

    def check_sample_weight(self, weight: Any, samples: int, positions: tuple[int, ...] = ()) -> Array | None:
        """Weights (N,) or (N, *positions), finite, at least 0 and not all 0, in the model's dtype."""
        return validation.check_sample_weight(self.backend, weight, samples, positions)

    def check_loss(self, loss: Loss) -> None:
        """A loss is one number; one from logits does the squashing itself, and twice would flatten the gradients."""
        check_fit(self.net, self.output_shape, loss)

    def outputs_for(self, x: Any) -> Any:
        """`outputs` for samples as a person gives them, checked first."""
        found = None if self.preparation is not None else self._of_one(x)
        return self.outputs(self.inputs(x)) if found is None else found

    def _of_one(self, x: Any) -> Array | None:
        """The outputs for one finite sample that needs no conversion, by the short way; None for everything else."""
        if self._outputs_of_one is None or type(x) is not np.ndarray or (x.shape, x.dtype) != self._one:
            return None
        return self._outputs_of_one(self._theta, np.ascontiguousarray(x))

    def outputs(self, x: Any, batch_size: int = 1024) -> Any:
        """The network's outputs for device samples, in batches of one size."""
        found = self._of_one(x)
        if found is not None:
            return found
        be, n = self.backend, count(x)
        with (
            be.device_context(),
            be.oom_guard("a forward pass", min(n, batch_size), "model.outputs(x, batch_size={})"),
        ):
            if n <= batch_size:
                return (self._forward if n > 1 else self._forward_one)(self._tree(), on_device(be, x))
            p, parts = self._tree(), []
            for i in range(0, n, batch_size):
                parts.append(self._forward(p, on_device(be, rows_of(x, i, min(i + batch_size, n)))))
            if is_multiple(self.output_shape):
                return tuple(map(be.xp.concat, zip(*parts, strict=True)))
            return be.xp.concat(parts)

    def score(
        self, x: Any, y: Any, loss: Loss | None = None, metrics: Mapping[str, Chosen] | None = None
    ) -> dict[str, Any]:
        """`evaluate` for arrays that are checked and on the device already."""
        return self.score_outputs(self.outputs(x), y, loss, metrics)

    def score_outputs(
        self, out: Any, y: Any, loss: Loss | None = None, metrics: Mapping[str, Chosen] | None = None
    ) -> dict[str, Any]:
        """`score` for what the network has made of the samples."""
        be, loss = self.backend, loss or self.loss
        with be.device_context():
            found = scores(be, loss, out, y, self.seed)
            return found | (values(be, loss, self.net.output_kind, out, y, metrics) if metrics else {})

    def parameters(self) -> dict[str, Array]:
        """{"2.W": array, ...}: live views of theta and phi where the library has views, else their present values."""
        with self.backend.device_context():
            return {path: self.backend.lend(a) for path, a in leaves(self._tree())}

    def load_parameters(self, named: dict[str, Any], *, strict: bool = True) -> None:
        """Put arrays in place of parameters: {"0.W": ..., "0.b": ...}, all that `parameters` names.

        strict=False: those that are left out stay as they are. Weights of other libraries: `xpnn.interchange`.
        Raises UsageError for an unknown or a missing name, ShapeError or DataError for what does not fit; nothing
        changes then.
        """
        missing = [path for path in self.layout.named if path not in named]
        if strict and missing and not named.keys() - self.layout.named.keys():
            raise UsageError(
                f"no values for {len(missing)} of {len(self.layout.named)} parameters: {', '.join(missing[:5])}",
                fix="give all that model.parameters() names, or strict=False to keep the others as they are",
            )
        vectors = self.snapshot()
        for path, a in named.items():
            if path not in self.layout.named:
                raise UsageError(f"no parameter {path!r}", fix=did_you_mean(path, self.layout.named))
            host, shape = to_host(a), self.layout.named[path].shape
            if host.shape != shape:
                turned = "its transpose has that shape: PyTorch keeps (units, n_in)"
                raise ShapeError(
                    f"parameter {path} has shape {shape}, got {host.shape}",
                    why=turned if host.shape[::-1] == shape else "",
                    fix="xpnn.interchange.load_torch and load_keras move axes by themselves",
                )
            vector, start, stop = self.layout.slots[path]
            vectors[vector][start:stop] = validation.narrow(self.backend, host, path).reshape(-1)
        self.restore(vectors)

    def snapshot(self) -> dict[str, Host]:
        """theta and phi, copied to the host."""
        return {name: np.array(self.backend.to_numpy(getattr(self, name))) for name in ("theta", "phi")}

    def restore(self, vectors: dict[str, Host]) -> None:
        """Put a snapshot back."""
        with self.backend.device_context():
            self.theta, self.phi = self.layout.load(self.backend, vectors)

    def _tree(self) -> Any:
        """The parameters by name."""
        return self._split(self._theta, self._phi)

    def _run(self, p: Any, x: Any) -> Any:
        """The pure forward pass, as in evaluation: no dropout."""
        be = self.backend
        return self._fused.forward(Ctx(be, key=(self.seed,)), p, as_input(self.net, be, x))[0]

    def __repr__(self) -> str:
        size = self.layout.size["theta"]
        shapes = f"{self.input_shape} -> {self.output_shape}"
        return f"<{type(self).__name__} {shapes}, {size:,} parameters, {self.backend!r}>"


def _restored(
    cls: type[Network], about: dict[str, Any], place: tuple[str, str, str, str], vectors: dict[str, Host]
) -> Network:
    """The inverse of `Network.__reduce__`. Raises BackendError where its backend is not installed."""
    model = cls(
        from_config(about["net"]),
        about["input_shape"],
        backend=get_backend(*place),
        seed=about["seed"],
        vectors=vectors,
    )
    model.loss = from_config(about["loss"], "loss")
    model.preparation = from_config(about["preparation"], "preparation")
    return model
