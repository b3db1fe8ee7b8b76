"""How the program is called from the shell that it was started in."""

import os
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
        python = Path(sys.executable)
        name = next(
            (name for name in ("python", "python3", "py") if _leads_to(name, python)), _from_here(python)
        )
        return f"{shlex.quote(name)} -m xpnn"
    return "xpnn"


def _leads_to(name: str, file: Path) -> bool:
    """Return whether the shell finds that file under the name."""
    found = shutil.which(name)
    return found is not None and os.path.abspath(found) == os.path.abspath(file)


def _from_here(file: Path) -> str:
    """Return the path relative to the working folder if the file lies in it."""
    file = Path(os.path.abspath(file))
    return os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
