"""Writing to a collection while it is searched: what a load with inserts does to a copy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mox.indexes.milvus.build import FIELD
from mox.indexes.milvus.client import said
from mox.indexes.milvus.search import MilvusSearcher, opened
from mox.indexes.milvus.specs import MilvusSpec
from mox.indexes.vectors import OWN_ROWS, check_written
from mox.spec import SearchSettings
from mox.types import Place, Rows, Where

if TYPE_CHECKING:
    from mox.types import Floats, Ints


@dataclass(frozen=True)
class MilvusWritable:
    """See `mox.types.Writable`."""

    searcher: MilvusSearcher

    def search(
        self, queries: Floats, *, k: int, settings: SearchSettings, where: Where | None = None
    ) -> tuple[Ints, Floats]:
        """See `mox.types.Searcher`; rows of a writer may be among what is found."""
        return self.searcher.search(queries, k=k, settings=settings, where=where)

    def insert(self, ids: Ints, rows: Rows) -> None:
        """See `mox.types.Writable`: they are in a growing segment when this returns."""
        link, spec = self.searcher.link, self.searcher.spec
        vectors = check_written(spec, ids, rows, self.searcher.fields)
        batch = [
            {"id": int(row), FIELD: vector, **{n: int(v[at]) for n, v in rows.fields.items()}}
            for at, (row, vector) in enumerate(zip(ids, spec.pack(vectors), strict=True))
        ]
        with said(link.where, link.place.uri or ""):
            link.client.insert(link.name, batch, timeout=link.limits.write)

    def delete(self, ids: Ints) -> None:
        """See `mox.types.Writable`."""
        link = self.searcher.link
        with said(link.where, link.place.uri or ""):
            link.client.delete(link.name, ids=ids.tolist(), timeout=link.limits.write)


@contextmanager
def writable(spec: MilvusSpec, place: Place) -> Iterator[MilvusWritable]:
    """A collection opened for searching and writing. See `search.opened`."""
    with opened(spec, place) as searcher:
        yield MilvusWritable(replace(searcher, written=OWN_ROWS))
