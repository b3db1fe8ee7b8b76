"""compute-sanitizer, where there is one, over every kernel's rows and a few steps: out of bounds, and races."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable

from benchmarks.gpu.site import Refused, Site

TOOLS = ("memcheck", "racecheck")
SHARE = 0.55
"""Of the time that is left, for each tool."""


def run(place: Site, note: Callable[..., None]) -> None:
    program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not place.rehearsal and not os.path.exists(program):
        raise Refused("there is no compute-sanitizer here")
    for tool in TOOLS:
        tiny = [sys.executable, "-m", "benchmarks.gpu.tiny", *place.pick([], ["--rehearse"])]
        guard = place.pick([program, "--tool", tool, "--error-exitcode", "9"], [])
        try:
            done = subprocess.run(
                [*guard, *tiny], capture_output=True, text=True, timeout=max(SHARE * place.left(), 1.0)
            )
        except subprocess.TimeoutExpired:
            note(name=tool, refused="no time left")
            continue
        note(**verdict(tool, done.returncode, done.stdout + done.stderr))


def verdict(tool: str, code: int, said: str) -> dict[str, object]:
    """A row: how many errors it counted; what it said where it does not work on this machine."""
    print(said)
    counted = re.search(r"(?:ERROR SUMMARY|RACECHECK SUMMARY): (\d+)", said)
    if "Device not supported" in said or (counted is None and code):
        return {"name": tool, "refused": (said.strip().splitlines() or [f"exit code {code}"])[-1][:200]}
    errors = int(counted[1]) if counted else 0
    return {"name": tool, "ok": errors == 0 and code == 0, "errors": errors}
