"""The tracking server: where it is, whether it answers, and its schema made once.

MLflow creates a new store's tables without a lock, so that several first users at once lose
runs. Here a new SQLite store is made whole under another name and renamed, under a lock.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from mox.errors import EngineError, MoxError, SpecError
from mox.secrets import scrub
from mox.settings import redact
from mox.spec import digest

if TYPE_CHECKING:
    from mlflow import MlflowClient

TIMEOUT_S = 3.0
"""How long a server may take to say that it is there."""

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_MODEL_CATALOG_URI": "",  # else a server fetches one from the network
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # its own 7 keep a lost server's caller for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""What MLflow has to be told before it is imported, where the user hasn't said otherwise."""

OFFLINE = "go on without by `--offline`, and mirror later by `mox sync`."


def tracking_uri(root: Path) -> str:
    """Where runs are mirrored: MLFLOW_TRACKING_URI, else a SQLite file in the state folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.absolute() / 'mlflow.db'}"


def database(uri: str) -> Path | None:
    """The file of a SQLite URI; None for any other."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]).absolute()


def reachable(uri: str) -> None:
    """Refuse a tracking server that is away, within seconds and without importing MLflow.

    SQLite: its folder can be written and the file is a database. HTTP: it answers as healthy.
    Other schemes aren't looked at.

    Raises:
        EngineError: it is away or isn't what the URI says.
    """
    file = database(uri)
    if file is not None:
        _check_file(file)
    elif urlparse(uri).scheme in ("http", "https"):
        _check_health(uri)


def _check_file(file: Path) -> None:
    folder = next(parent for parent in file.parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise EngineError(
            f"MLflow's store {file} cannot be made: {folder} cannot be written.",
            mend=f"set MLFLOW_TRACKING_URI to a place that can, or {OFFLINE}",
        )
    if not file.exists() or (file.is_file() and file.stat().st_size == 0):
        return
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=1)) as opened:
            opened.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        raise EngineError(
            f"MLflow's store {file} cannot be opened: {error}.",
            mend=f"move that file away (`mox sync` mirrors all runs anew), or {OFFLINE}",
        ) from None


def _check_health(uri: str) -> None:
    import base64
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    place = redact(uri).rstrip("/")
    parts = urlparse(uri)
    user = os.environ.get("MLFLOW_TRACKING_USERNAME") or unquote(parts.username or "")
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD") or unquote(parts.password or "")
    request = Request(f"{place}/health")  # noqa: S310  http or https, the caller's word
    if user:
        both = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {both}")
    elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
            return
    except HTTPError as error:
        said = f"answers {error.code} where MLflow says that it is healthy"
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        said = f"does not answer ({reason})"
    raise EngineError(
        f"MLflow at {place} {said}.",
        mend=f"start that server or correct MLFLOW_TRACKING_URI, or {OFFLINE}",
    )


def client(uri: str) -> MlflowClient:
    """A client of one server; MLflow's process-wide state isn't touched."""
    quieten()
    with _hushed():
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def quieten() -> None:
    """Keep MLflow from telemetry, downloads, printing and long retries, unless told otherwise."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def prepare(uri: str, experiment: str, root: Path) -> str:
    """Make the schema and the experiment where they are missing, once among all processes.

    Args:
        root: the state folder; artifacts of a SQLite store lie beside its file.

    Returns:
        The experiment's id.

    Raises:
        EngineError: the server is lost, or its schema is another version's.
        SpecError: the experiment was deleted there.
    """
    file = database(uri)
    with speaking(uri), first(uri, root):
        if file is not None and (not file.exists() or file.stat().st_size == 0):
            _create(file)
        return _experiment(client(uri), uri, experiment)


@contextmanager
def first(uri: str, root: Path) -> Iterator[None]:
    """Hold what may be done by one process at a time: the schema, an experiment, a parent run."""
    from filelock import FileLock

    file = database(uri)
    path = root / "locks" / f"mlflow-{digest(uri)[:16]}.lock"
    if file is not None:
        path = file.with_name(f"{file.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path, timeout=300):
        yield


@contextmanager
def speaking(uri: str) -> Iterator[None]:
    """Turn what MLflow, its database or its transport raise into one error of ours."""
    try:
        yield
    except MoxError:
        raise
    except Exception as error:
        if not _is_theirs(error):
            raise
        said = scrub(str(error).strip().splitlines()[0] if str(error).strip() else "")
        if "out-of-date database schema" in said:
            raise EngineError(
                f"MLflow's store {redact(uri)} has another version's schema.",
                mend=f"keep a copy of it and run `mlflow db upgrade '{redact(uri)}'`.",
            ) from None
        raise EngineError(
            f"MLflow at {redact(uri)}: {said or type(error).__name__}.",
            mend="the results are kept; `mox sync` mirrors them once it answers again.",
        ) from None


def _is_theirs(error: Exception) -> bool:
    """Whether an error comes from MLflow, SQLAlchemy, requests, alembic or the system."""
    if isinstance(error, OSError | TimeoutError | sqlite3.Error):
        return True
    roots = {kind.__module__.split(".")[0] for kind in type(error).__mro__}
    return bool(roots & {"mlflow", "sqlalchemy", "requests", "urllib3", "alembic", "filelock"})


def _create(file: Path) -> None:
    """A new SQLite store, whole or not at all, however the process ends."""
    quieten()
    file.parent.mkdir(parents=True, exist_ok=True)
    for left in file.parent.glob(f".{file.name}.*"):
        left.unlink()  # of a process that was killed here: the lock is ours
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}")
    try:
        with closing(sqlite3.connect(temporary)) as made:
            # Kept in the file: readers don't block, and a commit costs one sync instead of three.
            made.execute("PRAGMA journal_mode=WAL")
        with _hushed():
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            new: Any = SqlAlchemyStore
            store = new(f"sqlite:///{temporary}", artifacts(file).as_uri())
            store.engine.dispose()
        temporary.replace(file)
    finally:
        for path in file.parent.glob(f"{temporary.name}*"):
            path.unlink(missing_ok=True)


def artifacts(file: Path) -> Path:
    """Where the artifacts of a SQLite store lie."""
    return file.with_name("mlflow-artifacts")


def _experiment(opened: MlflowClient, uri: str, name: str) -> str:
    found = opened.get_experiment_by_name(name)
    if found is None:
        file = database(uri)
        place = None
        if file is not None:
            slug = re.sub(r"[^\w.-]+", "-", name)[:40]
            place = (artifacts(file) / f"{slug}-{digest(name)[:8]}").as_uri()
        return str(opened.create_experiment(name, artifact_location=place))
    if found.lifecycle_stage != "active":
        raise SpecError(
            f"the experiment {name!r} was deleted in MLflow at {redact(uri)}.",
            mend=f"restore it (`mlflow experiments restore --experiment-id {found.experiment_id}`)"
            " or give the experiment another name.",
        )
    return str(found.experiment_id)


@contextmanager
def _hushed() -> Iterator[None]:
    """Without the notes that MLflow and alembic make while a store is opened."""
    import mlflow  # noqa: F401  sets the level of its logger when imported

    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
