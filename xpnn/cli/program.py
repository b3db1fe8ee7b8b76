"""How the program is called from the shell that it was started in."""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path


def program() -> str:
    """Return `xpnn` if the PATH leads to this program; else its path, such as `.venv/bin/xpnn`, or `python -m xpnn`."""
    started = Path(sys.argv[0])
    if started.stem == "xpnn":
        return "xpnn" if _leads_to("xpnn", started) else shlex.quote(_from_here(started))
    if started.parts[-2:] == ("xpnn", "__main__.py"):
        return f"{_python()} -m xpnn"
    return "xpnn"


def as_typed(advice: str) -> str:
    """Advice that can be typed here: `.venv/bin/xpnn train` for `xpnn train`, and likewise for pip."""
    name, python = program(), Path(sys.executable)
    if name == "xpnn" and Path(sys.argv[0]).stem != "xpnn":  # called from Python, which knows no shell
        return advice
    if not _leads_to("pip", python.with_name(f"pip{python.suffix}")):
        advice = re.sub(r"(?<![\w./-])pip install\b", lambda _: f"{_python()} -m pip install", advice)
    return re.sub(r"(?<![\w./'\[-])xpnn (?=[a-z]+\b|--)", lambda _: f"{name} ", advice)


def _python() -> str:
    """Return the name under which the shell finds this Python; else its path."""
    python = Path(sys.executable)
    found = (name for name in ("python", "python3", "py") if _leads_to(name, python))
    return shlex.quote(next(found, _from_here(python)))


def _leads_to(name: str, file: Path) -> bool:
    """Return whether the shell finds that file under the name."""
    found = shutil.which(name)
    return found is not None and os.path.abspath(found) == os.path.abspath(file)


def _from_here(file: Path) -> str:
    """Return the path relative to the working folder if the file lies in it."""
    file = Path(os.path.abspath(file))
    return os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
