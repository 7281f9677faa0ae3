"""Which collections a store has in its engines, whether or not an artifact stands for them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mox.types import Place


class Collection(NamedTuple):
    """A collection by its name; `path` is None where a server has it."""

    name: str
    path: Path | None
    size_bytes: int
    """0 on a Milvus server, which doesn't say."""
    table: Place | None = None
    """Where it is a table of PostgreSQL, embedded or by URI."""


def in_folder(folder: Path, prefix: str) -> Iterator[Collection]:
    """Collections that lie in a folder: of Milvus Lite, of exact search, and of plugins."""
    for path in sorted(folder.glob(f"{prefix}*")):
        files = path.rglob("*") if path.is_dir() else (path,)
        size = sum(file.stat().st_size for file in files if file.is_file())
        yield Collection(path.name.split(".")[0], path, size)


def on_server(uri: str, prefix: str) -> Iterator[Collection]:
    """Collections of a Milvus server.

    Raises:
        EngineError: it is away.
    """
    from mox.indexes.milvus.client import connected

    with connected(Place("", Path(), uri)) as link:
        names = link.client.list_collections(timeout=link.limits.answer)
    for name in sorted(names):
        if name.startswith(prefix):
            yield Collection(name, None, 0)


def in_postgres(folder: Path, uri: str | None, prefix: str) -> Iterator[Collection]:
    """Tables of PostgreSQL: of the embedded one of a folder, if it has one, or of a server.

    Raises:
        EngineError: it is away.
        MissingError: the extra that it needs isn't installed any more.
    """
    from mox.indexes.pgvector.held import tables

    for name, size in tables(Place("", folder, uri), prefix):
        yield Collection(name, None, size, Place(name, folder, uri))


def drop(collection: Collection, uri: str | None) -> None:
    """Remove a collection that no artifact stands for.

    Raises:
        EngineError: a process has it open, or the server is away.
        OSError: the system doesn't let it be removed.
    """
    from mox.indexes.milvus import lite
    from mox.indexes.milvus.client import connected

    path = collection.path
    if collection.table is not None:
        from mox.indexes.pgvector.backend import drop_table

        drop_table(collection.table)
    elif path is None:
        with connected(Place(collection.name, Path(), uri)) as link:
            link.client.drop_collection(link.name, timeout=link.limits.step)
    elif path.suffix == ".db":
        lite.drop(Place(collection.name, path.parent))
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
