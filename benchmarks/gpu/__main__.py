"""`ci/gpu`: checks and measurements on a machine with a GPU, at most nine minutes; exit code 0 where all checks passed,
1 where one did not, 2 for wrong usage, 3 where there is no GPU, no CuPy or a package is missing.
"""

import argparse
import datetime
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu.needs import BETTER, NEEDS, WHEELS, how, install, missing, needed
from benchmarks.gpu.plan import BUDGET, END, STAGES, Stage
from benchmarks.gpu.runner import Report, passed, run_stages

ROOT = Path(__file__).parents[2]
QUIET = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # else JAX takes three quarters of the memory
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no processes that outlive a stage
    "PYTHONUNBUFFERED": "1",
}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Of a rehearsal: many processes share few cores there."""


def main(argv: list[str] | None = None) -> int:
    began, options = time.monotonic(), parser().parse_args(argv)
    if not options.rehearse and (trouble := without_gpu()):
        print(f"ci/gpu: {trouble}", file=sys.stderr)
        return 3
    os.chdir(ROOT)
    site = install(WHEELS)
    if lacking := missing(NEEDS):
        print(f"ci/gpu: {how(lacking)}", file=sys.stderr)
        return 3
    if lacking := missing(BETTER):
        print(f"ci/gpu: without {', '.join(lacking)}", file=sys.stderr)
    os.environ.update(
        QUIET, PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT), site, os.environ.get("PYTHONPATH")]))
    )
    if options.rehearse:
        os.environ.update(ONE_THREAD)
    options.out.mkdir(parents=True, exist_ok=True)
    stages = tuple(stage for stage in STAGES if stage.name in (options.only or [stage.name]))
    report: Report = {"date": datetime.date.today().isoformat(), "rehearsal": options.rehearse}
    run_stages(
        stages, command(options.rehearse), options.out, BUDGET - END - (time.monotonic() - began), report
    )
    tell(report, options)
    return 0 if passed(report) else 1


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        "ci/gpu",
        description=__doc__,
        epilog=needed(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [stage.name for stage in STAGES]
    made.add_argument("--only", nargs="+", choices=names, metavar="STAGE", help=", ".join(names))
    made.add_argument(
        "--out", type=Path, default=Path(os.environ.get("OUT", "runs/gpu")), help="report.json, log.txt"
    )
    made.add_argument(
        "--report", type=Path, help="also write the report as Markdown, for benchmarks/reports/"
    )
    made.add_argument("--rehearse", action="store_true", help="everything on the CPU, tiny: measures nothing")
    return made


def command(rehearse: bool):
    """The process of a stage."""

    def argv(stage: Stage, rows: Path, seconds: float) -> list[str]:
        flags = ["--rehearse"] if rehearse else []
        return [sys.executable, "-m", "benchmarks.gpu.child", stage.name, str(rows), f"{seconds:.1f}", *flags]

    return argv


def without_gpu() -> str:
    """Why no stage can run here, "" where they can."""
    asked = subprocess.run(
        [sys.executable, "-P", str(ROOT / "xpnn" / "backends" / "cuda" / "driver.py")],
        capture_output=True,
        text=True,
    )
    if not asked.stdout.strip():
        return "there is no NVIDIA driver here: nothing was run (--rehearse runs everything on the CPU, tiny)"
    if missing({"cupy": "cupy"}):
        return f"{sys.executable} has no CuPy: set PYTHON to one that has"
    return ""


def tell(report: Report, options: argparse.Namespace) -> None:
    """The Markdown in its file; the table on the screen, last."""
    from benchmarks.gpu.report import markdown, table

    if options.report:
        try:
            options.report.write_text(markdown(report))
        except ValueError as error:
            print(f"ci/gpu: no report was written: {error}", file=sys.stderr)
    print("\n".join(table(report)))


if __name__ == "__main__":
    sys.exit(main())
