"""Starting and ending services of a state folder, each at most once at a time."""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import cast

from mox.errors import EngineError, SpecError, StoreError
from mox.registry import nearest
from mox.services import running
from mox.services.ports import is_free
from mox.services.process import end_group
from mox.services.running import Server
from mox.services.service import Say, Service, TakenError
from mox.settings import redact

SERVICES = {"milvus": "mox.services.milvus.server", "redis": "mox.services.valkey_server"}
"""What can be started, by name."""
ATTEMPTS = 5
"""Starts on other ports, where somebody else takes one between choice and start."""
LONGEST_PATH = 3_500
"""Bytes of its data folder's path: the system takes 4,095, and Milvus' own files go 200 deeper."""


def up(name: str, root: Path, *, port: int | None = None, say: Say) -> Server:
    """Have a service running on this state folder's data; the one that runs already, if one does.

    Args:
        port: the one that it shall answer on; its last one, or a free one, where None.
        say: where progress goes.

    Returns:
        Its record, once it answers.

    Raises:
        SpecError: no such service, or the port is taken, is none, or isn't this user's to have.
        MissingError: its extra isn't installed.
        StoreError: the state folder cannot be written.
        EngineError: it ended, or doesn't answer in time; nothing of it is left running.
    """
    service = _service(name)
    _check_length(service.folder(root))
    with running.alone(root, name, say=say):
        found = running.recorded(root, name)
        if found is not None and found.alive:
            return _again(found, service, root, port=port, say=say)
        _end_strays(service, name, root)
        for _ in range(ATTEMPTS):
            _check_port(port)
            try:
                return _started(service, root, port, say)
            except TakenError as error:
                taken = error
                say(f"{taken}; trying others")
        raise EngineError(
            f"{name} found its ports taken {ATTEMPTS} times ({taken}).",
            mend="see what takes ports on this machine, and try again.",
        )


def _again(found: Server, service: Service, root: Path, *, port: int | None, say: Say) -> Server:
    """A server that runs already, once it answers.

    Its record is mended where it says something else: who started it may have been killed before
    it knew where others reach the server.
    """
    if port is not None and not found.uri.endswith(f":{port}"):
        raise SpecError(
            f"{found.service} runs already, at {redact(found.uri)}.",
            mend=f"use it there, or run `mox down {found.service}` first.",
        )
    try:
        now = replace(found, open_ports=service.wait(found, say))
    except TakenError as error:
        raise EngineError(
            f"{found.service} (process {found.pid}) isn't where its record says: {error}.",
            mend=f"run `mox down {found.service}`, then `mox up {found.service}`.",
        ) from None
    if now != found:
        running.record(root, now)
    return now


def _started(service: Service, root: Path, port: int | None, say: Say) -> Server:
    server = service.start(root, port=port, say=say)
    try:
        # Before it answers, so that who comes next finds it if we are killed while we wait.
        running.record(root, server)
        server = replace(server, open_ports=service.wait(server, say))
        running.record(root, server)
    except BaseException:
        end_group(server.pid, patience_s=service.ENDS_WITHIN_S)
        running.forget(root, server.service)
        raise
    return server


def down(name: str, root: Path) -> Server | None:
    """End a service of this state folder with all its processes; its data stays.

    Returns:
        What its record said; None where none was recorded.

    Raises:
        SpecError: no such service.
        StoreError: it is another user's, or the state folder cannot be written.
    """
    service = _service(name)
    if not running.folder(root).is_dir():
        return None
    with running.alone(root, name):
        try:
            found = running.recorded(root, name)
        except StoreError:
            found = None  # whatever it was, its processes are found by where they work
        if found is not None and found.alive:
            _end(service, found.pid, name)
        _end_strays(service, name, root)
        running.forget(root, name)
    return found


def _end_strays(service: Service, name: str, root: Path) -> None:
    """End what works on the same data without a record: two on one would ruin it."""
    for pid in service.processes(root):
        _end(service, pid, name)


def _end(service: Service, pid: int, name: str) -> None:
    try:
        end_group(pid, patience_s=service.ENDS_WITHIN_S)
    except PermissionError:
        raise StoreError(
            f"{name} runs here as process {pid} of another user.",
            mend=f"have that user run `mox down {name}`, or point MOX_HOME at a folder of yours.",
        ) from None


def _check_port(port: int | None) -> None:
    """Refuse a port that is wanted and can't be had."""
    mend = "give another --port, or none: a free one is found then."
    try:
        if port is None or is_free(port):
            return
    except OSError as error:
        said = f"port {port} can't be listened on ({error.strerror or error})."
        raise SpecError(said, mend=mend) from None
    raise SpecError(f"port {port} is taken by another process.", mend=mend)


def _check_length(data: Path) -> None:
    """Refuse a path that the server could not put its own files under."""
    length = len(os.fsencode(data))
    if length > LONGEST_PATH:
        raise StoreError(
            f"the state folder's path is too long for a server's files: {length} bytes, where"
            f" {LONGEST_PATH} leave them room ({str(data)[:60]}…).",
            mend="point MOX_HOME at a folder with a shorter path.",
        )


def _service(name: str) -> Service:
    if name not in SERVICES:
        raise SpecError(
            f"unknown service {name!r}{nearest(name, SERVICES)}.",
            mend=f"use one of {', '.join(SERVICES)}.",
        )
    return cast("Service", importlib.import_module(SERVICES[name]))
