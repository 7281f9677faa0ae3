"""A collection for separate client processes: on a server, or of an embedded Milvus Lite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from mox.indexes.milvus import lite
from mox.indexes.milvus.disk import disk_bytes
from mox.types import Place, Served

COLD = "collection released and loaded"


@contextmanager
def served(place: Place) -> Iterator[Served]:
    """See `mox.types.IndexServer`.

    One process owns an embedded Lite's folder, so this one opens it, and is the engine; the
    others are its clients, at the address on the loopback by which Lite serves even its owner.
    """
    if place.uri is not None:
        size, why_not = disk_bytes(place)
        yield Served(
            place,
            address=place.uri,
            releases=True,
            consistency="Bounded",
            cold=COLD,
            disk_bytes=size,
            no_disk=why_not,
        )
        return
    with lite.embedded(place) as uri:
        yield Served(
            replace(place, uri=uri),
            pid=os.getpid(),
            releases=True,
            consistency="Bounded",
            cold=COLD,
            disk_bytes=_size(place),
        )


def _size(place: Place) -> int:
    files = (path for path in lite.folder(place).rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files)
