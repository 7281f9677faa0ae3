"""Connections to PostgreSQL, embedded or by URI: opened, timed, and given back whole.

A statement's time limit is the server's own (`statement_timeout`), which a frozen server does
not keep: so a watch cuts the connection a little later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mox.errors import EngineError, SpecError
from mox.indexes.pgvector.watch import Watch
from mox.registry import missing_package
from mox.services import postgres
from mox.settings import redact
from mox.types import Place

if TYPE_CHECKING:
    from psycopg import Connection

SCHEMA = "mox"
"""All tables are in a schema of Mox' own, and nothing else is ever touched."""
SCHEMES = ("postgresql", "postgres")
CONNECTS_WITHIN_S = 5
ANSWERS_WITHIN_S = 60
"""Of a statement; what may take longer says so."""
SESSION = {
    "jit": "off",  # compiles for 100 ms what runs for 1
    "max_parallel_workers_per_gather": "0",  # one query, one core: as an index answers
    "client_min_messages": "notice",  # pgvector says by a notice that memory didn't suffice
    "lock_timeout": "10s",
    "client_connection_check_interval": "2s",  # a killed worker's build is ended, too
}


@dataclass
class Link:
    """A live connection to one table's engine, in autocommit."""

    connection: Connection[Any]
    where: str
    """The engine, for messages; without credentials."""
    place: Place
    watch: Watch
    notices: list[str] = field(default_factory=list)
    _cursor: Any = None

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def table(self) -> str:
        """The table's name, qualified and quoted."""
        return f'{SCHEMA}."{self.place.name}"'

    @property
    def index(self) -> str:
        return f"{self.place.name}_index"

    def ask(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """All rows of a statement's answer, within `ANSWERS_WITHIN_S`.

        Args:
            query: with $1, $2, … for the parameters.
        """
        with self.watch.within(ANSWERS_WITHIN_S):
            self._cursor.execute(query.encode(), parameters, binary=True)
            found: list[tuple[Any, ...]] = self._cursor.fetchall()
        return found

    def do(self, statements: str) -> None:
        """Statements without answers and parameters, within `ANSWERS_WITHIN_S`."""
        with self.watch.within(ANSWERS_WITHIN_S):
            self.connection.execute(statements.encode())

    @contextmanager
    def transaction(self, *, commits_within_s: float = 0.0) -> Iterator[None]:
        """All that is inside, or nothing of it. Its beginning and its end are watched as well,
        which psycopg's own are not.

        Args:
            commits_within_s: of its end, where that may take longer than a statement: a COMMIT
                writes a table that was filled in its own transaction to the disk.
        """
        self.do("begin")
        try:
            yield
        except BaseException:
            with suppress(driver().Error):  # a lost connection's is rolled back by the server
                self.do("rollback")
            raise
        with self.watch.within(commits_within_s):
            self.do("commit")

    @contextmanager
    def limited(self, limit_s: float) -> Iterator[None]:
        """Within a transaction: another time limit than `ANSWERS_WITHIN_S` for what is inside."""
        self.do(f"set local statement_timeout = '{limit_s:.0f}s'")
        with self.watch.within(limit_s):
            yield
        self.do(f"set local statement_timeout = '{ANSWERS_WITHIN_S}s'")

    def _open(self) -> None:
        """A cursor that knows the types that are registered by now, and is kept.

        Raw: the $1 of PostgreSQL itself, with nothing to be parsed for each search.
        """
        self._cursor = driver().RawCursor(self.connection)

    def prepare(self) -> None:
        """The session's settings, and the types of pgvector where the database has it.

        Its library is loaded first: until it is, PostgreSQL takes any value for its settings,
        and drops a wrong one with a warning.
        """
        self._open()
        found = self.ask(
            "select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace"
            " where e.extname = 'vector'"
        )
        path = ", ".join([SCHEMA, *{f'"{schema}"' for schema, *_ in found}, "pg_catalog"])
        settings = {**SESSION, "statement_timeout": f"{ANSWERS_WITHIN_S}s"}
        lines = [f"set search_path = {path}"]
        lines += [f"set {name} = '{value}'" for name, value in settings.items()]
        lines += ["select '[1]'::vector"] if found else []
        self.do("; ".join(lines))
        if found:
            from pgvector.psycopg import register_vector

            register_vector(self.connection)
        self._open()

    @contextmanager
    def said(self) -> Iterator[None]:
        """What PostgreSQL or its connection raises, as an EngineError without credentials."""
        psycopg = driver()
        try:
            with said(self.where, self.place.uri or ""):
                yield
        except EngineError as error:
            cause = error.__context__
            if self.watch.cut and isinstance(cause, psycopg.OperationalError):
                raise EngineError(
                    f"{self.where} is there and does not answer.",
                    mend="see what stops it (a frozen process, a full disk), and run again;"
                    " nothing took its place.",
                ) from None
            raise


@contextmanager
def connected(place: Place) -> Iterator[Link]:
    """A connection to where a table lives; all of it is given back at the end.

    Raises:
        EngineError: the engine is away or refuses; also for whatever PostgreSQL says inside the
            context.
        MissingError: psycopg, or the embedded PostgreSQL, isn't installed.
    """
    psycopg = driver()
    serving: AbstractContextManager[str]
    if place.uri is None:
        folder = server_folder(place)
        where, serving = postgres.where(folder), postgres.serving(folder)
    else:
        where, serving = f"PostgreSQL at {redact(checked(place.uri))}", nullcontext(place.uri)
    with serving as uri, said(where, place.uri or ""):
        connection = psycopg.connect(
            uri, autocommit=True, connect_timeout=CONNECTS_WITHIN_S, application_name="mox"
        )
        watch = Watch(connection.fileno())
        watch.start()
        link = Link(connection, where, place, watch)
        connection.add_notice_handler(lambda one: link.notices.append(one.message_primary or ""))
        try:
            with link.said():
                link.prepare()
                yield link
        finally:
            watch.end()
            connection.close()


def server_folder(place: Place) -> Path:
    """Where the embedded server of a folder of collections has its data."""
    return place.folder.absolute() / "postgres"


def driver() -> Any:
    """psycopg, imported: some 0.2 s of CPU that a run whose hits are stored needs none of.

    Raises:
        MissingError: it isn't installed, or without the libpq that its extra brings.
    """
    try:
        import psycopg
    except ImportError:
        raise missing_package("psycopg", extra=postgres.EXTRA) from None
    return psycopg


def server_engine(uri: str) -> dict[str, str]:
    """Name and version of the engine at a URI, and of its pgvector: the one that is installed in
    the database, else the one that could be.

    Raises:
        EngineError: it is away, refuses, or has no pgvector.
    """
    with connected(Place("", Path(), uri)) as link:
        ((version,),) = link.ask("show server_version")
        found = link.ask(
            "select coalesce(installed_version, default_version)"
            " from pg_available_extensions where name = 'vector'"
        )
        if not found:
            raise EngineError(
                f"{link.where} (PostgreSQL {version}) has no pgvector.",
                mend="install the package of pgvector 0.8.0 or newer on that server"
                " (postgresql-NN-pgvector on Debian), or unset MOX_POSTGRES_URI to use the embedded"
                " one.",
            )
    return {"engine": "postgresql", "version": str(version).split()[0], "pgvector": found[0][0]}


def checked(uri: str) -> str:
    """A server's URI as it was given.

    Raises:
        SpecError: it is none; its text is not repeated, since it may carry a password.
    """
    try:
        parts = urlsplit(uri)
        named = parts.scheme in SCHEMES and (parts.port is None or parts.port > 0)
    except ValueError:
        named = False
    if not named:
        raise SpecError(
            "MOX_POSTGRES_URI does not name a server.",
            mend="set it to postgresql://USER@HOST:5432/DATABASE, or unset it to use the embedded"
            " PostgreSQL in the state folder.",
        )
    return uri


@contextmanager
def said(where: str, uri: str = "") -> Iterator[None]:
    """What psycopg raises, as an EngineError without the URI's credentials."""
    psycopg = driver()
    try:
        yield
    except psycopg.Error as error:
        # Without its cause: libpq may repeat what it was given.
        raise _error(where, error, uri) from None


_MENDS: tuple[tuple[str, str], ...] = (
    ("57014", "it took longer than it may: see what else the server does, or ask for less."),
    ("53100", "free the disk of the server, and run again; nothing was kept of it."),
    ("53200", "give the server more memory, or ask for less."),
    ("53300", "close other connections, or raise the server's max_connections."),
    ("42501", "have the database's owner `grant create on database … to …` this user."),
    ("55P03", "another session holds the table: end it, and run again."),
    ("42P01", "build the index first."),
)
"""By SQLSTATE."""
_AWAY = ("08", "57P")
"""Classes of SQLSTATE in which the server went away, or never was there."""


def _error(where: str, error: Any, uri: str) -> EngineError:
    state, words = error.sqlstate or "", _clean(str(error), uri)
    if "authentication failed" in words or "no password supplied" in words:
        return EngineError(
            f"{where} does not let this user in ({words}).",
            mend="correct the user and the password in MOX_POSTGRES_URI.",
        )
    if re.search(r'(database|role) "[^"]*" does not exist', words):
        return EngineError(
            f"{where} refused: {words}.", mend="create it there, or correct MOX_POSTGRES_URI."
        )
    if state.startswith(_AWAY) or (not state and type(error).__name__ == "OperationalError"):
        return EngineError(
            f"{where} is away or does not answer ({words}).",
            mend="start it or correct MOX_POSTGRES_URI, and run again; nothing took its place."
            if uri
            else "run again: it is started anew, with all that was committed; see its log for why.",
        )
    mend = next((mend for code, mend in _MENDS if state == code), "see its log for more.")
    if "shared memory segment" in words:
        mend = "give its machine more shared memory (/dev/shm), or set" \
            " max_parallel_maintenance_workers = 0 there."  # fmt: skip
    return EngineError(f"{where} refused: {words}.", mend=mend)


def _clean(message: str, uri: str) -> str:
    parts = urlsplit(uri)
    secrets = [uri, parts.password, unquote(parts.password or "")]
    secrets += re.findall(r"(?:^|&)(?:password|sslpassword)=([^&]+)", parts.query)
    for secret in secrets:
        if secret:
            message = message.replace(secret, redact(uri) if secret == uri else "…")
            message = message.replace(unquote(secret), "…")
    return " ".join(message.split()).rstrip(". ")
