"""Are the tests honest? Small faults are put into xpnn, one at a time, and the tests that reach the line must notice.

    python tests/mutants.py --count 300 --seed 1        draws mutants, runs tests, prints the score by package

A fault is an operator, constant, default or comparison that is another, a deleted statement, or two swapped arguments.
Which tests reach which lines is measured once, folder by folder of tests, and kept in `.mutants/` (remove it to have
it measured anew). Each mutant is tried in a copy of the tree, nearest tests first, until one fails. Those that change
nothing that could be observed stand in `equivalents.py`, each with its reason, and count neither way.
"""

import argparse
import ast
import copy
import difflib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pages
import reach
from equivalents import EQUIVALENT

TOP = Path(__file__).parents[1]
SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
STATEMENTS = ast.Expr | ast.Assign | ast.AugAssign | ast.If | ast.Raise
BUDGETS = ((12, 3.0), (50, 20.0), (200, 120.0))
"""First this many tests of this many seconds together, then, where none failed, this many more, and again."""
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin"]
QUICK = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
"""Other plugins are not loaded: some import half of the environment."""
MODES = ("numpy", "fast", "readonly", "strict", "torch", "jax", "cupy")
GENERATED = r"test_default|test_public"
"""Tests that look at every definition without running it: they can notice what changes in a signature."""


def variants(tree):
    """(line, what, edit) for every fault; `edit(tree)` puts it into a copy of the tree. Words of messages stay."""
    nodes = list(ast.walk(tree))
    quiet = {id(sub) for node in nodes if is_quiet(node) for sub in ast.walk(node)}
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
        if isinstance(node, ast.Call) and len(node.args) > 1 and not has_star(node):
            yield node.lineno, "swapped arguments", put(i, lambda n: swap(n.args))
        if isinstance(node, ast.FunctionDef | ast.If | ast.For | ast.With):
            for k, inner in enumerate(node.body):
                docstring = isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant)
                if isinstance(inner, STATEMENTS) and not docstring:
                    yield (
                        inner.lineno,
                        "deleted statement",
                        put(i, lambda n, k=k: n.body.__setitem__(k, ast.Pass())),
                    )


def is_quiet(node):
    """What is said and what only a type checker reads."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert)


def has_star(call):
    return any(isinstance(a, ast.Starred) for a in call.args)


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


def change(before, after):
    """What differs between two texts, in one line: `old => new`."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    old, new = (" / ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return f"{old} => {new or 'nothing'}"


def draw(count, seed, files):
    """Mutants drawn by the seed, files by their length: (file, line, what, change, text)."""
    rng, seen = random.Random(seed), set()
    sizes = [len((TOP / name).read_text().splitlines()) for name in files]
    while len(seen) < count:
        name = rng.choices(files, sizes)[0]
        tree = ast.parse((TOP / name).read_text())
        options = list(variants(tree))
        if not options:
            continue
        line, what, edit = rng.choice(options)
        before, after = ast.unparse(tree), ast.unparse(ast.fix_missing_locations(edit(tree)))
        if before != after and (name, after) not in seen:
            seen.add((name, after))
            yield name, line, what, change(before, after), after


def scopes(tree, line):
    """The lines of the definitions that a line stands in, the innermost first, at last all lines."""
    kinds = ast.FunctionDef | ast.ClassDef
    found = [n for n in ast.walk(tree) if isinstance(n, kinds) and begin(n) <= line <= n.end_lineno]
    yield from (range(begin(n), n.end_lineno + 1) for n in sorted(found, key=begin, reverse=True))
    yield range(1, 10**6)


def begin(node):
    return min([node.lineno, *(d.lineno for d in node.decorator_list)])


def tests_of(reached, name, line):
    """{test: seconds} of those that run a line; for what runs at import, those that run the definition around it."""
    lines = reached.get(name, {})
    if lines.get(line):
        return lines[line]
    for scope in scopes(ast.parse((TOP / name).read_text()), line):
        if found := {test: s for at in scope for test, s in lines.get(at, {}).items()}:
            break
    else:
        beside = [other for other in reached if Path(other).parent == Path(name).parent]
        found = {test: s for near in beside for some in reached[near].values() for test, s in some.items()}
    signatures = {test: s for some in reached.get(name, {}).values() for test, s in some.items()}
    return found | {test: s for test, s in signatures.items() if re.search(GENERATED, test)}


def nearest(tests, name):
    """Test files that share words with the file's name first; one test of each function before a second; quick ones."""
    words = set(re.findall(r"[a-z]+", name.replace("xpnn/", "")))
    ordered = reach.in_turn(sorted(tests, key=tests.get), lambda test: test.split("[")[0])
    near = {test: len(words & set(re.findall(r"[a-z]+", test.split("[")[0]))) for test in tests}
    place = {test: i for i, test in enumerate(ordered)}
    return sorted(ordered, key=lambda test: place[test] - 12 * near[test])


def shares(tests, name):
    """The tests in the order in which they are tried, as lists that are run together."""
    left = nearest(tests, name)
    for count, seconds in BUDGETS:
        share, total = [], 0.0
        while left and len(share) < count and total < seconds:
            total += tests[left[0]]
            share.append(left.pop(0))
        if share:
            yield sorted(share, key=lambda test: test.split("::")[0]), total


def run(folder, tests, limit):
    """The exit code of the tests in a copy of the tree; "never" where they do not end."""
    modes = " ".join(mode for mode in MODES if any(re.search(rf"\b{mode}\b", test) for test in tests))
    env = {**os.environ, **QUICK, "PYTHONPATH": str(folder), "XPNN_TEST_MODES": modes or "numpy"}
    listed = folder / "tests.txt"
    listed.write_text("\n".join(tests))
    process = subprocess.Popen(
        [*PYTEST, "-x", f"@{listed}"], cwd=folder, env=env, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=lambda: prepare(limit),
    )  # fmt: skip
    try:
        out, _ = process.communicate(timeout=30 * limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        return "never", ""
    return process.returncode, out


def prepare(limit):
    """In the child: seconds of the processor, so that a busy machine kills no mutant; and Ctrl-C means what it does in
    a terminal, which a shell's background jobs ignore."""
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    signal.signal(signal.SIGINT, signal.default_int_handler)


USAGE = 4
"""What pytest ends with where it is asked for a test that is not there."""


def missing(out, tests):
    """Those that pytest says are not there: since they were mapped, they have changed their names."""
    lost = re.findall(r"^ERROR: not found: (.*)$", out, re.M)
    return {test for test in tests if any(line.endswith(test) for line in lost)}


SOUND = set()
"""Tests that failed with a mutant and pass without: only such tests count."""


def killer(mutant, reached, folder):
    """What noticed: a test, or how it ended; "" where nothing did."""
    name, line, _, _, text = mutant
    target = folder / name
    good = target.read_text()
    try:
        for share, seconds in shares(tests_of(reached, name, line), name):
            limit = int(60 + 10 * seconds)
            while share:
                target.write_text(text)
                code, out = run(folder, share, limit)
                if code in (0, 5):
                    break
                if code == USAGE:
                    target.write_text(good)
                    if lost := missing(out, share) & missing(run(folder, share, limit)[1], share):
                        share = [test for test in share if test not in lost]
                        continue
                found = re.search(r"^(?:FAILED|ERROR) (\S+::.*?)(?: - .*)?$", out, re.M)
                if found is None or found[1] not in share:
                    return f"ended with {code}"
                target.write_text(good)
                if found[1] in SOUND or run(folder, [found[1]], limit)[0] == 0:
                    SOUND.add(found[1])
                    return found[1]
                share.remove(found[1])
    finally:
        target.write_text(good)
    return ""


def package(name):
    return name.split("/")[1] if name.count("/") > 1 else "(top)"


def table(results):
    """Markdown: what became of the mutants, by package. `results` are (file, "killed", "survived" or "equivalent")."""
    score = Counter((package(name), fate) for name, fate in results)
    lines = ["| package | mutants | equivalent | killed | survived |", "|---|---|---|---|---|"]
    for one in [*sorted({p for p, _ in score}), "all"]:
        n = {f: sum(k for (p, fate), k in score.items() if fate == f and one in (p, "all")) for f in FATES}
        lines.append(f"| {one} | {sum(n.values())} | {n['equivalent']} | {n['killed']} | {n['survived']} |")
    real = max(n["killed"] + n["survived"], 1)
    return "\n".join(
        [*lines, "", f"{100 * n['killed'] / real:.1f} % of those that are not equivalent are killed."]
    )


FATES = ("equivalent", "killed", "survived")


def main():
    parser = argparse.ArgumentParser(prog="ci/mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no further mutant after this time")
    parser.add_argument("--maps", type=Path, default=TOP / ".mutants", help="the folder of what reaches what")
    parser.add_argument("--only", nargs="*", default=[""], help="files whose path contains one of these")
    parser.add_argument("--docs", action="store_true", help="write the score into docs/coverage.md")
    options = parser.parse_args()
    began, results = time.monotonic(), []
    if not options.maps.exists():
        for folder in sorted({path.parent for path in (TOP / "tests").glob("*/test_*.py")}):
            command = [
                sys.executable,
                reach.__file__,
                options.maps / f"{folder.name}.json",
                folder,
                "-m",
                "not slow",
            ]
            subprocess.run(command, cwd=TOP, check=False)
    reached = reach.load(sorted(options.maps.glob("*.json")))
    files = [str(path.relative_to(TOP)) for path in sorted((TOP / "xpnn").rglob("*.py"))]
    files = [name for name in files if any(one in name for one in options.only)]
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "copy"
        shutil.copytree(
            TOP, folder, ignore=shutil.ignore_patterns(".git", ".venv", ".mutants", "__pycache__", "runs")
        )
        for mutant in draw(options.count, options.seed, files):
            if time.monotonic() - began > 60 * options.minutes:
                break
            name, line, what, difference, _ = mutant
            equivalent = (name, difference) in EQUIVALENT
            by = "" if equivalent else killer(mutant, reached, folder)
            fate = "equivalent" if equivalent else "killed" if by else "survived"
            results.append((name, fate))
            print(f"{fate}: {name}:{line} {what}: {difference} {by and f'[{by}]'}", flush=True)
    text = table(results)
    where = f", drawn from {', '.join(options.only)} alone" if options.only != [""] else ""
    note = f"`ci/mutants --seed {options.seed}`: {len(results)} of {options.count} mutants were tried{where}."
    print(f"{note}\n\n{text}\n\n{time.monotonic() - began:.0f} s")
    if options.docs:
        part = f"## Mutants\n\n{note}\n\n{text}"
        pages.put(TOP / "docs" / "coverage.md", "mutants: ci/mutants --docs", part)


if __name__ == "__main__":
    main()
