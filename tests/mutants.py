"""Are the tests honest? Small faults are put into xpnn, one at a time, and the tests that reach the line must notice.

    python tests/mutants.py --count 300 --seed 1        draws mutants, runs tests, prints the score by package

A fault is an operator, constant, default or comparison that is another, a deleted statement, or two swapped arguments.
Which tests reach which lines is measured once, folder by folder of tests, and kept in `.mutants/` (remove a file to
have its folder measured anew). Rows are measured on NumPy alone, and in tests/backends on what is written for others
too: what another backend would notice beyond that counts for nothing. Tests that start commands as processes of their
own are tried only where they also run the line themselves. Each mutant is tried in a copy of the tree, nearest tests
first, until one fails. Those that change nothing that could be observed stand in `equivalents.py`, each with its
reason, and count neither way; nor do those in lines that need a GPU.
"""

import argparse
import ast
import contextlib
import copy
import difflib
import importlib
import os
import random
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pages
import pytest
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
BUDGETS = ((12, 3.0), (60, 15.0), (150, 45.0))
"""First this many tests of this many seconds together, then, where none failed, this many more, and again."""
PYTEST = ["-q", "-x", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin", "@tests.txt"]
QUICK = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Other plugins are not loaded: some import half of the environment."""
PRELOADED = (
    "numpy",
    "numpy.testing",
    "hypothesis.strategies",
    "array_api_compat.numpy",
    "rich.table",
    "click",
    "filelock",
)
"""Imported once: every run of the tests is a fork of this process."""
MEMORY = 24 << 30
"""Bytes that a process may address: a mutant must not take what the machine has."""
MAPPED = {"backends": "numpy fast strict torch"}
"""Ways to run the rows while it is measured what reaches what; NumPy alone for folders that are not named."""
OUTSIDE = (
    "anywhere",
    "benchmarks",
    "contributing",
    "docs",
    "examples",
    "faults",
    "harness",
    "mutants",
    "shell_lines",
    "writeups",
)
"""Tests of tests/repository that are not measured: they start processes, or plant faults themselves."""
MODES = ("numpy", "fast", "readonly", "strict", "torch", "jax", "cupy")
GENERATED = r"test_default|test_public"
"""Tests that look at every definition without running it: they can notice what changes in a signature."""
"""The same for numbers with a name, file by file."""


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
    """What is said, what only a type checker reads, and assertions; `strict=True` of zip is one."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    if isinstance(node, ast.keyword):
        return node.arg == "strict"
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
    """{test: seconds} of those that run a line. For what runs at import: those that run the definition around it, or
    the lines that use the name that is given a value there, and those that look at all definitions."""
    source, lines = (TOP / name).read_text(), reached.get(name, {})
    tree = ast.parse(source)
    at_import = not any(isinstance(node, ast.FunctionDef) and in_body(node, line) for node in ast.walk(tree))
    if lines.get(line) and not at_import:
        return lines[line]
    using = users(tree, source, line)
    for scope in [using, *scopes(tree, line)]:
        if found := {test: s for at in scope for test, s in lines.get(at, {}).items()}:
            break
    else:
        beside = [other for other in reached if Path(other).parent == Path(name).parent]
        found = {test: s for near in beside for some in reached[near].values() for test, s in some.items()}
    signatures = {test: s for some in reached.get(name, {}).values() for test, s in some.items()}
    found = found | {test: s for test, s in signatures.items() if re.search(GENERATED, test)}
    return found


def in_body(function, line):
    return function.body[0].lineno <= line <= function.end_lineno


def users(tree, source, line):
    """The lines that use what a statement of the module gives a value to."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.lineno <= line <= node.end_lineno:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
            return [
                i for i, text in enumerate(source.splitlines(), 1) if names & set(re.findall(r"\w+", text))
            ]
    return []


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
    """The exit code of the tests in a copy of the tree, and what was printed; "never" where they do not end."""
    modes = " ".join(mode for mode in MODES if any(re.search(rf"\b{mode}\b", test) for test in tests))
    (folder / "tests.txt").write_text("\n".join(tests))
    for name in PRELOADED:
        importlib.import_module(name)
    child = os.fork()
    if child == 0:
        code = 99
        try:
            prepare(folder, modes or "numpy", limit)
            code = pytest.main(PYTEST)
        finally:
            sys.stdout.flush()
            os._exit(code)
    watch, handle = select.poll(), os.pidfd_open(child)
    watch.register(handle, select.POLLIN)
    ended = watch.poll(30_000 * limit)
    os.close(handle)
    with contextlib.suppress(ProcessLookupError):  # with what it has left running
        os.killpg(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status) if ended else "never", (folder / "output.txt").read_text()


def prepare(folder, modes, limit):
    """In the child: nothing of this tree is left, only the copy. Seconds are those of the processor, so that a busy
    machine kills no mutant; and Ctrl-C means what it does in a terminal, which a shell's background jobs ignore."""
    os.setsid()
    os.chdir(folder)
    os.environ |= {**QUICK, "PYTHONPATH": str(folder), "XPNN_TEST_MODES": modes}
    sys.path[:] = [str(folder), *(path for path in sys.path if path and not is_here(path))]
    for name, module in list(sys.modules.items()):
        if name != "__main__" and is_here(getattr(module, "__file__", None) or "/"):
            del sys.modules[name]
    importlib.invalidate_caches()
    out = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGINT, signal.default_int_handler)


def is_here(path):
    return Path(path).resolve().is_relative_to(TOP)


def write(target, text):
    """Without what Python compiled from the text before, whose time and length may be the same."""
    target.write_text(text)
    for kept in target.parent.glob(f"__pycache__/{target.stem}.*"):
        kept.unlink()


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
                write(target, text)
                code, out = run(folder, share, limit)
                if code in (0, 5):
                    break
                if code == USAGE:
                    write(target, good)
                    if lost := missing(out, share) & missing(run(folder, share, limit)[1], share):
                        share = [test for test in share if test not in lost]
                        continue
                found = re.search(r"^(?:FAILED|ERROR) (\S+::.*?)(?: - .*)?$", out, re.M)
                if found is None or found[1] not in share:
                    return f"ended with {code}"
                write(target, good)
                if found[1] in SOUND or run(folder, [found[1]], limit)[0] == 0:
                    SOUND.add(found[1])
                    return found[1]
                share.remove(found[1])
    finally:
        write(target, good)
    return ""


def package(name):
    return name.split("/")[1] if name.count("/") > 1 else "(top)"


def table(results):
    """Markdown: what became of the mutants, by package. `results` are (file, one of FATES)."""
    score = Counter((package(name), fate) for name, fate in results)
    lines = [
        "| package | mutants | equivalent | killed | survived | for a GPU |",
        "|---|---|---|---|---|---|",
    ]
    for one in [*sorted({p for p, _ in score}), "all"]:
        n = {f: sum(k for (p, fate), k in score.items() if fate == f and one in (p, "all")) for f in FATES}
        lines.append(
            f"| {one} | {sum(n.values())} | {n['equivalent']} | {n['killed']} | {n['survived']} | {n['gpu']} |"
        )
    real = max(n["killed"] + n["survived"], 1)
    return "\n".join(
        [*lines, "", f"{100 * n['killed'] / real:.1f} % of those that are not equivalent are killed."]
    )


FATES = ("equivalent", "killed", "survived", "gpu")
GPU = ("xpnn/backends/cuda/", "xpnn/backends/cupy.py")
"""What runs on a GPU, but for the part that the tests run on stand-ins."""


def fate_of(mutant, reached, folder):
    """What became of it, and what noticed. Lines for a GPU that nothing here runs are counted by themselves."""
    name, line, _, difference, _ = mutant
    if (name, difference) in EQUIVALENT:
        return "equivalent", ""
    if by := killer(mutant, reached, folder):
        return "killed", by
    return "gpu" if name.startswith(GPU) and not reached.get(name, {}).get(line) else "survived", ""


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
    for folder in sorted({path.parent for path in (TOP / "tests").glob("*/test_*.py")}):
        if not (kept := options.maps / f"{folder.name}.json").exists():
            left = [f"--ignore={folder / f'test_{name}.py'}" for name in OUTSIDE]
            modes = {"XPNN_TEST_MODES": MAPPED.get(folder.name, "numpy")}
            command = [sys.executable, reach.__file__, kept, folder, "-m", "not slow", *left]
            subprocess.run(command, cwd=TOP, env=os.environ | modes, check=False)
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
            fate, by = fate_of(mutant, reached, folder)
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
