"""What runs on this machine because Mox started it: recorded in the state folder.

`services/<service>.json` says what was started and is written before it answers, so that whoever
comes next finds it, also where its starter was killed. A record whose process is gone says that
the service should run and doesn't: nothing takes its place until the record is taken back.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mox.errors import EngineError, StoreError
from mox.services.process import born
from mox.settings import Settings, redact

SETTING = {"milvus": "milvus_uri", "redis": "redis_url"}
"""Which setting names a service by URI; used where it isn't set, once `mox up` started one."""
PORTS = {"milvus": 19530, "postgres": 5432, "redis": 6379}
"""What a URI without a port means."""
PATIENCE_S = 300.0
"""How long another `mox up` or `mox down` of the same service is waited for."""


@dataclass(frozen=True)
class Server:
    """A server that was started in a state folder, as its record says."""

    service: str
    """`milvus`, `redis`, …"""
    uri: str
    pid: int
    """The leader of a process group of its own."""
    born: str
    """See `process.born`: the same number with another one is another process."""
    version: str
    lacks: tuple[str, ...] = ()
    """Kinds of index that it was built without; `GPU_*` means all of that family."""
    open_ports: tuple[int, ...] = ()
    """Ports that it listens on at all of the machine's addresses, not only the loopback."""
    log: str = ""
    """The file that its output goes to."""
    started: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    @property
    def alive(self) -> bool:
        return born(self.pid) == self.born

    def lacks_kind(self, kind: str) -> bool:
        """Whether it was built without a kind of index."""
        return any(fnmatchcase(kind, pattern) for pattern in self.lacks)

    def document(self) -> dict[str, Any]:
        """The JSON of `mox up --json`; its address as its setting calls it, and as `uri`."""
        said = {**asdict(self), "lacks": list(self.lacks), "open_ports": list(self.open_ports)}
        del said["born"]
        return {"schema": 1, **said, SETTING[self.service].rpartition("_")[2]: self.uri}

    def __repr__(self) -> str:
        state = "answers at" if self.alive else "is gone from"
        return f"{self.service} {self.version} {state} {redact(self.uri)} (process {self.pid})"


def folder(root: Path) -> Path:
    """Where a state folder keeps its services: records, locks, and their data."""
    return root / "services"


def recorded(root: Path, service: str) -> Server | None:
    """The server that was started here and not ended, alive or not; None where there is none.

    Raises:
        StoreError: the record can't be read.
    """
    path = _path(root, service)
    try:
        said: dict[str, Any] = json.loads(path.read_bytes())
        lists = {name: tuple(said[name]) for name in ("lacks", "open_ports")}
        return Server(**{**said, **lists})
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None  # the state folder itself is said to be none by whoever writes to it
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}).",
            mend=f"run `mox down {service}`, which ends what runs there and removes it.",
        ) from None


def servers(root: Path) -> list[Server]:
    """All that were started here and not ended, by name."""
    found = (recorded(root, path.stem) for path in sorted(folder(root).glob("*.json")))
    return [server for server in found if server is not None]


def record(root: Path, server: Server) -> None:
    """Keep a server's record, whole or not at all; its URI may carry a password.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    path = _path(root, server.service)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
            json.dump(asdict(server), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise unwritable(path, error) from None


def forget(root: Path, service: str) -> None:
    """Take a record back: what it spoke of has been ended."""
    _path(root, service).unlink(missing_ok=True)


def _path(root: Path, service: str) -> Path:
    return folder(root) / f"{service}.json"


@contextmanager
def alone(
    root: Path,
    service: str,
    *,
    wait_s: float = PATIENCE_S,
    say: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Be the only one who starts or ends a service of this state folder.

    Args:
        say: told once that somebody else is waited for; nobody is where None.

    Raises:
        StoreError: the folder cannot be written, or somebody else is at it for too long.
    """
    path = folder(root) / f"{service}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise unwritable(path, error) from None
    try:
        until, told = time.monotonic() + wait_s, False
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise StoreError(
                        f"another process starts or ends {service} in {root}.",
                        mend="wait for it, or end it, and try again.",
                    ) from None
                if say is not None and not told:
                    say(f"another process starts or ends {service}: waiting up to {wait_s:.0f} s")
                    told = True
            time.sleep(0.05)
        yield
    finally:
        os.close(held)


def unwritable(path: Path, error: OSError) -> StoreError:
    """What the system said of a place in the state folder that cannot be written."""
    return StoreError(
        f"{path} cannot be written ({error.strerror or error}).",
        mend="free disk space, or point MOX_HOME at a folder of your own that can be written.",
    )


def located(settings: Settings) -> Settings:
    """Settings with the address of each server that was started here, where none is set.

    Whether it is alive isn't asked: `check` does, once something is to be built or searched.

    Raises:
        StoreError: a record can't be read.
    """
    found = {}
    for service, setting in SETTING.items():
        if getattr(settings, setting) is None:
            server = recorded(settings.root, service)
            if server is not None:
                found[setting] = server.uri
    return settings.model_copy(update=found) if found else settings


def exported(settings: Settings) -> Mapping[str, str]:
    """Environment variables that name the same servers to a process of ours."""
    names = {f"MOX_{setting.upper()}": getattr(settings, setting) for setting in SETTING.values()}
    return {name: uri for name, uri in names.items() if uri is not None}


def at(root: Path, service: str, uri: str | None) -> Server | None:
    """The server that was started here, if a URI means it; None where it means any other."""
    server = recorded(root, service)
    if server is None or uri is None or not same(server.uri, uri, service):
        return None
    return server


def check(root: Path, service: str, uri: str | None) -> Server | None:
    """As `at`, known to be alive.

    Raises:
        EngineError: it was started here and has gone since.
    """
    server = at(root, service, uri)
    if server is not None and not server.alive:
        raise EngineError(
            f"`mox up {service}` started {service} here, at {redact(server.uri)}, and it has gone"
            f" since (process {server.pid}; see {server.log}).",
            mend=f"run `mox up {service}` to have it back with its data, or `mox down {service}`"
            " to do without it.",
        )
    return server


def same(uri: str, other: str, service: str) -> bool:
    """Whether two URIs name one server of this machine: `localhost` and 127.0.0.1 do."""
    return _host_and_port(uri, service) == _host_and_port(other, service)


def _host_and_port(uri: str, service: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(uri)
        host, port = (parts.hostname or "").lower(), parts.port or PORTS.get(service)
    except ValueError:
        return uri, None
    if not host:
        return uri, None  # a socket's path stands elsewhere in it
    here = host in ("localhost", "::1", "0.0.0.0", "::") or host.startswith("127.")  # noqa: S104
    return ("this machine" if here else host), port
