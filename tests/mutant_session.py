"""The part of mutants.py that runs inside pytest: tests are collected once, and each trial is a fork.

    python -m pytest -p mutant_session ...      in a copy of the tree; the variable XPNN_MUTANTS holds the settings

First every test runs once, file by file, with a mark before each statement that a mutant is in: so it is known which
tests reach which mutants, and how long they take. Then each mutant is tried by those that reach it: in the fork its
functions are given their new code, and nothing has to be imported again. What runs at import is left to mutants.py.
"""

import ast
import builtins
import contextlib
import functools
import gc
import importlib
import inspect
import itertools
import json
import math
import os
import pkgutil
import re
import sys
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FunctionType

import mutants
import pytest

if "XPNN_MUTANTS" in os.environ:
    sys.modules["jax"] = None  # its threads do not outlive a fork: tests that need it are skipped
WIDE = ("backends",)
"""Folders whose rows also run on array-api-strict and PyTorch."""
EMULATED = "test_emulated_override_equals_the_reference"
"""Rows that are slow, since a GPU is emulated: every eighth is run."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    slow = itertools.count()
    items[:] = [
        item
        for item in items
        if (mode_of(item) in ("numpy", "fast", None) or folder_of(item) in WIDE)
        and (not item.name.startswith(EMULATED) or next(slow) % 8 == 0)
    ]


def mode_of(item):
    return item.callspec.params.get("mode") if hasattr(item, "callspec") else None


def folder_of(item):
    return item.path.parent.name


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    settings = json.loads(os.environ["XPNN_MUTANTS"])
    kept = Path(settings["kept"])
    drawn = dict(enumerate(mutants.draw(settings["count"], settings["seed"], settings["files"])))
    functions = live_functions()
    gc.freeze()
    for wait in (False, True):  # first what no other process is at, then what one has left
        for file in dict.fromkeys(item.path.name for item in session.items):
            path = kept / f"reached-{file}.json"
            with mutants.claimed(kept, f"map-{file}", wait) as free:
                if free and not path.exists() and time.time() < settings["end"]:
                    items = [item for item in session.items if item.path.name == file]
                    fork(lambda path=path, items=items: measure(session, items, drawn, functions, path), 3600)
    words = {item.nodeid: words_of(item) for item in session.items}
    frequency = Counter(word for some in words.values() for word in some)
    by_name = {item.nodeid: item for item in session.items}
    reached = mutants.reached_by(kept)
    for i, mutant in drawn.items():
        with mutants.claimed(kept, f"trial-{i}") as free:
            if not free or i in mutants.results_in(kept) or time.time() > settings["end"]:
                continue
            found = reached.get(i, {}) if mutant.points else unmapped(mutant, session.items)
            seconds = {test: cost for test, cost in found.items() if test in by_name}
            near = nearest(mutant, [by_name[test] for test in seconds], words, frequency, seconds)
            fate, by = "import", ""
            if not near and not mutant.name.startswith(
                mutants.GPU
            ):  # it may have run at import, or in a process
                everyone = dict.fromkeys(by_name, 0.0)
                near = nearest(mutant, session.items, words, frequency, everyone)[:UNREACHED]
            elif not mutant.at_import:
                fate, by = attempt(session, mutant, near[:MOST], functions)
            if not fate and mutants.elsewhere(mutant.name)[1]:
                fate, near = "import", []  # what reaches it here has passed
            if fate in ("import", ""):
                (kept / f"near-{i}.txt").write_text("\n".join(item.nodeid for item in near))
            mutants.note(kept, i, mutant, fate or mutants.unnoticed(mutant, near), by)
    return True


MOST = 400
"""Tests that are tried of those that reach a mutant."""
UNREACHED = 60
"""Tests that are tried where none was seen to reach a mutant: those whose words are most like its own."""
SECONDS = 30
"""Processor time for the tests of one mutant."""


def unmapped(mutant, items):
    """The tests in the folder of a file whose lines cannot be marked, since numba compiles them."""
    near = (item for item in items if folder_of(item) in mutant.name.split("/"))
    return {item.nodeid: 0.0 for item in near if mode_of(item) in ("fast", None)}


def words_of(item):
    """The words of a test: of its name and parameters, and of its source."""
    named = frozenset(re.findall(r"[A-Za-z_]\w+", item.nodeid.partition("[")[2]))
    return source_words(getattr(item, "function", None)) | named


@functools.cache
def source_words(function):
    try:
        return frozenset(re.findall(r"[A-Za-z_]\w+", inspect.getsource(function)))
    except (OSError, TypeError):
        return frozenset()


def nearest(mutant, items, words, frequency, seconds):
    """The tests, those first that name its function or class (lp_normalize: LpNormalize too); whose path is like its
    file's; that have words of its line; that are quick. A word that many tests have says little, and so does the tenth
    test of one function."""
    inside = f"{mutant.inside} {mutant.inside.title().replace('_', '')}"

    def rare(text):
        return {
            w: 1 / math.log2(2 + frequency[w]) for w in set(re.findall(r"[A-Za-z_]\w+", text)) if frequency[w]
        }

    inner, line, path = rare(inside), rare(mutant.change), set(re.findall(r"[a-z]+", mutant.name)) - {"py"}
    near = {file: len(path & set(re.findall(r"[a-z]+", file))) for file in {item.path.name for item in items}}

    def score(item):
        some = words[item.nodeid]
        named = 10 * sum(inner[w] for w in some & inner.keys()) + 2 * sum(line[w] for w in some & line.keys())
        return named + near[item.path.name] + (folder_of(item) in path) - 4 * seconds[item.nodeid]

    scores, seen = {item.nodeid: score(item) for item in items}, Counter()
    for name in sorted(scores, key=scores.get, reverse=True):
        function = name.split("[")[0]
        scores[name] -= 0.5 * seen[function]
        seen[function] += 1
    return sorted(items, key=lambda item: -scores[item.nodeid])


def live_functions():
    """{(file, qualified name, first line): the functions}, of xpnn, with all its modules imported."""
    import xpnn

    for module in pkgutil.walk_packages(xpnn.__path__, "xpnn."):
        with contextlib.suppress(Exception):  # its library is not installed
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    gc.unfreeze()
    found = {}
    for thing in gc.get_objects():
        if type(thing) is FunctionType and thing.__code__.co_filename.startswith(f"{mutants.TOP}/xpnn/"):
            name = str(Path(thing.__code__.co_filename).relative_to(mutants.TOP))
            found.setdefault((name, *place(thing.__code__)), []).append(thing)
    gc.freeze()
    return found


def place(code):
    return code.co_qualname, code.co_firstlineno


def inner_codes(code):
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from inner_codes(constant)


def put_in(name, tree, functions):
    """Give the functions of a file the code of another tree of the same file; the number of functions changed."""
    source, changed, codes = (mutants.TOP / name).read_text(), 0, {}
    for after in inner_codes(compile(tree, str(mutants.TOP / name), "exec", dont_inherit=True)):
        codes.setdefault(place(after), []).append(after)
    for before in inner_codes(compile(source, name, "exec", dont_inherit=True)):
        here = codes.get(place(before))
        if here and (after := here.pop(0)) != before:
            for function in functions.get((name, *place(before)), ()):
                if function.__code__.co_freevars == after.co_freevars:  # else its closure is of another size
                    function.__code__ = after
                    changed += 1
    return changed


def measure(session, items, drawn, functions, path):
    """Run tests, and write which of the mutants' statements each of them reaches."""
    hits = set()
    builtins.__reached__ = hits.add
    for name in {mutant.name for mutant in drawn.values()}:
        points = {}
        for i, mutant in drawn.items():
            if mutant.name == name:
                for line in mutant.points:
                    points.setdefault(line, set()).add(i)
        put_in(name, with_marks(ast.parse((mutants.TOP / name).read_text()), points), functions)

    class Recorder:
        """The seconds of the tests that pass, and what they reach."""

        found, failed = {}, set()

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(self, item):
            hits.clear()
            result = yield
            self.found.setdefault(item.nodeid, [0.0, []])[1].extend(sorted(hits))
            return result

        def pytest_runtest_logreport(self, report):
            one = self.found.setdefault(report.nodeid, [0.0, []])
            one[0] = round(one[0] + report.duration, 3)
            if not report.passed:
                self.failed.add(report.nodeid)

    recorder = Recorder()
    session.config.pluginmanager.register(recorder)
    run(items)
    path.write_text(
        json.dumps({test: one for test, one in recorder.found.items() if test not in recorder.failed})
    )


def with_marks(tree, points):
    """A statement before each statement of a function that has a point in it. points: {line: numbers of mutants}."""
    bodies = [getattr(node, field) for node in ast.walk(tree) for field in ("body", "orelse", "finalbody")
              if isinstance(getattr(node, field, None), list)]  # fmt: skip
    marks = {}
    for line, numbers in points.items():
        spots = [(one.lineno, -one.end_lineno, id(body), k, body) for body in bodies for k, one in enumerate(body)
                 if isinstance(one, ast.stmt) and one.lineno <= line <= one.end_lineno]  # fmt: skip
        if spots:
            *_, key, k, body = max(spots, key=lambda spot: spot[:2])
            marks.setdefault((key, k), (body, set()))[1].update(numbers)
    for (_, k), (body, numbers) in sorted(marks.items(), key=lambda mark: -mark[0][1]):
        for number in sorted(numbers):
            call = ast.parse(f"__reached__({number})").body[0]
            body.insert(k, ast.copy_location(call, body[k]))
    return ast.fix_missing_locations(tree)


def spent():
    """Seconds of the processor, with those of the processes that have ended."""
    return sum(os.times()[:4])


def run(items, seconds=math.inf):
    """Run tests, for so many seconds of the processor."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        if spent() > seconds:
            break
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


class Stop(BaseException):
    """A test has failed."""


def failing(session, items, seconds=SECONDS):
    """The first of the tests that fails, or ""; the error's beginning goes to the output."""

    class Listener:
        def pytest_runtest_logreport(self, report):
            if report.failed:
                failed.append(report.nodeid)
                raise Stop

    failed = []
    session.config.pluginmanager.register(Listener())
    with contextlib.suppress(Stop):
        run(items, spent() + seconds)
    return failed[0] if failed else ""


def fork(work, seconds):
    """What `work()` returns in a process of its own: a text, or how that process ended where it ended otherwise."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        code = 99
        try:
            mutants.limit_to(int(seconds))
            os.write(theirs, (work() or "").encode())
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    code = mutants.exit_code(child, 10 * seconds)
    with os.fdopen(ours, "rb") as pipe:
        text = pipe.read().decode()
    return text if code == 0 else f"ended with {code}"


SOUND = {}
"""Whether a test that failed with a mutant passes without."""


def attempt(session, mutant, items, functions, seconds=SECONDS):
    """(fate, what noticed) of a mutant inside a function; nothing where no test notices it."""
    if fate := mutants.known(mutant):
        return fate, ""
    target = mutants.TOP / mutant.name
    good = target.read_text()

    def mutated():
        if not put_in(mutant.name, mutant.tree(), functions):
            return "no function has it"
        mutants.write(target, mutant.text)  # for commands that the tests start
        return failing(session, items, seconds)

    while items:
        by = fork(mutated, 2 * seconds)
        mutants.write(target, good)
        if not by:
            break
        if not (found := [item for item in items if item.nodeid == by]):
            return ("import" if by.startswith("no function") else "killed"), by
        if by not in SOUND:
            SOUND[by] = not fork(lambda: failing(session, found), 2 * SECONDS)
        if SOUND[by]:
            return "killed", by
        items = [item for item in items if item.nodeid != by]
    return "", ""
