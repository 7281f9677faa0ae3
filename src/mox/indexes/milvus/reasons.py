"""Why a server that was started here does not finish an index, or has ended: its log tells it.

Milvus 2.3 takes a build that it cannot do, fails, and tries again for ever; whoever asks over its
API hears `InProgress` and no reason.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from mox.services import running
from mox.services.milvus.words import last_words
from mox.settings import settings

TAIL = 32 << 20
"""Bytes of a log that are read, from its end."""
DIES_WITHIN_S = 1.0
"""Its connections close before its process is gone."""
ENOUGH = 300
"""Characters of a reason that say it."""


def logged(uri: str | None, collection_id: int) -> str | None:
    """What a server that was started here wrote last of why an index failed; None where it wrote
    nothing, or its log is not ours to read.

    Args:
        collection_id: the server's own number of the collection.
    """
    server = running.at(settings().root, "milvus", uri)
    if server is None:
        return None
    text = "".join(_tail(file) for file in sorted(Path(server.log).glob("*.log")))
    builds = set(re.findall(rf"\[collectionID={collection_id}\].*?\[buildID=(\d+)\]", text))
    said = re.findall(r'\[buildID=(\d+)\] \["fail reason"="((?:[^"\\]|\\.)+)"\]', text)
    reasons = [reason for build, reason in said if build in builds]
    return " ".join(reasons[-1].replace("\\n", " ").split())[:ENOUGH] if reasons else None


def ended(uri: str | None) -> str:
    """That a server which was started here has ended, and of what; empty of any other."""
    server = running.at(settings().root, "milvus", uri)
    if server is None:
        return ""
    until = time.monotonic() + DIES_WITHIN_S
    while server.alive:
        if time.monotonic() > until:
            return ""
        time.sleep(0.02)
    cause = last_words(server)
    return f"; `mox up milvus` started it here, and it has ended{': ' if cause else ''}{cause}"


def _tail(file: Path) -> str:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - TAIL))
        return stream.read().decode(errors="replace")
