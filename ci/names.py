"""Write what is derived from the code: the stubs that tell editors its names; docs/defaults.md and its neighbours.

`python ci/names.py` writes them; `python ci/names.py --check` fails, naming the file, where one is out of date.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import documented_numbers  # noqa: E402
import public_defaults  # noqa: E402

import xpnn  # noqa: E402
from xpnn.names import modules_in, public_names  # noqa: E402

HEAD = '"""Written by `python ci/names.py` from the classes themselves."""\n\n'
PACKAGES = ("layers", "losses", "optimizers", "schedules", "initializers")


def homes(package: str) -> dict[str, str]:
    """{public name of a package: the module that defines it}."""
    names = public_names(package)
    found = {}
    for module in modules_in(package):
        for name in names.keys() & vars(module).keys():
            defined = getattr(names[name], "__module__", None) == module.__name__
            if defined or name in getattr(module, "__all__", ()):
                found[name] = module.__name__
    return found


def top() -> dict[str, str]:
    """The same for xpnn itself."""
    found = {name: home for package in xpnn.PACKAGES for name, home in homes(package).items()}
    found |= {name: f"xpnn.{home}" for name, home in xpnn.HOMES.items()} | dict.fromkeys(xpnn.MODULES, "xpnn")
    return {name: found[name] for name in xpnn.__all__}


def stub(names: dict[str, str], more: str = "") -> str:
    """The text of an `__init__.pyi`."""
    lines = sorted(f"from {home} import {name} as {name}\n" for name, home in names.items())
    return HEAD + "".join(lines) + "\n__all__: list[str]\n" + more


def files() -> dict[pathlib.Path, str]:
    """{file: what belongs in it}."""
    texts = {f"xpnn/{package}/__init__.pyi": stub(homes(package)) for package in PACKAGES}
    texts["docs/defaults.md"] = public_defaults.page()
    texts["docs/limits.md"] = documented_numbers.limits_page()
    texts["docs/options.md"] = documented_numbers.options_page()
    texts["docs/ranges.md"] = documented_numbers.ranges_page()
    return {
        ROOT / path: text
        for path, text in (texts | {"xpnn/__init__.pyi": stub(top(), "__version__: str\n")}).items()
    }


if __name__ == "__main__":
    for path, text in files().items():
        if path.exists() and path.read_text() == text:
            continue
        if "--check" in sys.argv:
            sys.exit(f"{path.relative_to(ROOT)} is out of date: run `python ci/names.py`")
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}")
