"""Print how long the files are, and fail when the house outgrows its budget: short files are the design."""

import pathlib
import statistics
import sys

MEDIAN, LONGEST = 100, 320

sizes = {path: len(path.read_text().splitlines()) for path in pathlib.Path("xpnn").rglob("*.py")}
median, longest = statistics.median(sizes.values()), max(sizes, key=lambda path: sizes[path])
print(
    f"{len(sizes)} files, {sum(sizes.values()):,} lines, median {median:.0f}, longest {longest} ({sizes[longest]})"
)
if median > MEDIAN or sizes[longest] > LONGEST:
    sys.exit(f"budget: median {MEDIAN}, longest {LONGEST}")
