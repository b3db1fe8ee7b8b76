"""What the stages import, and wheels for what is missing: a machine with a GPU may have no network."""

import atexit
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NEEDS = {
    "numpy": "numpy",
    "array_api_compat": "array-api-compat",
    "pytest": "pytest",
    "pluggy": "pluggy",
    "iniconfig": "iniconfig",
    "packaging": "packaging",
    "pygments": "pygments",
    "click": "click",
}
"""{module: package}: without these nothing runs. CuPy comes with the machine."""
BETTER = {
    "xdist": "pytest-xdist",
    "execnet": "execnet",
    "torch": "torch",
    "jax": "jax",
    "safetensors": "safetensors",
    "rich": "rich",
    "markdown_it": "markdown-it-py",
    "mdurl": "mdurl",
    "PIL": "pillow",
}
"""Without these a stage is slower, or a line shorter."""
WHEELS = Path("wheels")
"""In the checkout, ignored by git."""


def missing(needs: dict[str, str]) -> list[str]:
    """The packages of the modules that cannot be found."""
    importlib.invalidate_caches()
    return [package for module, package in needs.items() if importlib.util.find_spec(module) is None]


def install(wheels: Path) -> str:
    """Put the wheels of the folder into a temporary one; returns it, "" where there is nothing to install.

    A wheel that does not fit this Python is left out, with a line.
    """
    files = sorted(map(str, wheels.glob("*.whl")))
    if not files:
        return ""
    site = tempfile.mkdtemp(prefix="wheels-")
    atexit.register(shutil.rmtree, site, ignore_errors=True)
    if not put(site, files):
        for file in files:
            if not put(site, [file]):
                print(f"ci/gpu: {file} does not fit here", file=sys.stderr)
    sys.path.insert(0, site)
    return site


def put(site: str, files: list[str]) -> bool:
    """Whether pip could install them."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    done = subprocess.run(
        [*command, "--upgrade", "--target", site, *files], capture_output=True, stdin=subprocess.DEVNULL
    )
    return done.returncode == 0


def how(packages: list[str]) -> str:
    """How to bring what is missing."""
    return f"missing here: {', '.join(packages)}. {brought(packages)}"


def brought(packages: list[str]) -> str:
    """How packages come to a machine without a network, for the Python that this is."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return (
        "Where there is a network, in the checkout:\n"
        f"  python3 -m pip download --no-deps --only-binary=:all: --python-version {version} "
        f"-d {WHEELS} {' '.join(packages)}\n"
        f"and bring the folder {WHEELS} along: ci/gpu installs it without a network."
    )


def needed() -> str:
    """Everything that is imported, and how what the machine lacks comes there."""
    own = ("numpy", "torch", "jax")
    carried = [package for package in (NEEDS | BETTER).values() if package not in own]
    return (
        f"Needed beside CuPy: {', '.join(NEEDS.values())}. Used where they are: {', '.join(BETTER.values())}.\n"
        f"CuPy, NumPy, PyTorch and JAX are the machine's own. {brought(carried)}\n"
        f"Only what the machine lacks need be there: what is in {WHEELS} goes before the machine's own."
    )
