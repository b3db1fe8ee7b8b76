"""Crashes on purpose: writers killed, power cut, files mutated, disks that fail; and what is left afterwards.

`ci/crash` runs everything, tests/files/test_crash.py a part. Every figure is printed beside that of a writer that does
not take the trouble, the control: it must lose, or the crashes were none.
"""

import argparse
import contextlib
import errno
import importlib.util
import io
import itertools
import json
import os
import random
import resource
import signal
import tempfile
import time
from pathlib import Path

import hostile_inputs
import hostile_models
import numpy as np
from crafted_files import NASTY, changed, forge, model, mutated, paths, read
from recording_disk import Disk

import xpnn
import xpnn.cli
import xpnn.cli.train
from xpnn.cli.lock import LOCK
from xpnn.cli.log import read_history
from xpnn.cli.runs import WEIGHTS, claim
from xpnn.cli.schema import read_about
from xpnn.durable import previous, sweep, write_durably
from xpnn.errors import CheckpointError, XpnnError
from xpnn.training.checkpoint import pack
from xpnn.training.film import load_film

QUICK = ["train", "spiral", "--backend", "numpy", "--hidden", "8"]


# Writers: (path, data)


def durable(path, data):
    """The package's own, as the best epochs are saved."""
    write_durably(path, data, keep=True)


def naive(path, data):
    """Opens the file itself, and writes."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(handle, data)
    os.close(handle)


def unflushed(path, data):
    """A temporary and a rename, which survive a kill; but nothing is flushed, so a power cut is another matter."""
    naive(path.parent / "temporary", data)
    os.replace(path.parent / "temporary", path)


def versions(count, units):
    """Model files, each unlike the others."""
    return [pack(xpnn.Model([xpnn.Dense(units)], (units,), seed=seed)) for seed in range(count)]


def whole(path, allowed):
    """Whether `path` holds one of `allowed` (None among them: it may be missing), and opens."""
    data = path.read_bytes() if path.exists() else None
    if data not in allowed:
        return False
    return data is None or xpnn.load(path).layout.size["theta"] > 0


# kill -9


def kill(act, after):
    """Run act(say) in a child, kill it `after` seconds from its first word: its number, and how often it spoke."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            act(lambda: os.write(theirs, b"."))
        finally:
            os._exit(1)
    os.close(theirs)
    spoken = len(os.read(ours, 1))
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while piece := os.read(ours, 65536):
        spoken += len(piece)
    os.close(ours)
    return child, spoken


def kill_writers(writer, kills, seed=0):
    """A child saves one version after the other into one file. What it finished must be there, or the next one."""
    rng, files, lost, orphans, saves = random.Random(seed), versions(16, 180), 0, 0, 0
    n = len(files)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"

        def save(say):
            for i in itertools.count():
                writer(path, files[i % n])
                say()

        for _ in range(kills):
            _, finished = kill(save, rng.uniform(0, 0.02))
            last, next_ = files[(finished - 1) % n], files[finished % n]
            good = whole(path, [last, next_])
            if good and writer is durable:
                good = whole(
                    previous(path), [files[(finished - 2) % n], last] if finished > 1 else [None, *files]
                )
            lost, saves = lost + (not good), saves + finished
            orphans += sweep(Path(folder))
            if list(Path(folder).glob(".xpnn-*")):
                lost += 1
    return {"kills": kills, "saves": saves, "lost": lost, "temporaries swept": orphans}


def kill_trainings(kills, seed=0):
    """`xpnn train` itself, from its start or from its first epoch; then the folder is claimed for a new run."""
    rng, lost, stale, orphans, epochs = random.Random(seed), 0, 0, 0, 0
    for i in range(kills):
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "run"

            def train(say, folder=folder, at_once=i % 2 == 0):
                for stream in (1, 2):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
                if at_once:
                    say()
                xpnn.cli.train.Events.epoch = lambda *args: say()
                xpnn.cli.run([*QUICK, "--epochs", "10000", "--out", str(folder), "--json"])

            child, _ = kill(train, rng.uniform(0, 0.2))
            try:
                rows = read_run(folder)
            except (XpnnError, AssertionError):
                lost += 1
                continue
            epochs += rows
            if folder.exists():
                for path in (folder / WEIGHTS, previous(folder / WEIGHTS)):
                    path.unlink(missing_ok=True)
                orphans += len([*folder.rglob(".xpnn-*")])
                with contextlib.redirect_stderr(io.StringIO()) as report:
                    run = claim(folder)
                stale += f"process {child} " in report.getvalue()
                run.close()
                lost += bool([*folder.rglob(".xpnn-*")])
    return {
        "kills": kills,
        "epochs": epochs,
        "lost": lost,
        "stale locks": stale,
        "temporaries swept": orphans,
    }


def read_run(folder):
    """Open every file of a run, whatever there is: how many epochs it has."""
    about, rows = read_about(folder), read_history(folder)
    if (folder / WEIGHTS).exists():
        assert about["dataset"] == "spiral"
        xpnn.load(folder / WEIGHTS)
    else:
        assert not len(rows)  # the first epoch is the best so far, and is saved before it is reported
    if previous(folder / WEIGHTS).exists():
        xpnn.load(previous(folder / WEIGHTS))
    load_film(folder / "film")
    return len(rows)


# Power


def record(writer, saves, units=6):
    """The operations of several saves into a folder that is not there yet, and the files: ("returned",) after each."""
    files = versions(saves, units)
    with tempfile.TemporaryDirectory() as parent, Disk() as disk:
        folder = Path(parent) / "a" / "b"
        if writer is not durable:
            folder.mkdir(parents=True)
            disk.ops.clear()
        path = folder / "m.safetensors"
        for data in files:
            writer(path, data)
            disk.ops.append(("returned",))
    return disk.ops, files, path


NAMES = {"open file", "replace", "link", "unlink", "mkdir"}
CONTENTS = {"flush", "close"}
CUT = ("nothing", "half", "all", "zeroes")


def states(ops):
    """Every disk that a power cut may leave: (operations finished, {path: contents}, folders that are there).

    An operation on names is safe once its folder was flushed, contents once their file was; of the others any subset
    may have reached the disk, in any order, contents in part or as zeroes.
    """
    for stop in range(len(ops) + 1):
        done = ops[:stop]
        loose = [
            i for i, op in enumerate(done) if op[0] in NAMES | CONTENTS | {"truncate"} and not safe(done, i)
        ]
        choices = [CUT if done[i][0] in CONTENTS else (False, True) for i in loose]
        for choice in itertools.product(*choices):
            yield done, *disk_of(done, dict(zip(loose, choice, strict=True)))


def safe(done, i):
    op = done[i]
    if op[0] in NAMES:
        return ("fsync folder", op[1].parent) in done[i:]
    return ("fsync file", op[1]) in done[i:]


def disk_of(done, chosen):
    names, contents, folders = {}, {}, set()
    for i, op in enumerate(done):
        match op[0], chosen.get(i, True):
            case _, False:
                pass
            case "open file" | "link", True:
                names[op[1]] = op[2]
            case "replace", True:
                names.pop(op[1], None)
                names[op[2]] = op[3]
            case "unlink", True:
                names.pop(op[1], None)
            case "mkdir", True:
                folders.add(op[1])
            case "truncate", True:
                contents[op[1]] = b""
            case "flush" | "close", how:
                contents[op[1]] = {
                    "nothing": contents.get(op[1], b""),
                    "half": op[2][: len(op[2]) // 2],
                    "zeroes": bytes(len(op[2])),
                }.get(how, op[2])
    return {path: contents.get(inode, b"") for path, inode in names.items()}, folders


def cut_power(writer, saves=6):
    """Every state of the recorded saves, put on a disk and opened."""
    ops, files, path = record(writer, saves)
    made = {op[1] for op in ops if op[0] == "mkdir"}
    count = lost = 0
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "m.safetensors"
        for done, disk, folders in states(ops):
            there = all(above in folders for above in path.parents if above in made)
            for name, into in ((path, found), (previous(path), previous(found))):
                into.unlink(missing_ok=True)
                if there and name in disk:
                    into.write_bytes(disk[name])
            finished = sum(op == ("returned",) for op in done)
            old = files[finished - 1] if finished else None
            good = whole(found, [old, *files[finished : finished + 1]])
            if good and writer is durable:
                olds = {0: [None], 1: [None, files[0]]}.get(finished, files[max(finished - 2, 0) : finished])
                good = whole(previous(found), olds)
            count, lost = count + 1, lost + (not good)
    return {"operations": len(ops) - saves, "states": count, "lost": lost}


def cut_power_of_training(every=1):
    """The same for all that a training of two epochs writes: every file of the run is opened."""
    count = lost = 0
    with tempfile.TemporaryDirectory() as parent, Disk() as disk:
        assert quiet([*QUICK, "--epochs", "2", "--out", f"{parent}/run"])[0] == 0
    ops = [op for op in disk.ops if None not in op]  # without the lock, which is nobody's loss
    for _, files, folders in itertools.islice(states(ops), 0, None, every):
        with tempfile.TemporaryDirectory() as copy:
            for path, data in files.items():
                if path.parent in folders and (path.parents[1] in folders or path.parent.name == "run"):
                    into = Path(copy) / path.relative_to(parent)
                    into.parent.mkdir(parents=True, exist_ok=True)
                    into.write_bytes(data)
            try:
                read_run(Path(copy) / "run")
            except (XpnnError, AssertionError):
                lost += 1
        count += 1
    return {"operations": len(disk.ops), "states": count, "lost": lost}


# Hostile files


def mutate(count, seed=0):
    """Half with bytes changed, half with descriptions changed under a right checksum. Anything but a refusal or a
    model that works, and (of the first kind) is the very same, is a fault."""
    rng, same, report = (
        random.Random(seed),
        model(),
        {"mutations": count, "refused": 0, "opened": 0, "faults": 0},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        same.save(path)
        good, (about, tensors) = path.read_bytes(), read(path)
        places, slowest = list(paths(about)), 0.0
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i in range(count):
            data = mutated(rng, good)
            if i % 2:
                data = forge(changed(about, rng.choice(places), rng.choice(NASTY)), tensors)
            path.write_bytes(data)
            began = time.process_time()
            try:
                found = xpnn.load(path)
                report["opened"] += 1
                if i % 2:
                    found.predict(np.zeros((1, *found.input_shape)))
                if not i % 2 and (found.net != same.net or found.theta.tobytes() != same.theta.tobytes()):
                    report["faults"] += 1
            except CheckpointError:
                report["refused"] += 1
            except Exception:
                report["faults"] += 1
            slowest = max(slowest, time.process_time() - began)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return report | {"slowest (s)": round(slowest, 3), "memory grown (MiB)": round(grown)}


# Disks that fail under a training


def fail_trainings(every=1):
    """Two epochs, once for each call of the system and each error: exit 7 in one message, whole files, no temporary."""
    report = {"calls": 0, "trainings": 0, "exit 7": 0, "ended well": 0, "faults": 0}
    with tempfile.TemporaryDirectory() as parent, Disk() as disk:
        assert quiet([*QUICK, "--epochs", "2", "--out", f"{parent}/run"])[0] == 0
        report["calls"] = disk.count
    for k in range(1, report["calls"] + 1, every):
        for error in (errno.ENOSPC, errno.EIO):
            with tempfile.TemporaryDirectory() as parent:
                folder = Path(parent) / "run"
                with Disk(k, error):
                    code, said = quiet([*QUICK, "--epochs", "2", "--out", str(folder)])
                report["trainings"] += 1
                report["exit 7"] += code == 7
                report["ended well"] += code == 0  # a second name that is refused: the file is copied instead
                good = (
                    code in (0, 7) and said.count("xpnn: error:") == (code == 7) and "Traceback" not in said
                )
                good = good and (code == 0 or "injected" in said)
                try:
                    read_run(folder)
                except (XpnnError, AssertionError):
                    good = False
                left = [*Path(parent).rglob(".xpnn-*"), *Path(parent).rglob(LOCK)]
                nothing = folder.exists() and not (folder / WEIGHTS).exists()  # a folder for nothing
                report["faults"] += bool(left) or nothing or not good
    return report


def quiet(args):
    """Exit code, and what was said to stderr."""
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        return xpnn.cli.run(args), said.getvalue()


def main():
    parser = argparse.ArgumentParser(prog="ci/crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="of writers")
    parser.add_argument("--trainings", type=int, default=200, help="killed, of xpnn train")
    parser.add_argument("--saves", type=int, default=12, help="recorded and cut off everywhere")
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=5000, help="grown by a grammar")
    parser.add_argument(
        "--minutes", type=float, default=10, help="of guided fuzzing, where atheris is installed"
    )
    parser.add_argument("--every", type=int, default=1, help="of a training: each n-th call and state")
    options = parser.parse_args()
    ours = {
        "kill -9, writer": lambda: kill_writers(durable, options.kills),
        "kill -9, xpnn train": lambda: kill_trainings(options.trainings),
        "power cut": lambda: cut_power(durable, options.saves),
        "power cut, xpnn train": lambda: cut_power_of_training(options.every),
        "hostile files": lambda: mutate(options.mutations),
        "hostile structures, drawn": lambda: hostile_models.drawn(options.files, 1).summary(),
        **{
            f"hostile inputs, {kind}": lambda kind=kind: hostile_inputs.grown(
                kind, options.files // 10, 1
            ).summary()
            for kind in hostile_inputs.READERS
        },
        "failing calls, xpnn train": lambda: fail_trainings(options.every),
    }
    if importlib.util.find_spec("atheris") and options.minutes:
        ours["hostile structures, guided"] = lambda: hostile_models.guided(round(60 * options.minutes))
    controls = {  # of what is never flushed, each save multiplies the states: two are enough
        "kill -9, opens the file itself": lambda: kill_writers(naive, options.kills),
        "power cut, opens the file itself": lambda: cut_power(naive, 2),
        "power cut, renames and never flushes": lambda: cut_power(unflushed, 2),
    }
    bad = [name for name, run in ours.items() if faults(report(name, run))]
    bad += [name for name, run in controls.items() if not faults(report("control: " + name, run))]
    if bad:
        raise SystemExit(f"something was lost, or a control lost nothing: {', '.join(bad)}")


def report(name, run):
    """A JSON object on a line of its own, as soon as it is known."""
    began = time.perf_counter()
    result = run()
    print(json.dumps({name: result, "seconds": round(time.perf_counter() - began)}), flush=True)
    return result


def faults(result):
    return result.get("lost", result.get("faults"))


if __name__ == "__main__":
    main()
