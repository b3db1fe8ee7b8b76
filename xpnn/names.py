"""The public names of a package, found in its modules: defining a class there is all it takes to publish it."""

import dataclasses
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from xpnn.config import Config
from xpnn.renamed import moved_out_of


def module(path: str) -> ModuleType:
    """The module at a dotted path inside xpnn."""
    return import_module(f"xpnn.{path}")


def modules_in(package: str) -> Iterator[ModuleType]:
    """Every module of that package of xpnn, imported."""
    for found in pkgutil.iter_modules(module(package).__path__):
        yield module(f"{package}.{found.name}")


def classes_in(package: str) -> dict[str, type[Config]]:
    """{name: class} of the layers, losses, optimizers ... that its modules define, without their abstract bases.

    An initializer that stands beside the one layer which uses it is no name of the package of layers.
    """
    return {
        name: value
        for source in modules_in(package)
        for name, value in vars(source).items()
        if isinstance(value, type)
        and issubclass(value, Config)
        and value.__module__ == source.__name__
        and not value.abstract
        and kind_of(value).__module__.startswith(f"xpnn.{package}.")
    }


def kind_of(cls: type[Config]) -> type:
    """Layer, Loss, Optimizer ...: the class right below Config that it derives from, or itself."""
    return cls.__mro__[cls.__mro__.index(Config) - 1]


def public_names(package: str) -> dict[str, Any]:
    """{name: object}, sorted: those classes, and what a module of the package lists in its `__all__`."""
    modules = list(modules_in(package))
    moved_out_of(modules)
    listed = {name: getattr(module, name) for module in modules for name in getattr(module, "__all__", ())}
    return dict(sorted((classes_in(package) | listed).items()))


def usable_by_name(package: str, base: type[Any]) -> dict[str, Any]:
    """{"huber": Huber, "kl_divergence": KLDivergence ...}: the subclasses of `base` that need no argument."""
    return {
        snake_case(name): cls
        for name, cls in classes_in(package).items()
        if issubclass(cls, base) and all(has_default(field) for field in dataclasses.fields(cls))  # type: ignore[arg-type]
    }


def has_default(field: "dataclasses.Field[Any]") -> bool:
    """Whether a dataclass can be made without that field."""
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def snake_case(name: str) -> str:
    """SoftmaxCrossEntropy -> softmax_cross_entropy; KLDivergence -> kl_divergence; CTC -> ctc."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
