"""`xpnn train --from RUN --freeze PATTERN --replace-head`: transfer learning."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xpnn.backends import Backend
from xpnn.cli.options import FilePath
from xpnn.cli.runs import Saved, find_run
from xpnn.data import Dataset
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.layers import Dense, Layer, Sequential
from xpnn.models import MODELS
from xpnn.optimizers import Group, Groups, Optimizer
from xpnn.optimizers.patterns import fits

if TYPE_CHECKING:
    from xpnn.data import Preparation
    from xpnn.model import Model

ARCHITECTURE = ("hidden", "activation", "dropout", "input_dropout")


def transfer_options(f: Callable[..., Any]) -> Callable[..., Any]:
    """Add --from, --freeze and --replace-head."""
    for option in (
        click.option(
            "--replace-head", is_flag=True, default=False, help="With --from: a fresh last Dense, of the new classes."
        ),
        click.option(
            "--freeze", multiple=True, metavar="PATTERN",
            help='Keep the parameters whose path fits, such as "0.*" or "*.b", as they are; may be repeated.',
        ),
        click.option(
            "--from", "source", type=FilePath(), metavar="RUN",
            help="Begin with the network and the weights of that run's best epoch.",
        ),
    ):  # fmt: skip
        f = option(f)
    return f


def find_source(
    source: Path | None, replace_head: bool, model: str, given: dict[str, Any]
) -> tuple[Saved | None, str]:
    """Return the run to start from, if any, and the name of the model that is trained.

    Raises UsageError for flags that describe the network, which RUN already does.
    """
    if source is None:
        if replace_head:
            raise UsageError("--replace-head without a network whose head it could be", fix="--from RUN")
        return None, model
    saved = find_run(source)
    known = str(saved.about.get("model"))
    asked = [name for name in ARCHITECTURE if given.get(name) is not None]
    context = click.get_current_context(silent=True)
    if context and context.get_parameter_source("model") is not ParameterSource.DEFAULT and model != known:
        asked.append("model")
    if asked:
        raise UsageError(
            f"--{asked[0].replace('_', '-')} beside --from",
            why=f"the network is the one in {saved.weights}",
            fix="leave it out",
        )
    return saved, known if known in MODELS else model


def frozen(optimizer: Optimizer, patterns: tuple[str, ...]) -> Optimizer:
    """Return the optimizer with the parameters frozen that match any of the patterns."""
    return Groups(optimizer, tuple(Group(p, frozen=True) for p in patterns)) if patterns else optimizer


def preparation_of(origin: str | None) -> "Preparation | None":
    """Return how the source run prepared its data; None if that was not recorded, or the run is gone."""
    if origin is None or not Path(origin).exists():
        return None
    return find_run(Path(origin)).load("numpy").preparation


def reuse(
    saved: Saved, data: Dataset, augmentation: tuple[Layer, ...], be: Backend, seed: int, replace_head: bool
) -> tuple[Dataset, "Model"]:
    """Return the data with its classes numbered as in `saved`, and the network and weights of `saved`.

    With replace_head the last layer is a fresh one, for the classes of the data. `augmentation` comes before it unless
    it begins so already. Raises ShapeError for samples of another shape, UsageError for another number of outputs
    and DataError for other classes without a fresh head.
    """
    from xpnn.model import Model

    old = saved.load("numpy")
    if old.input_shape != tuple(data.input_shape):
        raise ShapeError(
            f"{saved.weights} takes samples of shape {old.input_shape}, {data.name} has {tuple(data.input_shape)}",
            fix="data of that shape, or another --from",
        )
    if not replace_head:
        data = same_classes(saved, old, data)
    if old.output_shape != (data.outputs,) and not replace_head:
        raise UsageError(
            f"{saved.weights} gives {old.output_shape}, {data.name} has {data.outputs} classes",
            fix="--replace-head",
        )
    kept: dict[str, Any] = {
        "backend": be,
        "seed": seed,
        "loss": old.loss,
        "preparation": data.preparation or old.preparation,
    }
    if not isinstance(old.net, Sequential):
        if replace_head or augmentation:
            raise UsageError(
                f"{saved.weights} is no chain of layers", fix="Groups and Model.load_parameters in Python"
            )
        whole = Model(old.net, old.input_shape, **kept)
        whole.load_parameters(old.parameters())
        return data, whole
    layers, head = old.net.layers, -1
    if replace_head:
        head = last_dense(layers, str(saved.weights))
        layers = (*layers[:head], replace(layers[head], units=data.outputs), *layers[head + 1 :])  # type: ignore[type-var]
        kept |= {"loss": None if data.classes else "mean_squared_error", "preparation": data.preparation}
    first = () if layers[: len(augmentation)] == augmentation else augmentation
    model = Model([*first, *layers], old.input_shape, **kept)
    if model.output_shape != (data.outputs,):
        raise UsageError(
            f"with a fresh head {saved.weights} gives {model.output_shape}, not {data.outputs} classes"
        )
    model.load_parameters(moved(old, len(first), head), strict=False)
    return data, model


def same_classes(saved: Saved, old: "Model", data: Dataset) -> Dataset:
    """Return the data with its classes numbered as in `saved`. Raises DataError for a class not in it."""
    from xpnn.cli.samples import class_names, match_classes

    names = class_names(saved, old)
    if not names or not data.classes:
        return data
    try:
        return match_classes(data, names)
    except DataError as error:
        raise DataError(error.what, why=error.why, fix="--replace-head, for outputs of its own") from error


def last_dense(layers: tuple[Layer, ...], name: str) -> int:
    """Return the index of the last Dense. Raises UsageError if the chain has none."""
    found = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    if not found:
        raise UsageError(f"{name} has no Dense in its chain of layers that could be replaced")
    return found[-1]


def moved(old: "Model", by: int, head: int) -> dict[str, Any]:
    """Return {path in the new network: parameter} of all layers but the head: layer numbers grow by `by`."""
    kept = {}
    for path, a in old.parameters().items():
        first, _, rest = path.partition(".")
        if int(first) != head:
            kept[f"{int(first) + by}.{rest}"] = a
    return kept


def provenance(origin: str | None, freeze: tuple[str, ...], net: "Model") -> dict[str, Any]:
    """Return the entry of run.json that names the source."""
    held = {path for pattern in freeze for path in net.layout.named if fits(path, pattern)}
    return {
        "from": origin,
        "freeze": freeze,
        "frozen": sum(p.stop - p.start for p in net.layout.params if p.path in held),
    }
