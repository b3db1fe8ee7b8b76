"""Which tests run which lines of xpnn, and how long each of them takes.

    python tests/reach.py FILE [arguments of pytest]

FILE holds, as JSON, the tests with their seconds, the numbers of the tests that run each line, and the text of the
files at the time: so lines are found again after they have moved.
"""

import difflib
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


if __name__ == "__main__":
    record(Path(sys.argv[1]), sys.argv[2:])
