"""Every default of every public signature, as docs/defaults.md lists them.

python tests/public_defaults.py        writes that page anew: read the difference before you commit it
"""

import importlib
import inspect
from pathlib import Path

from xpnn.models import MODELS

PARTS = "data diagnostics initializers interchange losses metrics models optimizers plots schedules training"
MODULES = ["xpnn", *(f"xpnn.{name}" for name in PARTS.split())]
PAGE = Path(__file__).parents[1] / "docs" / "defaults.md"
HEAD = """# Defaults

What a setting is when it is left out, of everything public. Written by `python ci/names.py`; a test holds
the code to this page, so no default changes unnoticed.

| | defaults |
|---|---|
"""


def public():
    """{name in the docs: object}, each once, by its shortest home."""
    found, seen = {}, set()
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
        for name in sorted(names):
            thing = getattr(module, name)
            ours = getattr(thing, "__module__", "").startswith("xpnn")
            if ours and (inspect.isclass(thing) or inspect.isfunction(thing)) and id(thing) not in seen:
                seen.add(id(thing))
                found[f"{module_name}.{name}"] = thing
    return found | {f'xpnn.models.MODELS["{name}"]': model for name, model in MODELS.items()}


def methods(thing):
    """The public methods that a class defines itself."""
    return {
        name: f for name, f in vars(thing).items() if inspect.isfunction(f) and not name.startswith("_")
    } if inspect.isclass(thing) else {}  # fmt: skip


def defaults(f):
    """`name=value` of every parameter that has a default; "" where none has, or it has no signature."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return ""
    return ", ".join(f"{p.name}={shown(p.default)}" for p in parameters if p.default is not p.empty)


def shown(value):
    """The repr, which must be the same on every run."""
    if inspect.isfunction(value) or inspect.isclass(value):
        return value.__qualname__
    text = repr(value)
    return text if " at 0x" not in text else type(value).__name__


def table():
    """{callable: its defaults}, of those that have any."""
    found = {}
    for name, thing in public().items():
        found[name] = defaults(thing)
        found |= {f"{name}.{method}": defaults(f) for method, f in methods(thing).items()}
    return {name: text for name, text in found.items() if text}


def page():
    return HEAD + "".join(
        f"| `{name}` | `{text.replace('|', chr(92) + '|')}` |\n" for name, text in table().items()
    )


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{len(table())} signatures")
