"""A server by URI that is away, freezes or dies: an error within seconds, without the password."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mox.errors import EngineError, MoxError, SpecError
from mox.indexes import indexes
from mox.indexes.milvus.client import said
from mox.indexes.milvus.specs import Flat, IvfFlat, NprobeSearch
from mox.testing.vectors import clustered
from mox.types import Place, Rows

SPEC = IvfFlat(nlist=4)
BACKEND = indexes[SPEC]
ROWS = Rows(clustered(300, 1)[0])
QUERIES = clustered(300, 3)[1]
SECRET = "hunter2-planted"  # noqa: S105


@contextmanager
def said_within(seconds: float, match: str) -> Iterator[None]:
    started = time.monotonic()
    with pytest.raises(MoxError, match=match) as caught:
        yield
    assert time.monotonic() - started < seconds
    assert isinstance(caught.value, EngineError)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def with_password(uri: str) -> str:
    return uri.replace("://", f"://root:{SECRET}@")


def test_where_nothing_listens_it_is_said_at_once(tmp_path: Path, free: int) -> None:
    uri = with_password(f"http://127.0.0.1:{free}")
    place = Place("mox_away", tmp_path, uri)
    named = rf"Milvus at http://127\.0\.0\.1:{free} is away"
    with said_within(5, named):
        BACKEND.engine(uri)
    with said_within(5, named):
        BACKEND.build(SPEC, ROWS, place)
    with said_within(5, named):
        BACKEND.rows(place)
    with said_within(5, named):
        BACKEND.drop(place)
    with said_within(5, named), BACKEND.open(SPEC, place):
        pass
    assert not list(tmp_path.iterdir()), "no store took its place"


def test_a_host_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with said_within(10, r"Milvus at http://no-such-host\.invalid:19530 is away"):
        BACKEND.rows(Place("x", tmp_path, with_password("http://no-such-host.invalid:19530")))


@pytest.mark.parametrize(
    "uri",
    [
        f"root:{SECRET}@milvus:19530",
        f"./{SECRET}.db",
        f"/tmp/{SECRET}.db",  # noqa: S108
        f"http://root:{SECRET}@host:port",
        f"postgres://root:{SECRET}@host",
        f"http://{SECRET}@",
        "",
    ],
)
def test_what_names_no_server_is_refused_and_not_repeated(uri: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="does not name a server") as caught:
        BACKEND.engine(uri)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(SpecError, match="does not name a server"):
        BACKEND.rows(Place("x", tmp_path, uri))


def test_what_an_engine_repeats_of_the_uri_is_left_out() -> None:
    import grpc
    from pymilvus.exceptions import MilvusException

    uri = with_password("http://host:19530/db")
    for raised in (
        MilvusException(message=f"cannot reach {uri}: token root:{SECRET}"),
        grpc.RpcError(f"cannot reach {uri}"),
    ):
        with said_within(1, "Milvus at host refused"), said("Milvus at host", uri):
            raise raised


def test_an_http_server_that_is_no_milvus_is_said(tmp_path: Path) -> None:
    import http.server
    import threading

    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with said_within(10, rf"Milvus at http://127\.0\.0\.1:{server.server_port}"):
                BACKEND.rows(Place("x", tmp_path, f"http://127.0.0.1:{server.server_port}"))
        finally:
            server.shutdown()
            thread.join(timeout=10)


def test_it_freezes_thaws_and_dies(lite_server: Any, tmp_path: Path) -> None:
    uri = with_password(lite_server.uri)
    place = Place("mox_a", tmp_path, uri)
    assert BACKEND.engine(uri)["engine"] == "milvus-lite"
    BACKEND.build(SPEC, ROWS, place)
    search = {"k": 3, "settings": NprobeSearch(nprobe=4)}
    with said_within(100, "is away"), BACKEND.open(SPEC, place) as searcher:
        before, _ = searcher.search(QUERIES, **search)
        lite_server.send(signal.SIGSTOP)
        with said_within(20, "is away or does not answer .DEADLINE_EXCEEDED"):
            searcher.search(QUERIES, **search)
        with said_within(8, "is away"):
            BACKEND.rows(place)
        lite_server.send(signal.SIGCONT)
        after, _ = searcher.search(QUERIES, **search)
        assert (after == before).all()
        lite_server.send(signal.SIGKILL)
        searcher.search(QUERIES, **search)
    with said_within(5, "is away"):
        BACKEND.rows(place)


def test_two_kinds_live_in_one_server(shared_lite_server: Any, tmp_path: Path) -> None:
    places = [Place(f"mox_{name}", tmp_path, shared_lite_server.uri) for name in "ab"]
    specs = [Flat(), SPEC]
    for spec, place in zip(specs, places, strict=True):
        built = BACKEND.build(spec, ROWS, place)
        assert built.bytes_are == "formula", "another process' files are not ours to read"
    BACKEND.drop(places[0])
    assert [BACKEND.rows(place) for place in places] == [None, 300]
    with pytest.raises(EngineError, match="has mox_b already"):
        BACKEND.build(SPEC, ROWS, places[1])
    BACKEND.drop(places[1])
    assert not list(tmp_path.iterdir())
