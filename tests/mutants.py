"""Are the tests honest? Small faults are put into xpnn, one at a time, and the tests that reach the line must notice.

    python tests/mutants.py --count 300 --seed 1        draws mutants, runs tests, prints the score by package

A fault is an operator, constant, default or comparison that is another, a deleted statement, or two swapped arguments.
First every test runs once, to see which of them reach which faults; then each fault is tried by those that reach it,
nearest first, until one fails. `mutant_session.py` does both inside one process of pytest, in a copy of the tree; what
runs at import is tried here, with pytest started anew. Rows run on NumPy and numba, in tests/backends on
array-api-strict and PyTorch too. What survives is tried once more, with the rows of the other backends and with the
tests that start processes, which CI runs as well. Mutants that change nothing that could be observed are in
`equivalent_mutants.py`, each with a reason, and count neither way; nor do those in lines that need a GPU.

What was found is kept in `.mutants/`, by seed: the same command goes on where it was stopped, and started a second time
it shares the work.

    python tests/mutants.py --every --only xpnn/schedules/decay.py --tests tests/optimizers/test_schedules.py

tries each fault of a file with a few tests alone, while they are being written; of that nothing is kept.
"""

import argparse
import ast
import contextlib
import copy
import dataclasses
import difflib
import fcntl
import importlib
import json
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

import marked_sections
import pytest
from equivalent_mutants import EQUIVALENT

TOP = Path(__file__).parents[1]
SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
EITHER_WAY = (
    "array_equal",
    "max",
    "min",
    "maximum",
    "minimum",
    "broadcast_shapes",
    "bitwise_and",
    "bitwise_or",
    "gcd",
    "hypot",
    "launchable",
    "logical_and",
    "logical_or",
    "multiply",
    "np.add",
    "overlap",
)
"""What does the same with its arguments swapped."""
STATEMENTS = ast.Expr | ast.Assign | ast.AugAssign | ast.If | ast.Raise
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
OUTSIDE = (
    "repository/test_anywhere.py", "repository/test_benchmarks.py", "repository/test_contributing.py",
    "repository/test_docs.py", "repository/test_examples.py", "repository/test_faults.py",
    "repository/test_harness.py", "repository/test_mutants.py", "repository/test_nothing_is_evaluated.py",
    "repository/test_purity.py", "repository/test_shell_lines.py", "repository/test_site.py",
    "repository/test_writeups.py", "distributed", "interchange/test_browser.py", "gpu/test_gpu_contenders.py",
    "gpu/test_gpu_runner.py", "gpu/test_gpu_stages.py",
)  # fmt: skip
"""Tests that are not tried at first: they start processes, read the source, or plant faults themselves."""
MODES = "numpy fast strict torch"
"""Ways to run the rows."""
GENERATED = [
    "tests/repository/test_defaults.py",
    "tests/repository/test_public.py",
    "tests/cli/test_every_option.py",
]
"""Tests that look at every definition without running it: they notice what changes in a signature or an option."""
ROWS_OF_KERNELS = "tests/backends/test_kernels.py::test_override_equals_the_reference"
ELSEWHERE = {
    "xpnn/backends/cpu/depthwise_loops.py": ("fast", ROWS_OF_KERNELS),
    "xpnn/backends/cpu/direct_loops.py": ("fast", f"tests/backends/test_direct.py {ROWS_OF_KERNELS}"),
    "xpnn/backends/cpu/flat.py": ("fast", f"{ROWS_OF_KERNELS} tests/fusion/test_planned.py "
                                  "tests/backends/test_workers.py"),
    "xpnn/backends/cpu/gate_loops.py": ("fast", f"{ROWS_OF_KERNELS} tests/backends/test_fast.py"),
    "xpnn/backends/cpu/lanes.py": ("fast", "tests/backends/test_direct.py tests/backends/test_winograd.py "
                                   "tests/fusion/test_single_sample.py"),
    "xpnn/backends/cpu/loops.py": ("fast", f"{ROWS_OF_KERNELS} tests/backends/test_fast.py"),
    "xpnn/backends/cpu/one_sample.py": ("fast", "tests/fusion/test_single_sample.py "
                                        "tests/fusion/test_rules_and_plans.py"),
    **{f"xpnn/backends/cpu/{name}.py": ("fast", "tests/fusion/test_compiled_plan.py")
       for name in ("atomics", "gemm", "step_loops", "step_parts", "team")},
    "xpnn/backends/cpu/winograd_loops.py": ("fast", f"tests/backends/test_winograd.py {ROWS_OF_KERNELS}"),
    "xpnn/backends/jax.py": ("jax", "tests/backends/test_compiled.py tests/backends/test_step_arrays.py "
                             "tests/backends/test_devices.py tests/backends/test_other_libraries.py "
                             "tests/layers/test_normal_cdf.py"),
    "xpnn/distributed/": ("numpy", "tests/distributed/test_messages.py tests/distributed"),
    "xpnn/cli/process_group.py": ("numpy", "tests/distributed"),
    "xpnn/cli/ranks.py": ("numpy", "tests/distributed"),
    "xpnn/training/ranks.py": ("numpy", "tests/distributed"),
    "xpnn/training/shared_objective.py": ("numpy", "tests/distributed"),
}  # fmt: skip
"""{where: (mode, tests)}, of what cannot be tried in a fork of the tests' process: JAX's threads, several processes,
what numba has compiled by then."""
LATER = {
    "xpnn/cli/": "tests/repository/test_shell_lines.py",
    "xpnn/data/": "tests/repository/test_examples.py",
    "xpnn/interchange/": "tests/interchange/test_onnx_conformance.py tests/interchange/test_browser.py",
    "xpnn/recipes.py": "tests/repository/test_shell_lines.py",
    "xpnn/web/": "tests/web tests/repository/test_examples.py",
    "xpnn/": "tests/repository/test_docs.py tests/repository/test_faults.py",
}
"""{where: tests} for what has survived, in processes of their own, as CI runs them."""
WAIT = 600
"""Seconds for each of those, in which their processes run too."""
OTHER_MODES = "readonly strict torch jax"
"""Ways to run the rows that are tried last."""
COMPILED = tuple(name for name in ELSEWHERE if name.startswith("xpnn/backends/cpu/"))
"""Files whose functions numba compiles: their lines cannot be given other code."""
COMPILED_INTO = {
    "atomics": ("step_loops", "step_parts", "team"),
    "flat": ("step_parts",),
    "gate_loops": ("step_loops",),
    "gemm": ("step_loops",),
    "lanes": ("direct_loops", "one_sample", "winograd_loops"),
    "loops": ("step_loops", "step_parts", "team"),
    "step_loops": ("step_parts",),
    "winograd_loops": ("direct_loops",),
}
"""{module: those whose compiled functions hold its own}."""


def holders(module: str) -> set[str]:
    """The module, and those whose compiled functions hold some of it."""
    return {module}.union(*map(holders, COMPILED_INTO.get(module, ())))


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A fault: where, of which kind, what it changes; the file's new text, and the lines whose tests may notice."""

    name: str
    line: int
    kind: str
    change: str
    text: str
    points: tuple[int, ...]
    at_import: bool
    inside: str
    edit: object = dataclasses.field(compare=False, repr=False)

    def tree(self):
        """The file with the fault, its lines numbered as before."""
        return ast.fix_missing_locations(self.edit(ast.parse((TOP / self.name).read_text())))


def variants(tree):
    """(line, what, edit) for every fault; `edit(tree)` puts it into a copy of the tree. Words of messages stay."""
    nodes = list(ast.walk(tree))
    quiet = {id(sub) for node in nodes if is_quiet(node) for sub in ast.walk(node)}
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    quiet |= {id(one) for call in calls if called(call) == "reshape" for one in worked_out(call)}
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
            and not has_star(node)
            and called(node) not in EITHER_WAY
        ):
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


def called(call):
    """The last part of the name of what is called; NumPy's `add` as np.add, since other functions have that name."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return f"np.{name}" if re.search(r"\b(np|xp)\.add$", ast.unparse(call.func)) else name


def worked_out(call):
    """The size -1 of a `reshape`: to NumPy -2 is the same, and the rows of other libraries are not run here."""
    sizes = [
        *call.args,
        *(one for arg in call.args if isinstance(arg, ast.Tuple | ast.List) for one in arg.elts),
    ]
    return [one.operand for one in sizes if isinstance(one, ast.UnaryOp)]


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
    """Mutants drawn by the seed, files by their length; without a count all of them."""
    texts, seen = {name: (TOP / name).read_text() for name in files}, set()
    trees = {name: ast.parse(text) for name, text in texts.items()}
    faults = {name: found for name in files if (found := list(variants(trees[name])))}
    sizes = {name: len(texts[name].splitlines()) for name in faults}
    for name, (line, kind, edit) in every(faults) if count is None else at_random(faults, sizes, seed):
        if len(seen) == count:
            break
        tree = trees[name]
        before, after = ast.unparse(tree), ast.unparse(ast.fix_missing_locations(edit(tree)))
        if before != after and (name, after) not in seen:
            seen.add((name, after))
            at_import, points = points_of(tree, texts[name], line)
            at_import = at_import or name in COMPILED
            points = () if name in COMPILED else tuple(points)
            inside = " ".join(node.name for node in around(tree, line))
            yield Mutant(name, line, kind, change(before, after), after, points, at_import, inside, edit)


def every(faults):
    return ((name, fault) for name, some in faults.items() for fault in some)


def at_random(faults, sizes, seed):
    rng = random.Random(seed)
    while faults:
        name = rng.choices(list(faults), list(sizes.values()))[0]
        yield name, rng.choice(faults[name])


def around(tree, line):
    """The definitions that a line stands in, the innermost first."""
    kinds = ast.FunctionDef | ast.ClassDef
    found = [n for n in ast.walk(tree) if isinstance(n, kinds) and begin(n) <= line <= n.end_lineno]
    return sorted(found, key=begin, reverse=True)


def points_of(tree, source, line):
    """(whether a line runs at import, the lines whose tests may notice what it does). For what runs at import: the
    beginning of the function whose signature it is in, of all methods of its class, of all functions that use the name
    it gives a value to, or of all functions of the file."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    if any(one.body[0].lineno <= line <= one.end_lineno for one in functions):
        return False, [line]
    for node in around(tree, line):
        if inner := [n for n in ast.walk(node) if isinstance(n, ast.FunctionDef)]:
            return True, [one.body[-1].lineno for one in inner]
    using = set(users(tree, source, line))
    inner = [one for one in functions if using & set(range(begin(one), one.end_lineno + 1))]
    return True, [one.body[-1].lineno for one in inner or functions]


def begin(node):
    return min([node.lineno, *(d.lineno for d in node.decorator_list)])


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


def elsewhere(name):
    """(mode, tests) of a file that tests in new processes may notice."""
    return next((found for start, found in ELSEWHERE.items() if name.startswith(start)), ("", ""))


def run(folder, tests, limit, modes=""):
    """The exit code of the tests in a copy of the tree, and what was printed; "never" where they do not end."""
    named = (mode for mode in MODES.split() if any(re.search(rf"\b{mode}\b", test) for test in tests))
    modes = modes or " ".join(named)
    (folder / "tests.txt").write_text("\n".join(tests))
    for name in PRELOADED:
        importlib.import_module(name)
    child = os.fork()
    if child == 0:
        code = 99
        try:
            prepare(folder, modes or "numpy")
            limit_to(limit)
            code = pytest.main(PYTEST)
        finally:
            sys.stdout.flush()
            os._exit(code)
    return exit_code(child, LONGER * limit), (folder / "output.txt").read_text()


LONGER = 10
"""How many times its limit of processor time a run may take: other programs need the cores, too."""


def exit_code(child, seconds):
    """The exit code of a child process, "never" if it has not ended by then; what it has started is killed."""
    watch, handle = select.poll(), os.pidfd_open(child)
    watch.register(handle, select.POLLIN)
    ended = watch.poll(1000 * seconds)
    os.close(handle)
    with contextlib.suppress(ProcessLookupError):  # with what it has left running
        os.killpg(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status) if ended else "never"


def prepare(folder, modes):
    """In the child: nothing of this tree is left, only the copy."""
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


def limit_to(seconds):
    """In a child: seconds are those of the processor, so that a busy machine kills no mutant; and Ctrl-C means what it
    does in a terminal, which a shell's background jobs ignore."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGINT, signal.default_int_handler)


def is_here(path):
    return Path(path).resolve().is_relative_to(TOP)


def write(target, text):
    """Without what Python compiled from the text before, whose time and length may be the same; and without what numba
    compiled of files that use it, for numba looks at the file of a function alone."""
    target.write_text(text)
    for stem in holders(target.stem):
        for kept in target.parent.glob(f"__pycache__/{stem}.*"):
            kept.unlink()


USAGE = 4
"""What pytest ends with where it is asked for a test that is not there."""


def missing(out, tests):
    """Those that pytest says are not there: since they were mapped, they have changed their names."""
    lost = re.findall(r"^ERROR: not found: (.*)$", out, re.M)
    return {test for test in tests if any(line.endswith(test) for line in lost)}


SOUND = set()
"""Tests that failed with a mutant and pass without: only such tests count."""


def killer(mutant, tests, folder):
    """What noticed a mutant in a new process: a test, or how it ended; "" where nothing did."""
    mode, more = elsewhere(mutant.name)
    shares = [
        (more.split(), mode),
        (GENERATED, ""),
        (tests[:20], ""),
        (tests[20:100], ""),
        (tests[100:250], ""),
    ]
    return next((found for share, modes in shares if (found := killer_in(share, modes, mutant, folder))), "")


def last_resort(mutant, tests, folder):
    """What noticed a survivor after all: another test in the files of the nearest or in one of its name, a row on
    another backend, a test marked slow, or one that starts processes."""
    rows = [test for test in tests if "[numpy-" in test or "[numpy]" in test][:60]
    others = [re.sub(r"\[numpy\b", f"[{mode}", test) for mode in OTHER_MODES.split() for test in rows]
    slow = ["-m", "slow", *sorted({test.split("::")[0] for test in tests})]
    later = [more.split() for start, more in LATER.items() if mutant.name.startswith(start)]
    shares = [(files_near(mutant, tests), ""), (others, OTHER_MODES), (slow if tests else [], "")]
    shares += [(share, "") for share in later]
    limit = WAIT // LONGER
    return next(
        (found for share, modes in shares if (found := killer_in(share, modes, mutant, folder, limit))), ""
    )


def files_near(mutant, tests):
    """The files of the ten nearest tests, and those that have the name of the mutant's file in theirs."""
    of_tests = [test.split("::")[0] for test in tests[:10]]
    called = sorted((TOP / "tests").rglob(f"test_*{Path(mutant.name).stem.strip('_')}*.py"))
    return list(dict.fromkeys([*of_tests, *(str(path.relative_to(TOP)) for path in called)]))


def killer_in(share, modes, mutant, folder, limit=120):
    """Of these tests."""
    target, share = folder / mutant.name, list(share)
    good = target.read_text()
    try:
        while any("tests" in test.split("/")[0] for test in share):
            write(target, mutant.text)
            code, out = run(folder, share, limit, modes)
            if code in (0, 5):
                break
            write(target, good)
            if code == USAGE and (
                lost := missing(out, share) & missing(run(folder, share, limit, modes)[1], share)
            ):
                share = [test for test in share if test not in lost]
                continue
            found = re.search(r"^(?:FAILED|ERROR) (\S+::.*?)(?: - .*)?$", out, re.M)
            if found is None or not any(found[1].startswith(test) for test in share):
                return f"ended with {code}" if run(folder, share, limit, modes)[0] != code else ""
            if found[1] in SOUND or run(folder, [found[1]], limit, modes)[0] == 0:
                SOUND.add(found[1])
                return found[1]
            share = [*(test for test in share if test != found[1]), f"--deselect={found[1]}"]
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


ALL = "all tests"
"""Noted beside a survivor that the last tests were tried on, too."""
FATES = ("equivalent", "killed", "survived", "gpu")
GPU = ("xpnn/backends/cuda/", "xpnn/backends/cupy.py", "xpnn/distributed/nccl.py")
"""What runs on a GPU, but for the part that the tests run on stand-ins."""


def known(mutant):
    """ "equivalent" where it is one of those; "" for others."""
    return "equivalent" if (mutant.name, mutant.change) in EQUIVALENT else ""


def unnoticed(mutant, tests):
    """Lines for a GPU that nothing here runs are counted by themselves."""
    return "gpu" if mutant.name.startswith(GPU) and not tests else "survived"


def reached_by(kept):
    """{number of the mutant: {test: seconds}}, as the tests have been measured."""
    found = {}
    for path in sorted(kept.glob("reached-*.json")):
        for test, (seconds, numbers) in json.loads(path.read_text()).items():
            for number in numbers:
                found.setdefault(number, {})[test] = seconds
    return found


def rows_in(kept):
    """What was noted of each mutant that was tried, the last of each number."""
    path = kept / "results.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return list({row[0]: row for row in rows}.values())


def results_in(kept):
    """{number of the mutant: (file, fate)} of those that were tried."""
    return {row[0]: (row[1], row[5]) for row in rows_in(kept)}


def survivors(rows):
    """Markdown: those that no test noticed."""
    found = [f"- `{row[1]}`: `{row[4][:200]}`" for row in rows if row[5] == "survived"]
    return ["Those that survived:", "\n".join(found)] if found else []


@contextlib.contextmanager
def claimed(kept, name, wait=False):
    """Whether a part of the work is this process's: no other that shares it is at it, or has ended (`wait`)."""
    with open(kept / f"{name}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def note(kept, number, mutant, fate, by):
    row = [number, mutant.name, mutant.line, mutant.kind, mutant.change, fate, by]
    with open(kept / "results.jsonl", "a") as file:
        file.write(json.dumps(row) + "\n")
    print(
        f"{fate}: {mutant.name}:{mutant.line} {mutant.kind}: {mutant.change} {by and f'[{by}]'}", flush=True
    )


def main():
    parser = argparse.ArgumentParser(prog="ci/mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no further mutant after this time")
    parser.add_argument("--only", nargs="*", default=[""], help="files whose path contains one of these")
    parser.add_argument("--every", action="store_true", help="all mutants of the files instead of so many")
    parser.add_argument("--tests", nargs="*", default=[], help="try these tests alone, and keep nothing")
    parser.add_argument("--docs", action="store_true", help="write the score into docs/coverage.md")
    options = parser.parse_args()
    files = [str(path.relative_to(TOP)) for path in sorted((TOP / "xpnn").rglob("*.py"))]
    files = [name for name in files if any(one in name for one in options.only)]
    count = None if options.every else options.count
    with tempfile.TemporaryDirectory() as parent:
        kept = Path(parent) if options.tests else kept_in(options)
        settings = {"count": count, "seed": options.seed, "files": files, "kept": str(kept)}
        settings["end"] = time.time() + 60 * options.minutes
        folder = Path(parent) / "copy"
        shutil.copytree(TOP, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
        try_in_one_process(settings, folder, options.tests)
        try_in_processes(settings, folder, last=not options.tests)
        rows = [row for row in rows_in(kept) if row[5] in FATES]
    text = "\n\n".join([table([(row[1], row[5]) for row in rows]), *survivors(rows)])
    where = f", drawn from {', '.join(options.only)} alone" if options.only != [""] else ""
    asked = f" of {count}" if count else ""
    said = f"`ci/mutants --seed {options.seed}`: {len(rows)}{asked} mutants were tried{where}."
    print(f"{said}\n\n{text}")
    if options.docs:
        part = f"## Mutants\n\n{said}\n\n{text}"
        marked_sections.put(TOP / "docs" / "coverage.md", "mutants: ci/mutants --docs", part)


NOT_COPIED = (".git", ".venv", ".mutants", "__pycache__", "runs")


def kept_in(options):
    parts = [str(options.seed), *(["every"] if options.every else [])]
    kept = TOP / ".mutants" / "-".join([*parts, *(one.replace("/", "_") for one in options.only if one)])
    kept.mkdir(parents=True, exist_ok=True)
    return kept


def try_in_one_process(settings, folder, tests):
    """By mutant_session.py, inside pytest."""
    outside = [f"--ignore={folder / 'tests' / name}" for name in OUTSIDE]
    plugins = ["-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin", "-p", "mutant_session"]
    places = [f"--basetemp={folder.parent}/t", *outside, *(tests or ["tests"])]
    env = {**QUICK, "XPNN_MUTANTS": json.dumps(settings), "XPNN_TEST_MODES": MODES}
    env |= {"PYTHONPATH": f"{folder}:{folder}/tests"}
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "-m", "not slow", *places]
    subprocess.run(command, cwd=folder, env=os.environ | env, check=False)


def try_in_processes(settings, folder, last):
    """What runs at import; then, where they are tried at `last`, what has survived."""
    kept, drawn = Path(settings["kept"]), list(draw(settings["count"], settings["seed"], settings["files"]))

    def left(of):
        for i, mutant in enumerate(drawn):
            if time.time() < settings["end"] and i in of():
                with claimed(kept, f"trial-{i}") as free:
                    if free and i in of():
                        near = kept / f"near-{i}.txt"
                        yield i, mutant, near.read_text().splitlines() if near.exists() else []

    for i, mutant, tests in left(lambda: [row[0] for row in rows_in(kept) if row[5] == "import"]):
        by = "" if known(mutant) else killer(mutant, tests, folder)
        note(kept, i, mutant, known(mutant) or ("killed" if by else unnoticed(mutant, tests)), by)
    if last:
        for i, mutant, tests in left(
            lambda: [row[0] for row in rows_in(kept) if row[5:] == ["survived", ""]]
        ):
            by = last_resort(mutant, tests, folder)
            note(kept, i, mutant, "killed" if by else "survived", by or ALL)


if __name__ == "__main__":
    main()
