"""The back end of texts in Milvus: Milvus Lite in the state folder, or the server at a URI."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TypeVar

from mox.errors import SpecError
from mox.indexes import indexes
from mox.indexes.milvus import lite
from mox.indexes.milvus.client import Link, server_engine
from mox.indexes.milvus.collection import drop, rows_of, whole
from mox.indexes.milvus.text import MOST_BYTES, TEXTS, MilvusText, check_engine, check_search
from mox.indexes.milvus.text_build import create, fill
from mox.indexes.milvus.text_search import opened_texts
from mox.indexes.texts import texts_of
from mox.registry import versions
from mox.spec import IndexSpec
from mox.types import Built, Place, Rows, TextSearcher

T = TypeVar("T")
RECIPE = "1"
"""Part of every key: raise it when the same Spec builds or answers otherwise than before."""


class MilvusTextBackend:
    """See `mox.types.IndexBackend`; it opens a TextSearcher."""

    def engine(self, uri: str | None) -> Mapping[str, str]:
        return lite.engine() if uri is None else server_engine(uri)

    def check(self, spec: IndexSpec, engine: Mapping[str, str]) -> None:
        check_engine(_ours(spec), engine)

    def build(self, spec: IndexSpec, rows: Rows, place: Place) -> Built:
        ours = _ours(spec)
        texts = texts_of(rows, kind=spec.kind, most_bytes=MOST_BYTES)
        if rows.fields or rows.vectors is not None:
            raise SpecError(
                f"{spec.kind} holds texts alone.",
                mend="build it from `Rows(texts=…)`; `milvus_hybrid` holds vectors too.",
            )

        def begin(link: Link) -> None:
            check_engine(ours, link.engine)
            create(link, ours, None)

        _, took = whole(place, begin, lambda link: fill(link, ours, texts))
        parameters = ours.model_dump(exclude={"kind"})
        size = ours.formula_bytes(texts)
        return Built(len(texts), parameters, size, "formula", took)

    def open(self, spec: IndexSpec, place: Place) -> AbstractContextManager[TextSearcher]:
        return opened_texts(_ours(spec), place)

    def rows(self, place: Place) -> int | None:
        return rows_of(place)

    def drop(self, place: Place) -> None:
        drop(place)


def _ours(spec: IndexSpec) -> MilvusText:
    if not isinstance(spec, MilvusText):
        raise SpecError(
            f"{spec.kind} is no index of texts of Milvus.", mend="ask the back end of its kind."
        )
    return spec


_backend = MilvusTextBackend()
for _spec in TEXTS:
    indexes.register(
        _spec,
        fingerprint=lambda _: versions("pymilvus", "bm25s", recipe=RECIPE),
        service="milvus",
        check_search=check_search,
    )(_backend)
