"""A server by URI: what it refuses and lacks is said by name and with the mend, never with the
password; two who share it don't disturb each other."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import psycopg
import pytest

from mox.errors import EngineError, SpecError
from mox.indexes import indexes
from mox.indexes.exact import nearest
from mox.indexes.pgvector import client, watch
from mox.indexes.pgvector.client import server_folder
from mox.indexes.pgvector.hybrid import PostgresHybrid
from mox.indexes.pgvector.specs import HnswSearch, PgExact, PgHnsw, PgSearch
from mox.indexes.pgvector.text import PostgresFts
from mox.services import postgres
from mox.spec import IndexSpec
from mox.testing.texts import TEXTS
from mox.testing.vectors import ROWS, clustered, recall
from mox.types import Place, Rows

pytestmark = pytest.mark.timeout(120)
BACKEND = indexes[PgExact()]
PASSWORD = "geheim&wort%"  # noqa: S105


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clustered(ROWS, 1)[0]


@contextmanager
def database(uri: str, name: str, *statements: str) -> Iterator[str]:
    """The URI of a database of one's own, made by statements of the superuser's."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"create database {name} template template0")
        for statement in statements:
            connection.execute(statement.encode())
        try:
            yield uri.replace("/postgres?", f"/{name}?")
        finally:
            connection.execute(f"drop database {name} with (force)")
            connection.execute("drop role if exists plain")


@pytest.fixture(scope="module")
def locked(
    postgres_copy: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server that wants a password; its URI without one."""
    folder = tmp_path_factory.mktemp("locked") / "postgres"
    postgres_copy(folder)
    with postgres.serving(folder) as uri, psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"create role locked login superuser password '{PASSWORD}'")
        rules = folder / "data" / "pg_hba.conf"
        rules.write_text(f"local all locked scram-sha-256\n{rules.read_text()}")
        connection.execute("select pg_reload_conf()")
        yield uri
    postgres.stop(folder)


def test_a_password_lets_in_and_a_wrong_one_is_said_without_it(locked: str) -> None:
    right = locked.replace("postgres@", "locked:geheim%26wort%25@")
    assert BACKEND.engine(right)["version"] == postgres.engine()["version"]
    wrong = locked.replace("postgres@", "locked:verkehrt%26er@")
    with pytest.raises(
        EngineError, match=r"does not let this user in.*\n  mend: correct"
    ) as raised:
        BACKEND.engine(wrong)
    assert "verkehrt" not in str(raised.value)
    with pytest.raises(EngineError, match="does not let this user in"):
        BACKEND.engine(locked.replace("postgres@", "locked@"))


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me:geheimnis@127.0.0.1:{free}/db",
        "postgresql://me@127.0.0.1:{free}/db?password=geheimnis",
        "postgresql:///db?host=/no/such/folder&password=geheimnis",
        "postgresql://me:geheimnis@127.0.0.1:{free}/db?no_such_option=1",
    ],
)
def test_a_server_that_is_away_is_said_within_seconds_and_without_the_password(
    uri: str, free: int
) -> None:
    began = time.monotonic()
    with pytest.raises(EngineError, match=r"PostgreSQL at postgresql://.*\n  mend: ") as raised:
        BACKEND.engine(uri.format(free=free))
    assert time.monotonic() - began < 10
    assert "geheimnis" not in str(raised.value)
    assert raised.value.__suppress_context__, "a traceback would show what libpq was given"


@pytest.mark.parametrize(
    "uri", ["host=/tmp password=geheimnis", "mysql://me:geheimnis@host/db", "postgresql://h:p0rt/"]
)
def test_what_is_no_uri_of_postgresql_is_refused_without_being_repeated(uri: str) -> None:
    with pytest.raises(SpecError, match="MOX_POSTGRES_URI does not name a server") as raised:
        BACKEND.engine(uri)
    assert "geheimnis" not in str(raised.value)


def test_a_database_or_a_user_that_is_not_there_is_said(postgres_uri: str) -> None:
    with pytest.raises(EngineError, match=r'database "absent" does not exist.*\n.*create it there'):
        BACKEND.engine(postgres_uri.replace("/postgres?", "/absent?"))
    with pytest.raises(EngineError, match=r'role "absent" does not exist'):
        BACKEND.engine(postgres_uri.replace("postgres@", "absent@"))


def test_a_server_without_pgvector_is_said_when_the_plan_is_made(postgres_uri: str) -> None:
    bare = "alter database bare set extension_control_path = '/no/such/folder'"
    with (
        database(postgres_uri, "bare", bare) as uri,
        pytest.raises(EngineError, match=r"has no pgvector\.\n  mend: install the package"),
    ):
        BACKEND.engine(uri)


def test_a_user_who_may_not_make_the_extension_or_the_schema_is_told_who_may(
    postgres_uri: str, tmp_path: Path, vectors: np.ndarray
) -> None:
    with database(postgres_uri, "poor", "create role plain login") as uri:
        place = Place("mox_plain", tmp_path, uri.replace("postgres@", "plain@"))
        rows = Rows(vectors)
        with pytest.raises(EngineError, match=r"may not `create extension.*\n.*database's owner"):
            BACKEND.build(PgExact(), rows, place)
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("create extension vector")
            with pytest.raises(EngineError, match="may not `create schema if not exists mox`"):
                BACKEND.build(PgExact(), rows, place)
            connection.execute("grant create on database poor to plain")
            assert BACKEND.build(PgHnsw(), rows, place).rows == ROWS
            BACKEND.drop(place)
            connection.execute("drop owned by plain")


def test_an_extension_in_a_schema_of_its_own_is_found(
    postgres_uri: str, tmp_path: Path, vectors: np.ndarray
) -> None:
    made = ("create role plain login", "grant create on database apart to plain")
    with database(postgres_uri, "apart", *made) as uri:
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute('create schema "ext ensions"')
            connection.execute('create extension vector schema "ext ensions"')
            connection.execute('grant usage on schema "ext ensions" to plain')
        place = Place("mox_apart", tmp_path, uri.replace("postgres@", "plain@"))
        assert BACKEND.build(PgHnsw(), Rows(vectors), place).rows == ROWS
        with BACKEND.open(PgHnsw(), place) as searcher:
            ids, _ = searcher.search(vectors[:2], k=1, settings=HnswSearch())
        assert ids[:, 0].tolist() == [0, 1]
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("drop owned by plain cascade")


def test_two_who_search_one_table_keep_their_own_settings(
    postgres_uri: str, tmp_path: Path
) -> None:
    """By turns, as two sweeps would: neither finds what the other's settings find."""
    vectors, queries = clustered(ROWS, 100)
    truth, _ = nearest(vectors, queries, 10)
    place, spec = Place("mox_two", tmp_path, postgres_uri), PgHnsw(m=4, ef_construction=16)
    BACKEND.build(spec, Rows(vectors), place)
    low, high = HnswSearch(ef_search=10), HnswSearch(ef_search=400)
    with BACKEND.open(spec, place) as one, BACKEND.open(spec, place) as other:
        few, _ = one.search(queries, k=10, settings=low)
        many, _ = other.search(queries, k=10, settings=high)
        for _ in range(2):
            assert (one.search(queries, k=10, settings=low)[0] == few).all()
            assert (other.search(queries, k=10, settings=high)[0] == many).all()
    assert recall(few, truth) < 0.9 < recall(many, truth)
    BACKEND.drop(place)


@contextmanager
def freezable(
    postgres_copy: Callable[[Path], None], place: Place, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """A server of its own and 1.5 s of patience with it; gives what stops all its processes."""
    monkeypatch.setattr(client, "ANSWERS_WITHIN_S", 1)
    monkeypatch.setattr(watch, "GRACE_S", 0.5)
    postgres_copy(server_folder(place))
    stopped: list[psutil.Process] = []

    def freeze() -> None:
        pid = int((server_folder(place) / "data" / "postmaster.pid").read_text().splitlines()[0])
        stopped.extend([psutil.Process(pid), *psutil.Process(pid).children()])
        for process in stopped:
            process.suspend()

    try:
        yield freeze
    finally:
        for process in stopped:
            process.resume()
        postgres.stop(server_folder(place))


def test_a_frozen_server_is_given_up(
    postgres_copy: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    vectors: np.ndarray,
) -> None:  # fmt: skip
    """It can't keep its own time limit, so the connection is cut."""
    place = Place("mox_frozen", tmp_path)
    with freezable(postgres_copy, place, monkeypatch) as freeze:
        BACKEND.build(PgExact(), Rows(vectors), place)
        with BACKEND.open(PgExact(), place) as searcher:
            freeze()
            began = time.monotonic()
            with pytest.raises(EngineError, match="is there and does not answer"):
                searcher.search(vectors[:1], k=1, settings=PgSearch())
            assert time.monotonic() - began < 10


@pytest.mark.timeout(30)
def test_a_server_that_freezes_before_a_commit_is_given_up(
    postgres_copy: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place("mox_frozen", tmp_path)

    def begin_and_commit() -> None:
        with client.connected(place) as link, link.transaction():
            link.do("create temp table one (id int4)")
            freeze()

    with (
        freezable(postgres_copy, place, monkeypatch) as freeze,
        pytest.raises(EngineError, match="is there and does not answer"),
    ):
        begin_and_commit()


def test_what_may_take_longer_than_a_statement_is_not_cut_off_by_one(
    postgres_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that has 10 s is made of statements, each of which alone would have 1 s."""
    monkeypatch.setattr(client, "ANSWERS_WITHIN_S", 1)
    monkeypatch.setattr(watch, "GRACE_S", 0.3)
    with client.connected(Place("mox_slow", tmp_path, postgres_uri)) as link:
        with link.transaction(), link.limited(10):
            link.do("select pg_sleep(1.9)")
        with pytest.raises(EngineError, match="statement timeout"), link.said():
            link.do("select pg_sleep(1.9)")


@pytest.fixture
def slow_commits(
    postgres_uri: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[psycopg.Connection[Any]]:
    """A server that takes 1.6 s for the COMMIT of a table of Mox', where a statement has 1.3 s.

    Whoever creates one notes it in a table whose trigger is put off till the COMMIT.
    """
    monkeypatch.setattr(client, "ANSWERS_WITHIN_S", 1)
    monkeypatch.setattr(watch, "GRACE_S", 0.3)
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        for statement in (
            "create schema slow",
            "create table slow.made (name text)",
            "create function slow.nap() returns trigger language plpgsql as"
            " 'begin perform pg_sleep(1.6); return null; end'",
            "create constraint trigger nap after insert on slow.made deferrable initially deferred"
            " for each row execute function slow.nap()",
            "create function slow.note() returns event_trigger language plpgsql as"
            " 'begin insert into slow.made select object_identity from"
            " pg_event_trigger_ddl_commands() where schema_name = ''mox''; end'",
            "create event trigger note on ddl_command_end when tag in ('CREATE TABLE')"
            " execute function slow.note()",
        ):
            connection.execute(statement.encode())
        try:
            yield connection
        finally:
            connection.execute("drop event trigger note")
            connection.execute("drop schema slow cascade")


@pytest.mark.parametrize("spec", [PgExact(), PostgresFts(), PostgresHybrid(vector=PgExact())])
def test_the_commit_of_each_kind_of_index_has_a_builds_time(
    spec: IndexSpec, slow_commits: psycopg.Connection[Any], postgres_uri: str, tmp_path: Path
) -> None:
    found = clustered(len(TEXTS), 1)[0] if spec.holds != "texts" else None
    texts = TEXTS if spec.holds != "vectors" else None
    place = Place(f"mox_slow_{spec.kind}", tmp_path, postgres_uri)
    try:
        assert indexes[spec].build(spec, Rows(found, texts=texts), place).rows == len(TEXTS)
        assert slow_commits.execute("select count(*) from slow.made").fetchone() == (1,)
    finally:
        indexes[spec].drop(place)


def test_a_server_killed_in_mid_search_is_said_by_name(
    postgres_copy: Callable[[Path], None], tmp_path: Path, vectors: np.ndarray
) -> None:
    place = Place("mox_dies", tmp_path)
    postgres_copy(server_folder(place))
    BACKEND.build(PgExact(), Rows(vectors), place)
    pid = int((server_folder(place) / "data" / "postmaster.pid").read_text().splitlines()[0])
    try:
        with BACKEND.open(PgExact(), place) as searcher:
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.5)
            with pytest.raises(EngineError, match="is away or does not answer"):
                searcher.search(vectors[:1], k=1, settings=PgSearch())
        assert BACKEND.rows(place) == ROWS, "started again, with all that it held"
    finally:
        postgres.stop(server_folder(place))


def test_a_table_that_somebody_holds_is_not_waited_for_without_end(
    postgres_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vectors: np.ndarray
) -> None:
    assert client.SESSION["lock_timeout"] == "10s"
    monkeypatch.setitem(client.SESSION, "lock_timeout", "300ms")
    place = Place("mox_held", tmp_path, postgres_uri)
    BACKEND.build(PgExact(), Rows(vectors), place)
    with psycopg.connect(postgres_uri) as connection:
        connection.execute("select 1 from mox.mox_held limit 1")  # and stays in its transaction
        with pytest.raises(EngineError, match=r"lock timeout.*\n  mend: another session holds"):
            BACKEND.drop(place)
    BACKEND.drop(place)
    assert BACKEND.rows(place) is None
