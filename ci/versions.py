"""Which versions fit: resolves the oldest and the newest of every dependency for each Python, by uv (`pip install uv`).

    python ci/versions.py                     all extras together: a line for each; exit code 1 if they do not
                                              fit, 3 where the package index cannot be reached
    python ci/versions.py --install FOLDER    makes an environment of this Python with the oldest versions, and says
                                              how to run the tests in it

Only wheels count: what has to be compiled cannot be installed on most computers. No Python but this one is needed.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
UNREACHABLE = 3
ENDS = {"oldest": "lowest-direct", "newest": "highest"}
EXTRAS = (
    "",
    "fast",
    "torch",
    "jax",
    "strict",
    "tables",
    "plot",
    "tune",
    "tensorboard",
    "onnx",
    "sklearn",
    "web",
)
"""The extras without CUDA and MPI, which other machines have; "" is the core."""


def resolve(python: str, end: str, extras: tuple[str, ...]) -> tuple[list[str], str]:
    """The versions that fit, as name==version, or [] and what uv says."""
    given = [argument for extra in extras if extra for argument in ("--extra", extra)]
    command = [
        "uv", "pip", "compile", "pyproject.toml", "--python-version", python, "--resolution", ENDS[end],
        "--only-binary", ":all:", "--no-header", "--no-annotate", "--quiet", *given,
    ]  # fmt: skip
    certificates = {
        "UV_NATIVE_TLS": "1",
        "UV_SYSTEM_CERTS": "1",
    }  # this computer's; uv's own may not know a mirror
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | certificates
    )
    return (done.stdout.split("\n")[:-1], "") if done.returncode == 0 else ([], done.stderr.strip())


def direct(extra: str) -> set[str]:
    """The names of what the core or an extra asks for itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {re.split(r"[\[<>=;!~ ]", line)[0].lower() for line in wanted}


def bounds(python: str) -> dict[str, str]:
    """{name: the lower bound that pyproject.toml gives for that Python}."""
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [
        *project["dependencies"],
        *(line for e in EXTRAS if e for line in project["optional-dependencies"][e]),
    ]
    found = {}
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            least = [one.version for one in requirement.specifier if one.operator in (">=", "==")]
            found[requirement.name.lower()] = least[0] if least else ""
    return found


def main(pythons: tuple[str, ...]) -> int:
    """Print the table; return the exit code."""
    runs = [(python, end) for python in pythons for end in ENDS]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda run: resolve(*run, EXTRAS), runs))
    if any("Failed to fetch" in error for _, error in found):
        print("the package index was not reached: no versions resolved", file=sys.stderr)
        return UNREACHABLE
    failed = False
    for (python, end), (lines, error) in zip(runs, found, strict=True):
        if error:
            print(f"{python}  {end}  FAILS: {error.splitlines()[0]}", flush=True)
            print("      " + error.replace("\n", "\n      "), file=sys.stderr)
        chosen = dict(line.split(" ")[0].split("==") for line in lines if "==" in line)
        late = [f"{name} {chosen[name]}" for name in too_low(python, chosen)] if end == "oldest" else []
        failed |= bool(error or late)
        for extra in EXTRAS if chosen else ():
            words = " ".join(f"{name} {chosen[name]}" for name in sorted(direct(extra)) if name in chosen)
            print(f"{python}  {extra or 'core':12} {end}  {words}", flush=True)
        if late:
            print(
                f"{python}  RAISE the lower bounds, which do not fit together: {', '.join(late)}", flush=True
            )
    return int(failed)


def too_low(python: str, chosen: dict[str, str]) -> list[str]:
    """The names whose oldest version that can be installed is above the lower bound."""
    from packaging.version import Version

    least = bounds(python)
    return [
        name
        for name, version in chosen.items()
        if least.get(name) and Version(version) > Version(least[name])
    ]


def install(folder: pathlib.Path) -> int:
    """An environment with the oldest versions of the core, and what the tests need."""
    python = ".".join(map(str, sys.version_info[:2]))
    versions, error = resolve(python, "oldest", ("",))
    if error:
        sys.exit(error)
    pins = folder / "oldest.txt"
    folder.mkdir(parents=True, exist_ok=True)
    pins.write_text("\n".join(versions) + "\n")
    env = folder / "env"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, env], check=True)
    into = ["uv", "pip", "install", "--quiet", "--python", env, "--constraint", pins]
    subprocess.run([*into, "pytest", "hypothesis", "-e", ROOT], check=True)
    tests = "tests/training/test_trainer.py tests/model/test_model.py tests/data"
    print(f'{env}/bin/python -m pytest -m "not oracle and not slow" {tests}')
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--install", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="only that one; may be repeated")
    given = parser.parse_args()
    sys.exit(install(given.install) if given.install else main(tuple(given.python or PYTHONS)))
