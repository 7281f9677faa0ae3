"""Searching an opened collection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.errors import EngineError
from mox.indexes.milvus.build import FIELD, blank_rows, held_rows, load, release
from mox.indexes.milvus.client import Link, connected, said
from mox.indexes.milvus.specs import MilvusSpec
from mox.indexes.milvus.verify import check_described
from mox.indexes.vectors import NO_DIRECTION, check_search, check_where, directed
from mox.spec import SearchSettings
from mox.types import Place, Where

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Floats, Ints

BATCH_QUERIES = 1_000
BATCH_HITS = 1_000_000
"""Of one answer: some 12 MB, where gRPC refuses 64 MiB."""
BATCH_CELLS = 20_000_000
"""Queries × rows: some 2 s of a brute-force search, and of Lite's the distances held at once."""
NOT_LOADED = 101


@dataclass(frozen=True)
class MilvusSearcher:
    """An opened collection.

    `ids`: (rows,) those that have a direction. `blank`: those that have none, which the engine
    doesn't hold.
    """

    link: Link
    spec: MilvusSpec
    dims: int
    ids: Ints
    blank: Ints

    def search(
        self, queries: Floats, *, k: int, settings: SearchSettings, where: Where | None = None
    ) -> tuple[Ints, Floats]:
        """See `mox.types.Searcher`. What the engine leaves out is not filled up."""
        import numpy as np

        check_search(self.spec, settings, queries, self.dims, k)
        check_where(self.spec, where, ())
        ids = np.full((len(queries), k), -1, dtype=np.int32)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        asked = directed(queries)
        known = min(k, len(self.ids))
        ids[~asked, :known] = self.ids[:known]
        scores[~asked, :known] = 0.0
        step = max(1, min(BATCH_QUERIES, BATCH_HITS // k, BATCH_CELLS // len(self.ids)))
        places = np.flatnonzero(asked)
        for at in range(0, len(places), step):
            part = places[at : at + step]
            for row, hits in zip(part, self._ask(queries[part], known, settings), strict=True):
                ids[row, : len(hits)] = [hit["id"] for hit in hits]
                scores[row, : len(hits)] = [hit["distance"] for hit in hits]
        self._check(ids, scores)
        self._append_blank(ids, scores)
        return ids, scores

    def _ask(self, queries: Floats, k: int, settings: SearchSettings) -> Sequence[Any]:
        from pymilvus.exceptions import MilvusException

        link = self.link
        with said(link.where, link.place.uri or ""):
            try:
                return self._send(queries, k, settings)
            except MilvusException as error:
                # Another process that searched the same collection released it, or the server
                # started anew: either way it is there and only has to be loaded.
                if link.is_embedded or error.code != NOT_LOADED:
                    raise
            load(link, len(self.ids))
            return self._send(queries, k, settings)

    def _send(self, queries: Floats, k: int, settings: SearchSettings) -> Sequence[Any]:
        # No metric here: Lite takes a wrong one and answers nonsense. `id` is all that is asked
        # for, since without it Lite sends every hit's vector.
        found: Sequence[Any] = self.link.client.search(
            self.link.name,
            data=queries,
            anns_field=FIELD,
            limit=k,
            search_params={"params": settings.model_dump()},
            output_fields=["id"],
            timeout=self.link.limits.search,
        )
        return found

    def _check(self, ids: Ints, scores: Floats) -> None:
        import numpy as np

        found = ids[ids >= 0]
        if not np.isfinite(scores[ids >= 0]).all() or not np.isin(found, self.ids).all():
            raise EngineError(
                f"{self.link.where} answered from {self.link.name} with rows that it was not"
                " given, or scores that are no numbers.",
                mend="drop the index and build it again.",
            )

    def _append_blank(self, ids: Ints, scores: Floats) -> None:
        """Rows without direction come last: once all that have one came."""
        here = len(self.ids)
        last = self.blank[: ids.shape[1] - here]
        if here >= ids.shape[1] or not len(last):
            return
        whole: NDArray[np.intp] = (ids >= 0).sum(axis=1) == here
        ids[whole, here : here + len(last)] = last
        scores[whole, here : here + len(last)] = NO_DIRECTION


@contextmanager
def opened(spec: MilvusSpec, place: Place) -> Iterator[MilvusSearcher]:
    """A collection, loaded and known to have the index that it should.

    Raises:
        EngineError: it is not there or has another index, or the engine is away.
    """
    import numpy as np

    with connected(place) as link:
        if not link.client.has_collection(link.name, timeout=link.limits.answer):
            raise EngineError(f"{link.where} has no {link.name}.", mend="build the index first.")
        check_described(link, spec)
        rows, blank = held_rows(link), blank_rows(link)
        load(link, rows)
        every = np.arange(rows + len(blank), dtype=np.int32)
        ids = np.setdiff1d(every, np.array(blank, dtype=np.int32), assume_unique=True)
        about = link.client.describe_collection(link.name, timeout=link.limits.answer)
        dims = next(f["params"]["dim"] for f in about["fields"] if f["name"] == FIELD)
        failed = False
        try:
            yield MilvusSearcher(link, spec, int(dims), ids, np.array(blank, dtype=np.int32))
        except EngineError:
            failed = True  # and what has just failed is not waited for again
            raise
        finally:
            if not failed:
                release(link)
