"""`xpnn tune` by workers on several hosts, which meet in a storage alone."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna")

from optuna.trial import TrialState  # noqa: E402

from xpnn.cli import run  # noqa: E402
from xpnn.cli.storage import named, open_storage  # noqa: E402
from xpnn.cli.workers import ALIVE, WORKER, Worker  # noqa: E402
from xpnn.errors import BackendError, UsageError  # noqa: E402

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
TUNE = ("tune", "spiral", "--epochs", "1", "--trials", "6")


POSTGRESQL, MARIADB, GRPC = (
    pytest.param(name, marks=[pytest.mark.slow, pytest.mark.oracle])
    for name in ("postgresql", "mariadb", "grpc")
)


@pytest.fixture(params=["journal", "sqlite", POSTGRESQL, MARIADB, GRPC])
def where(request, tmp_path):
    servers = {"postgresql": postgresql, "mariadb": mariadb, "grpc": grpc_server}
    if request.param in servers:
        yield from servers[request.param]()
    else:
        file = f"{tmp_path}/trials"
        yield f"journal:{file}" if request.param == "journal" else f"sqlite:///{file}"


@contextlib.contextmanager
def running(command, ready, **more):
    """A server, once it has printed that it is ready; stopped in the end."""
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more
    )
    timer = threading.Timer(60, process.kill)
    timer.start()
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if ready in line:
                break
        else:
            pytest.fail(f"{command[0]} ended: {''.join(lines)[-2000:]}")
        timer.cancel()
        yield
    finally:
        timer.cancel()
        process.terminate()
        process.communicate(timeout=60)


def mariadb():
    """A server of MariaDB in a folder of its own, reached by a socket there, without accounts or passwords."""
    driver = pytest.importorskip("pymysql")
    found = shutil.which("mariadbd", path=os.environ["PATH"] + ":/usr/sbin")
    if found is None:
        pytest.skip("MariaDB is not installed")
    with tempfile.TemporaryDirectory(prefix="xpnn-maria-") as folder:
        os.mkdir(f"{folder}/data")
        options = [f"--datadir={folder}/data", f"--socket={folder}/s", f"--pid-file={folder}/pid"]
        options += ["--skip-networking", "--skip-grant-tables", "--innodb-flush-log-at-trx-commit=0"]
        if os.getuid() == 0:
            options.append("--user=root")
        with running([found, "--no-defaults", *options], "ready for connections"):
            with driver.connect(unix_socket=f"{folder}/s", user="root") as connection:
                connection.cursor().execute("CREATE DATABASE xpnn")
            yield f"mysql://root@localhost/xpnn?unix_socket={folder}/s"


GRPC_SERVER = """
import socket, sys
from optuna.storages import run_grpc_proxy_server
from xpnn.cli.storage import open_storage
with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
print("port", port, flush=True)
run_grpc_proxy_server(open_storage(sys.argv[1]), host="127.0.0.1", port=port)
"""


def grpc_server():
    """Optuna's server, which keeps the trials in a journal."""
    pytest.importorskip("grpc")
    with tempfile.TemporaryDirectory(prefix="xpnn-grpc-") as folder:
        command = [sys.executable, "-W", "ignore", "-c", GRPC_SERVER, f"journal:{folder}/trials"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield f"grpc://127.0.0.1:{process.stdout.readline().split()[1]}"  # where it is waited for until it answers
        finally:
            process.terminate()
            process.communicate(timeout=60)


def postgresql():
    """A server of PostgreSQL in a folder of its own, reached by a socket there, and stopped in the end.

    It refuses to run as root: then it is the user that Debian's package has made, or nobody.
    """
    pytest.importorskip("psycopg2")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    found = str(programs[-1]) if programs else shutil.which("pg_ctl")
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory(prefix="xpnn-pg-") as folder:
        user = {}
        if os.getuid() == 0:
            user = {
                "user": next(n for n in ("postgres", "nobody") if n in {u.pw_name for u in pwd.getpwall()})
            }
            shutil.chown(folder, **user)

        def control(*args):
            done = subprocess.run(
                [found, "-D", f"{folder}/data", *args], **user, cwd=folder, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=120, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout

        control("-s", "-o", "-U xpnn -A trust -E UTF8 --no-sync", "initdb")
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        control("-s", "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql://xpnn@/postgres?host={folder}"
        finally:
            control("-s", "-w", "-m", "immediate", "stop")


def study(where, name="s"):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(study_name=name, storage=open_storage(where), load_if_exists=True)


def ended(found):
    return [t for t in found.get_trials() if t.state in ENDED]


def test_workers_make_exactly_as_many_trials_as_wanted(where):
    study(where)
    workers = [Worker(study(where), 11, beat=1.0) for _ in range(3)]
    threads = [
        threading.Thread(
            target=w.work, args=(lambda t: t.suggest_float("x", 0, 1), lambda *_: None, float("inf"))
        )
        for w in workers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert len(ended(study(where))) == 11


def test_the_trial_of_a_dead_worker_is_failed_and_made_up(where):
    dead = study(where)
    trial = dead.ask()
    trial.set_user_attr(WORKER, "dead")
    dead.set_user_attr(ALIVE + "dead", 3)
    Worker(study(where), 4, beat=0.02).work(
        lambda t: t.suggest_float("x", 0, 1), lambda *_: None, float("inf")
    )
    found = study(where).get_trials()
    assert found[trial.number].state == TrialState.FAIL
    assert len([t for t in found if t.state in ENDED]) == 4


def test_the_trial_of_a_living_worker_is_waited_for(where):
    other, here = Worker(study(where), 3, beat=1.0), Worker(study(where), 3, beat=1.0)
    trial, done = other.study.ask(), threading.Event()
    trial.set_user_attr(WORKER, other.name)

    def make(t):
        if t.number == 2:
            done.set()
        return 0.0

    with other.living():
        thread = threading.Thread(target=here.work, args=(make, lambda *_: None, float("inf")))
        thread.start()
        assert done.wait(30)
        other.study.tell(trial, 1.0)
    thread.join(30)
    assert not thread.is_alive()
    assert [t.state for t in study(where).get_trials()] == [TrialState.COMPLETE] * 3


SOON = "from xpnn.cli import main, workers; workers.BEAT = 1.0; main()"
"""The command, whose workers show every second that they live: a dead one is known after 4 seconds, not 40."""


def command(folder, *args):
    return subprocess.Popen(
        [sys.executable, "-c", SOON, *TUNE, *args], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("where", ["journal", POSTGRESQL], indirect=True)
def test_hosts_share_a_search_and_one_of_them_is_killed(tmp_path, where):
    victim = command(tmp_path, "--storage", where, "--worker", "--json")
    line = victim.stdout.readline()  # its first trial has ended
    assert '"event": "trial"' in line
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    worker, main = (command(tmp_path, "--storage", where, *more) for more in (("--worker",), ()))
    out, err = main.communicate(timeout=240)
    assert main.returncode == 0, err
    assert "6 trials" in out
    _, err = worker.communicate(timeout=60)
    assert worker.returncode == 0, err
    trials = study(where, "xpnn-spiral-mlp").get_trials()
    points = [tuple(t.params.items()) for t in trials if t.state in ENDED]
    assert len(points) == len(set(points)) == 6
    assert os.listdir(tmp_path / "runs") == ["tune-spiral-mlp"]
    assert (tmp_path / "runs/tune-spiral-mlp/best.toml").exists()


@pytest.mark.parametrize("where", [MARIADB, GRPC], indirect=True)
def test_the_command_keeps_its_trials_there(tmp_path, where, xp):
    tune = ("tune", "spiral", "--epochs", "1", "--storage", where, "--out", tmp_path / "out")
    assert xp(*tune, "--trials", "2")[0] == 0
    code, out, err = xp(*tune, "--trials", "3")
    assert code == 0, err
    assert "2 made before" in err
    assert "3 trials" in out
    assert len({tuple(t.params.items()) for t in study(where, "xpnn-spiral-mlp").get_trials()}) == 3


@pytest.mark.parametrize("where", ["nonsense", "journal:", "grpc://nowhere", "redis://x", "postgresql:x"])
def test_a_storage_of_another_form_is_refused(where):
    with pytest.raises(UsageError, match="--storage"):
        open_storage(where)


@pytest.mark.parametrize(
    ("where", "fix"),
    [
        ("mysql://me:secret@db/trials", "pip install pymysql"),
        ("mariadb://me:secret@db/trials", "pip install pymysql"),
        ("mysql+pymysql://me:secret@db/trials", "pip install pymysql"),
        ("postgresql://me:secret@db/trials", "pip install psycopg2-binary"),
        ("grpc://db:13000", "pip install grpcio protobuf"),
    ],
)
def test_a_driver_that_is_missing_is_named(monkeypatch, where, fix):
    pytest.importorskip("sqlalchemy")
    for name in ("MySQLdb", "pymysql", "psycopg2", "psycopg", "grpc", "optuna.storages._grpc.client"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendError, match="driver") as found:
        open_storage(where)
    assert fix in found.value.fix
    assert "secret" not in str(found.value)


def test_no_password_is_printed():
    assert named("postgresql://me:secret@db/trials") == "postgresql://me:***@db/trials"
    assert named("journal:trials.log") == "journal:trials.log"


def test_a_worker_needs_a_storage(capsys):
    assert run(["tune", "spiral", "--worker"]) == 2
    assert "--storage WHERE" in capsys.readouterr().err
