"""The lock of a run's folder, its files and entries, how it begins, ends and is found again: a case a branch."""

import json
import os
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from command_line import workplace  # noqa: F401

from xpnn import cli
from xpnn.cli import events, lock, log, machine, resume, runs, scheduler, threads, watching
from xpnn.cli.lock import HOLDER, Lock
from xpnn.cli.schema import ABOUT, MOST, RUN, read_about
from xpnn.errors import CheckpointError, FileError, UsageError
from xpnn.reading import misfit
from xpnn.training.history import History, Row

pytestmark = pytest.mark.usefixtures("workplace")
SOURCE = click.core.ParameterSource


# Locks, and the scheduler of a cluster


@pytest.fixture
def squeue(monkeypatch):
    """squeue(answer or error): what Slurm answers; and the commands that were run."""
    calls = []

    def answer(found):
        def run(command, **more):
            calls.append((command, more["timeout"]))
            if isinstance(found, BaseException):
                raise found
            return SimpleNamespace(**found)

        monkeypatch.setattr(scheduler.subprocess, "run", run)
        return calls

    return answer


OTHER_JOB = {"job": "7", "restart": 0, "host": "elsewhere", "pid": 12, "since": "today"}


@pytest.mark.parametrize(("answer", "ended"), [
    ({"returncode": 0, "stdout": "COMPLETED\n", "stderr": ""}, True),
    ({"returncode": 0, "stdout": "FAILED\nTIMEOUT\n", "stderr": ""}, True),
    ({"returncode": 0, "stdout": "FAILED\nRUNNING\n", "stderr": ""}, False),
    ({"returncode": 0, "stdout": "COMPLETING\n", "stderr": ""}, False),
    ({"returncode": 0, "stdout": "", "stderr": ""}, True),
    ({"returncode": 1, "stdout": "", "stderr": "slurm_load_jobs error: Invalid job id specified"}, True),
    ({"returncode": 1, "stdout": "COMPLETED", "stderr": "Unable to contact slurm controller"}, False),
    (FileNotFoundError(), False), (subprocess.TimeoutExpired("squeue", 20), False),
])  # fmt: skip
def test_whether_a_job_has_ended(monkeypatch, squeue, answer, ended):
    calls = squeue(answer)
    for name in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    assert scheduler.has_ended(OTHER_JOB) is ended
    assert calls == [(["squeue", "--noheader", "--states=all", "--jobs=7", "--format=%T"], 20)]
    assert scheduler.has_ended(OTHER_JOB | {"job": "7; rm"}) is False
    assert scheduler.has_ended(OTHER_JOB | {"job": 7}) is False
    assert len(calls) == 1


@pytest.mark.parametrize(("answer", "force", "stale"), [
    ("COMPLETED", False, "ended without releasing here: its lock is taken over"),
    ("COMPLETED", True, "ended without releasing here: its lock is taken over"),
    ("RUNNING", True, "holds here: its lock is taken over, as --force-lock says"), ("RUNNING", False, None),
])  # fmt: skip
def test_a_lock_of_another_host(squeue, answer, force, stale):
    squeue({"returncode": 0, "stdout": answer, "stderr": ""})
    folder = Path("here")
    folder.mkdir()
    (folder / HOLDER).write_text(json.dumps(OTHER_JOB))
    if stale is None:
        with pytest.raises(FileError, match="another training writes to here") as found:
            Lock(folder, force)
        assert found.value.why == "process 12 of host elsewhere, since today, holds here/.xpnn.lock"
        assert (
            found.value.fix
            == "wait for it, or choose another folder with --out; if it has ended, --force-lock"
        )
        return
    held = Lock(folder, force)
    assert held.stale == f"process 12 of host elsewhere, since today, {stale}"
    mine = json.loads((folder / HOLDER).read_text())
    assert mine.keys() == {"pid", "host", "since"}
    assert (mine["pid"], mine["host"]) == (os.getpid(), socket.gethostname())
    with pytest.raises(FileError) as found:
        Lock(folder, True)  # a process of this host keeps its lock
    assert found.value.fix == "wait for it, or choose another folder with --out"
    held.release()
    assert list(folder.iterdir()) == []
    fresh = Lock(folder)
    assert (fresh.stale, fresh.owner) == ("", os.getpid())
    fresh.release()


def test_what_a_lock_says_of_its_holder(tmp_path):
    path = tmp_path / HOLDER
    assert lock.holder_of(tmp_path) == {}
    for text, found in (('{"pid": 1}', {"pid": 1}), ("[1]", {}), ('{"a": "' + "x" * 990 + '"}', {"a": "x" * 990}),
                        ('{"a": "' + "x" * 992 + '"}', {})):  # fmt: skip
        path.write_text(text)
        assert lock.holder_of(tmp_path) == found
    long = {"pid": "p" * 90, "host": "h" * 90, "since": "s" * 90}
    path.write_text(json.dumps(long))
    with pytest.raises(FileError) as found:
        Lock(tmp_path)
    assert found.value.why.startswith(f"process {'p' * 80} of host {'h' * 80}, since {'s' * 80}, holds ")


def test_a_job_is_noted_with_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "current_job", lambda: {"job": "9", "restart": 1})
    held = Lock(tmp_path)
    found = json.loads((tmp_path / HOLDER).read_text())
    assert (found["job"], found["restart"]) == ("9", 1)
    held.release()


# What a run keeps


def row(epoch, loss=0.5):
    return Row(epoch, loss, loss, 0.5, 0.1, 1.0, True)


def test_the_history_of_a_run_is_written_line_by_line(tmp_path, capsys):
    path = tmp_path / log.METRICS
    assert len(log.read_history(tmp_path)) == 0
    written = log.Log(path)
    written.start(SimpleNamespace(history=History([row(1), row(2)])), 5, 10, 2)
    written.epoch(None, row(3, 0.25))
    found = log.read_history(tmp_path)
    assert [(one.epoch, one.train_loss) for one in found] == [(1, 0.5), (2, 0.5), (3, 0.25)]
    assert next(iter(found)) == row(1)
    written.start(SimpleNamespace(history=History([row(1)])), 5, 10, 2)  # resumed from the first
    assert [one.epoch for one in log.read_history(tmp_path)] == [1]
    with path.open("a") as file:
        file.write('{"epoch": 2')
    for quiet in (True, False):
        assert len(log.read_history(tmp_path, quiet)) == 1
        assert capsys.readouterr().err == (
            "" if quiet else f"note   {path}: the last line is cut short, and left out\n"
        )
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(FileError):
        log.read_history(tmp_path)


def test_epochs_as_events_end_with_their_reader(monkeypatch):
    sent, run, watcher = [], SimpleNamespace(stopped=""), events.Events()
    monkeypatch.setattr(events, "emit", sent.append)
    watcher.epoch(run, row(1))
    assert sent == [{"event": "epoch", **row(1).to_dict()}]
    gone = BrokenPipeError()

    def fail(event):
        raise gone

    monkeypatch.setattr(events, "emit", fail)
    watcher.epoch(run, row(2))
    assert (watcher.error, run.stopped) == (gone, "a reader that has gone")
    monkeypatch.setattr(events, "emit", sent.append)
    watcher.epoch(run, row(3))
    assert len(sent) == 1


HASH = "0123456789abcdef0123456789abcdef01234567"
REFS = {f".git/refs/{i}": f"ref: refs/{i + 1}" for i in range(9)}


@pytest.mark.parametrize(("files", "place", "commit"), [
    ({".git/HEAD": HASH, "a/b/c": ""}, "a/b", HASH), ({".git/HEAD": HASH + "0"}, "", None),
    ({".git/HEAD": HASH + HASH[:24]}, "", HASH + HASH[:24]), ({".git/HEAD": HASH[:39]}, "", None),
    (REFS | {".git/HEAD": "ref: refs/0", ".git/refs/3": HASH}, "", HASH),
    (REFS | {".git/HEAD": "ref: refs/0", ".git/refs/4": HASH}, "", None),
    ({".git": "gitdir: main/w", "main/w/HEAD": "ref: refs/heads/x", "main/w/commondir": "..",
      "main/refs/heads/x": HASH}, "", HASH),
    ({".git": "gitdir: main/w", "main/w/HEAD": "ref: refs/heads/x", "main/w/commondir": "..",
      "main/packed-refs": f"{HASH[::-1]} refs/heads/y\n{HASH} refs/heads/x"}, "", HASH),
    ({".git/HEAD": "ref: refs/a", ".git/packed-refs": f"{HASH} refs/a b"}, "", None),
    ({".git/HEAD": "ref: refs/../x", ".git/x": HASH}, "", None),
    ({".git/HEAD": "ref: heads/x", ".git/heads/x": HASH}, "", None),
    ({".git/config": "", "a/.git/HEAD": HASH}, "a", HASH),
])  # fmt: skip
def test_where_the_commit_is_found(tmp_path, files, place, commit):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine.git_state(tmp_path / place) == (commit and {"commit": commit})


def test_the_machine():
    found = machine.machine()
    assert found.keys() == {"processor", "cores", "platform"}
    assert found["processor"] == machine.processor() != ""


def test_the_first_processor_is_named(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda self: "cores: 2\nmodel name\t: A: b\nmodel name : C")
    assert machine.processor() == "A: b"
    monkeypatch.setattr(Path, "read_text", lambda self: "")
    monkeypatch.setattr(machine.platform, "processor", lambda: "x")
    assert machine.processor() == "x"


def test_pages_to_watch(monkeypatch, capsys):
    made = []

    class Server:
        address = "http://here"

        def __init__(self, folder, host, port):
            made.append((folder, host, port))
            if port == 8000 and len(made) > 1:
                raise FileError("in use")

        def close(self):
            made.append("closed")

    monkeypatch.setattr("xpnn.web.server_process.ServerProcess", Server)
    monkeypatch.setattr("xpnn.web.server.check_extra", lambda: made.append("checked"))
    page = watching.Page(False)
    page.open(Path("r"), True)
    page.close()
    assert made == []
    page = watching.Page(True)
    assert made.pop() == "checked"
    page.open(Path("r"), False)
    page.close()
    assert (made, capsys.readouterr()) == (
        [(Path("r"), "127.0.0.1", 8000), "closed"],
        ("", "watch  http://here\n"),
    )
    page.open(Path("r"), True)
    assert made[2:] == [(Path("r"), "127.0.0.1", 8000), (Path("r"), "127.0.0.1", 0)]
    assert capsys.readouterr() == ('{"event": "watch", "address": "http://here"}\n', "")


@pytest.mark.parametrize(("name", "value", "source", "found"), [
    ("numpy", 3, None, 3), ("numpy", None, None, None), ("numpy", "adapt", None, "adapt"), ("torch", None, None, None),
    ("torch", 3, SOURCE.DEFAULT_MAP, None), ("torch", 3, SOURCE.COMMANDLINE, UsageError),
])  # fmt: skip
def test_threads_are_those_of_numpy(name, value, source, found):
    with click.Context(click.Command("c")) as context:
        context.set_parameter_source("threads", source or SOURCE.DEFAULT)
        if found is UsageError:
            with pytest.raises(UsageError, match="--threads 3 with backend 'torch'"):
                threads.threads_of(value, SimpleNamespace(name=name))
        else:
            assert threads.threads_of(value, SimpleNamespace(name=name)) == found


@pytest.mark.parametrize(("found", "said"), [
    (None, ""), (1, "threads 1 of 2: faster at the moment, beside other processes\n"), (2, ""),
])  # fmt: skip
def test_threads_that_were_found_are_written_down(monkeypatch, capsys, found, said):
    monkeypatch.setattr("xpnn.training.threads.default_threads", lambda: 2)
    written, about = [], {}
    (setting,) = threads.thread_setting(
        None, SimpleNamespace(write=lambda one: written.append(dict(one))), about
    )
    setting.start(SimpleNamespace(threads=found), 1, 1, 1)
    assert written == ([] if found is None else [{"threads": found}])
    assert capsys.readouterr().err == said
    for given, adapt in (("adapt", True), (3, False)):
        (one,) = threads.thread_setting(given, None, {})
        assert (type(one).__name__, bool(getattr(one, "adapt", False))) == ("Threads", adapt)


# Beginnings and endings of runs


def test_settings_that_end_a_training_become_callbacks(monkeypatch):
    given = {"early_stopping": 2, "checkpoint_every": 3, "time_limit": 1.5, "epochs": 4}
    found = resume.Endings.taken_from(given)
    assert (found, given) == (resume.Endings(2, 3, 1.5), {"epochs": 4})
    run = SimpleNamespace(state=Path("s"), write=lambda about: about["written"].append(1))
    about = {"written": []}
    watchers = found.watchers(run, about)
    assert [type(one).__name__ for one in watchers] == ["Note", "EarlyStopping", "TimeLimit", "Checkpoint"]
    watchers[0].start(None, 1, 1, 1)
    assert about == {"written": [1]}
    made = []
    monkeypatch.setattr(
        "xpnn.training.checkpointing.Checkpoint", lambda *args, **more: made.append((args, more))
    )
    found.watchers(run, about)
    plain = resume.Endings().watchers(run, about)
    assert made == [((Path("s"),), {"epochs": 3}), ((Path("s"),), {"share": 0.02})]
    assert [type(one).__name__ for one in plain] == ["Note", "NoneType"]


def test_what_an_interrupted_run_leaves():
    run = runs.Run(Path("my run"), True, None)
    run.folder.mkdir()
    assert resume.left_behind(run) == "no epoch was finished, nothing was saved"
    run.weights.touch()
    assert resume.left_behind(run) == "the best epoch so far is saved in my run/best.safetensors"
    run.state.touch()
    assert resume.left_behind(run) == "saved in my run\n  to go on: xpnn train --resume 'my run'"


@pytest.mark.parametrize(("signals", "code"), [([0, 0], None), ([0, 15], 143), ([2, 15], 130)])
def test_a_signal_to_one_process_ends_all(signals, code):
    asked = []
    group = SimpleNamespace(each=lambda number: asked.append(number) or signals)
    if code is None:
        resume.obey(SimpleNamespace(signum=None), group)
    else:
        with pytest.raises(cli.Stopped) as found:
            resume.obey(SimpleNamespace(signum=15), group)
        assert (found.value.code, found.value.agreed) == (code, True)
    assert asked == [15 if code else 0]


@pytest.mark.parametrize(("given", "flag"), [
    ((Path("o"), None, False), "--out"), ((None, Path("s"), False), "--from"), ((None, None, True), "--replace-head"),
    ((None, None, False), None),
])  # fmt: skip
def test_flags_that_a_resumed_run_does_not_take(given, flag):
    resume.check_beside(None, *given)
    if flag is None:
        resume.check_beside(Path("r"), *given)
        return
    with pytest.raises(UsageError, match=f"{flag} with --resume"):
        resume.check_beside(Path("r"), *given)


@pytest.mark.parametrize(("resumed", "device", "source", "found"), [
    (True, None, SOURCE.DEFAULT_MAP, "cuda:1"), (True, "cpu", SOURCE.DEFAULT_MAP, "cpu"),
    (True, None, SOURCE.COMMANDLINE, None), (False, None, SOURCE.DEFAULT_MAP, None),
])  # fmt: skip
def test_a_resumed_run_keeps_its_device(resumed, device, source, found):
    Path(ABOUT).write_text('{"device": "cuda:1", "from": "old", "started": "then", "replaced_head": true}')
    here = Path(".")
    with click.Context(click.Command("c")) as context:
        context.set_parameter_source("backend", source)
        assert resume.same_device(here if resumed else None, device) == found
    assert (resume.begun_with(None), resume.begun_with(here), resume.head_was_replaced(here)) == (
        None,
        "old",
        True,
    )
    endings = {"early_stopping": None, "checkpoint_every": None, "time_limit": None}
    assert resume.resume_entries(here, resume.Endings()) == {"endings": endings, "started": "then"}
    assert resume.resume_entries(None, resume.Endings()) == {"endings": endings}


def test_files_of_a_run_and_files_of_others():
    folder = Path("r")
    folder.mkdir()
    run = runs.Run(folder, False, SimpleNamespace(release=lambda: None))
    run.write({"seed": 1})
    text = (folder / ABOUT).read_text()
    assert json.loads(text) == {"seed": 1, "files": sorted(runs.OWN)}
    assert text.startswith('{\n  "seed": 1,\n')
    assert text.endswith("}\n")
    for name in ("live.json", ".xpnn.lock", ".xpnn-12-0123456789abcdef.tmp", "mine", "a"):
        (folder / name).touch()
    (folder / "film").mkdir()
    (folder / "metrics.jsonl").symlink_to("elsewhere")
    assert run.foreign() == ["a", "metrics.jsonl", "mine"]
    with pytest.raises(UsageError, match=r"r already holds files of others: a and 2 more") as found:
        runs.check_untrained(run)
    assert (found.value.why, found.value.fix) == ("a run has a folder of its own", "another --out")
    for name in ("mine", "metrics.jsonl"):
        (folder / name).unlink()
    with pytest.raises(UsageError, match=r"r already holds files of others: a\n"):
        runs.check_untrained(run)
    (folder / "best.1.safetensors").touch()
    with pytest.raises(UsageError, match=r"r already holds a trained model, best\.1\.safetensors") as found:
        runs.check_untrained(run)
    assert (found.value.why, found.value.fix) == ("", "another --out, or delete that folder first")


def test_what_a_run_that_saved_nothing_removes():
    folder = Path("r")
    (folder / "film").mkdir(parents=True)
    run = runs.Run(folder, False, None)
    run.write({})
    for name in ("metrics.jsonl", "live.json", "film/epoch-0001.safetensors", "film/epoch-12345.1.safetensors",
                 "film/epoch-1.safetensors", "film/epoch-0002.safetensors.bak", "keep"):  # fmt: skip
        (folder / name).touch()
    run.clear()
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
        "film", "film/epoch-0002.safetensors.bak", "film/epoch-1.safetensors", "keep",
    ]  # fmt: skip
    for path in (folder / "film").iterdir():
        path.unlink()
    run.clear()
    assert [path.name for path in folder.iterdir()] == ["keep"]


def test_the_next_free_folder():
    for name in ("spiral-mlp-2", "spiral-mlp-11", "spiral-mlp-x", "moons-mlp-40"):
        Path("runs", name).mkdir(parents=True)
    run = runs.new_run("spiral", "mlp", None)
    assert (run.folder, run.made) == (Path("runs/spiral-mlp-12"), True)
    run.close()
    assert not run.folder.exists()
    run = runs.new_run("spiral", "cnn", None)
    assert run.folder == Path("runs/spiral-cnn-1")
    run.weights.touch()
    run.close()
    assert run.weights.exists()
    Path("there").mkdir()
    run = runs.new_run("spiral", "mlp", Path("there"))
    assert (run.folder, run.made) == (Path("there"), False)
    run.close()
    assert list(Path("there").iterdir()) == []


def test_the_newest_run_that_fits():
    for i, (name, about) in enumerate([("a", {"seed": 1}), ("b", {"seed": 2}), ("c", {"seed": 3})]):
        Path("runs", name).mkdir(parents=True)
        Path("runs", name, ABOUT).write_text(json.dumps(about))
        Path("runs", name, "best.safetensors").touch()
        os.utime(f"runs/{name}/best.safetensors", (9 - i, 9 - i))
    assert runs.find_run(None).about == {"seed": 1}
    found = runs.find_run(None, lambda about: about["seed"] > 1)
    assert (found.weights, found.about) == (Path("runs/b/best.safetensors"), {"seed": 2})
    assert (
        runs.find_run(Path("runs/c")).about
        == runs.find_run(Path("runs/c/best.safetensors")).about
        == {"seed": 3}
    )
    with pytest.raises(FileError) as refused:
        runs.find_run(None, lambda about: False, "on tables")
    assert refused.value.what == f"{Path('runs').resolve()} holds no run on tables"
    Path("runs/c/best.safetensors").rename("runs/c/best.1.safetensors")
    with pytest.raises(FileError, match="no trained model at runs/c") as refused:
        runs.find_run(Path("runs/c"))
    assert refused.value.fix == "name runs/c/best.1.safetensors, the one before it"


# Entries of run.json

FITS = {
    "dataset": "a", "data": None, "label": "a", "task": "regression", "class_weight": "balanced",
    "replaced_head": True, "classes": ["a"], "input_shape": [28, 28, 1], "model": "a", "backend": "a",
    "device": None, "dtype": "float16",
    "precision": "fp32", "seed": 0, "threads": "adapt", "result": {"test_accuracy": 0.5}, "freeze": ["0.*"],
    "from": None, "started": "now", "files": ["a"], "settings": {"hidden": None, "lr": None, "dropout": 0, "epochs": 1,
    "augmentation": [], "activation": None, "batch_size": 2, "optimizer": "a", "schedule": None, "weight_decay": 0.5},
    "endings": {"early_stopping": None, "checkpoint_every": 2, "time_limit": 0.5},
}  # fmt: skip
MISFITS = {
    "dataset": None, "data": 3, "label": 3, "task": "other", "class_weight": "other", "replaced_head": None,
    "classes": [3], "input_shape": [-1], "model": None, "backend": None, "device": 3, "dtype": "float8",
    "precision": None, "seed": -1, "threads": "other", "result": {"test_accuracy": "a"}, "freeze": "0.*",
    "from": 3, "started": 3, "files": "a", "settings": {"epochs": 1.5}, "endings": {"early_stopping": 1.5},
}  # fmt: skip


@pytest.mark.parametrize("name", RUN)
def test_what_an_entry_of_run_json_may_be(name):
    path = Path(ABOUT)
    path.write_text(json.dumps({name: FITS[name], "other": [1]}))
    assert read_about(Path(".")) == {name: FITS[name], "other": [1]}
    path.write_text(json.dumps({name: MISFITS[name]}))
    with pytest.raises(CheckpointError, match=r"run\.json is damaged") as found:
        read_about(Path("."))
    assert found.value.why.startswith(name)


@pytest.mark.parametrize(("value", "wanted", "found"), [
    (0, int, ""), (-1, int, "it is -1"), (True, int, "it is True"), (-1.0, float, ""),
    (float("inf"), float, "it is inf"),
    (1, (str, int), ""), (None, (str, None), ""), (None, str, "it is None"), ("a", ("a", "b"), ""),
    ("c", ("a", "b"), "it is 'c'"), ([1, 2], [int], ""), ([1, "a"], [int], "[1] is 'a'"), (3, [int], "it is 3"),
    ({"a": 1}, {"a": int, "b": str}, ""),
    ({"a": {"b": 1}}, {"a": {"b": str}}, "a.b is 1"), ([], {"a": int}, "it is []"),
    ("x" * 99, int, f"it is '{'x' * 58}…"),
])  # fmt: skip
def test_what_does_not_fit_is_named_with_its_place(value, wanted, found):
    assert misfit(value, wanted) == found


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_run_json_has_at_most_a_mebibyte(more, fits):
    Path(ABOUT).write_text('{"a": "' + "x" * (MOST - 9 + more) + '"}')
    assert Path(ABOUT).stat().st_size == (1 << 20) + more
    if fits:
        assert read_about(Path(".")).keys() == {"a"}
    else:
        with pytest.raises(FileError, match="cannot read"):
            read_about(Path("."))
