"""`python -m benchmarks.pictures`: a folder of small pictures, read by xpnn and by Pillow alone, in turns.

100,000 JPEG pictures of 64 x 64 pixels in ten classes. Pillow alone opens, decodes and converts each, in as many
threads of one process, and its arrays are stacked: what any reader that uses it does. Each is a process of its own.
"""

import argparse
import io
import pathlib
import statistics
import tempfile

from benchmarks.tables import measured

THREADS = 4
BARE = """
import pathlib, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from PIL import Image

def read(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))

files = sorted(pathlib.Path(sys.argv[1]).rglob("*.jpg"))
with ThreadPoolExecutor({threads}) as pool:
    x = np.stack(list(pool.map(read, files)))
assert len(x) == {count}, len(x)
"""
OURS = """
import sys, xpnn
x, y, classes, files = xpnn.data.read_images(sys.argv[1])
assert len(x) == {count} and len(classes) == 10, (len(x), classes)
"""


def pictures(folder: pathlib.Path, count: int) -> None:
    """So many pictures in ten classes; a thousand different ones, each written often."""
    import numpy as np
    from PIL import Image

    rng, made = np.random.default_rng(0), []
    for _ in range(1000):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        file = io.BytesIO()
        small.resize((64, 64), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        made.append(file.getvalue())
    for k in range(10):
        (folder / f"class{k}").mkdir()
    for i in range(count):
        (folder / f"class{i % 10}" / f"{i}.jpg").write_bytes(made[i % 1000])


def main() -> None:
    """Print a line for each, and how many times as long xpnn takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="of pictures")
    parser.add_argument("--rounds", type=int, default=3, help="of each reader")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        pictures(pathlib.Path(name), options.count)
        wall: dict[str, list[float]] = {"Pillow": [], "xpnn": []}
        spent: dict[str, list[float]] = {"Pillow": [], "xpnn": []}
        for i in range(options.rounds):
            for who, code in (("Pillow", BARE), ("xpnn", OURS)):
                found = measured(["-c", code.format(threads=THREADS, count=options.count), name])
                print(f"{options.count:,} pictures, {who}, round {i + 1}: {found}", flush=True)
                wall[who].append(found.seconds)
                spent[who].append(found.processor)
        for what, times in (("time", wall), ("time of the processor", spent)):
            ratios = [a / b for a, b in zip(times["xpnn"], times["Pillow"], strict=True)]
            print(f"{what}: {statistics.median(ratios):.2f} times that of Pillow alone")


if __name__ == "__main__":
    main()
