"""Public names as they were up to 0.1.0: each still works, and a DeprecationWarning says what it is called now."""

import sys
import warnings
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Renamed(NamedTuple):
    """What a member of a class is called now, and how its old meaning and its new one become each other."""

    now: str
    read: Callable[[Any], Any] = lambda new: new
    override: Callable[[Any], Any] = lambda old: old


MEMBERS: dict[str, dict[str, Renamed]] = {
    "Layer": {
        "settle": Renamed("update_stats"),
        "takes": Renamed("input_kind"),
        "gives": Renamed("output_kind"),
        "several": Renamed("multi_input"),
        "vocabulary": Renamed("vocab_size", lambda size: lambda: size, property),
        "refuses_one": Renamed(
            "min_batch_size",
            lambda new: lambda shape: new(shape) > 1,
            lambda old: lambda self, shape: 2 if old(self, shape) else 1,
        ),
        "branches": Renamed("children", override=lambda old: lambda self, shape: _children(old(self, shape))),
        "inner": Renamed(
            "children",
            lambda new: lambda shape: [(child.layer, child.shape) for child in new(shape)],
            lambda old: (
                lambda self, shape: _children((str(i), *row) for i, row in enumerate(old(self, shape)))
            ),
        ),
    },
    "Optimizer": {"on": Renamed("bind")},
    "Layout": {"places": Renamed("params")},
    "Backend": {
        "scope": Renamed("device_context"),
        "sized": Renamed("oom_guard"),
        "remembered": Renamed("memoized"),
    },
    "Trainer": {"draw": Renamed("indexed_step"), "look": Renamed("sync")},
    "Network": {"pair": Renamed("check_xy"), "weights": Renamed("check_sample_weight")},
    "Recipe": {"but": Renamed("replace"), "told": Renamed("to_json")},
}
MODULES = {
    "edge": ("validation",),
    "describe": ("config",),
    "scratch": ("temporary_files",),
    "data.kin": ("data.emnist",),
    "data.table": ("data.tables.reading", "data.tables.table"),
    "data.yours": ("data.user_data",),
    "data.photos.figures": ("data.photos.segmentation",),
    "kernels.cody": ("kernels.erf",),
    "layers.affine": ("layers.random_transform",),
    "layers.cut": ("layers.slicing",),
    "layers.interpolate": ("layers.adaptive_pool", "layers.resize"),
    "layers.merge": ("layers.branches",),
    "layers.merging": ("layers.merge_operations",),
    "layers.nested": ("layers.containers",),
    "layers.one_dim": ("layers.conv", "layers.pool"),
    "layers.padding": ("layers.padding_mask",),
    "layers.response": ("layers.local_response_norm",),
    "losses.several": ("losses.multi_output",),
    "metrics.chosen": ("metrics.by_name",),
    "optimizers.descent": ("optimizers.lbfgs_search",),
    "training.container": ("training.safetensors_reader",),
    "training.lines": ("training.json_lines",),
}
"""{module of xpnn: the modules that hold now what it held}."""
ATTRIBUTES = {
    "losses": {"Several": "MultiOutputLoss"},
    "losses.several": {"Several": "MultiOutputLoss"},
    "describe": {
        "Described": "Config",
        "describe": "to_config",
        "build": "from_config",
        "brief": "short_repr",
    },
    "data.preparation": {"ImagePreparation": "data.image_preparation.ImagePreparation"},
    "layers.recurrent": {"SimpleRNN": "layers.simple_rnn.SimpleRNN"},
    "layers.resize": {
        "GlobalAveragePool": "layers.global_pool.GlobalAveragePool",
        "GlobalMaxPool": "layers.global_pool.GlobalMaxPool",
        "UpSampling2D": "layers.upsampling.UpSampling2D",
        "ZeroPad2D": "layers.pad.ZeroPad2D",
    },
    "parameters": {"Place": "ParamInfo"},
    "training.step": {
        "make_gradient": "Objective.gradient",
        "make_step": "Objective.step",
        "make_indexed_step": "Objective.indexed_step",
    },
}
"""{module of xpnn: {old name in it: the new one, with its module where that is another}}."""
METHODS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "Objective.gradient": lambda Objective: (
        lambda net, loss, layout, be, seed, mixing=None, keep=False: Objective(
            net, loss, layout, be, seed, mixing
        ).gradient(keep=keep)
    ),
    "Objective.step": lambda Objective: (
        lambda net, loss, optimizer, layout, be, seed, mixing=None: Objective(
            net, loss, layout, be, seed, mixing
        ).step(optimizer)
    ),
    "Objective.indexed_step": lambda Objective: (
        lambda net, loss, optimizer, layout, be, seed, mixing=None: Objective(
            net, loss, layout, be, seed, mixing
        ).indexed_step(optimizer)
    ),
}
"""{method that was a function: what makes that function of the class}."""
CLASSES = {"Several": "MultiOutputLoss"}
"""{class in a model file: what it is called now}. Opening a file warns of nothing."""


def old_members(cls: type[T]) -> type[T]:
    """A class decorator: the members of MEMBERS answer to their old names, and overrides of those names still count."""
    table = MEMBERS[cls.__name__]
    for old, renamed in table.items():
        setattr(cls, old, _OldMember(old, renamed))
    inherited = cls.__init_subclass__

    def init_subclass(sub: type[Any], /, **settings: Any) -> None:
        for old, renamed in table.items():
            if old in vars(sub) and renamed.now not in vars(sub):
                _warn(f"{sub.__name__}.{old}", renamed.now, stacklevel=2)
                setattr(sub, renamed.now, renamed.override(vars(sub)[old]))
        getattr(inherited, "__func__", lambda _, **given: inherited(**given))(sub, **settings)

    cls.__init_subclass__ = classmethod(init_subclass)  # type: ignore[assignment]
    return cls


class _OldMember:
    """A class attribute that reads another one. A setting of that name in a subclass goes before it."""

    def __init__(self, old: str, renamed: Renamed) -> None:
        self.old, self.renamed = old, renamed

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:  # a dataclass asks its class for the default of a setting of this name
            raise AttributeError(f"{owner.__name__}.{self.old}")
        _warn(f"{type(instance).__name__}.{self.old}", self.renamed.now, stacklevel=3)
        return self.renamed.read(getattr(instance, self.renamed.now))


def old_attributes(path: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module of xpnn in which names have changed."""

    def find(name: str) -> Any:
        if name not in ATTRIBUTES[path]:
            raise AttributeError(f"module 'xpnn.{path}' has no attribute {name!r}")
        now, there = ATTRIBUTES[path][name], vars(sys.modules[f"xpnn.{path}"])
        if now in METHODS:
            found: Any = METHODS[now](there[now.partition(".")[0]])
        elif "." in now:
            module, _, new = now.rpartition(".")
            found, now = getattr(_module(module), new), f"xpnn.{now}"
        else:
            found = there[now]
        _warn(f"xpnn.{path}.{name}", now, stacklevel=3)
        return found

    return find


def moved_out_of(modules: Iterable[ModuleType]) -> None:
    """Let modules answer for the classes that have left them."""
    for module in modules:
        if (path := module.__name__.removeprefix("xpnn.")) in ATTRIBUTES:
            vars(module).setdefault("__getattr__", old_attributes(path))


class OldModules:
    """An importer for the modules of MODULES, asked when no other knows the name."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Part of Python's import protocol."""
        return ModuleSpec(name, self) if name.removeprefix("xpnn.") in MODULES else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make an ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill it with what the module of the new name holds."""
        path = module.__name__.removeprefix("xpnn.")
        _warn(module.__name__, " and ".join(f"xpnn.{now}" for now in MODULES[path]), stacklevel=2)
        new = {name: value for now in MODULES[path] for name, value in vars(_module(now)).items()}
        vars(module).update({name: value for name, value in new.items() if not name.startswith("__")})
        vars(module).update({old: new[name] for old, name in ATTRIBUTES.get(path, {}).items()})


def install() -> None:
    """Let Python import the old modules."""
    if not any(isinstance(finder, OldModules) for finder in sys.meta_path):
        sys.meta_path.append(OldModules())


def _children(rows: Any) -> list[Any]:
    child = vars(sys.modules["xpnn.layers.base"])["Child"]  # loaded: it is one of its layers that asks
    return [child(*row) for row in rows]


def _module(path: str) -> ModuleType:
    return import_module(f"xpnn.{path}")


def _warn(old: str, now: str, stacklevel: int) -> None:
    warnings.warn(f"{old} is called {now} since xpnn 0.2", DeprecationWarning, stacklevel=stacklevel + 1)
