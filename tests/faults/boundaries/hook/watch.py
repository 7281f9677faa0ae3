"""Names each write, lock and rename that a process does to the state folder, and ends it at one.

Production code has no hooks: Python's audit events say what is about to be done, and the stack
says who does it. Nothing changes on the disk between two events of a process, so a kill before
the next one is a kill after this one. What C code does by itself is not told apart (Arrow's and
faiss' files, SQLite's pages): of SQLite, SQLAlchemy says when it commits, and the ledger's own
connections say each statement before it is run. Lines of a benchmark's records, which no event
tells of, are seen where they are handed to the file.

FAULTS_WATCH says what to do, as JSON:
    home: the state folder; what happens elsewhere is not looked at.
    log: a file that gets a line per event.
    at, occurrence: end before the n-th event of this name in this process, from 1. A name that
        ends in `, torn` is a sync's: the file loses its second half first, as in mid-write.
    later_s: end so many seconds after that instead, wherever it is by then: also within C code.
    alone: end a worker and nothing else; else its parent first, so that nothing of a call is left.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

TORN = ", torn"
WORKER = "mox.pipeline.worker"

LOCKS = "mox.locks"
HELPERS = {
    "mox.pipeline.context.alone",
    "mox.pipeline.disk.write_synced",
    "mox.pipeline.disk.write_whole",
    "mox.pipeline.disk.sync_folder",
    "mox.pipeline.store.lock",
    "mox.pipeline.store.claim",
    "mox.pipeline.disk.write_unsynced",
    "mox.pipeline.store._name",
    "mox.providers.ledger._writing",
    "mox.providers.ledger_file.append",
    "mox.providers.ledger_file.connected",
    "mox.providers.ledger_file.transaction",
    "mox.tracking.server.first",
    "mox.tracking.writing.upload",
    "mox.tracking.writing.create",
    "mox.tracking.writing.log",
}
"""Named by who called them."""

STATEMENTS = (
    ("BEGIN", "begin on"),
    ("COMMIT", "commit to"),
    ("CREATE TABLE IF NOT EXISTS calls ", "make the tables of"),
    ("INSERT INTO held", "book in"),
    ("INSERT INTO calls", "add a call to"),
    ("DELETE FROM held", "free a booking in"),
)
"""SQL that changes the ledger, by how it begins."""

ROLES = (
    (r"store\.json", "store.json"),
    (r"\.store\.json\.\w+", "the temporary store.json"),
    (r"(\w+)\.json", r"\1.json"),
    (r"\.(\w+)\.json\..*", r"the temporary \1.json"),
    (r"locks", "the folder of locks"),
    (r"locks/.*", "a lock"),
    (r"artifacts/\w+", "a stage's folder"),
    (r"artifacts/\w+/\.\w+\.\d+\.\w+", "the temporary artifact"),
    (r"artifacts/\w+/\.\w+\.\d+\.\w+/(.*)", r"\1"),
    (r"artifacts/\w+/\.\w+\.removed\.\w+", "the artifact put aside"),
    (r"artifacts/\w+/\.\w+\.removed\.\w+/(.*)", r"\1 put aside"),
    (r"artifacts/\w+/\w+", "the artifact"),
    (r"artifacts/\w+/\w+/(.*)", r"the artifact's \1"),
    (r"memo/answers", "the folder of answers"),
    (r"memo/\w+", "an embedder's folder"),
    (r"memo/\w+/\w+\.vectors\.npy", "vectors"),
    (r"memo/\w+/\w+\.hash\.npy", "hashes"),
    (r"memo/\w+/\w+\.hash\..*", "temporary hashes"),
    (r"(runs|running|mirrored|releases)/\..*", r"the temporary file of \1"),
    (r"(runs|mirrored|releases|running)/.*", r"the file of \1"),
    (r"ledger/calls\.sqlite", "the ledger"),
    (r"results/bench-\w+", "a benchmark's folder"),
    (r"results/bench-\w+/\.(\w+\.json)\..*", r"the temporary \1"),
    (r"results/bench-\w+/(.*)", r"\1"),
    (r"memo/answers/.*\.tmp", "a temporary answer"),
    (r"memo/answers/.*", "an answer"),
    (r"mlflow\.db\.lock", "the database's lock"),
    (r"mlflow\.db", "the database"),
    (r"\.mlflow\.db\.[^/]*", "the temporary database"),
    (r"mlflow-artifacts/.*/artifacts/.+", "a run's file"),
    (r"mlflow-artifacts.*", "a folder of files"),
    (r"services/indexes/\w+\.rebuilding", "the mark of a rebuild"),
    (r"services/indexes/\w+\.db", "a collection"),
    (r"services/indexes/\.[^/]+", "a collection put aside"),
    (r"services/indexes/\.[^/]+/.*", "what a collection put aside holds"),
    (r"services/indexes/\w+\.db/LOCK", "a collection's LOCK"),
    (r"services/indexes/\w+\.db/collections/mox_\w+", "the collection's folder"),
    (r"services/indexes/\w+\.db/(?:.*/)?([^/]+)", r"\1"),
    (
        r"(artifacts|ledger|memo|results|runs|mirrored|releases|running|services"
        r"|services/indexes)",
        r"the folder of \1",
    ),
)
"""What a file is, by its path in the state folder."""


def install() -> None:
    """Watch this process from now on."""
    Watch(json.loads(os.environ["FAULTS_WATCH"]))


class Watch:
    """One process' events: counted, noted, and ended at."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self.home = os.path.realpath(orders["home"]) + os.sep
        at = str(orders.get("at", ""))
        self.at, self.torn = at.removesuffix(TORN), at.endswith(TORN)
        self.occurrence = int(orders.get("occurrence", 1))
        self.later_s = float(orders.get("later_s", 0))
        self.alone = bool(orders.get("alone"))
        self.is_worker = WORKER in sys.orig_argv
        self.seen: Counter[str] = Counter()
        self.log: int | None = None
        if "log" in orders:
            self.log = os.open(orders["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.listening = False
        self._lines_seen = False
        self._sync = os.fsync
        os.fsync = self.sync
        self._connect = sqlite3.connect
        sqlite3.connect = self.connect  # type: ignore[assignment]
        sys.addaudithook(self.hear)

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        """One audit event."""
        if event in EVENTS:
            found = EVENTS[event](args)
            if found is not None:
                self.meet(*found)
                if found[1].endswith("records.jsonl"):
                    self.see_lines()
        elif event == "sqlite3.connect/handle" and "sqlalchemy" in sys.modules:
            self.listen()

    def connect(self, database: Any, *args: Any, **settings: Any) -> sqlite3.Connection:
        """sqlite3.connect; a ledger's statements are told from then on, each before it is run."""
        path = os.fsdecode(database)
        if not path.endswith("calls.sqlite"):
            return self._connect(database, *args, **settings)
        self.meet("connect to", path)
        connection = self._connect(database, *args, **settings)

        def told(sql: str) -> None:
            for begins, what in STATEMENTS:
                if sql.lstrip().startswith(begins):
                    self.meet(what, path)

        connection.set_trace_callback(told)
        return connection

    def see_lines(self) -> None:
        """Lines of records, each before it is written."""
        from mox.bench.providers.client.records import Writer

        if self._lines_seen:
            return
        self._lines_seen = True
        write = Writer._line

        def line(writer: Any, value: Any) -> None:
            def half() -> None:
                raw = json.dumps(value, separators=(",", ":")).encode()
                os.write(writer._file.fileno(), raw[: len(raw) // 2])

            self.meet(f"add {value['what']} to", str(writer._path), half)
            write(writer, value)

        Writer._line = line  # type: ignore[method-assign]

    def sync(self, handle: int) -> None:
        """os.fsync, of which there is no audit event."""
        self.meet("sync", _path(handle))
        self._sync(handle)

    def listen(self) -> None:
        """SQLAlchemy's commits, from its first connection on; those that change nothing not."""
        if self.listening:
            return
        self.listening = True
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        def commit(connection: Any) -> None:
            if connection.connection.dbapi_connection.in_transaction:
                self.meet("commit to", str(connection.engine.url.database))

        event.listen(Engine, "commit", commit)

    def meet(self, what: str, path: str, tear: Callable[[], None] | None = None) -> None:
        """An event on a path: named, where it is the state folder's.

        Args:
            tear: does half of it.
        """
        path = os.path.abspath(path)
        if not path.startswith(self.home) or path.endswith("(deleted)"):
            return
        name = f"{who(sys._getframe())}: {what} {role(path[len(self.home) :])}"
        self.seen[name] += 1
        if self.log is not None:
            os.write(self.log, f"{name}\n".encode())
            if tear or (what == "sync" and os.path.isfile(path)):
                os.write(self.log, f"{name}{TORN}\n".encode())
        spared = self.alone and not self.is_worker
        if name == self.at and self.seen[name] == self.occurrence and not spared:
            if self.later_s:
                threading.Timer(self.later_s, self.end).start()
                return
            if self.torn and tear:
                tear()
            elif self.torn:
                os.truncate(path, os.path.getsize(path) // 2)
            self.end()

    def end(self) -> None:
        """kill -9."""
        if self.is_worker and not self.alone:
            # The process that runs the plan: the first argument of what workers are forked from.
            os.kill(int(sys.argv[1]), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def who(frame: FrameType | None) -> str:
    """The innermost function of Mox that is no helper, else of Milvus Lite, else the outermost."""
    helper = engine = last = ""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        name = f"{module}.{frame.f_code.co_name}"
        if module.startswith("mox."):
            if name not in HELPERS and module != LOCKS:
                return name.removeprefix("mox.")
            helper = helper or name.removeprefix("mox.")
        elif module.startswith("milvus_lite.") and not engine:
            engine = name
        elif module != __name__:
            last = name
        frame = frame.f_back
    return helper or engine or last


def role(path: str) -> str:
    """What a file is, by its path in the state folder."""
    for pattern, said in ROLES:
        if found := re.fullmatch(pattern, path):
            return found.expand(said)
    return path


Found = tuple[str, str] | None


def _opened(args: tuple[Any, ...]) -> Found:
    path, _, flags = args
    if isinstance(path, int) or not flags & (os.O_WRONLY | os.O_RDWR):
        return None
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        return None  # a nameless file, by which filelock tries what the system can do
    return "open", os.fsdecode(path)


def _locked(args: tuple[Any, ...]) -> Found:
    handle, operation = args
    number = handle if isinstance(handle, int) else handle.fileno()
    return "unlock" if operation & fcntl.LOCK_UN else "lock", _path(number)


def _made(args: tuple[Any, ...]) -> Found:
    path = os.fsdecode(args[0])
    return None if os.path.exists(path) else ("make", path)


def _gone(what: str) -> Callable[[tuple[Any, ...]], Found]:
    def found(args: tuple[Any, ...]) -> Found:
        path = os.fsdecode(args[0])
        folder = args[1] if len(args) > 1 and isinstance(args[1], int) else -1
        if folder >= 0:  # rmtree removes names relative to a folder's handle
            path = os.path.join(_path(folder), path)
        return (what, path) if os.path.lexists(path) else None

    return found


def _path(handle: int) -> str:
    return os.readlink(f"/proc/self/fd/{handle}")


EVENTS: dict[str, Callable[[tuple[Any, ...]], Found]] = {
    "open": _opened,
    "fcntl.flock": lambda args: _locked(args[:2]),
    "fcntl.lockf": lambda args: _locked(args[:2]),
    "os.link": lambda args: ("link", os.fsdecode(args[1])),
    "os.mkdir": _made,
    "os.remove": _gone("remove"),
    "os.rename": lambda args: ("rename to", os.fsdecode(args[1])),
    "os.rmdir": _gone("remove folder"),
}
