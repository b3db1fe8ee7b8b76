"""Which lines and branches of xpnn the tests run, and why the others are not.

    python -m pytest -p branch_coverage ...     measures; in each process of pytest-xdist too
    python tests/branch_coverage.py [NOTE]     puts the figures into docs/coverage.md, under what NOTE says of the tests

Commands that the tests start as processes of their own are not counted.
"""

import json
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import coverage
import marked_sections

TOP = Path(__file__).parents[1]
DATA = TOP / ".coverage"
FEW = 80.0
"""Percent of its branches below which a file is listed."""
COMPILED = "compiled by numba, which coverage cannot look into; `tests/backends` compares what it computes"
RANKS = "what several processes do; `tests/distributed` starts them, and coverage sees this process alone"
SERVERS = "runs in the processes of servers, which `tests/web` and `tests/cli` start"
REASONS = {
    "xpnn/backends/cuda/": "needs an NVIDIA GPU; `tests/gpu` runs a part on stand-ins, `ci/gpu` all on a GPU",
    "xpnn/backends/cupy.py": "needs an NVIDIA GPU; `ci/gpu` runs it on one",
    "xpnn/backends/cpu/loops.py": COMPILED,
    "xpnn/backends/cpu/flat.py": COMPILED,
    "xpnn/backends/cpu/gate_loops.py": COMPILED,
    "xpnn/backends/cpu/depthwise_loops.py": COMPILED,
    "xpnn/backends/cpu/direct_loops.py": COMPILED,
    "xpnn/backends/cpu/one_sample.py": COMPILED,
    "xpnn/backends/cpu/blas.py": "what a NumPy with another BLAS than OpenBLAS has",
    "xpnn/distributed/": RANKS,
    "xpnn/training/shared_objective.py": RANKS,
    "xpnn/training/ranks.py": RANKS,
    "xpnn/cli/process_group.py": RANKS,
    "xpnn/cli/ranks.py": RANKS,
    "xpnn/cli/events.py": SERVERS,
    "xpnn/cli/serve.py": SERVERS,
    "xpnn/cli/watching.py": SERVERS,
    "xpnn/web/server.py": SERVERS,
    "xpnn/web/server_process.py": SERVERS,
    "xpnn/cli/program.py": "how a process was started; `tests/cli` starts some",
    "xpnn/__main__.py": "runs in processes of its own alone",
    "xpnn/training/notebook.py": "what a notebook shows, redrawn only so often; `tests/repository` runs notebooks",
    "xpnn/cli/completion.py": "runs inside the shell, in processes of its own",
    "xpnn/cli/trials.py": "runs in the processes that `tune --jobs` starts",
    "xpnn/system.py": "what other systems lack or have; `cli/test_on_windows.py` takes names away",
}
"""Why a file's lines may be left out."""


def measured():
    return coverage.Coverage(
        data_file=str(DATA), data_suffix=True, branch=True, source=[str(TOP / "xpnn")], config_file=False
    )


if __name__ != "__main__":
    MEASURED = measured()
    MEASURED.start()


def pytest_unconfigure(config):
    """Each process leaves a file of its own."""
    MEASURED.stop()
    MEASURED.save()


def percent(part, whole):
    return 100 * part / whole if whole else 100.0


def page(files):
    """Markdown: a row for every package, then the files that are left out in good part, with the reason."""
    packages = defaultdict(lambda: [0, 0, 0, 0])
    for name, found in files.items():
        numbers = [
            found["summary"][key]
            for key in ("num_statements", "covered_lines", "num_branches", "covered_branches")
        ]
        for one in (name.split("/")[1] if name.count("/") > 1 else "(top)", "all"):
            packages[one] = [a + b for a, b in zip(packages[one], numbers, strict=True)]
    text = ["| package | lines | run | branches | taken |", "|---|---|---|---|---|"]
    for one in [*sorted(packages.keys() - {"all"}), "all"]:
        lines, run, ways, taken = packages[one]
        text.append(
            f"| {one} | {lines:,} | {percent(run, lines):.1f} % | {ways:,} | {percent(taken, ways):.1f} % |"
        )
    text += ["", f"Files with less than {FEW:.0f} % of their branches taken:", ""]
    text += ["| file | branches | taken | lines not run | why |", "|---|---|---|---|---|"]
    for name, found in files.items():
        ways, taken = found["summary"]["num_branches"], found["summary"]["covered_branches"]
        if percent(taken, ways) < FEW:
            why = next((why for start, why in REASONS.items() if name.startswith(start)), "tests are missing")
            text.append(
                f"| {name} | {ways} | {percent(taken, ways):.0f} % | {spans(found['missing_lines'])} | {why} |"
            )
    return "\n".join(text)


def spans(lines):
    """3-5, 9"""
    found = []
    for line in lines:
        if found and found[-1][1] == line - 1:
            found[-1][1] = line
        else:
            found.append([line, line])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in found)


def main():
    os.chdir(TOP)
    whole = coverage.Coverage(data_file=str(DATA), branch=True, source=["xpnn"], config_file=False)
    whole.combine()
    with tempfile.TemporaryDirectory() as folder:
        whole.json_report(outfile=f"{folder}/report.json")
        files = json.loads(Path(folder, "report.json").read_text())["files"]
    text = "\n\n".join(["## Lines and branches", *sys.argv[1:], page(files)])
    marked_sections.put(TOP / "docs" / "coverage.md", "branches: ci/coverage", text)
    print(text)


if __name__ == "__main__":
    main()
