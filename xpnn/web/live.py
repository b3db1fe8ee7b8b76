"""The runs of a folder as they change: what the pages are sent. Files are read again only when they have changed."""

import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from xpnn.cli.lock import HOLDER
from xpnn.cli.log import METRICS
from xpnn.cli.overview import Overview, is_run, overview, runs_in, state_of
from xpnn.cli.runs import WEIGHTS
from xpnn.cli.schema import ABOUT
from xpnn.errors import FileError, XpnnError
from xpnn.web.record import LIVE, read_record

FRESH = 0.4
"""Seconds for which a look serves all pages."""
POINTS = 1000
"""Points of a curve at most; of a longer training every second, third, ... epoch is sent."""
LISTED = 200
"""Runs in the list, the newest."""


@dataclass
class Entry:
    """A run as it was last read."""

    signature: tuple[Any, ...]
    run: Overview
    record: dict[str, Any] | None
    version: int


class Watcher:
    """Looks at a folder of runs, or at one run, for any number of pages at once."""

    pause = 0.5
    """Seconds between two looks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.Lock()
        self.entries: dict[str, Entry] = {}
        self.version, self.looked, self.more = 1, -FRESH, 0

    def changes(self, names: list[str], seen: dict[str, int], now: bool = False) -> list[tuple[str, Any]]:
        """Return the events since `seen`, which is brought up to date. Without names the newest run is meant."""
        with self.lock:
            if now or time.monotonic() - self.looked >= FRESH:
                self.look()
                self.looked = time.monotonic()
            found: list[tuple[str, Any]] = []
            if seen.get("", 0) < self.version:
                seen[""] = self.version
                found.append(
                    ("runs", {"runs": [brief(e.run) for e in self.entries.values()], "more": self.more})
                )
            for name in names or list(self.entries)[:1]:
                entry = self.entries.get(name)
                if entry is not None and seen.get(name, 0) < entry.version:
                    seen[name] = entry.version
                    found.append(("run", whole(entry)))
            return found

    def look(self) -> None:
        """Read what has changed."""
        try:
            folders, more = ([self.folder], 0) if is_run(self.folder) else runs_in(self.folder)
        except FileError:  # the folder is not there yet
            folders, more = [], 0
        folders, self.more = folders[:LISTED], more + max(0, len(folders) - LISTED)
        before, self.entries = self.entries, {}
        for folder in folders:
            name = folder.resolve().name
            self.entries[name] = self.read(folder, before.get(name))
        if list(before) != list(self.entries):
            self.version += 1

    def read(self, folder: Path, known: Entry | None) -> Entry:
        """Return the entry of a run: the known one where its files are as they were and its process still lives."""
        signature = tuple(stamp(folder / name) for name in (ABOUT, METRICS, LIVE, HOLDER, WEIGHTS))
        if known is not None and known.signature == signature:
            state = known.run.state
            if state != "training" or (state := state_of(folder, known.run.about)) == "training":
                return known
            self.version += 1
            return replace(known, run=replace(known.run, state=state), version=self.version)
        self.version += 1
        run = overview(folder)
        try:
            record = read_record(folder)
        except XpnnError:  # written by another program, or damaged: the page shows the curves alone
            record = None
        return Entry(signature, run, record, self.version)


def stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes with a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def brief(run: Overview) -> dict[str, Any]:
    """Return a run's row in the list."""
    about = {key: run.about.get(key) for key in ("dataset", "model", "started")}
    error = None if run.error is None else run.error.what
    return {"name": run.folder.resolve().name, "state": run.state, "error": error} | about | run.scores


def whole(entry: Entry) -> dict[str, Any]:
    """Return all that the page shows of a run. Of paths among its settings the last part is sent alone."""
    run = entry.run
    rows = run.history.rows
    every = -(-len(rows) // POINTS) or 1
    kept = [asdict(row) for i, row in enumerate(rows) if (len(rows) - 1 - i) % every == 0]
    curves = {key: [row[key] for row in kept] for key in (kept[0] if kept else ())}
    settings = {
        name: Path(value).name if name in ("data", "from") and value else value
        for name, value in run.settings.items()
    }
    more = {"settings": settings, "curves": curves, "every": every, "record": entry.record}
    return brief(run) | more | {"classes": run.about.get("classes")}
