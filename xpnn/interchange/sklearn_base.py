"""What Classifier and Regressor of `xpnn.sklearn` share: settings, training, and how they are pickled."""

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from xpnn.errors import BackendError, UsageError
from xpnn.layers import Dense, Layer, Standardize
from xpnn.models.mlp import dense
from xpnn.optimizers import get_optimizer
from xpnn.trees import tree_map

try:
    from sklearn.base import BaseEstimator
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise BackendError(
        "the package scikit-learn is not installed", fix="pip install 'xpnn[sklearn]'"
    ) from error

if TYPE_CHECKING:
    from xpnn.model import Model

Host = np.ndarray[Any, Any]
Self = TypeVar("Self", bound="NetworkEstimator")
LARGEST_BATCH = 200


@dataclass(eq=False, repr=False)
class NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    """The settings and the training of a network as an estimator.

    hidden: widths of the hidden layers, or a list of layers; the last Dense is added. activation, dropout: of hidden
    layers given as widths. optimizer: a name or an optimizer, whose own rate counts then; learning_rate: of one given
    by name. batch_size "auto": at most 200. standardize: features are brought to mean 0 and spread 1 by a first layer,
    with the samples' weights. Training ends after `epochs`, or when the loss has not fallen by `tol` in
    n_iter_no_change epochs: with early_stopping that of a held-out validation_fraction, or of `fit`'s eval_set, and
    the best epoch's weights are kept. warm_start: `fit` goes on from the present weights. random_state: a number makes
    runs equal. dtype None: float32 where X is, else float64. backend, device: as for `xpnn.Model`.

    Fitted: model_, n_features_in_, feature_names_in_ (of a table with named columns), loss_curve_, n_iter_, coefs_ and
    intercepts_ (of the Dense layers in order).
    """

    hidden: Any = (128,)
    _: KW_ONLY
    activation: str = "relu"
    dropout: float = 0.0
    optimizer: Any = "adam"
    learning_rate: float = 3e-3
    epochs: int = 200
    batch_size: int | str = "auto"
    standardize: bool = True
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4
    warm_start: bool = False
    random_state: Any = None
    backend: str = "numpy"
    device: str | None = None
    dtype: str | None = None
    verbose: int = 0

    def model_of(self) -> "Model":
        """The trained model. Raises scikit-learn's NotFittedError before `fit`."""
        check_is_fitted(self, "model_")
        return self.model_

    def _given(self, X: Any) -> Host:
        """Samples for the trained model."""
        check_is_fitted(self, "model_")
        return np.asarray(validate_data(self, X, dtype=(np.float64, np.float32), reset=False))

    def _weighed(self, X: Host, y: Host, weight: Any) -> tuple[Host, Host, Any]:
        """Samples of weight 0 are as if they were not there."""
        if weight is None:
            return X, y, None
        weight = _check_sample_weight(weight, X, dtype=np.float64, ensure_non_negative=True)
        kept = weight > 0
        if not kept.any():
            raise ValueError("every sample_weight is 0")
        return X[kept], y[kept], weight[kept]

    def _run(
        self: Self, X: Host, y: Host, weight: Any, watched: Any, outputs: int, loss: str, last: list[Any],
        again: bool, epochs: int | None,
    ) -> Self:  # fmt: skip
        """Make the network unless it goes on, and train it."""
        from xpnn.model import Model
        from xpnn.training import Trainer

        if not again:
            seed = int(check_random_state(self.random_state).randint(2**31))
            dtype = self.dtype or ("float32" if X.dtype == np.float32 else "float64")
            layers = [*self._layers(X, weight, outputs), *last]
            self.model_ = Model(
                layers, (X.shape[1],), seed=seed, backend=self.backend, device=self.device, dtype=dtype
            )
            self._trainer = Trainer(self.model_, loss, self._optimizer())
        size: Any = min(LARGEST_BATCH, len(X)) if self.batch_size == "auto" else self.batch_size
        hold = self.validation_fraction if self.early_stopping and watched is None else watched
        self._trainer.fit(
            X, y, epochs=self.epochs if epochs is None else epochs, batch_size=size,
            validation=None if epochs else hold, sample_weight=weight, callbacks=self._watchers(epochs),
        )  # fmt: skip
        history = self._trainer.history
        self.loss_curve_, self.n_iter_ = history["train_loss"], len(history)
        self.validation_curve_ = [value for value in history["valid_loss"] if value is not None]
        return self

    def _layers(self, X: Host, weight: Any, outputs: int) -> list[Layer]:
        """The network, without what a subclass adds at its end."""
        hidden = list(self.hidden)
        if any(isinstance(one, Layer) for one in hidden):
            body = [*hidden, Dense(outputs)]
        else:
            if not all(isinstance(one, int | np.integer) and one > 0 for one in hidden):
                raise UsageError(
                    f"hidden={self.hidden!r}: wanted widths such as (128, 64), or a list of layers"
                )
            body = dense([int(one) for one in hidden], outputs, self.activation, self.dropout)
        if not self.standardize:
            return body
        mean, std = weighted_scale(X, weight)
        return [Standardize(tuple(mean.tolist()), tuple(std.tolist())), *body]

    def _optimizer(self) -> Any:
        """That of the settings."""
        found = get_optimizer(self.optimizer)
        if isinstance(self.optimizer, str):
            from dataclasses import replace

            return replace(found, lr=self.learning_rate)  # type: ignore[type-var]
        return found

    def _watchers(self, epochs: int | None) -> list[Any]:
        """What ends the training early, and what prints rows."""
        from xpnn.training.early_stopping import EarlyStopping

        found: list[Any] = []
        if epochs is None and self.n_iter_no_change:
            monitor = "valid_loss" if self.early_stopping else "train_loss"
            found.append(
                EarlyStopping(
                    self.n_iter_no_change, min_delta=self.tol, monitor=monitor, restore=self.early_stopping
                )
            )
        if self.verbose:
            from xpnn.training.progress import Progress

            found.append(Progress())
        return found

    def _dense(self, name: str) -> list[Host]:
        """That parameter of the Dense layers of the chain, in order."""
        model = self.model_of()
        named = model.parameters()
        layers = getattr(model.net, "layers", ())
        return [
            np.array(model.backend.to_numpy(named[f"{i}.{name}"]))
            if f"{i}.{name}" in named
            else np.zeros(layer.units)  # bias=False
            for i, layer in enumerate(layers)
            if isinstance(layer, Dense)
        ]

    @property
    def coefs_(self) -> list[Host]:
        """The matrices (inputs, units) of the Dense layers."""
        return self._dense("W")

    @property
    def intercepts_(self) -> list[Host]:
        """The biases (units,) of the Dense layers."""
        return self._dense("b")

    def __getstate__(self) -> dict[str, Any]:
        """Settings, and of the model and its trainer what is needed to make them again: no array of a device."""
        state = dict(super().__getstate__())
        model, trainer = state.pop("model_", None), state.pop("_trainer", None)
        if model is None or trainer is None:
            return state
        to_numpy = model.backend.to_numpy
        made = {
            "net": model.net, "input_shape": model.input_shape, "seed": model.seed,
            "dtype": model.backend.dtype_name, "vectors": model.snapshot(),
            "loss": trainer.loss, "optimizer": trainer.optimizer, "history": trainer.history,
            "steps": trainer.steps, "state": tree_map(lambda _, a: np.array(to_numpy(a)), trainer.state),
        }  # fmt: skip
        return {**state, "_made": made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The inverse of `__getstate__`."""
        from xpnn.model import Model
        from xpnn.training import Trainer

        made = state.pop("_made", None)
        super().__setstate__(state)
        if made is None:
            return
        self.model_ = Model(
            made["net"], made["input_shape"], seed=made["seed"], vectors=made["vectors"],
            dtype=made["dtype"], backend=self.backend, device=self.device,
        )  # fmt: skip
        self._trainer = Trainer(self.model_, made["loss"], made["optimizer"])
        self._trainer.history, self._trainer.steps = made["history"], made["steps"]
        be = self.model_.backend
        with be.device_context():
            self._trainer.state = tree_map(lambda _, a: be.asarray(a), made["state"])


def weighted_scale(a: Host, weight: Any) -> tuple[Host, Host]:
    """Mean and standard deviation of each column, in float64; 1 for one that never changes."""
    a = np.asarray(a, np.float64)
    mean = np.average(a, axis=0, weights=weight)
    std = np.sqrt(np.average((a - mean) ** 2, axis=0, weights=weight))
    small = std <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(small | (std == 0), 1.0, std)
