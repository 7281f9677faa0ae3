"""Milvus standalone from the binary that the `milvus` wheel carries: one process, no container.

The wheel's own launcher isn't used: it leaves its server running when it is ended, doesn't notice
when that dies, and moves neither etcd's ports nor those of its health page.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from typing import Any

from mox.errors import EngineError, MissingError
from mox.registry import missing_package
from mox.services import running
from mox.services.ports import free, listeners, listening
from mox.services.process import born, launch, program, working_in
from mox.services.programs import unpacked
from mox.services.service import Say, TakenError

NAME = "milvus"
LACKS = ("DISKANN", "GPU_*")
"""What the wheel's binary was built without: it takes these builds and never ends them."""
ANSWERS_WITHIN_S = 180.0
"""It takes 2 to 10 s on two cores that are free."""
POLL_S = 0.1
COMPONENTS = (
    "rootCoord",
    "queryCoord",
    "queryNode",
    "indexCoord",
    "indexNode",
    "dataCoord",
    "dataNode",
)
PORTS = ("uri", "internal", "etcd", "etcd_peer", "metrics", *COMPONENTS)
"""What it listens on; `uri` is the one that is for users."""
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
    wheel = _wheel()
    version = metadata.version(NAME)
    data = folder(root)
    try:
        programs = unpacked(wheel / "bin", programs_of(root), f"{NAME}-{version}", say)
        ports = _ports(data, port, say)
        _configure(data, wheel, ports)
    except OSError as error:
        raise running.unwritable(data, error) from None
    say(f"starting milvus {version} on port {ports['uri']}")
    pid = launch(
        [str(programs / "milvus"), "run", "standalone"],
        cwd=data,
        env=_environment(data, programs, ports),
        log=data / "logs" / "output.log",
    )
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
    began = time.monotonic()
    said = 0
    while time.monotonic() - began < ANSWERS_WITHIN_S:
        if not server.alive:
            raise _ended(server)
        ours = listening(server.pid)
        if _elsewhere(port, ours):
            raise TakenError(f"port {port} was taken meanwhile")
        if _answers(port):
            return tuple(sorted({one.port for one in listening(server.pid) if one.is_open}))
        if (passed := int(time.monotonic() - began)) // 5 > said // 5:
            said = passed
            say(f"waiting for milvus to answer: {passed} s")
        time.sleep(POLL_S)
    raise EngineError(
        f"milvus doesn't answer {ANSWERS_WITHIN_S:.0f} s after its start.",
        mend=f"see {server.log} for why; `mox up milvus` begins anew on the same data.",
    )


def processes(root: Path) -> list[int]:
    """Those that work on its data, recorded or not (Linux; empty elsewhere)."""
    ours = str(programs_of(root))
    return [pid for pid in working_in(folder(root)) if program(pid).startswith(ours)]


def programs_of(root: Path) -> Path:
    """Where a state folder keeps what it unpacked."""
    return running.folder(root) / "programs"


def _wheel() -> Path:
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


def _ports(data: Path, port: int | None, say: Say) -> dict[str, int]:
    """A port for each of PORTS: those of its last start where they are free, so that its URI
    stays what it was."""
    path = data / "ports.json"
    try:
        last = {str(name): int(number) for name, number in json.loads(path.read_bytes()).items()}
    except (FileNotFoundError, ValueError, AttributeError):
        last = {}
    asked = port or last.get("uri", 0)
    wanted = [asked, *(last.get(name, 0) for name in PORTS[1:])]
    found = dict(zip(PORTS, free(wanted), strict=True))
    if port and found["uri"] != port:
        raise TakenError(f"port {port} was taken meanwhile")
    if asked and found["uri"] != asked:
        say(f"port {asked}, its last one, is taken by another process")
    data.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return found


def _configure(data: Path, wheel: Path, ports: Mapping[str, int]) -> None:
    """Write its configuration. As JSON, which is YAML that no path can break."""
    for name in ("configs", "logs", "data"):
        (data / name).mkdir(parents=True, exist_ok=True)
    settings = _template(wheel / "config.yaml.template")
    _lay(settings, _ours(data, ports))
    (data / "configs" / "milvus.yaml").write_text(json.dumps(settings, indent=1))
    (data / "configs" / "glog.conf").write_bytes((wheel / "glog.conf").read_bytes())
    # No setting of Milvus' moves these two: etcd reads them from a file of its own.
    client, peer = (f"http://127.0.0.1:{ports[name]}" for name in ("etcd", "etcd_peer"))
    etcd = {
        "name": "default",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
    }
    (data / "configs" / "etcd.yaml").write_text(json.dumps(etcd))
    log = data / "logs" / "output.log"
    if log.exists():
        log.replace(log.with_suffix(".old"))


def _template(path: Path) -> dict[str, Any]:
    """The wheel's settings; where it leaves a blank to fill, the default that stands in it."""
    from ruamel.yaml import YAML

    blank = re.compile(r"\{\{\s*\w+(?:\(\w+\))?(?::\s*(.*?))?\s*\}\}")
    text = blank.sub(lambda found: found[1] or "", path.read_text(encoding="utf-8"))
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return loaded


def _ours(data: Path, ports: Mapping[str, int]) -> dict[str, Any]:
    here = {"ip": "127.0.0.1"}
    # The address that its parts call each other at; they listen at all of them none the less.
    return {
        "etcd": {
            "endpoints": f"127.0.0.1:{ports['etcd']}",
            "data": {"dir": str(data / "data" / "etcd")},
            "log": {"path": str(data / "logs" / "etcd.log")},
        },
        "localStorage": {"path": str(data / "data")},
        "rocksmq": {"path": str(data / "data" / "rocksmq")},
        "proxy": {**here, "port": ports["uri"], "internalPort": ports["internal"]},
        **{name: {**here, "port": ports[name]} for name in COMPONENTS},
        # 20 files of 300 MB, and all of it once more on standard output, else.
        "log": {"stdout": False, "file": {"rootPath": str(data / "logs"), "maxSize": 100,
                                          "maxBackups": 3}},
    }  # fmt: skip


def _lay(settings: dict[str, Any], over: Mapping[str, Any]) -> None:
    """Lay settings over others, level by level."""
    for name, value in over.items():
        if isinstance(value, Mapping):
            _lay(settings.setdefault(name, {}), value)
        else:
            settings[name] = value


def _environment(data: Path, programs: Path, ports: Mapping[str, int]) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "DEPLOY_MODE": "STANDALONE",
        "MILVUS_RUN_DIR": str(data / "run"),
        "METRICS_PORT": str(ports["metrics"]),
        "ETCD_CONFIG_PATH": str(data / "configs" / "etcd.yaml"),
        "LD_LIBRARY_PATH": str(programs),
        "DYLD_LIBRARY_PATH": str(programs),
    }


def _elsewhere(port: int, ours: list[Any]) -> bool:
    """Whether another process has the port: Milvus then takes another one, without a word."""
    return port not in {one.port for one in ours} and port in {one.port for one in listeners()}


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
    """Why it ended, from what it wrote last."""
    text = (Path(server.log) / "output.log").read_text(errors="replace")
    head, panic, _ = text.partition("\npanic: ")
    errors = re.findall(r'error="((?:[^"\\]|\\.)*)"', head)
    said = errors[-1] if errors else (head.strip().splitlines() or ["it wrote nothing"])[-1]
    if "address already in use" in text[len(head) : len(head) + 300] + said:
        return TakenError(said)
    what = "panicked" if panic else "ended"
    return EngineError(
        f"milvus {what} at its start ({said[:300]}).",
        mend=f"see {server.log} for more; free disk space or memory if that is short, and run"
        " `mox up milvus` again.",
    )
