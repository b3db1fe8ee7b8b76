"""Workers of one search, step by step: which trials count, which workers are taken for dead, what each is given."""

import contextlib
import itertools
import json
import math
import multiprocessing
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

optuna = pytest.importorskip("optuna")

from optuna.trial import TrialState, create_trial  # noqa: E402
from test_trials_in_numbers import PARAMS, TASK  # noqa: E402

from xpnn.cli import search, storage, study, tune, workers  # noqa: E402
from xpnn.cli.trials import Task, settings_of  # noqa: E402
from xpnn.cli.workers import ALIVE, WORKER, Worker  # noqa: E402
from xpnn.errors import (  # noqa: E402
    BackendError,
    CheckpointError,
    DataError,
    FileError,
    UsageError,
    XpnnError,
)

COMPLETE, PRUNED, FAIL, RUNNING, WAITING = (
    TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING,
)  # fmt: skip
SPACE = {"x": optuna.distributions.FloatDistribution(0, 1)}


@pytest.fixture
def shared():
    """A study in memory."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study()


def states(found):
    return [trial.state for trial in found.get_trials(deepcopy=False)]


def test_a_worker_shows_that_it_lives(shared):
    worker, other = Worker(shared, 1, beat=60.0), Worker(shared, 1)
    assert (worker.beat, other.beat) == (60.0, workers.BEAT) == (60.0, 10.0)
    assert worker.name != other.name
    assert (worker.total, worker.count) == (1, 0)
    worker.show()
    worker.show()
    assert shared.user_attrs == {ALIVE + worker.name: 2}
    with worker.living():
        assert shared.user_attrs == {ALIVE + worker.name: 3}  # at once, not after the first pause
        assert not worker.over.is_set()
    assert worker.over.is_set()


class Pauses:
    """An event that is set after so many pauses, whose lengths are kept."""

    def __init__(self, count):
        self.left, self.seen = count, []

    def wait(self, seconds=None):
        self.seen.append(seconds)
        self.left -= 1
        return self.left < 0

    def set(self):
        self.ended = True


def test_a_worker_reports_at_each_heartbeat(shared):
    worker = Worker(shared, 1, beat=3.0)
    worker.over = Pauses(4)
    with worker.living():
        pass  # its end waits for the thread, which has four pauses to go
    assert worker.count == 1 + 4
    assert worker.over.seen == [3.0] * 5
    assert worker.over.ended


@pytest.mark.parametrize(("seconds", "sign", "buried"), [
    (40.0, 1, False), (40.001, 1, True), (40.001, 2, False), (1e9, 1, True), (0.0, 1, False),
])  # fmt: skip
def test_a_worker_without_four_heartbeats_is_dead(shared, monkeypatch, seconds, sign, buried):
    clock = iter([100.0, 100.0 + seconds])
    monkeypatch.setattr(workers.time, "monotonic", lambda: next(clock))
    trial, here = shared.ask(), Worker(shared, 2)
    trial.set_user_attr(WORKER, "other")
    shared.set_user_attr(ALIVE + "other", 1)
    here.bury()
    shared.set_user_attr(ALIVE + "other", sign)
    here.bury()
    assert states(shared) == [FAIL if buried else RUNNING]


def test_a_worker_never_takes_itself_for_dead(shared, monkeypatch):
    clock = iter([0.0, 1e6, 2e6])
    monkeypatch.setattr(workers.time, "monotonic", lambda: next(clock))
    trial, here = shared.ask(), Worker(shared, 2)
    trial.set_user_attr(WORKER, here.name)
    for _ in range(3):
        here.bury()
    assert states(shared) == [RUNNING]


def test_a_trial_whose_worker_is_not_known_is_given_up_too(shared, monkeypatch):
    """Its worker was killed before it could say its name; and one that ended meanwhile is left as it is."""
    clock = iter([0.0, 40.5])
    monkeypatch.setattr(workers.time, "monotonic", lambda: next(clock))
    shared.ask()
    shared.add_trial(create_trial(value=0.5, params={"x": 0.5}, distributions=SPACE))
    here = Worker(shared, 2)
    here.bury()
    here.bury()
    assert states(shared) == [FAIL, COMPLETE]

    class Ended:
        def __init__(self):
            self.user_attrs = {}

        def get_trials(self, **_):
            return [SimpleNamespace(number=7, user_attrs={})]

        def tell(self, number, state):
            self.told = number, state
            raise ValueError("trial 7 has ended")

    ended, clock = Ended(), iter([0.0, 40.5])
    late = Worker(ended, 2)
    late.bury()
    late.bury()
    assert ended.told == (7, FAIL)


def begun(shared, *kinds):
    for kind in kinds:
        if kind is RUNNING:
            shared.ask()
        elif kind is WAITING:
            shared.enqueue_trial({"x": 0.5})
        else:
            value = 0.5 if kind is COMPLETE else None
            shared.add_trial(create_trial(state=kind, value=value, params={"x": 0.5}, distributions=SPACE))


@pytest.mark.parametrize(("before", "total", "made"), [
    ((), 1, True), ((COMPLETE,), 1, False), ((PRUNED,), 1, False), ((RUNNING,), 1, False), ((FAIL,), 1, True),
    ((COMPLETE, FAIL), 2, True), ((COMPLETE, RUNNING), 2, False), ((COMPLETE, RUNNING, FAIL), 3, True),
])  # fmt: skip
def test_a_trial_that_is_one_too_many_fails(shared, before, total, made):
    begun(shared, *before)
    worker = Worker(shared, total)
    trial = shared.ask()
    found = worker.made(lambda trial: 0.25, trial)
    assert found == ({"values": 0.25} if made else {"state": FAIL})
    assert shared.get_trials()[trial.number].user_attrs == {WORKER: worker.name}
    begun(shared, RUNNING)  # a later one never counts
    assert worker.made(lambda trial: 0.25, trial) == found


def test_how_a_trial_may_end(shared):
    worker = Worker(shared, 3)

    def prune(trial):
        raise optuna.TrialPruned

    def stop(trial):
        raise KeyboardInterrupt

    assert worker.made(prune, shared.ask()) == {"state": PRUNED}
    with pytest.raises(KeyboardInterrupt):
        worker.made(stop, shared.ask())
    assert states(shared) == [RUNNING, FAIL]
    worker.tell(1, {"values": 0.5})  # it was taken for dead: nothing changes
    assert states(shared) == [RUNNING, FAIL]
    assert worker.tell(0, {"values": 0.5}).value == 0.5


@pytest.mark.parametrize(("before", "total", "made"), [
    ((), 3, 3), ((COMPLETE, PRUNED), 3, 1), ((COMPLETE,), 1, 0), ((FAIL, FAIL), 2, 2), ((COMPLETE, COMPLETE), 1, 0),
])  # fmt: skip
def test_as_many_are_made_as_are_missing(shared, before, total, made):
    begun(shared, *before)
    seen = []
    Worker(shared, total, beat=60.0).work(lambda trial: 0.5, lambda *told: seen.append(told), math.inf)
    assert [(one, trial.state) for one, trial in seen] == [(shared, COMPLETE)] * made
    assert states(shared)[len(before) :] == [COMPLETE] * made


def test_none_is_made_after_the_time_and_others_are_waited_for(shared, monkeypatch):
    seen = []
    Worker(shared, 2, beat=60.0).work(lambda trial: 0.5, lambda *told: seen.append(told), time.time())
    assert (seen, states(shared)) == ([], [])
    other, worker, waited = shared.ask(), Worker(shared, 1, beat=5.0), []

    def end(seconds):
        waited.append(seconds)
        shared.tell(other.number, 0.5)

    monkeypatch.setattr(worker, "living", contextlib.nullcontext)
    worker.over = SimpleNamespace(wait=end)
    worker.work(lambda trial: pytest.fail("one too many"), lambda *told: seen.append(told), math.inf)
    assert (seen, states(shared), waited) == ([], [COMPLETE], [5.0])


# Processes that share the trials of one host


class Child:
    """A process that is not started: what it was given, and how it ends."""

    made, codes = [], []

    def __init__(self, target, args, daemon):
        self.given, self.calls = (target, args, daemon), []
        self.exitcode = self.codes[len(self.made)] if self.codes else 0
        self.made.append(self)

    def start(self):
        self.calls.append("start")

    def join(self):
        self.calls.append("join")
        if self.exitcode == "interrupted":
            raise KeyboardInterrupt

    def is_alive(self):
        return self.exitcode == "interrupted"

    def terminate(self):
        self.calls.append("terminate")
        self.exitcode = -15


@pytest.fixture
def children(monkeypatch):
    Child.made, Child.codes = [], []
    asked = []
    monkeypatch.setattr(
        multiprocessing, "get_context", lambda how: asked.append(how) or SimpleNamespace(Process=Child)
    )
    monkeypatch.setattr(search.time, "time", lambda: 1000.0)
    yield Child
    assert set(asked) <= {"spawn"}


@pytest.mark.parametrize(
    ("trials", "jobs", "shares"), [(7, 3, [3, 2, 2]), (8, 2, [4, 4]), (2, 3, [1, 1]), (0, 2, [])]
)
def test_trials_are_dealt_out_to_processes(children, trials, jobs, shares):
    assert search.search(TASK, trials, 60.0, jobs, "quiet") is None
    assert [child.given for child in children.made] == [
        (search.child, (TASK, i, share, 1060.0, "quiet"), True) for i, share in enumerate(shares)
    ]
    assert all(child.calls == ["start", "join"] for child in children.made)


@pytest.mark.parametrize(("codes", "said"), [([0, 0, 0], None), ([0, 4, 0], "1 of 3"), ([4, 4, 7], "3 of 3")])
def test_processes_that_fail_are_counted(children, codes, said):
    children.codes = codes
    if said is None:
        search.search(TASK, 3, None, 3, "quiet")
        return
    with pytest.raises(XpnnError, match=f"{said} processes failed"):
        search.search(TASK, 3, None, 3, "quiet")


def test_processes_that_still_run_are_ended(children):
    children.codes = ["interrupted", 0]
    with pytest.raises(KeyboardInterrupt):
        search.search(TASK, 2, None, 2, "quiet")
    assert [child.calls for child in children.made] == [["start", "join", "terminate", "join"], ["start"]]


@pytest.mark.parametrize(("how", "trials", "task", "head"), [
    ("say", 1, None, "trial   valid_acc        lr  hidden      dropout  optimizer batch\n"),
    ("say", 1, "regression", "trial  valid_rmse        lr  hidden      dropout  optimizer batch\n"),
    ("say", 0, None, ""), ("json", 1, None, ""), ("quiet", 1, None, ""),
])  # fmt: skip
def test_the_head_of_the_trials(monkeypatch, capsys, how, trials, task, head):
    calls, task = [], replace(TASK, task=task)
    monkeypatch.setattr(search, "work", lambda *args: calls.append(args))
    monkeypatch.setattr(search.time, "time", lambda: 1000.0)
    search.search(task, trials, 30.0, 1, how)
    search.search(task, trials, None, 1, "quiet")
    assert calls == [(task, 0, trials, 1030.0, how), (task, 0, trials, math.inf, "quiet")]
    assert capsys.readouterr() == ("", head)


@pytest.mark.parametrize(("error", "code", "said"), [
    (None, None, ""), (KeyboardInterrupt(), 130, ""), (DataError("no rows"), 4, "xpnn: error: no rows\n"),
])  # fmt: skip
def test_a_process_ends_with_the_code_of_its_error(monkeypatch, capsys, error, code, said):
    calls = []

    def work(*args):
        calls.append(args)
        if error:
            raise error

    monkeypatch.setattr(search, "end_with_parent", lambda: calls.append("watched"))
    monkeypatch.setattr(search, "work", work)
    if code is None:
        search.child(TASK, 1, 2, 3.0, "say")
    else:
        with pytest.raises(SystemExit) as found:
            search.child(TASK, 1, 2, 3.0, "say")
        assert found.value.code == code
    assert calls == ["watched", (TASK, 1, 2, 3.0, "say")]
    assert capsys.readouterr().err == said


def test_a_process_without_a_parent_starts_no_thread(monkeypatch):
    started = []
    monkeypatch.setattr(search.threading, "Thread", lambda **settings: started.append(settings))
    search.end_with_parent()
    assert started == []


@pytest.mark.parametrize(("trials", "deadline", "made"), [(3, math.inf, 3), (0, math.inf, 0), (3, 0.0, 0)])
def test_one_process_makes_its_share(monkeypatch, trials, deadline, made):
    found, given = optuna.create_study(direction="maximize"), []
    loads = []
    monkeypatch.setattr(search, "open_study", lambda task: found)
    monkeypatch.setattr(search, "load", lambda *args, **more: loads.append((args, more)) or "data")
    monkeypatch.setattr(search, "without_test", lambda data: (data, "without"))
    monkeypatch.setattr(search, "tell_trial", lambda *args: given.append(args))

    def objective(task, samples, trial, deadline):
        assert (task, samples) == (TASK, ("data", "without"))
        return trial.number / 10

    monkeypatch.setattr(search, "objective", objective)
    search.work(TASK, 1, trials, deadline, "say")
    assert loads == [(("spiral", None, 0, None, None), {"resize": None, "verbose": 0})]
    assert states(found) == [COMPLETE] * made
    assert [(trial.number, best, how) for _, trial, best, how in given] == [
        (i, True, "say") for i in range(made)
    ]
    assert isinstance(found.sampler, optuna.samplers.TPESampler)


def test_a_trial_of_several_hosts_has_a_sampler_of_its_own(monkeypatch):
    found, asked = optuna.create_study(), []
    monkeypatch.setattr(search, "objective", lambda *args: args)
    monkeypatch.setattr(
        search.optuna.samplers, "TPESampler", lambda seed: asked.append(seed) or found.sampler
    )
    found.ask()
    trial = found.ask()
    assert search.shared_trial(TASK, "samples", trial, 5.0) == (TASK, "samples", trial, 5.0)
    assert asked == [search.seed_of(TASK, 0, 1)]


# What a task is called, where it is kept, and what it wrote


def test_storage_score_and_fixed_settings_of_a_task():
    assert (TASK.place, TASK.measure, TASK.spelled(0.12345), TASK.regression) == (
        str(Path("study/study.db")), "valid_accuracy", "12.35 %", False,
    )  # fmt: skip
    numbers = replace(TASK, task="regression", storage="mysql://me:secret@db/x", resize=(4, 6))
    assert (numbers.place, numbers.measure, numbers.spelled(0.123456), numbers.regression) == (
        "mysql://me:***@db/x", "valid_rmse", "0.1235", True,
    )  # fmt: skip
    same = {"dataset": "spiral", "model": "mlp", "epochs": 3, "seed": 0, "data": None, "label": None}
    assert TASK.fixed == same
    assert numbers.fixed == same | {"resize": [4, 6], "task": "regression"}
    assert Task("a", "b", 1, 2, None, None, "numpy", "cpu", "f").total == 0


def test_settings_keep_what_they_do_not_know():
    assert settings_of({"width": 16, "depth": 3, "lr": 0.1, "dropout": 0.0, "schedule": "cosine"}) == {
        "hidden": [16, 16, 16], "schedule": "cosine", "lr": 0.1, "dropout": 0.0,
    }  # fmt: skip


def finished(*values, states=None, params=PARAMS):
    found = optuna.create_study(direction="maximize")
    spread = {name: optuna.distributions.CategoricalDistribution((value,)) for name, value in params.items()}
    for i, value in enumerate(values):
        state = (states or {}).get(i, COMPLETE)
        found.add_trial(create_trial(
            state=state, value=value if state is COMPLETE else None, params=params, distributions=spread,
        ))  # fmt: skip
    return found


BEST = """# Found by xpnn tune: trial 1, validation accuracy 75.00 %.
# xpnn train --config 'my study/best.toml'
dataset = "spiral"
model = "mlp"
epochs = 3
seed = 0
hidden = [32, 32]
lr = 0.00123
dropout = 0.25
optimizer = "adam"
batch_size = 64
"""


@pytest.mark.parametrize("as_json", [False, True])
def test_what_a_search_has_found(tmp_path, monkeypatch, capsys, as_json):
    monkeypatch.chdir(tmp_path)
    Path("my study").mkdir()
    task, shares = replace(TASK, folder="my study"), [("lr", 0.5), ("width", 0.25), ("a", 0.1), ("b", 0.0)]
    monkeypatch.setattr(tune, "importance", lambda study: [*shares, ("c", 0.0)])
    tune.finish(finished(0.5, 0.75, 0.25, 0.1, states={2: PRUNED, 3: FAIL}), task, as_json)
    assert Path("my study/best.toml").read_text() == BEST
    out, err = capsys.readouterr()
    assert err == ""
    if as_json:
        settings = {"dataset": "spiral", "model": "mlp", "epochs": 3, "seed": 0} | settings_of(PARAMS)
        assert json.loads(out) == {
            "event": "end", "trials": 3, "pruned": 1, "best_trial": 1, "valid_accuracy": 0.75, "settings": settings,
            "config": "my study/best.toml",
        }  # fmt: skip
        return
    assert out.splitlines() == [
        "best   trial 1, validation accuracy 75.00 %",
        "most   lr 50.0 %, width 25.0 %, a 10.0 %, b 0.0 %",
        "       3 trials, 1 ended early · my study/best.toml",
        "next   xpnn train --config 'my study/best.toml'",
    ]


def test_a_search_that_has_found_nothing(capsys):
    with pytest.raises(UsageError, match="no trial was finished"):
        tune.finish(finished(0.5, states={0: PRUNED}), TASK, False)
    assert capsys.readouterr() == ("", "")


def test_which_trials_are_finished():
    found = finished(0.5, 0.5, 0.5, 0.5, states={1: PRUNED, 2: FAIL, 3: RUNNING})
    assert [trial.number for trial in tune.finished(found)] == [0, 1]
    assert tune.importance(found) == []


@pytest.mark.parametrize(("rows", "label", "kind", "found"), [
    ([f"{i},{i * 1.37}" for i in range(60)], None, None, "regression"),
    ([f"{i},{i % 2}" for i in range(60)], None, None, None),
    ([f"{i},{i * 1.37}" for i in range(60)], None, "classification", "classification"),
    ([f"{i % 2},{i * 1.37}" for i in range(60)], "a", None, None),
])  # fmt: skip
def test_what_a_table_is_searched_for(tmp_path, rows, label, kind, found):
    file = tmp_path / "t.csv"
    file.write_text("\n".join(["a,b", *rows]) + "\n")
    assert tune.table_task(str(file), label, kind) == found
    assert tune.table_task(None, label, kind) == kind


# Storages


def test_the_driver_that_is_installed_is_named(monkeypatch):
    for there, urls in {
        ("psycopg2", "psycopg", "MySQLdb", "pymysql"): ("postgresql+psycopg2://h/d", "mysql+mysqldb://h/d"),
        ("psycopg", "pymysql"): ("postgresql+psycopg://h/d", "mysql+pymysql://h/d"),
        (): ("postgresql://h/d", "mysql://h/d"),
    }.items():
        monkeypatch.setattr(storage, "find_spec", lambda name, there=there: name in there or None)
        assert (storage.with_driver("postgresql://h/d"), storage.with_driver("mysql://h/d")) == urls
        assert storage.with_driver("mariadb://h/d") == urls[1].replace("mysql", "mariadb", 1)
        assert storage.with_driver("sqlite:///d") == "sqlite:///d"
        assert storage.with_driver("postgresql+asyncpg://h/d") == "postgresql+asyncpg://h/d"


@pytest.mark.parametrize(("where", "text"), [
    ("mysql://me:secret@db:3306/x", "mysql://me:***@db:3306/x"), ("mysql://me@db/x", "mysql://me@db/x"),
    ("mysql://me:se@cret@db/x", "mysql://me:***@db/x"), ("journal:a", "journal:a"), ("grpc://h:1", "grpc://h:1"),
])  # fmt: skip
def test_a_storage_in_a_message(where, text):
    assert storage.named(where) == text


@pytest.mark.parametrize(
    "where", ["grpc://h", "grpc://:1", "grpc://h:x", "sqlite:d", "journal:", "x", "mysql:d"]
)
def test_forms_of_a_storage(where):
    with pytest.raises(UsageError, match="--storage") as found:
        storage.open_storage(where)
    assert found.value.fix == storage.FORMS


def test_a_server_of_optuna_is_waited_for(monkeypatch):
    asked = []

    class Proxy:
        def __init__(self, **place):
            asked.append(place)

        def wait_server_ready(self, timeout):
            asked.append(timeout)

    monkeypatch.setattr(optuna.storages, "GrpcStorageProxy", Proxy)
    assert isinstance(storage.open_storage("grpc://my.host:13000"), Proxy)
    assert asked == [{"host": "my.host", "port": 13000}, 30]

    def refuse(self, timeout):
        raise RuntimeError("nobody answers\nfor long")

    monkeypatch.setattr(Proxy, "wait_server_ready", refuse)
    with pytest.raises(BackendError, match=r"cannot open --storage grpc://my\.host:13000") as found:
        storage.open_storage("grpc://my.host:13000")
    assert found.value.why == "nobody answers"


def of_optuna():
    optuna.create_study(direction="sideways")


def fail(error):
    raise error


OURS = ValueError("ours")
STORAGE_ERRORS = [
    (sqlite3.OperationalError("disk I/O error"), FileError, "cannot read or write s.db"),
    (sqlite3.OperationalError("database is locked"), FileError, "cannot read or write s.db"),
    (sqlite3.DatabaseError("file is not a database"), CheckpointError, "s.db is no study of xpnn tune"),
    (optuna.exceptions.StorageInternalError("lost"), CheckpointError, "s.db is no study of xpnn tune"),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), CheckpointError, "s.db is no study of xpnn tune"),
    (optuna.TrialPruned(), optuna.TrialPruned, ""), (DataError("rows"), DataError, "rows"),
    (ValueError("ours"), ValueError, "ours"), (KeyError("ours"), KeyError, "ours"),
    (KeyboardInterrupt(), KeyboardInterrupt, ""), (of_optuna, CheckpointError, "s.db is no study of xpnn tune"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "kind", "what"), STORAGE_ERRORS, ids=itertools.count())
def test_errors_of_the_storage_and_of_the_program(error, kind, what):
    with pytest.raises(kind) as found, study.storage_errors("s.db"):
        error() if callable(error) else fail(error)
    assert type(found.value) is kind
    assert what in str(found.value)


def test_the_first_cause_of_an_error():
    first = ValueError("first")
    wrapped = RuntimeError("second")
    wrapped.__cause__ = first
    third = RuntimeError("third")
    third.orig = wrapped
    assert study.root(third) is study.root(wrapped) is study.root(first) is first


def test_a_study_that_is_there_is_held_to_its_settings():
    found = optuna.create_study(direction="maximize")
    assert study.checked(found, TASK) is found
    assert found.user_attrs == TASK.fixed
    assert study.checked(found, TASK) is found
    with pytest.raises(UsageError, match=r"study\.db holds trials of epochs 3, not 4") as refused:
        study.checked(found, replace(TASK, epochs=4))
    assert refused.value.fix == "another --out, or delete that folder first"
    with pytest.raises(UsageError, match="holds trials of classes") as refused:
        study.checked(found, replace(TASK, task="regression", storage="journal:a"))
    assert refused.value.fix == "another --storage"
    with pytest.raises(UsageError, match="holds trials of numbers"):
        study.checked(optuna.create_study(), TASK)
    assert [study.direction_of(replace(TASK, task=one)) for one in ("regression", None)] == [
        "minimize",
        "maximize",
    ]


def test_finished_trials_have_the_parameters_that_are_drawn():
    study.checked_params(finished(0.5), "s.db")
    study.checked_params(finished(0.5, params={}), "s.db")
    with pytest.raises(CheckpointError, match=r"s\.db is no study"):
        study.checked_params(finished(0.5, params={"width": 3}), "s.db")
    study.checked_params(finished(0.5, states={0: RUNNING}, params={"width": 3}), "s.db")


def test_a_file_with_views_and_triggers_is_no_study(tmp_path):
    path = tmp_path / "s.db"
    study.check_tables(path)
    assert not path.exists()
    connection = study.connect(path)
    assert connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (60_000,)
    connection.execute("CREATE TABLE a (b)")
    connection.execute("CREATE INDEX c ON a (b)")
    connection.commit()
    study.check_tables(path)
    connection.execute("CREATE VIEW d AS SELECT * FROM a")
    connection.commit()
    connection.close()
    with pytest.raises(CheckpointError, match=r"s\.db is no study of xpnn tune") as found:
        study.check_tables(path)
    assert found.value.why == "it holds the view d"


def test_the_study_is_opened_by_its_path_and_silently(monkeypatch, tmp_path):
    said, opened = [], []
    monkeypatch.setattr(optuna.logging, "set_verbosity", said.append)
    monkeypatch.setattr(
        optuna.storages, "RDBStorage", lambda *args, **more: opened.append((args, more)) or "sqlite"
    )
    monkeypatch.setattr(study, "made", lambda *args: args)
    monkeypatch.setattr(study, "checked", lambda *args: args)
    here = replace(TASK, folder=str(tmp_path))
    assert study.open_study(here) == (("xpnn", "sqlite", here), here)
    (((url,), more),) = opened
    connection = more["engine_kwargs"]["creator"]()
    connection.execute("CREATE TABLE a (b)")
    connection.close()
    assert (url, [path.name for path in tmp_path.iterdir()]) == ("sqlite:///study.db", ["study.db"])
    assert said == [optuna.logging.WARNING]
    monkeypatch.setattr(study, "open_storage", lambda where: where.upper())
    shared = replace(TASK, storage="journal:j")
    assert study.open_study(shared) == (("xpnn-spiral-mlp", "JOURNAL:J", shared), shared)
    assert said[1:] == [optuna.logging.WARNING, optuna.logging.ERROR]
