"""xpnn: neural networks with hand-written forward and backward passes, once, for every array library."""

__version__ = "0.1.0"

from importlib import import_module
from typing import Any

from xpnn.renamed import install

PACKAGES = ("layers", "optimizers")
"""Packages whose classes are also names of xpnn."""
HOMES = {
    "Layer": "layers",
    "Model": "model",
    "Trainer": "training",
    "CutMix": "training",
    "Mixup": "training",
    "load": "model",
    "get_backend": "backends",
    "register_backend": "backends",
    "keep_memory": "backends.cpu.allocator",
    "compare_backends": "diagnostics",
    "find_lr": "diagnostics",
    "gradcheck": "diagnostics",
}
"""{other public name: the module that holds it}."""
MODULES = (
    "data",
    "diagnostics",
    "initializers",
    "interchange",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "plots",
    "schedules",
    "training",
)


install()


def __getattr__(name: str) -> Any:
    """A public name, imported only now, so that `import xpnn` and `xpnn --help` are quick."""
    if name in MODULES:
        return _module(name)
    if name == "__all__":
        return sorted({*MODULES, *HOMES, *_classes()})
    found = None
    if name in HOMES:
        found = getattr(_module(HOMES[name]), name)
    elif not name.startswith("_"):
        found = _classes().get(name)
    if found is None:
        from xpnn.name_hints import NAMES, no_attribute

        raise no_attribute("module 'xpnn'", name, NAMES)
    globals()[name] = found
    return found


def _module(path: str) -> Any:
    return import_module(f"xpnn.{path}")


def _classes() -> dict[str, Any]:
    """The layers, the optimizers and what belongs to them, by name."""
    from xpnn.names import classes_in

    return {name: cls for package in PACKAGES for name, cls in classes_in(package).items()}


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
