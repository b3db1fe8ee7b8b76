"""Where the trials of `xpnn tune` are kept when several hosts share them: `--storage`."""

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna

from xpnn.errors import BackendError, UsageError, first_line

DATABASES = ("postgresql", "mysql", "mariadb", "sqlite")
FORMS = "postgresql://USER@HOST/NAME, mysql://USER@HOST/NAME, journal:PATH or grpc://HOST:PORT"
PACKAGES = {
    "postgresql": "psycopg2-binary",
    "mysql": "pymysql",
    "mariadb": "pymysql",
    "grpc": "grpcio protobuf",
}
"""What pip calls the usual driver; another one is named in the URL, as postgresql+asyncpg://."""


def open_storage(where: str) -> Any:
    """Open optuna's storage of that name.

    journal:PATH is a file on a disk that all hosts see; grpc://HOST:PORT a server of optuna's. Raises UsageError for
    another form, BackendError without the driver or without an answer.
    """
    kind, _, rest = where.partition(":")
    try:
        if kind == "journal" and rest:
            from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

            path = str(Path(rest).expanduser())
            return optuna.storages.JournalStorage(
                JournalFileBackend(path, lock_obj=JournalFileOpenLock(path))
            )
        if kind == "grpc":
            host, _, port = rest.removeprefix("//").rpartition(":")
            if host and port.isdecimal():
                with warnings.catch_warnings():  # that optuna may change the class is not the user's concern
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    proxy = optuna.storages.GrpcStorageProxy(host=host, port=int(port))
                proxy.wait_server_ready(timeout=30)
                return proxy
        elif kind.partition("+")[0] in DATABASES and rest.startswith("//"):
            return optuna.storages.RDBStorage(with_driver(where))
    except ImportError as error:
        base, _, driver = kind.partition("+")
        raise BackendError(
            f"--storage {named(where)} needs a driver that is not installed",
            why=first_line(error), fix=f"pip install {driver or PACKAGES.get(base, base)}",
        ) from error  # fmt: skip
    except Exception as error:
        if not type(error).__module__.startswith(("sqlalchemy", "optuna", "grpc", "builtins")):
            raise
        raise BackendError(
            f"cannot open --storage {named(where)}",
            why=first_line(error),
            fix="is the server running, and reachable?",
        ) from error
    raise UsageError(f"--storage {named(where)}", fix=FORMS)


def with_driver(where: str) -> str:
    """The URL with a driver that is installed. What a database's is without one depends on SQLAlchemy's version."""
    kind, _, rest = where.partition(":")
    driver = ""
    if kind == "postgresql":
        driver = "psycopg2" if find_spec("psycopg2") else "psycopg" if find_spec("psycopg") else ""
    if kind in ("mysql", "mariadb"):
        driver = "mysqldb" if find_spec("MySQLdb") else "pymysql" if find_spec("pymysql") else ""
    return f"{kind}+{driver}:{rest}" if driver else where


def named(where: str) -> str:
    """The storage in a message: without a password."""
    head, at, tail = where.rpartition("@")
    user, colon, _ = head.partition("://")[2].partition(":")
    return f"{head.partition('://')[0]}://{user}{':***' if colon else ''}@{tail}" if at else where
