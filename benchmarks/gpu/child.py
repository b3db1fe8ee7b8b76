"""`python -m benchmarks.gpu.child STAGE ROWS SECONDS [--rehearse]`: the process of one stage."""

import importlib
import sys
import time
import traceback
from pathlib import Path

from benchmarks.gpu.runner import REFUSED
from benchmarks.gpu.site import Notes, Refused, Site, first_line


def main(name: str, rows: str, seconds: str, *flags: str) -> int:
    note = Notes(Path(rows))
    place = Site("--rehearse" in flags, time.monotonic() + float(seconds))
    try:
        importlib.import_module(f"benchmarks.gpu.stages.{name}").run(place, note)
    except Refused as error:
        note(refused=str(error))
        return REFUSED
    except Exception as error:
        traceback.print_exc()
        note(crashed=first_line(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
