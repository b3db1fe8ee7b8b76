"""Which versions fit: resolves the oldest and the newest of every dependency for each Python, by uv (`pip install uv`).

    python ci/versions.py                     a line for each Python and extra; exit code 1 if one fails
    python ci/versions.py --install FOLDER    makes an environment of this Python with the oldest versions, and says
                                              how to run the tests in it

Only wheels count: what has to be compiled cannot be installed on most computers. No Python but this one is needed.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
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
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
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
    from packaging.version import Version

    failed = False
    for python in pythons:
        least = bounds(python)
        for extra in EXTRAS:
            for end in ENDS:
                versions, error = resolve(python, end, (extra,))
                chosen = dict(line.split("==") for line in versions if "==" in line)
                chosen = {
                    name: chosen[name].split(" ")[0] for name in sorted(direct(extra)) if name in chosen
                }
                words = " ".join(f"{name} {version}" for name, version in chosen.items())
                late = [
                    f"{name} {least[name]} has no wheel, {version} has"
                    for name, version in chosen.items()
                    if end == "oldest" and least.get(name) and Version(version) > Version(least[name])
                ]
                failed |= bool(error or late)
                note = f"  RAISE: {', '.join(late)}" if late else ""
                why = f"FAILS: {error.splitlines()[0] if error else ''}"
                print(f"{python}  {extra or 'core':12} {end}  {why if error else words}{note}", flush=True)
                if error:
                    print("      " + error.replace("\n", "\n      "), file=sys.stderr)
    return int(failed)


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
