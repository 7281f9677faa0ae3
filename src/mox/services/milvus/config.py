"""Where its parts listen and keep what they have: the settings that it is started with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mox.services.ports import free
from mox.services.service import Say, TakenError

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
LEAST_INDEXED = 32
"""Rows under which it leaves a segment without an index. Its own default of 1,024 would answer a
small corpus by something else than the index that is swept."""


def choose_ports(data: Path, port: int | None, say: Say) -> dict[str, int]:
    """A port for each of PORTS: those of its last start where they are free, so that its URI
    stays what it was."""
    last = last_ports(data)
    asked = port or last.get("uri", 0)
    wanted = [asked, *(last.get(name, 0) for name in PORTS[1:])]
    found = dict(zip(PORTS, free(wanted), strict=True))
    if port and found["uri"] != port:
        raise TakenError(f"port {port} was taken meanwhile")
    if asked and found["uri"] != asked:
        say(f"port {asked}, its last one, is taken by another process")
    data.mkdir(parents=True, exist_ok=True)
    (data / "ports.json").write_text(json.dumps(found))
    return found


def last_ports(data: Path) -> dict[str, int]:
    """The port of each of PORTS since its last start; empty before the first."""
    try:
        said = json.loads((data / "ports.json").read_bytes())
        return {str(name): int(number) for name, number in said.items()}
    except (FileNotFoundError, ValueError, AttributeError):
        return {}


def configure(data: Path, wheel: Path, ports: Mapping[str, int]) -> None:
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
    parts: dict[str, dict[str, Any]] = {name: {**here, "port": ports[name]} for name in COMPONENTS}
    parts["rootCoord"]["minSegmentSizeToEnableIndex"] = LEAST_INDEXED
    parts["indexCoord"]["segment"] = {"minSegmentNumRowsToEnableIndex": LEAST_INDEXED}
    return {
        "etcd": {
            "endpoints": f"127.0.0.1:{ports['etcd']}",
            "data": {"dir": str(data / "data" / "etcd")},
            "log": {"path": str(data / "logs" / "etcd.log")},
        },
        "localStorage": {"path": str(data / "data")},
        "rocksmq": {"path": str(data / "data" / "rocksmq")},
        "proxy": {**here, "port": ports["uri"], "internalPort": ports["internal"]},
        **parts,
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
