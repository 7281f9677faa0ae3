"""Connections to Milvus, embedded or by URI: opened, timed, and given back whole.

pymilvus retries an unreachable server for minutes unless each call has a timeout, and raises
gRPC's own errors beside its own. Its `close()` gives nothing of Milvus Lite back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mox.errors import EngineError, SpecError
from mox.indexes.milvus import lite
from mox.indexes.milvus.lite import quieten
from mox.indexes.milvus.reasons import ended
from mox.settings import redact
from mox.types import Place

SCHEMES = ("http", "https", "tcp", "unix")


class Limits(NamedTuple):
    """Seconds after which a call is given up.

    A server that is there answers a question in milliseconds, so five seconds tell a frozen
    one. Milvus Lite lives in this process and does the work inside the call: there the stage's
    own time limit is the one that ends what hangs.
    """

    answer: float
    search: float
    write: float
    step: float


SERVER = Limits(answer=5, search=15, write=15, step=60)
EMBEDDED = Limits(*[86_400.0] * 4)
POLL_S = 0.1


@dataclass(frozen=True)
class Link:
    """A live connection to one collection's engine."""

    client: Any
    name: str
    """The collection."""
    where: str
    """The engine, for messages; without credentials."""
    engine: Mapping[str, str]
    limits: Limits
    place: Place

    @property
    def is_lite(self) -> bool:
        return self.engine["engine"] == "milvus-lite"

    @property
    def is_embedded(self) -> bool:
        return self.place.uri is None

    def wait(
        self,
        done: Callable[[], bool],
        what: str,
        patience_s: float,
        *,
        so_far: Callable[[], str] = str,
    ) -> None:
        """Ask until it is done; each question has its own short timeout.

        Args:
            so_far: what is known of why not, asked when patience ends.

        Raises:
            EngineError: it is not done when patience ends.
        """
        until = time.monotonic() + patience_s
        while not done():
            if time.monotonic() > until:
                raise EngineError(
                    f"{self.where} was still {what} {self.name} after {patience_s:.0f} s"
                    f"{so_far()}.",
                    mend="look into the engine's log for why; drop the collection and try again.",
                )
            time.sleep(POLL_S)


@contextmanager
def connected(place: Place) -> Iterator[Link]:
    """A connection to where a collection lives; all of it is given back at the end.

    Raises:
        EngineError: the engine is away, refuses, or its folder is in use by another process;
            also for whatever Milvus says inside the context.
    """
    if place.uri is None:
        with lite.embedded(place) as uri, said(lite.where(place)):
            engine = lite.engine()
            with closing(_client(uri)) as client:
                yield Link(client, place.name, lite.where(place), engine, EMBEDDED, place)
        return
    uri = checked(place.uri)
    where = f"Milvus at {redact(uri)}"
    with said(where, uri), closing(_client(uri)) as client:
        yield Link(client, place.name, where, _engine(client), SERVER, place)


def server_engine(uri: str) -> dict[str, str]:
    """Name and version of the engine at a URI.

    Raises:
        EngineError: it is away; said within seconds.
    """
    uri = checked(uri)
    with said(f"Milvus at {redact(uri)}", uri), closing(_client(uri)) as client:
        return _engine(client)


def checked(uri: str) -> str:
    """A server's URI as it was given.

    Raises:
        SpecError: it is a file's path or no URI; its text is not repeated, since it may carry
            a password.
    """
    try:
        parts = urlsplit(uri)
        named = parts.scheme in SCHEMES and (parts.hostname or parts.scheme == "unix")
        named = named and (parts.port is None or parts.port > 0)
    except ValueError:
        named = False
    if not named:
        raise SpecError(
            "MOX_MILVUS_URI does not name a server.",
            mend="set it to http://HOST:19530, or unset it to use Milvus Lite in the state folder.",
        )
    return uri


def _client(uri: str) -> Any:
    # Imported here: pymilvus costs 2 s of CPU, and a run whose hits are stored needs none of it.
    from pymilvus import MilvusClient

    quieten()
    # Dedicated, since a shared connection outlives its client and skips the test that it works.
    return MilvusClient(uri, timeout=SERVER.answer, dedicated=True)


def _engine(client: Any) -> dict[str, str]:
    # `v2.3.5-lite` is the wheel of a real server; Lite says `milvus_lite-3.2.2`.
    version = str(client.get_server_version(timeout=SERVER.answer))
    embedded, _, number = version.partition("milvus_lite-")
    if not embedded and number:
        return {"engine": "milvus-lite", "version": number}
    return {"engine": "milvus", "version": version.removeprefix("v")}


@contextmanager
def said(where: str, uri: str = "") -> Iterator[None]:
    """What Milvus or its connection raises, as an EngineError without the URI's credentials."""
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except MilvusException as error:
        # Without its cause: pymilvus repeats a URI that it was given, password and all.
        raise _error(where, _clean(str(error.message), uri), uri, away=error.code == 2) from None
    except grpc.RpcError as error:
        code = error.code().name if isinstance(error, grpc.Call) else type(error).__name__
        away = code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
        detail = error.details() if isinstance(error, grpc.Call) else str(error)
        raise _error(where, _clean(f"{code}: {detail}", uri), uri, away=away) from None


def _error(where: str, message: str, uri: str, *, away: bool) -> EngineError:
    if away:
        return EngineError(
            f"{where} is away or does not answer ({message}{ended(uri)}).",
            mend="start it (`mox up milvus`, where that had started it) or correct MOX_MILVUS_URI,"
            " and run again; nothing took its place.",
        )
    return EngineError(f"{where} refused: {message}.", mend="see its log for more.")


def _clean(message: str, uri: str) -> str:
    parts = urlsplit(uri)
    for secret in (uri, parts.password, parts.username):
        if secret:
            message = message.replace(secret, redact(uri) if secret == uri else "…")
    return message.rstrip(". ")
