"""Keras's weights in and out: a model, a .keras file, or a .weights.h5 file."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.errors import BackendError, CheckpointError, FileError, UsageError, first_line
from xpnn.interchange.h5_file import check_h5
from xpnn.interchange.keras_tensors import KINDS, ours, split_separable, theirs
from xpnn.interchange.leaves import Leaf, leaves_of
from xpnn.interchange.matching import bias_into_norm, bias_without_layer, match, parameters_of_leaf, take_over
from xpnn.interchange.natural_order import natural_sort_key
from xpnn.interchange.report import Report
from xpnn.system import user_path

if TYPE_CHECKING:
    from xpnn.model import Model

Host = np.ndarray[Any, Any]
Group = tuple[str, str, dict[str, Any]]
SEPARABLE = ("separable_conv1d", "separable_conv2d")
SCALED = ("batch_normalization", "layer_normalization", "group_normalization")
"""Layers that may lack their scale, their shift, or both."""


def load_keras(
    model: "Model", source: Any, *, names: Mapping[str, str] | None = None, strict: bool = True
) -> Report:
    """Put Keras's weights in place of the model's, matched by kind and order; gives a report of what went where.

    source: a keras model, or the path of a .keras or .weights.h5 file. The last keeps no order, so there classes,
    shapes and the numbers in the names (conv2d, conv2d_1, ...) count; an error asks for what they leave open. names:
    {"2": "dense_1"}, our path and their layer's name, says it. strict=False leaves out weights without a place here.
    A separable convolution is two of ours (Conv2D with groups, Conv2D of one pixel); a GRU's gates change places; the
    keys' bias of attention is left out. Of a keras model eps is compared too: Keras's is 1e-3 unless said otherwise.
    Raises ShapeError, naming the layer and both shapes, UsageError for layers without a partner, CheckpointError for a
    damaged file, BackendError without Keras or h5py where they are needed.
    """
    groups = read_file(user_path(source)) if isinstance(source, str | Path) else list(live(source))
    leaves = leaves_of(model)
    shapes = {path: spec.shape for path, spec in model.layout.named.items()}
    ordered = not (isinstance(source, str | Path) and Path(source).suffix == ".h5")
    for leaf, (_, name, t) in match(leaves, groups, ours, shapes, names, strict, ordered):
        check_eps(leaf, name, t.get("eps"))
    return take_over(model, leaves, groups, ours, names, strict, ordered)


def to_keras(model: "Model", keras_model: Any) -> Any:
    """Put the model's weights into a keras model of the same layers in the same order, and give that back.

    A bias that it has no place for goes into the running mean of the BatchNormalization behind it, or into the bias of
    the same separable convolution. Raises UsageError and ShapeError as `load_keras` does; nothing changes then.
    """
    leaves = leaves_of(model)
    shapes = {path: spec.shape for path, spec in model.layout.named.items()}
    new: list[tuple[Any, Host]] = []
    without_layer: tuple[Leaf, dict[str, Host]] | None = None
    owner = ""
    for leaf, (_, name, t) in match(leaves, list(live(keras_model)), ours, shapes, None, True):
        check_eps(leaf, name, t.get("eps"))
        p = parameters_of_leaf(model, leaf)
        if without_layer is not None:
            if name.endswith(" pointwise"):  # the sum over the channels of a constant is a constant
                p = p | {"b": p["b"] + without_layer[1]["b"] @ p["W"].reshape(-1, p["W"].shape[-1])}
            elif leaf.kind == "batch norm":
                p = bias_into_norm(without_layer, leaf, p)
            else:
                raise bias_without_layer(without_layer[0], owner)
            without_layer = None
        if len(t["arrays"]) == 1 and "b" in p and np.any(p["b"]):
            without_layer, owner = (leaf, p), name
        new += zip(t["variables"], theirs(leaf, p, t), strict=True)
    if without_layer is not None:
        raise bias_without_layer(without_layer[0], owner)
    for variable, a in new:
        variable.assign(a)
    return keras_model


def check_eps(leaf: Leaf, name: str, eps: float | None) -> None:
    """Raise UsageError where a normalization adds another number to the variance."""
    here = getattr(leaf.layer, "eps", None)
    if eps is not None and here is not None and not np.isclose(eps, here, rtol=1e-6):
        raise UsageError(
            f"{leaf.name} has eps={here}, {name} has {eps}",
            why="the results would differ",
            fix=f"{type(leaf.layer).__name__}(..., eps={eps}) in the network here",
        )


def live(model: Any) -> Iterator[Group]:
    """The layers with weights of a keras model, in its order, also those of models inside it."""
    if not hasattr(model, "layers"):
        raise UsageError(
            f"a {type(model).__name__} is no keras model", fix="give a keras model, or the path of its file"
        )
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from live(layer)
        elif layer.weights:
            yield from group(snake(type(layer).__name__), layer.name, layer)


def group(word: str, name: str, layer: Any) -> Iterator[Group]:
    """One layer of a live model."""
    variables = list(layer.weights)  # without the states of random numbers
    import keras  # is there: the layer came from it

    arrays = [np.asarray(keras.ops.convert_to_numpy(v.value)) for v in variables]
    if word in SEPARABLE:
        variables_of = [variables[:1], variables[1:]]
        for (kind, label, part), mine in zip(split_separable(name, arrays), variables_of, strict=True):
            yield kind, label, part | {"variables": mine}
        return
    t: dict[str, Any] = {"arrays": arrays, "variables": variables, "depthwise": word.startswith("depthwise")}
    if hasattr(layer, "epsilon"):
        t["eps"] = float(layer.epsilon)
    if word in SCALED:
        running = ("mean", "var") * (word == "batch_normalization")
        t["present"] = (*["gain"] * layer.scale, *["bias"] * layer.center, *running)
    yield KINDS.get(word, word), name, t


def snake(word: str) -> str:
    """MultiHeadAttention -> multi_head_attention, as Keras names its groups."""
    word = re.sub(r"\W+", "", word)
    word = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", word)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", word).lower()


def read_file(path: Path) -> list[Group]:
    """The layers in a file of Keras's. Raises FileError and CheckpointError."""
    if not path.is_file():
        raise FileError(f"cannot read {path}", why="no such file")
    if path.suffix == ".keras":
        return list(live(open_keras(path)))
    try:
        import h5py
    except ImportError as error:
        raise BackendError("the package h5py is not installed", fix="pip install h5py") from error
    try:
        with h5py.File(path, "r") as file:
            check_h5(file, h5py, path)
            return list(in_h5(file, h5py))
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:  # of a damaged file
        raise CheckpointError(f"{path} is no file of Keras's weights", why=first_line(error)) from error


def open_keras(path: Path) -> Any:
    """The model in a .keras file; nothing that it says is run (Keras's safe mode)."""
    try:
        import keras
    except ImportError as error:
        raise BackendError("the package keras is not installed", fix="pip install keras") from error
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever Keras raises for a damaged or unknown file
        raise CheckpointError(f"{path} is no model that Keras can read", why=first_line(error)) from error


def in_h5(file: Any, h5py: Any) -> Iterator[Group]:
    """The layers in a file of weights: groups called after their classes, conv2d, conv2d_1, ...."""
    folder = file.get("layers", file)
    for name in sorted(folder, key=natural_sort_key):
        entry = folder[name]
        if "layers" in entry:
            yield from in_h5(entry, h5py)
            continue
        arrays: list[Host] = []
        collect(entry, h5py, arrays)
        if not arrays:
            continue
        word = re.sub(r"_\d+$", "", name)
        if word in SEPARABLE:
            yield from split_separable(name, arrays)
            continue
        running = ("mean", "var") * (word == "batch_normalization")
        if word in SCALED and len(arrays) not in (len(running), len(running) + 2):
            raise CheckpointError(
                f"{name} has {len(arrays)} arrays: a normalization without its scale or its shift",
                fix="load the live model, which says which one is missing",
            )
        present = (*("gain", "bias") * (len(arrays) > len(running)), *running)
        more = {"present": present} if word in SCALED else {}
        yield (
            KINDS.get(word, word),
            name,
            {"arrays": arrays, "depthwise": word.startswith("depthwise"), **more},
        )


ORDER = ("forward_layer", "backward_layer", "query_dense", "key_dense", "value_dense", "output_dense")
"""Layers inside of others, in the order in which Keras lists their weights."""


def collect(entry: Any, h5py: Any, arrays: list[Host]) -> None:
    """The arrays in a group, its own first; random seeds are no weights."""
    if "vars" in entry:
        arrays += [np.asarray(entry["vars"][key]) for key in sorted(entry["vars"], key=natural_sort_key)]
    inner = [k for k in entry if k not in ("vars", "seed_generator") and isinstance(entry[k], h5py.Group)]
    for key in sorted(
        inner, key=lambda k: (ORDER.index(k) if k in ORDER else len(ORDER), natural_sort_key(k))
    ):
        collect(entry[key], h5py, arrays)
