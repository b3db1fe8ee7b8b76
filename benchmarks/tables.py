"""`python -m benchmarks.tables`: how long tables take, and how much memory, each in a process of its own.

A table of 42,000 rows of 785 small numbers is written and read; a Parquet of random numbers, so many gigabytes large,
is written and trained on for an epoch. Both files are made anew, in a folder that is gone afterwards.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

GOALS = "goals: 10 s and 600 MB for 42,000 x 785; 2 GB for 10 GB of Parquet"
READ = "import sys, xpnn; x, y, classes = xpnn.data.read_csv(sys.argv[1]); assert x.shape == (42_000, 784), x.shape"


def small_numbers(path: pathlib.Path) -> None:
    """42,000 rows of a label and 784 bytes, most of them 0, as digits have them."""
    import numpy as np

    rng = np.random.default_rng(0)
    with path.open("w") as file:
        file.write("label," + ",".join(f"pixel{i}" for i in range(784)) + "\n")
        for _ in range(42):
            rows = rng.integers(0, 256, (1000, 785)) * (rng.random((1000, 785)) < 0.2)
            rows[:, 0] = rng.integers(0, 10, 1000)
            file.writelines(",".join(map(str, row)) + "\n" for row in rows.tolist())


def parquet(path: pathlib.Path, gigabytes: float, columns: int = 50) -> None:
    """So many gigabytes of random numbers, which do not get smaller, and a label that depends on the first."""
    import duckdb

    rows = int(gigabytes * 1e9 / 4 / columns)
    numbers = ", ".join(f"random()::FLOAT AS c{i}" for i in range(columns))
    db = duckdb.connect(config={"memory_limit": "1GB", "threads": 2})
    label = "CASE WHEN c0 + random() > 1 THEN 'high' ELSE 'low' END AS label"
    source = f"SELECT *, {label} FROM (SELECT {numbers} FROM range({rows}))"
    db.execute(f"COPY ({source}) TO '{path}' (FORMAT parquet)")
    db.close()


class Measured(NamedTuple):
    """Seconds, those of the processor, and megabytes of memory at most."""

    seconds: float
    processor: float
    peak: float

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s ({self.processor:.1f} s of processor), {self.peak:.0f} MB"


def measured(command: list[str]) -> Measured:
    """What a process takes, which has to succeed. Mapped files that it has read count as its memory."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    return Measured(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3)


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=GOALS)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="of Parquet to train on; 0: none")
    parser.add_argument("--folder", help="where the files are made, with room for four times as much")
    options = parser.parse_args()
    if options.folder:
        os.environ["TMPDIR"] = tempfile.tempdir = options.folder
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        small_numbers(folder / "digits.csv")
        print(f"42,000 x 785 small numbers: {measured(['-c', READ, str(folder / 'digits.csv')])}", flush=True)
        if options.gigabytes:
            parquet(folder / "large.parquet", options.gigabytes)
            size = (folder / "large.parquet").stat().st_size / 1e9
            flags = [
                "--epochs",
                "1",
                "--batch-size",
                "4096",
                "--hidden",
                "32",
                "--out",
                str(folder / "run"),
                "--backend",
                "numpy",
            ]
            found = measured(["-m", "xpnn", "train", "table", str(folder / "large.parquet"), *flags])
            print(f"{size:.2f} GB of Parquet, an epoch: {found}")


if __name__ == "__main__":
    main()
