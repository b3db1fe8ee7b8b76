"""`python -m benchmarks.reading`: an epoch from the disk beside one from memory, for docs/guide.md.

30,000 samples of 784 bytes train a 784-512-256-10 network in batches of 256: from a .npy file, from HDF5, plain and
packed, from Zarr, and from Parquet as `xpnn train table` reads a table that is too large for memory. Each is compared
with the same samples in memory, in turns, in one process; the least of each is kept, for other work only adds.
"""

import argparse
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import xpnn
from xpnn.cli.fitting import Release
from xpnn.data.tables import duckdb_files, samples
from xpnn.training import minibatch

N, WIDTH, BATCH, CHUNK = 30_000, 784, 256, 256


def arrays(folder: pathlib.Path, x: Any) -> Iterator[tuple[str, Any]]:
    """The samples in files of each kind, with its name."""
    import h5py
    import zarr

    np.save(folder / "x.npy", x)
    yield ".npy", xpnn.data.read_npy(folder / "x.npy")
    file = h5py.File(folder / "x.h5", "w")
    for name, packed in (("HDF5", None), ("HDF5, gzip", "gzip")):
        yield name, file.create_dataset(name, data=x, chunks=(CHUNK, WIDTH), compression=packed)
    made = zarr.create_array(str(folder / "x.zarr"), shape=x.shape, chunks=(CHUNK, WIDTH), dtype=x.dtype)
    made[:] = x
    yield "Zarr", made


def parquet(folder: pathlib.Path, x: Any, y: Any) -> tuple[Any, Any]:
    """x and y of a table in Parquet, on the disk."""
    import duckdb
    import pyarrow

    columns = {f"c{i}": x[:, i] for i in range(WIDTH)} | {"label": y}
    duckdb.from_arrow(pyarrow.table(columns)).write_parquet(str(folder / "x.parquet"))
    duckdb_files.LARGE = samples.KEPT = 0  # as if it did not fit into memory
    found = xpnn.data.load("table", folder / "x.parquet", label="label", verbose=0)
    return found.x, found.y


def epoch(x: Any, y: Any, *callbacks: Any) -> tuple[float, float]:
    """Seconds of one epoch, and those of the processor."""
    hidden = [xpnn.Flatten(), *([xpnn.Rescale(1 / 255)] if x.dtype == np.uint8 else [])]
    layers = [*hidden, xpnn.Dense(512), xpnn.ReLU(), xpnn.Dense(256), xpnn.ReLU(), xpnn.Dense(10)]
    model = xpnn.Model(layers, (WIDTH,), seed=0)
    began, used = time.perf_counter(), time.process_time()
    model.fit(x, y, epochs=1, batch_size=BATCH, callbacks=callbacks, verbose=0)
    return time.perf_counter() - began, time.process_time() - used


def least(rounds: int, *runs: Callable[[], tuple[float, float]]) -> list[list[float]]:
    """The least of both times of each, in turns."""
    found = [[run() for run in runs] for _ in range(rounds)]
    return [[min(times) for times in zip(*of_one, strict=True)] for of_one in zip(*found, strict=True)]


def main() -> None:
    """Print a line for each kind of file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one of the kinds: Parquet, .npy, ...")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rounds = options.rounds
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (N, WIDTH), np.uint8), rng.integers(0, 10, N)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        kinds = [(kind, a, x, y) for kind, a in arrays(folder, x)]
        there, labels = parquet(folder, x, y)
        kinds.append(("Parquet", there, np.array(there), labels))
        print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
        for kind, stored, memory, labels in kinds:
            if options.only not in (None, kind):
                continue
            steps = -(-len(labels) // BATCH)
            watchers = []
            if kind == "Parquet":  # as `xpnn train` reads samples that the system does not keep in memory
                watchers, minibatch.LARGE = [Release()], 0
            (wall, cpu), (disk_wall, disk_cpu) = least(
                rounds,
                lambda m=memory, t=labels: epoch(m, t),
                lambda s=stored, t=labels, w=watchers: epoch(s, t, *w),
            )
            print(
                f"{kind}: a step of {1e3 * wall / steps:.1f} ms takes {disk_wall / wall:.2f} times as long, "
                f"{1e3 * (disk_cpu - cpu) / steps:.1f} ms more of the processor ({1e3 * cpu / steps:.1f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
