"""Which tests run which lines of xpnn, and how long each of them takes.

    python tests/reach.py FILE [arguments of pytest]
    python tests/reach.py --few FILE ...        prints few tests that together run every line of these maps

FILE holds, as JSON, the tests with their seconds, the numbers of the tests that run each line, and the text of the
files at the time: so lines are found again after they have moved.
"""

import difflib
import heapq
import json
import sys
from collections import defaultdict
from pathlib import Path

import coverage
import pytest

TOP = Path(__file__).parents[1]
PER_LINE = 300
"""Tests that are kept for one line, at most; as many different test functions as there are."""


class Recorder:
    """A plugin of pytest: each test is a context of coverage."""

    def __init__(self, measured):
        self.measured, self.seconds = measured, {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.measured.switch_context(item.nodeid)
        result = yield
        self.measured.switch_context("")
        return result

    def pytest_runtest_logreport(self, report):
        if report.passed:
            self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def record(path, arguments):
    """Run the tests; those that pass, and what they run, go to `path`."""
    measured = coverage.Coverage(data_file=None, source=[str(TOP / "xpnn")], config_file=False)
    measured.start()
    plugin = Recorder(measured)
    pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", *arguments], [plugin])
    measured.stop()
    numbers = {test: i for i, test in enumerate(plugin.seconds)}
    reached, texts, data = {}, {}, measured.get_data()
    for file in sorted(data.measured_files()):
        name = str(Path(file).relative_to(TOP))
        lines = {
            line: spread([numbers[c] for c in contexts if c in numbers], list(numbers))
            for line, contexts in data.contexts_by_lineno(file).items()
        }
        reached[name], texts[name] = (
            {line: some for line, some in lines.items() if some},
            Path(file).read_text(),
        )
    tests = [[test, round(seconds, 3)] for test, seconds in plugin.seconds.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"tests": tests, "reached": reached, "texts": texts}))


def spread(some, names):
    """At most PER_LINE of the tests, one of each test function before a second of any."""
    return sorted(in_turn(some, lambda i: names[i].split("[")[0])[:PER_LINE])


def in_turn(things, kind):
    """The things, the first of each kind, then the second of each, and so on."""
    seen, places = defaultdict(int), []
    for thing in things:
        places.append(seen[kind(thing)])
        seen[kind(thing)] += 1
    return [thing for _, thing in sorted(zip(places, things, strict=True), key=lambda pair: pair[0])]


def moved(old, new):
    """{line of the old text: its line in the new one}, of the lines that are in both."""
    lines = {}
    matcher = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    for a, b, n in matcher.get_matching_blocks():
        lines |= {a + i + 1: b + i + 1 for i in range(n)}
    return lines


def load(paths):
    """({file: {line: {test: seconds}}} of the maps together, with the lines as they are numbered today)."""
    found = defaultdict(lambda: defaultdict(dict))
    for path in paths:
        kept = json.loads(path.read_text())
        for name, lines in kept["reached"].items():
            if not (TOP / name).exists():
                continue
            today = moved(kept["texts"][name], (TOP / name).read_text())
            for line, some in lines.items():
                if int(line) in today:
                    found[name][today[int(line)]] |= dict(kept["tests"][i] for i in some)
    return found


def few(reached):
    """Tests that together run every line that any test runs, each the one that adds most lines in its time."""
    lines, seconds = defaultdict(set), {}
    for name, some in reached.items():
        for line, tests in some.items():
            seconds |= tests
            for test in tests:
                lines[test].add((name, line))
    missing, taken = set().union(*lines.values()), []
    worth = [(-len(run) / (0.05 + seconds[test]), test) for test, run in lines.items()]
    heapq.heapify(worth)
    while missing:
        _, test = heapq.heappop(worth)
        now = -len(lines[test] & missing) / (0.05 + seconds[test])
        if (
            worth and now > worth[0][0]
        ):  # others took some of its lines: it is worth less than when it was put there
            heapq.heappush(worth, (now, test))
        elif now:
            taken.append(test)
            missing -= lines[test]
    return sorted(taken, key=lambda test: test.split("::")[0])


if __name__ == "__main__" and sys.argv[1] == "--few":
    print("\n".join(few(load(map(Path, sys.argv[2:])))))
elif __name__ == "__main__":
    record(Path(sys.argv[1]), sys.argv[2:])
