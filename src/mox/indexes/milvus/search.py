"""Searching an opened collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.errors import EngineError
from mox.indexes.milvus.build import (
    FIELD,
    OWN,
    blank_fields,
    blank_rows,
    held_rows,
    load,
    release,
)
from mox.indexes.milvus.client import Link, connected, said
from mox.indexes.milvus.specs import MilvusSearch, MilvusSpec, check_filter
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
class Blank:
    """Rows without direction, which the engine doesn't hold, and their numbers by field.

    `rows`: (rows,) ascending. `fields`: (rows,) by name.
    """

    rows: Ints
    fields: Mapping[str, Ints]

    def passing(self, where: Where | None) -> Ints:
        """Those that a filter lets pass."""
        if where is None or not len(self.rows):
            return self.rows
        return self.rows[self.fields[where.field] < where.below]


@dataclass(frozen=True)
class MilvusSearcher:
    """An opened collection.

    `ids`: (rows,) those that have a direction. `held`: (last row + 1,) whether it is one.
    """

    link: Link
    spec: MilvusSpec
    dims: int
    fields: Sequence[str]
    ids: Ints
    held: NDArray[np.bool_]
    blank: Blank

    def search(
        self, queries: Floats, *, k: int, settings: SearchSettings, where: Where | None = None
    ) -> tuple[Ints, Floats]:
        """See `mox.types.Searcher`. What the engine leaves out is not filled up."""
        import numpy as np

        check_search(self.spec, settings, queries, self.dims, k)
        assert isinstance(settings, MilvusSearch)  # noqa: S101  what the check let pass
        check_where(self.spec, where, self.fields)
        if where is not None:
            check_filter(self.spec, self.link.engine)
        ids = np.full((len(queries), k), -1, dtype=np.int32)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        asked = directed(queries)
        known = min(k, len(self.ids))
        if not asked.all():
            first = self._first(known, where)
            ids[~asked, : len(first)] = first
            scores[~asked, : len(first)] = 0.0
        step = max(1, min(BATCH_QUERIES, BATCH_HITS // k, BATCH_CELLS // len(self.ids)))
        places = np.flatnonzero(asked)
        params = {"params": settings.engine_params(known)}
        for at in range(0, len(places), step):
            part = places[at : at + step]
            found = self._ask(self.spec.pack(queries[part]), known, params, where)
            for row, hits in zip(part, found, strict=True):
                here = len(hits.ids)
                ids[row, :here] = hits.ids
                distances = np.array(hits.distances, dtype=np.float32)
                scores[row, :here] = self.spec.scores(distances, self.dims)
        self._check(ids, scores)
        self._append_blank(ids, scores, where)
        return ids, scores

    def _ask(self, queries: Any, k: int, params: Any, where: Where | None) -> Sequence[Any]:
        from pymilvus.exceptions import MilvusException

        link = self.link
        with said(link.where, link.place.uri or ""):
            try:
                return self._send(queries, k, params, where)
            except MilvusException as error:
                # Another process that searched the same collection released it, or the server
                # started anew: either way it is there and only has to be loaded.
                if link.is_embedded or error.code != NOT_LOADED:
                    raise
            load(link, len(self.ids))
            return self._send(queries, k, params, where)

    def _send(self, queries: Any, k: int, params: Any, where: Where | None) -> Sequence[Any]:
        # No metric here: Lite takes a wrong one and answers nonsense. `id` is all that is asked
        # for, since without it Lite sends every hit's vector.
        found: Sequence[Any] = self.link.client.search(
            self.link.name,
            data=queries,
            filter="" if where is None else str(where),
            anns_field=FIELD,
            limit=k,
            search_params=params,
            output_fields=["id"],
            timeout=self.link.limits.search,
        )
        return found

    def _check(self, ids: Ints, scores: Floats) -> None:
        import numpy as np

        found = ids >= 0
        rows = ids[found]
        known = not len(rows) or (rows.max() < len(self.held) and self.held[rows].all())
        if not (known and np.isfinite(scores[found]).all()):
            raise EngineError(
                f"{self.link.where} answered from {self.link.name} with rows that it was not"
                " given, or scores that are no numbers.",
                mend="drop the index and build it again.",
            )

    def _append_blank(self, ids: Ints, scores: Floats, where: Where | None) -> None:
        """Rows without direction come last: once all that have one came."""

        blank = self.blank.passing(where)
        if not len(blank):
            return
        counts: NDArray[np.intp] = (ids >= 0).sum(axis=1)
        if counts.min(initial=ids.shape[1]) == ids.shape[1]:
            return
        here = len(self.ids) if where is None else self._count(where)
        last = blank[: max(0, ids.shape[1] - here)]
        whole = counts == here
        ids[whole, here : here + len(last)] = last
        scores[whole, here : here + len(last)] = NO_DIRECTION

    def _first(self, k: int, where: Where | None) -> Ints:
        """The first k rows with a direction that a filter lets pass."""
        import numpy as np

        if where is None:
            return self.ids[:k]
        found = self._query(where, ["id"], limit=k)
        return np.array(sorted(row["id"] for row in found), dtype=np.int32)

    def _count(self, where: Where) -> int:
        """How many rows with a direction a filter lets pass."""
        return int(self._query(where, ["count(*)"])[0]["count(*)"])

    def _query(self, where: Where, output: list[str], *, limit: int | None = None) -> Sequence[Any]:
        link = self.link
        found: Sequence[Any] = link.client.query(
            link.name,
            filter=str(where),
            output_fields=output,
            limit=limit,
            timeout=link.limits.search,
        )
        return found


@contextmanager
def opened(spec: MilvusSpec, place: Place) -> Iterator[MilvusSearcher]:
    """A collection, loaded and known to have the index that it should.

    Raises:
        EngineError: it is not there or has another index, or the engine is away.
    """
    with connected(place) as link:
        if not link.client.has_collection(link.name, timeout=link.limits.answer):
            raise EngineError(f"{link.where} has no {link.name}.", mend="build the index first.")
        check_described(link, spec)
        searcher = _searcher(link, spec)
        load(link, len(searcher.ids))
        failed = False
        try:
            yield searcher
        except EngineError:
            failed = True  # and what has just failed is not waited for again
            raise
        finally:
            if not failed:
                release(link)


def _searcher(link: Link, spec: MilvusSpec) -> MilvusSearcher:
    import numpy as np

    about = link.client.describe_collection(link.name, timeout=link.limits.answer)
    dims = next(f["params"]["dim"] for f in about["fields"] if f["name"] == FIELD)
    names = [field["name"] for field in about["fields"] if field["name"] not in OWN]
    rows = np.array(blank_rows(link), dtype=np.int32)
    numbers = {name: np.array(held) for name, held in blank_fields(link).items()}
    held = np.ones(held_rows(link) + len(rows), dtype=np.bool_)
    held[rows] = False
    ids = np.flatnonzero(held).astype(np.int32)
    return MilvusSearcher(link, spec, int(dims), names, ids, held, Blank(rows, numbers))
