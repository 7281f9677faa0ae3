"""Searching an opened collection of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mox.errors import EngineError
from mox.indexes.milvus.build import held_rows, load, release
from mox.indexes.milvus.client import Link, connected, said
from mox.indexes.milvus.search import BATCH_HITS, NOT_LOADED
from mox.indexes.milvus.text import MilvusText, SparseSearch
from mox.indexes.milvus.text_build import SPARSE, check_described
from mox.indexes.texts import check_settings
from mox.spec import SearchSettings
from mox.types import Place

if TYPE_CHECKING:
    from mox.types import Floats, Ints

BATCH_TEXTS = 200
"""Questions in one request: Lite walks every posting of every word in Python, some 10 ms each."""


@dataclass(frozen=True)
class Answers:
    """What an engine found, row by row, held to what it may say."""

    link: Link
    rows: int
    """How many there are: ids are below."""
    ids: Ints
    scores: Floats

    @classmethod
    def none(cls, link: Link, rows: int, queries: int, k: int) -> Answers:
        import numpy as np

        ids = np.full((queries, k), -1, dtype=np.int32)
        return cls(link, rows, ids, np.full((queries, k), -np.inf, dtype=np.float32))

    def put(self, at: int, hits: Sequence[Any], sign: int = 1) -> None:
        """Take the hits of one query, best first.

        Args:
            sign: -1 where the engine gives distances, so that less is better.

        Raises:
            EngineError: rows that it was not given, or scores that are not in its own order.
        """
        import numpy as np

        ids = np.array([hit["id"] for hit in hits], dtype=np.int64)
        scores = sign * np.array([hit["distance"] for hit in hits], dtype=np.float32)
        strange = len(ids) and (ids.min() < 0 or ids.max() >= self.rows)
        if strange or not np.isfinite(scores).all() or (np.diff(scores) > 0).any():
            raise EngineError(
                f"{self.link.where} answered from {self.link.name} with rows that it was not"
                " given, or with scores that contradict its own order.",
                mend="drop the index and build it again; if that repeats, this version of the"
                " engine scores otherwise than Mox knows.",
            )
        self.ids[at, : len(ids)] = ids
        self.scores[at, : len(ids)] = scores


@dataclass(frozen=True)
class MilvusTextSearcher:
    """See `mox.types.TextSearcher`."""

    link: Link
    spec: MilvusText
    rows: int

    def search_texts(
        self, queries: Sequence[str], *, k: int, settings: SearchSettings
    ) -> tuple[Ints, Floats]:
        check_settings(self.spec, settings, k)
        assert isinstance(settings, SparseSearch)  # noqa: S101  by check_settings
        found = Answers.none(self.link, self.rows, len(queries), k)
        asked = [at for at, text in enumerate(queries) if text.strip()]
        step = max(1, min(BATCH_TEXTS, BATCH_HITS // k))
        for start in range(0, len(asked), step):
            part = asked[start : start + step]
            texts = [queries[at] for at in part]
            send = partial(self._send, texts, min(k, self.rows), settings)
            answers = sent(self.link, self.rows, send)
            for at, hits in zip(part, answers, strict=True):
                # Lite gives BM25 as a distance, negated; a server as a score.
                found.put(at, hits, -1 if self.link.is_lite else 1)
        return found.ids, found.scores

    def _send(self, texts: list[str], k: int, settings: SparseSearch) -> Sequence[Any]:
        answers: Sequence[Any] = self.link.client.search(
            self.link.name,
            data=texts,
            anns_field=SPARSE,
            limit=k,
            search_params={"params": settings.engine_params()},
            output_fields=["id"],
            timeout=self.link.limits.search,
        )
        return answers


def sent(link: Link, rows: int, send: Callable[[], Sequence[Any]]) -> Sequence[Any]:
    """Send a search; once more where the collection is there and only isn't loaded.

    Raises:
        EngineError: the engine is away or refuses.
    """
    from pymilvus.exceptions import MilvusException

    with said(link.where, link.place.uri or ""):
        try:
            return send()
        except MilvusException as error:
            # Another process that searched the same collection released it, or the server
            # started anew.
            if link.is_embedded or error.code != NOT_LOADED:
                raise
        load(link, rows)
        return send()


@contextmanager
def opened(place: Place, check: Callable[[Link], None]) -> Iterator[tuple[Link, int]]:
    """A collection, known to be what it should be and loaded, and its number of rows.

    Raises:
        EngineError: it is not there or is another, or the engine is away.
    """
    with connected(place) as link:
        if not link.client.has_collection(link.name, timeout=link.limits.answer):
            raise EngineError(f"{link.where} has no {link.name}.", mend="build the index first.")
        check(link)
        rows = held_rows(link)
        load(link, rows)
        failed = False
        try:
            yield link, rows
        except EngineError:
            failed = True  # and what has just failed is not waited for again
            raise
        finally:
            if not failed:
                release(link)


@contextmanager
def opened_texts(spec: MilvusText, place: Place) -> Iterator[MilvusTextSearcher]:
    """A collection of texts, opened."""
    with opened(place, lambda link: check_described(link, spec)) as (link, rows):
        yield MilvusTextSearcher(link, spec, rows)
