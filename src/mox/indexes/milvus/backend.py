"""The back end: collections of Milvus Lite in the state folder, or of the server at a URI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from mox.errors import SpecError
from mox.indexes import indexes
from mox.indexes.milvus import lite
from mox.indexes.milvus.build import Contents, create, fill, patience_s
from mox.indexes.milvus.client import Link, server_engine
from mox.indexes.milvus.collection import drop, rows_of, whole
from mox.indexes.milvus.search import opened
from mox.indexes.milvus.serve import served
from mox.indexes.milvus.specs import SPECS, MilvusSpec, check_engine, check_filter
from mox.indexes.milvus.verify import index_bytes, verify
from mox.indexes.milvus.write import writable
from mox.indexes.vectors import dense
from mox.registry import versions
from mox.spec import IndexSpec
from mox.types import Built, Place, Rows, Searcher, Served, Writable

RECIPE = "1"
"""Part of every key: raise it when the same Spec builds or answers otherwise than before."""


@dataclass(frozen=True)
class MilvusBackend:
    """See `mox.types.IndexBackend`."""

    patience_s: Callable[[int], float] = patience_s
    """Seconds that an index over so many rows may take; then it is given up and dropped."""

    def engine(self, uri: str | None) -> Mapping[str, str]:
        return lite.engine() if uri is None else server_engine(uri)

    def check(self, spec: IndexSpec, engine: Mapping[str, str]) -> None:
        check_engine(_ours(spec), engine)

    def build(self, spec: IndexSpec, rows: Rows, place: Place) -> Built:
        ours = _ours(spec)
        vectors = dense(rows, kind=spec.kind)
        contents = Contents(vectors, rows.fields)
        held = len(contents.held)

        def begin(link: Link) -> None:
            check_engine(ours, link.engine)
            create(link, ours, contents)

        def rest(link: Link) -> tuple[Mapping[str, Any], tuple[int, str]]:
            # On a server it stays loaded, since loading takes seconds: who opens it releases it.
            fill(link, ours, contents, patience_s=self.patience_s)
            return verify(link, ours, held), index_bytes(link, ours, held, vectors.shape[1])

        (parameters, (size, size_is)), took = whole(place, begin, rest)
        return Built(len(vectors), parameters, size, size_is, took)

    def open(self, spec: IndexSpec, place: Place) -> AbstractContextManager[Searcher]:
        return opened(_ours(spec), place)

    def served(self, spec: IndexSpec, place: Place) -> AbstractContextManager[Served]:
        """See `mox.types.IndexServer`."""
        return served(place)

    def writable(self, spec: IndexSpec, place: Place) -> AbstractContextManager[Writable]:
        """See `mox.types.IndexWriter`."""
        return writable(_ours(spec), place)

    def rows(self, place: Place) -> int | None:
        return rows_of(place)

    def drop(self, place: Place) -> None:
        drop(place)


def _ours(spec: IndexSpec) -> MilvusSpec:
    if not isinstance(spec, MilvusSpec):
        raise SpecError(f"{spec.kind} is no index of Milvus.", mend="ask the back end of its kind.")
    return spec


_backend = MilvusBackend()
for _spec in SPECS:
    indexes.register(
        _spec,
        fingerprint=lambda _: versions("pymilvus", recipe=RECIPE),
        least=lambda spec: spec.least,
        service="milvus",
        check_filter=check_filter,
    )(_backend)
