"""Inputs other than model files, grown by a grammar: tables, settings, runs, studies, archives. See hostile_models.py.

    python tests/hostile_inputs.py --files 300 --seed 1     drawn at random; --docs puts figures into docs/security.md

Each is read as the command line reads it, by the function that the command calls. What DuckDB and SQLite take in memory
is not in the figures: DuckDB is held to 500 MB.
"""

import argparse
import contextlib
import gzip
import io
import json
import sqlite3
import struct
import tempfile
import time
import tracemalloc
import zipfile
from importlib.util import find_spec
from pathlib import Path

from hostile_models import Account, Random, pick, write_down

from xpnn.cli.config import read_toml
from xpnn.cli.log import read_history
from xpnn.cli.schema import read_about
from xpnn.cli.trials import STUDY, Task
from xpnn.data import prepare_table
from xpnn.data.arrays import read_npz
from xpnn.data.idx import read_idx
from xpnn.errors import XpnnError

COUNTS = (0, 1, 2, 3, 20, 300, 3000)
WORDS = (
    "", "a", "label", "1", "-1.5e300", "1e999", "nan", "inf", "NULL", "2020-01-01", '"', '"x', "a\x00b", "\ufeff", "é",
    "x" * 3000, "9" * 400, "0x10", "[", "{", "\x1b[31m", "a,b", "\r", "=1+1",
)  # fmt: skip
NUMBERS = (
    "0",
    "-1",
    "1e999",
    "9" * 5000,
    "0x" + "F" * 6000,
    "nan",
    "true",
    "null",
    "[]",
    "{}",
    '""',
    "1.5",
    "2",
)


def csv(source):
    """Rows and columns of any number, with quotes, marks and breaks where they may be wrong; packed now and then."""
    comma, end = pick(source, ",;\t|"), pick(source, ("\n", "\r\n", "\r", "\n\n"))
    wide, plain = pick(source, COUNTS), source.index(3) > 0
    rows = []
    for _ in range(pick(source, COUNTS) if wide < 300 else source.index(8)):
        odd = not plain and source.index(4) == 0
        word = pick(source, WORDS) if odd else str(source.index(100))
        rows.append(comma.join([word] * (wide if source.index(20) else pick(source, COUNTS))))
    if plain and rows:
        rows[0] = comma.join(f"c{i}" for i in range(wide))
    data = end.join(rows).encode("utf-8", "surrogatepass")
    if source.index(6) == 0:
        return "t.csv.gz", gzip.compress(data * pick(source, (1, 1, 50)))
    return "t.csv", data


def lines(source):
    """JSON lines."""
    one = "{" + ",".join(f'"{pick(source, "abcl")}":{value(source, 3)}' for _ in range(source.index(6))) + "}"
    return "t.jsonl", "\n".join([one] * (1 + source.index(60))).encode()


def value(source, depth):
    """Of JSON: plain, or with others inside."""
    kind = source.index(6)
    if kind == 0 and depth:
        return "[" + ",".join(value(source, depth - 1) for _ in range(source.index(4))) + "]"
    if kind == 1 and depth:
        return '{"a":' + value(source, depth - 1) + "}"
    if kind == 2 and source.index(4) == 0:
        n = pick(source, COUNTS) * 10
        return "[" * n + "]" * n
    return pick(source, NUMBERS) if kind < 5 else json.dumps(pick(source, WORDS))


KEYS = ("dataset", "epochs", "hidden", "lr", "seed", "model", "a.b", '"\\u001b"', "data", "label")


def settings(source):
    """TOML, with keys in keys and lists in lists."""
    text = []
    for _ in range(1 + source.index(8)):
        n = pick(source, COUNTS)
        key = pick(source, (pick(source, KEYS), pick(source, KEYS), "a." * n + "b", f"[{'a.' * n}b]"))
        text.append(
            f"{key} = {pick(source, (*NUMBERS, '[' * n + ']' * n, '[' + '1,' * n + ']', '1979-05-27'))}"
        )
    return "s.toml", "\n".join(text).encode()


ABOUT = (
    "dataset",
    "data",
    "model",
    "seed",
    "hidden",
    "classes",
    "files",
    "settings",
    "endings",
    "freeze",
    "epochs",
)


def about(source):
    """A file run.json."""
    entries = [f'"{pick(source, ABOUT)}": {value(source, 4)}' for _ in range(source.index(10))]
    return "run.json", ("{" + ", ".join(['"dataset": "spiral"', *entries]) + "}").encode()


def history(source):
    """A file metrics.jsonl."""
    keys = ("epoch", "train_loss", "valid_loss", "valid_accuracy", "lr", "seconds", "best", "x")
    rows = ["{" + ", ".join(f'"{key}": {value(source, 2)}' for key in keys[: 1 + source.index(8)]) + "}"
            for _ in range(1 + source.index(30))]  # fmt: skip
    return "metrics.jsonl", "\n".join(rows).encode()


def npz(source):
    """Archives whose headers promise anything."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", pick(source, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for _ in range(1 + source.index(5)):
            n = pick(source, (*COUNTS, 2**31, 2**62))
            shape = pick(
                source, (f"({n},)", f"({n}, {n})", "()", "(-1,)", "(" * 60 + ")" * 60, "(0, 5)", "(True,)")
            )
            kind = pick(source, ("<f4", "|u1", "|O", "<f16", "<M8[s]", "<U5", "<i8"))
            text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
            head = b"\x93NUMPY" + pick(source, (b"\1\0", b"\2\0", b"\3\0"))
            head += struct.pack("<H", len(text)) + text.encode()
            with contextlib.suppress(UserWarning):
                archive.writestr(
                    f"{pick(source, ('x', 'y', 'x_test'))}.npy", head + bytes(pick(source, COUNTS) * 100)
                )
    return "t.npz", memory.getvalue()


def idx(source):
    """Dimensions of any size over few bytes, packed or not."""
    sizes = [pick(source, (*COUNTS, 2**16, 2**31, 2**32 - 1)) for _ in range(source.index(6))]
    data = bytes([0, 0, pick(source, (8, 9, 11, 13, 14, 99)), len(sizes)]) + struct.pack(
        f">{len(sizes)}I", *sizes
    )
    data += bytes(pick(source, COUNTS) * 1000)
    return "t.idx", gzip.compress(data) if source.index(2) else data


def study(source):
    """Databases: tables, views and triggers of any name, and bytes changed in them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / STUDY
        with contextlib.closing(sqlite3.connect(path)) as db:
            for i in range(source.index(5)):
                table = pick(source, ("studies", "trials", "version_info", f"t{i}"))
                what = pick(
                    source, ("TABLE {} (a, b)", "VIEW {} AS SELECT 1", "TABLE {} (study_id, study_name)")
                )
                with contextlib.suppress(sqlite3.Error):
                    db.execute(f"CREATE {what.format(table)}")
                    db.execute(f"INSERT INTO {table} VALUES (1, zeroblob({pick(source, COUNTS)}))")
            db.commit()
        data = bytearray(path.read_bytes() or b"garbage")
    for _ in range(source.index(6)):
        data[source.index(len(data))] = source.index(256)
    return STUDY, bytes(data)


def open_study(path):
    from xpnn.cli.study import open_study

    open_study(Task("spiral", "mlp", 1, 1, None, None, "numpy", "cpu", str(path.parent)))


READERS = {
    "CSV": (csv, prepare_table),
    "JSON lines": (lines, prepare_table),
    "settings": (settings, read_toml),
    "run.json": (about, lambda path: read_about(path.parent)),
    "metrics.jsonl": (history, lambda path: read_history(path.parent)),
    "npz": (npz, read_npz),
    "IDX": (idx, read_idx),
}
if find_spec("optuna"):  # the extra that opens studies
    READERS["studies"] = study, open_study


class Inputs(Account):
    """What reading cost, of files of one kind."""

    def read(self, name, data, read):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(data)
            tracemalloc.start()
            began = time.process_time()
            try:
                read(path)
                self.opened += 1
            except XpnnError:
                self.refused += 1
            except (Exception, RecursionError, MemoryError) as error:
                self.faults.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
            self.note(time.process_time() - began, tracemalloc.get_traced_memory()[1], len(data))
            tracemalloc.stop()


def grown(kind, files, seed):
    """The account of files of one kind, drawn at random."""
    grow, read = READERS[kind]
    account = Inputs()
    for i in range(files):
        account.read(*grow(Random(f"{seed} {kind} {i}")), read)
    return account


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=300, help="of each kind; a tenth of that of studies")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    found = {}
    for kind in READERS:
        files = options.files // 10 if kind == "studies" else options.files
        found[kind] = grown(kind, files, options.seed).summary()
        print(json.dumps({kind: found[kind]}), flush=True)
    if options.docs:
        write_down(found, "figures: tests/hostile_inputs.py --docs")
    if any(summary["faults"] for summary in found.values()):
        raise SystemExit("a file brought about something else than an error of xpnn")


if __name__ == "__main__":
    main()
