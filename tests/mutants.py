"""Are the tests honest? Small faults are put into xpnn, one at a time, and the tests that reach the line must notice.

    python tests/mutants.py --count 300 --seed 1 --map map.json        draws mutants, runs tests, prints the score

A fault is an operator, constant, default or comparison that is another, a deleted statement, or two swapped arguments.
`--map FILE` keeps which test files reach which lines (one run of the suite under coverage; made where it is missing).
Each mutant is tried in a copy of the package, by the test files that reach its line, nearest first, until one fails.
"""

import argparse
import ast
import copy
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TOP = Path(__file__).parents[1]
SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
PER_MUTANT = 12
"""Test files that are tried on one mutant, at most."""


def variants(tree):
    """(line, what, edit) for every fault; `edit(tree)` puts it into a copy of the tree. Words of messages stay."""
    nodes = list(ast.walk(tree))
    quiet = {
        id(sub) for n in nodes if isinstance(n, ast.Raise | ast.JoinedStr | ast.Assert) for sub in ast.walk(n)
    }
    quiet |= {
        id(sub)
        for n in nodes
        if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)
        for sub in ast.walk(n)
    }
    hints = [n.annotation for n in nodes if isinstance(n, ast.AnnAssign | ast.arg) and n.annotation]
    hints += [n.returns for n in nodes if isinstance(n, ast.FunctionDef) and n.returns]
    quiet |= {id(sub) for hint in hints for sub in ast.walk(hint)}
    for i, node in enumerate(nodes):
        if id(node) in quiet:
            continue
        if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPS:
            yield node.lineno, "operator", put(i, lambda n: setattr(n, "op", SWAPS[type(n.op)]()))
        if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
            yield node.lineno, "comparison", put(i, lambda n: n.ops.__setitem__(0, SWAPS[type(n.ops[0])]()))
        if isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
            yield node.lineno, "constant", put(i, lambda n: setattr(n, "value", other(n.value)))
        if (
            isinstance(node, ast.Call)
            and len(node.args) > 1
            and not any(isinstance(a, ast.Starred) for a in node.args)
        ):
            yield (
                node.lineno,
                "swapped arguments",
                put(i, lambda n: n.args.reverse() if len(n.args) == 2 else swap(n.args)),
            )
        if isinstance(node, ast.FunctionDef | ast.If | ast.For):
            for k, inner in enumerate(node.body):
                docstring = isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant)
                if (
                    isinstance(inner, ast.Expr | ast.Assign | ast.AugAssign | ast.If | ast.Raise)
                    and not docstring
                ):
                    yield (
                        inner.lineno,
                        "deleted statement",
                        put(i, lambda n, k=k: n.body.__setitem__(k, ast.Pass())),
                    )


def put(i, change):
    def edit(tree):
        fresh = copy.deepcopy(tree)
        change(list(ast.walk(fresh))[i])
        return fresh

    return edit


def swap(args):
    args[0], args[1] = args[1], args[0]


def other(value):
    return not value if type(value) is bool else value + 1 if type(value) is int else value * 2 + (value == 0)


def drawn(count, seed, reached):
    """Mutants of lines that some test reaches, drawn by the seed: (file, line, what, text)."""
    rng, found = random.Random(seed), []
    files = sorted(path for path in (TOP / "xpnn").rglob("*.py") if str(path.relative_to(TOP)) in reached)
    sizes = [len(path.read_text().splitlines()) for path in files]
    while len(found) < count:
        path = rng.choices(files, sizes)[0]
        name, tree = str(path.relative_to(TOP)), ast.parse(path.read_text())
        options = [one for one in variants(tree) if str(one[0]) in reached[name]]
        if not options:
            continue
        line, what, edit = rng.choice(options)
        text = ast.unparse(ast.fix_missing_locations(edit(tree)))
        if text != ast.unparse(tree):
            found.append((name, line, what, text))
    return found


def make_map(path, select):
    """Which test files reach which lines: {file: {line: [test files]}}, from one run under coverage's contexts."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "COVERAGE_FILE": f"{folder}/data"}
        flags = [
            "--branch",
            "--source=xpnn",
            "-m",
            "pytest",
            "-q",
            "-n",
            "0",
            "-p",
            "no:cacheprovider",
            *select,
        ]
        (Path(folder) / "rc").write_text(
            "[run]\ndynamic_context = test_function\n[json]\nshow_contexts = true\n"
        )
        subprocess.run(
            [sys.executable, "-m", "coverage", "run", f"--rcfile={folder}/rc", *flags],
            cwd=TOP,
            env=env,
            check=False,
        )
        report = ["json", f"--rcfile={folder}/rc", "-o", f"{folder}/json", "-q"]
        subprocess.run([sys.executable, "-m", "coverage", *report], cwd=TOP, env=env, check=True)
        data = json.loads((Path(folder) / "json").read_text())
    homes = {path.stem: str(path.relative_to(TOP)) for path in (TOP / "tests").rglob("test_*.py")}
    reached = {}
    for name, entry in data["files"].items():
        lines = {}
        for line, contexts in entry["contexts"].items():
            tests = Counter(
                homes[m[1]] for c in contexts if (m := re.match(r"(test_\w+)\.", c)) and m[1] in homes
            )
            if tests:
                lines[line] = [test for test, _ in tests.most_common()]
        reached[name] = lines
    path.write_text(json.dumps({"reached": reached, "totals": data["totals"]}))


def nearest(tests, name):
    """Those whose name shares most with the file's come first, then those that reach the line most often."""
    words = set(re.findall(r"[a-z]+", name))
    return sorted(tests, key=lambda test: -len(words & set(re.findall(r"[a-z]+", test))))[:PER_MUTANT]


def killed_by(mutant, reached, folder, limit):
    """The test file that noticed; "" where none did."""
    name, line, _, text = mutant
    target = folder / name
    good = target.read_text()
    target.write_text(text)
    try:
        for test in nearest(reached[name][str(line)], name):
            env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
            command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", test]
            try:
                done = subprocess.run(
                    command, cwd=folder, env=env, capture_output=True, timeout=limit, check=False
                )
            except subprocess.TimeoutExpired:
                return f"{test} (never ended)"
            if done.returncode not in (0, 5):
                return test
    finally:
        target.write_text(good)
    return ""


def main():
    parser = argparse.ArgumentParser(prog="ci/mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--map", type=Path, default=TOP / ".mutants.json")
    parser.add_argument("--limit", type=float, default=300, help="seconds for one test file")
    parser.add_argument(
        "--select", nargs="*", default=["-m", "not slow and not oracle"], help="of pytest, for the map"
    )
    options = parser.parse_args()
    if not options.map.exists():
        make_map(options.map, options.select)
    reached, began = json.loads(options.map.read_text())["reached"], time.monotonic()
    score, survivors = Counter(), []
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "copy"
        shutil.copytree(TOP, folder, ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__", "runs"))
        for mutant in drawn(options.count, options.seed, reached):
            package = mutant[0].split("/")[1] if mutant[0].count("/") > 1 else "xpnn"
            by = killed_by(mutant, reached, folder, options.limit)
            score[package, bool(by)] += 1
            if not by:
                survivors.append(mutant[:3])
                print(f"survives: {mutant[0]}:{mutant[1]} {mutant[2]}", flush=True)
    packages = sorted({package for package, _ in score})
    print(f"{'package':<16}{'killed':>8}{'survived':>10}")
    for package in packages:
        print(f"{package:<16}{score[package, True]:>8}{score[package, False]:>10}")
    killed = sum(n for (_, dead), n in score.items() if dead)
    print(f"seed {options.seed}: {killed} of {options.count} killed, {100 * killed / options.count:.1f} %; "
          f"{time.monotonic() - began:.0f} s; survivors may be equivalent: look at each")  # fmt: skip


if __name__ == "__main__":
    main()
