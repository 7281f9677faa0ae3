"""Why a server has ended, from what it wrote last."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from mox.services.running import Server

ENOUGH = 300
"""Characters of a cause that say it."""
FEW = 20
"""Lines before which it has not begun: what it says then comes from the system."""
LEAST_FREE = 1 << 20
"""Bytes of disk without which it cannot have gone on."""
TAIL = 4 << 20
"""Bytes of its output that are read, from the end."""


def last_words(server: Server) -> str:
    """The cause, in a server's own words where it had any; empty where nothing tells it.

    Killed, it writes nothing. Where it gives up by itself it panics, or its etcd ends it, with the
    cause in those words or in the error before them.
    """
    log = Path(server.log)
    try:
        text = _tail(log / "output.log")
        full = shutil.disk_usage(log).free < LEAST_FREE
    except OSError:
        return ""
    said = _fatal(text) or _panic(text) or _system(text)
    # Its last words may not have fitted any more.
    return said or ("its disk is full" if full else "")


def _tail(file: Path) -> str:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - TAIL))
        return stream.read().decode(errors="replace")


def _fatal(text: str) -> str:
    """What etcd wrote where it gave up: a line of JSON, cut short perhaps."""
    lines = [line for line in text.splitlines() if line.startswith('{"level":"fatal"')]
    found = re.search(r'"error":("(?:[^"\\]|\\.)*")', lines[-1]) if lines else None
    return str(json.loads(found[1]))[:ENOUGH] if found else ""


def _panic(text: str) -> str:
    """Go's own end; of one over nothing, the error that was logged before."""
    head, panicked, panic = text.partition("\npanic: ")
    cause = panic.partition("\n")[0] if panicked else ""
    errors = re.findall(r'error="((?:[^"\\]|\\.)*)"', head)
    return (errors[-1] if "nil pointer" in cause and errors else cause)[:ENOUGH]


def _system(text: str) -> str:
    """What the system said instead of running it."""
    lines = text.strip().splitlines()
    return lines[-1][:ENOUGH] if 0 < len(lines) < FEW else ""
