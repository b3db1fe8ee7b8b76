"""Runs stages one after another, each in a process group of its own with a time limit; a report after each."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.plan import Stage, limit

REFUSED = 4
"""Exit code of a stage that cannot run here; its last row says why."""
STATUS = {0: "ok", REFUSED: "refused"}

Report = dict[str, Any]
Command = Callable[[Stage, Path, float], list[str]]
"""The program of a stage: (stage, file for its rows, seconds it may take)."""


def run_stages(
    stages: Sequence[Stage], command: Command, folder: Path, seconds: float, report: Report
) -> Report:
    """The report with an entry for each stage. Whatever a stage does, the next one runs."""
    stages, began = tuple(stages), time.monotonic()
    (folder / "log.txt").unlink(missing_ok=True)
    report["stages"] = []
    for number, stage in enumerate(stages):
        bound = limit(stages, number, began + seconds - time.monotonic())
        report["stages"].append(run_stage(stage, command, folder, bound))
        report["seconds"] = round(time.monotonic() - began, 1)
        write(folder / "report.json", report)
    return report


def run_stage(stage: Stage, command: Command, folder: Path, bound: float) -> Report:
    """The entry of one stage."""
    rows, began = folder / "rows.jsonl", time.monotonic()
    rows.unlink(missing_ok=True)
    with open(folder / "log.txt", "ab") as log:
        log.write(f"\n== {stage.name}\n".encode())
        log.flush()
        start = log.tell()
        code = run_group(command(stage, rows, bound), log, bound)
    entries = read_rows(rows)
    rows.unlink(missing_ok=True)
    entry: Report = {"name": stage.name, "kind": stage.kind, "limit": round(bound, 1)}
    entry |= {
        "seconds": round(time.monotonic() - began, 1),
        "rows": [row for row in entries if not is_end(row)],
    }
    return entry | verdict(code, entries, last_line(folder / "log.txt", start))


def run_group(argv: list[str], log: Any, bound: float) -> int | None:
    """The exit code of a program, None where its time ran out. Nothing that it started outlives it."""
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        return process.wait(max(bound, 0.1))
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def verdict(code: int | None, rows: list[Report], line: str) -> Report:
    """{"status": ok, failed, refused, crashed or timed out, "why": ...}."""
    failed = [row for row in rows if row.get("ok") is False]
    if code is None:
        return {"status": "timed out", "why": f"{len(failed)} failures until then" if failed else ""}
    if code not in STATUS:
        return {"status": "crashed", "why": said(rows, "crashed") or line or f"exit code {code}"}
    if code == REFUSED:
        return {"status": "refused", "why": said(rows, "refused")}
    if failed:
        return {"status": "failed", "why": f"{len(failed)} failed, first: {failed[0].get('name', '')}"}
    return {"status": "ok", "why": ""}


def is_end(row: Report) -> bool:
    """Whether a row only says why the stage ended."""
    return set(row) in ({"crashed"}, {"refused"})


def said(rows: list[Report], word: str) -> str:
    """The last row's reason for how it ended."""
    return str(rows[-1].get(word, "")) if rows else ""


def passed(report: Report) -> bool:
    """Did every check of the report pass? A check that was refused or cut short did not."""
    fine = {"check": ("ok",), "extra": ("ok", "refused")}
    return all(entry["status"] in fine.get(entry["kind"], (entry["status"],)) for entry in report["stages"])


def read_rows(path: Path) -> list[Report]:
    """The rows that were written whole; of rows with the same key the last."""
    rows: dict[Any, Report] = {}
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else []):
        with contextlib.suppress(json.JSONDecodeError):
            row = json.loads(line)
            rows[row.pop("key", number)] = row
    return list(rows.values())


def last_line(log: Path, start: int) -> str:
    """What a program said last."""
    with open(log, "rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip()[:200] if lines else ""


def write(path: Path, report: Report) -> None:
    """Replace the file whole."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(report, indent=1) + "\n")
    part.replace(path)
