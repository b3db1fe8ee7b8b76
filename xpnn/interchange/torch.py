"""PyTorch's weights in and out: a state_dict, a module, or a file of either.

A file of pickles is opened by PyTorch's own reader of weights alone, which runs nothing that the file says.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.errors import BackendError, CheckpointError, FileError, UsageError, first_line
from xpnn.interchange.leaves import Leaf, leaves_of
from xpnn.interchange.matching import bias_into_norm, bias_without_layer, match, parameters_of_leaf, take_over
from xpnn.interchange.natural_order import natural_sort_key
from xpnn.interchange.report import Report, check_fit
from xpnn.interchange.torch_module import module_of
from xpnn.interchange.torch_tensors import groups, ours, projected_widths, taken_apart, theirs
from xpnn.layers import MultiHeadAttention
from xpnn.system import user_path

if TYPE_CHECKING:
    from xpnn.model import Model

Host = np.ndarray[Any, Any]


def torch_package() -> Any:
    """PyTorch. Raises BackendError without it."""
    try:
        import torch
    except ImportError as error:
        raise BackendError("PyTorch is not installed", fix="pip install 'xpnn[torch]'") from error
    return torch


def load_torch(
    model: "Model",
    source: Any,
    *,
    names: Mapping[str, str] | None = None,
    strict: bool = True,
) -> Report:
    """Put PyTorch's weights in place of the model's, matched by kind and order; gives a report of what went where.

    source: a state_dict, a torch.nn module, or the path of a file: .pt and .pth (weights only), .safetensors. The last
    keeps no order, so there shapes and the numbers in the names count; an error asks for what they leave open. names:
    {"2": "net.4"}, our path and their prefix, says it. strict=False leaves out weights that have no place here.
    Kernels are permuted, a Dense behind a Flatten of images is reordered (there the channels vary slowest), both
    biases of a recurrent layer are summed, a GRU's candidate keeps its own, in_proj is split.
    Raises ShapeError, naming the tensor and both shapes, UsageError for layers without a partner, CheckpointError for
    a file that holds no weights, BackendError without PyTorch where it is needed.
    """
    state = read_state(source)
    ordered = not (isinstance(source, str | Path) and Path(source).suffix == ".safetensors")
    leaves = leaves_of(model, channels_first=True)
    return take_over(model, leaves, groups(state), ours, names, strict, ordered)


def to_torch(model: "Model", module: Any = None, *, as_module: bool = False) -> Any:
    """The model's weights for PyTorch, in a state_dict, in your own module, or in a new one.

    Without a module: a state_dict for a torch.nn.Sequential with layers at the same places, so "2.weight" is our
    "2.W". With a module of the same layers in the same order: its weights are replaced, and it is given back. A bias
    that it has no place for goes into the running mean of the BatchNorm behind it. as_module=True: a new module of the
    model's layers, in evaluation; it takes images as (N, C, H, W), and gives the network's own outputs.
    Raises UsageError and ShapeError as `load_torch` does, nothing changes then; UsageError, naming the layer, for one
    that PyTorch has no module of.
    """
    torch = torch_package()
    leaves = leaves_of(model, channels_first=True)
    if as_module:
        if module is not None:
            raise UsageError(
                "to_torch(model, module, as_module=True)", fix="give a module, or ask for a new one"
            )
        weights = {
            leaf.path: {
                name: torch.from_numpy(np.array(a))
                for name, a in theirs(leaf, parameters_of_leaf(model, leaf)).items()
            }
            for leaf in leaves
        }
        return module_of(model, torch, weights)
    if module is None:
        found = {}
        for leaf in leaves:
            for name, a in theirs(leaf, parameters_of_leaf(model, leaf)).items():
                key = f"{leaf.path}.{name}" if leaf.kind != "positions" else leaf.path
                found[key] = torch.from_numpy(np.ascontiguousarray(a))
        return found
    old = module.state_dict()
    new = filled(model, leaves, {key: to_host(value) for key, value in old.items()})
    module.load_state_dict(
        {key: torch.from_numpy(np.array(new[key])).to(value.dtype) for key, value in old.items()}
    )
    return module


def filled(model: "Model", leaves: list[Leaf], old: dict[str, Host]) -> dict[str, Host]:
    """The state_dict `old` with our weights."""
    shapes = {path: spec.shape for path, spec in model.layout.named.items()}
    new = dict(old)
    without_layer: tuple[Leaf, dict[str, Host]] | None = None
    owner = ""
    for leaf, (_, prefix, tensors) in match(leaves, groups(old), ours, shapes, None, True):
        p = parameters_of_leaf(model, leaf)
        if without_layer is not None:
            if leaf.kind != "batch norm":
                raise bias_without_layer(without_layer[0], owner)
            p, without_layer = bias_into_norm(without_layer, leaf, p), None
        made = theirs(leaf, p)
        if "bias" in tensors and "bias" not in made:  # bias=False here
            made["bias"] = np.zeros_like(tensors["bias"])
        if "bias" in made and "bias" not in tensors and leaf.kind != "batch norm":
            bias = made.pop("bias")
            if np.any(bias):
                without_layer, owner = (leaf, p), prefix
        new |= placed(leaf, prefix, made, tensors, old)
    if without_layer is not None:
        raise bias_without_layer(without_layer[0], owner)
    return new


def placed(
    leaf: Leaf, prefix: str, made: dict[str, Host], tensors: dict[str, Host], old: dict[str, Host]
) -> dict[str, Host]:
    """Our tensors under their names in that state_dict."""
    if leaf.kind == "positions":
        return {prefix: made["P"].reshape(old[prefix].shape)}
    base, _, level = prefix.partition(" level ")
    found = {}
    start = f"{base}." if base else ""
    if isinstance(leaf.layer, MultiHeadAttention) and f"{start}q_proj.weight" in old:
        widths = projected_widths(leaf.layer, made["out_proj.weight"].shape[0])
        for key, a in taken_apart(made, start, old, widths).items():
            if key in old:
                check_fit(leaf.name, key, old[key], a.shape)
                found[key] = a
            elif np.any(a):
                raise bias_without_layer(leaf, key)
        return found
    for name, a in made.items():
        if level:
            name = name.replace("_l0", f"_l{level}")
        key = f"{base}.{name}" if base else name
        if key in old:
            check_fit(leaf.name, key, old[key], a.shape)
            found[key] = a.reshape(old[key].shape)
    return found


def to_host(value: Any) -> Host:
    """A tensor, or what is an array already, as NumPy's; half precisions as float32."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) in ("torch.bfloat16", "torch.float16") else value
        return np.asarray(value.numpy())
    host = np.asarray(value)
    return host.astype(np.float32) if host.dtype.name == "bfloat16" else host


def read_state(source: Any) -> dict[str, Host]:
    """{name: array} of whatever was given. Raises UsageError for what holds no weights."""
    if isinstance(source, str | Path):
        return read_file(user_path(source))
    if hasattr(source, "state_dict"):
        source = source.state_dict()
    if not isinstance(source, Mapping) or not all(isinstance(key, str) for key in source):
        raise UsageError(
            f"a {type(source).__name__} holds no weights of PyTorch's",
            fix="give module.state_dict(), the module, or the path of a .pt or .safetensors file",
        )
    return {key: to_host(value) for key, value in source.items()}


def read_file(path: Path) -> dict[str, Host]:
    """The weights in a file. Raises FileError and CheckpointError."""
    if not path.is_file():
        raise FileError(f"cannot read {path}", why="no such file")
    try:
        if path.suffix == ".safetensors":
            return read_safetensors(path)
        torch = torch_package()
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except BackendError:
        raise
    except Exception as error:  # whatever either reader raises for a damaged or hostile file
        raise CheckpointError(
            f"{path} holds no weights that can be read", why=first_line(error),
            fix="torch.save(module.state_dict(), path), or safetensors.torch.save_file",
        ) from error  # fmt: skip
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    return read_state(loaded)


def read_safetensors(path: Path) -> dict[str, Host]:
    """{name: array} in the natural order of the names: the file keeps none of its own."""
    from safetensors import safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {key: to_host(file.get_tensor(key)) for key in sorted(file.keys(), key=natural_sort_key)}
    except TypeError:  # bfloat16, which NumPy has where JAX has been imported
        torch_package()
        with safe_open(path, framework="pt") as file:
            return {key: to_host(file.get_tensor(key)) for key in sorted(file.keys(), key=natural_sort_key)}
