"""A model: what a person calls. The network below it holds the parameters, training is the trainer's business."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpnn.backends import Backend
from xpnn.config import short_repr
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.layers.base import for_each
from xpnn.losses import Loss, MultiOutputLoss, get_loss
from xpnn.metrics.by_name import as_metrics
from xpnn.name_hints import MODEL, explains_arguments, no_attribute
from xpnn.network import Host, Network
from xpnn.renamed import MEMBERS
from xpnn.scoring import check_meaning
from xpnn.system import user_path
from xpnn.trees import tree_map
from xpnn.validation import check_suffix

if TYPE_CHECKING:
    from xpnn.diagnostics.explain import Explanation
    from xpnn.diagnostics.summary import Summary
    from xpnn.distributed import Communicator
    from xpnn.optimizers import Optimizer
    from xpnn.schedules import Schedule
    from xpnn.training import Callback, History
    from xpnn.training.mixing import Mixing

INTERNAL = {
    "check_loss",
    "check_sample_weight",
    "check_xy",
    "inputs",
    "given_away",
    "layout",
    "output_shape_for",
    "outputs",
    "outputs_for",
    "phi",
    "score",
    "score_outputs",
    "targets",
    "theta",
}
"""Public to trainer and diagnostics."""


class Model(Network):
    """A network with parameters, on one backend.

    net: a layer, such as a Graph, or a list of layers. input_shape: of one sample, such as (28, 28, 1); of several
    inputs a tuple of shapes, and every x is a tuple of arrays then; y and predictions are tuples where the network has
    several outputs. backend: a Backend, or the name of one; device, dtype, precision: see `xpnn.get_backend`. seed: the
    root of every random draw; equal seeds give equal parameters on every backend; None draws one, kept in `model.seed`.
    vectors: theta and phi, as `snapshot` gives them, in place of drawn ones. loss: what `predict` and `evaluate` take
    the outputs for, and what `fit` minimises unless it is given another; softmax_cross_entropy by default. preparation:
    how raw data becomes samples of this network; saved with it.
    Raises ShapeError, with the layer's path, when the layers do not fit, UsageError for a loss that does not.
    """

    @explains_arguments
    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        loss: "str | Loss | Callable[..., Any] | None" = None,
        optimizer: "str | Optimizer" = "adam",
        schedule: "str | Schedule | None" = None,
        augment: "Mixing | None" = None,
        epochs: int = 5,
        batch_size: int = 128,
        steps_per_epoch: int | None = None,
        validation: Any = None,
        metrics: Any = (),
        sample_weight: Any = None,
        class_weight: Any = None,
        callbacks: "Sequence[Callback | Callable[..., Any]]" = (),
        resume: str | Path | None = None,
        communicator: "Communicator | None" = None,
        verbose: int = 1,
    ) -> "History":
        """Train from the present weights with a fresh optimizer, and return the history, a row per epoch.

        x: samples (N, ...), arrays of any library, lists or frames; of several inputs a tuple. Without y: batches
            (x, y) or (x, y, sample_weight), from a PyTorch DataLoader, `data.Batches`, an iterator, or a function that
            returns one for each epoch.
        y: targets: class ids (N,) or one-hot rows (N, C) for a classifier, numbers for a regression.
        loss: a name, a Loss, or a function, see `losses.FunctionLoss`; the model's own by default, and another one
            becomes the model's.
        optimizer: a name, such as "sgd", or an object that has its settings: Adam(1e-3).
        schedule: what multiplies the learning rate from step to step, such as "cosine"; None: 1.
        augment: Mixup() or CutMix(); augmentation of single images is made of layers.
        epochs: passes over the data. batch_size: samples of a step; the last one of an epoch may have fewer.
        steps_per_epoch: for batches whose number `len` does not give.
        validation: a share (0.1) or number (5000) of the samples, held out by a seeded, stratified draw; or a pair
            (x, y); or batches. Measured after each epoch.
        metrics: measured on the validation samples besides loss and accuracy: ["f1", TopK(3), f], where f(y, predicted)
            is a function such as scikit-learn's; or a dict, whose keys name the columns.
        sample_weight: (N,), or one for each position. class_weight: "balanced", {class: weight}, or one for each.
        callbacks: objects of Callback classes, or functions f(run, row), called after each epoch.
        resume: a file of `Checkpoint`, whose run goes on; everything else must be as it was.
        communicator: of several processes that train together, see `xpnn.distributed.connect`.
        verbose: 1 prints a row per epoch, with a bar on a terminal and in a notebook; 0 prints nothing.
        Raises DataError and ShapeError for data that does not fit, UsageError for settings that do not, DivergedError
        where the loss stops being finite.
        """
        from xpnn.training import Trainer

        watchers = list(callbacks)
        if verbose:
            from xpnn.training.notebook import progress

            watchers.append(progress())
        own, trainer = self.loss, None
        try:
            trainer = Trainer(
                self, loss, optimizer, schedule=schedule, augment=augment, communicator=communicator
            )
            return trainer.fit(
                x, y, epochs=epochs, batch_size=batch_size, steps_per_epoch=steps_per_epoch, validation=validation,
                metrics=metrics, sample_weight=sample_weight, class_weight=class_weight, callbacks=watchers,
                resume=resume,
            )  # fmt: skip
        except Exception:
            if trainer is None or not trainer.steps:  # nothing was trained: the model is what it was
                self.loss = own
            raise

    @explains_arguments
    def evaluate(
        self,
        x: Any,
        y: Any = None,
        *,
        loss: "str | Loss | Callable[..., Any] | None" = None,
        metrics: Any = (),
    ) -> dict[str, Any]:
        """{"loss": mean loss, "accuracy": share of hits, "f1": ...}; a regression has no accuracy.

        metrics: as in `fit`; here one may be an array, such as a ConfusionMatrix. Without y: batches (x, y).

        Of several outputs also {"loss[0]": ..., "accuracy[0]": ..., ...}. `loss`: the trained one by default; with
        reduction="sum", "loss" is the sum over all samples. A loss that compares samples is measured on shuffled
        batches of 128. Raises UsageError for reduction="none".
        """
        measure = self.loss if loss is None else get_loss(loss)
        self.check_loss(measure)
        chosen = as_metrics(metrics)
        if y is None:
            from xpnn.training.source import collected

            x, y = collected(x)
        x, y = self.check_xy(x, y, measure)
        return self.score(x, self.targets(y), measure, chosen)

    def predict(self, x: Any) -> Any:
        """Class ids (N,) for a classifier, 0 or 1 for a binary one, the outputs for a regression; as NumPy.

        Of one output per sample (N,), so that it compares with labels (N,). Of several outputs a tuple, as in
        `predict_proba` and `forward`. Raises UsageError where the one output of a network belongs to no loss.
        """
        check_meaning(self.loss, self.output_shape)
        be, out = self.backend, self.outputs_for(x)
        with be.device_context():
            labels = self._host(self.loss.labels(be, out))
        return labels[:, 0] if self.output_shape == (1,) and labels.ndim == 2 else labels

    def predict_proba(self, x: Any) -> Any:
        """Probabilities (N, C), as NumPy. Raises UsageError for a regression, and as `predict` does."""
        check_meaning(self.loss, self.output_shape)
        out = self.outputs_for(x)
        with self.backend.device_context():
            if isinstance(self.loss, MultiOutputLoss):
                each = zip(self.loss.losses, for_each(self.net.output_kind, len(out)), out, strict=True)
                return tuple(self._probabilities(*one) for one in each)
            return self._probabilities(self.loss, self.net.output_kind, out)

    def predict_table(self, table: Any) -> Host:
        """The answer for each row of raw data, (N,): names of classes, or numbers in the label's own units.

        table: whatever `xpnn.data.read_table` takes, such as a DataFrame, a list of dicts or a file's path; columns are
        matched by name and prepared as in training. `predict_proba(df)` gives the probabilities. Warnings name
        columns and values that were not in training, and missing numbers that are filled. Raises UsageError for a model
        that was not trained on a table, DataError for rows that it cannot take.
        """
        from xpnn.data.tables.predict_table import predict_table

        return predict_table(self, table)

    def forward(self, x: Any) -> Any:
        """The network's own outputs (logits, for a classifier), as NumPy."""
        return self._host(self.outputs_for(x))

    def explain(
        self,
        x: Any,
        y: Any,
        *,
        loss: "str | Loss | Callable[..., Any] | None" = None,
        optimizer: "str | Optimizer | None" = None,
    ) -> "Explanation":
        """One training step on the batch (x, y), layer by layer; nothing is changed.

        Shapes, pre-activations and outputs (mean, std, min, max), zeros and dead units, norms of every gradient. With
        an optimizer, also |update| / |parameter| of its first step. `loss`: the trained one by default. `print` shows
        a table; `to_dict` and `to_json` give plain data. Raises what `Trainer.step` raises.
        """
        from xpnn.diagnostics.explain import explain

        return explain(self, x, y, loss=loss, optimizer=optimizer)

    def summary(self) -> "Summary":
        """A table of layers: shapes, parameters, their bytes, and FLOPs of one sample on its way forward.

        Text that a shell and a notebook show as it is; in a program `print(model.summary())`.
        """
        from xpnn.diagnostics.summary import summary

        return summary(self)

    def save(self, path: str | Path, *, keep: bool = False) -> None:
        """One safetensors file: the architecture as JSON, the parameters by name.

        Replaces the file whole or not at all. keep: the file that was there stays beside it, a.1.safetensors for
        a.safetensors; `xpnn.load` names it where the newer one is damaged.
        Raises FileError, and UsageError for the suffix of another format, such as .onnx or .pt.
        """
        from xpnn.training.checkpoint import save_model

        check_suffix(path)
        save_model(self, user_path(path), keep=keep)

    if not TYPE_CHECKING:  # which would take every name for one that exists

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(type(self).__name__, name, MODEL)

    def __dir__(self) -> list[str]:
        """Without what training alone calls, so that an editor completes what a person calls."""
        return [name for name in super().__dir__() if name not in INTERNAL and name not in MEMBERS["Network"]]

    def _repr_html_(self) -> str:
        """The summary, in a notebook."""
        return self.summary()._repr_html_()

    def _host(self, tree: Any) -> Any:
        return tree_map(lambda _, a: self.backend.to_numpy(a), tree)

    def _probabilities(self, loss: Loss, output_kind: str, out: Array) -> Host:
        p = out if output_kind == "probabilities" else loss.probabilities(self.backend, out)
        if p is None:
            raise UsageError(
                f"a model trained with {short_repr(loss)} has no probabilities", fix="use predict or forward"
            )
        return self.backend.to_numpy(p)


def load(
    path: str | Path,
    *,
    backend: str | Backend = "numpy",
    device: str | None = None,
    dtype: str | None = None,
    precision: str | None = None,
) -> Model:
    """The model in `path`, on the backend asked for, whatever backend saved it.

    backend, device, dtype, precision: see `xpnn.get_backend`; beside a name, dtype None keeps the file's.
    Raises FileError for a file that cannot be read, CheckpointError for one that is damaged, foreign or hostile.
    Where the generation before it is whole, the error names that file; it is opened by its own name only.
    """
    from xpnn.training.checkpoint import load_model

    return load_model(Model, path, backend, device, dtype, precision)
