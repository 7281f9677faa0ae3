"""Searching an opened collection."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
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
from mox.indexes.vectors import NO_DIRECTION, check_queries, check_settings, check_where, directed
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


@dataclass
class MilvusSearcher:
    """An opened collection.

    `ids`: (rows,) those that have a direction. `about`: the engine's description of the
    collection.

    A single search is to cost what pymilvus costs, half a millisecond of CPU, and some 3 % more.
    So what was agreed once isn't asked again, and numpy, whose every call costs microseconds, is
    called as little as can be.
    """

    link: Link
    spec: MilvusSpec
    dims: int
    fields: Sequence[str]
    ids: Ints
    blank: Blank
    about: Mapping[str, Any]
    written: int = 0
    """Rows that a writer may add past those that it was built with."""
    _agreed: tuple[SearchSettings, int, Mapping[str, Any]] | None = field(default=None, init=False)
    """The last settings and k that were checked, and what the engine is sent of them."""

    def search(
        self, queries: Floats, *, k: int, settings: SearchSettings, where: Where | None = None
    ) -> tuple[Ints, Floats]:
        """See `mox.types.Searcher`. What the engine leaves out is not filled up."""
        params = self._params(settings, k)
        check_queries(queries, self.dims)
        if where is not None:
            check_where(self.spec, where, self.fields)
            check_filter(self.spec, self.link.engine)
        # The first number of a lone query mostly tells already that it has a direction.
        if len(queries) == 1 and queries.item(0):
            ids, scores = self._found(queries, k, params, where)
        else:
            ids, scores = self._of_many(queries, k, params, where)
        if self._blank:
            self._append_blank(ids, scores, where)
        return ids, scores

    def _params(self, settings: SearchSettings, k: int) -> Mapping[str, Any]:
        """What the engine is sent of settings that are checked with k."""
        agreed = self._agreed
        if agreed is None or agreed[0] is not settings or agreed[1] != k:
            check_settings(self.spec, settings, k)
            assert isinstance(settings, MilvusSearch)  # noqa: S101  what the check let pass
            params = {"params": settings.engine_params(min(k, len(self.ids)))}
            agreed = self._agreed = (settings, k, params)
        return agreed[2]

    def _of_many(
        self, queries: Floats, k: int, params: Mapping[str, Any], where: Where | None
    ) -> tuple[Ints, Floats]:
        """As `_found`; to queries without direction all rows with one are equally near."""
        import numpy as np

        ids = np.full((len(queries), k), -1, dtype=np.int32)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        asked = directed(queries)
        if not asked.all():
            first = self._first(min(k, len(self.ids)), where)
            ids[~asked, : len(first)] = first
            scores[~asked, : len(first)] = 0.0
        step = max(1, min(BATCH_QUERIES, BATCH_HITS // k, BATCH_CELLS // len(self.ids)))
        places = np.flatnonzero(asked)
        for at in range(0, len(places), step):
            part = places[at : at + step]
            ids[part], scores[part] = self._found(queries[part], k, params, where)
        return ids, scores

    def _found(
        self, queries: Floats, k: int, params: Mapping[str, Any], where: Where | None
    ) -> tuple[Ints, Floats]:
        """(queries, k) ids and scores as the engine answers one request, padded."""
        import numpy as np

        ids, distances = [], []
        lacking = False
        for hits in self._ask(queries, min(k, len(self.ids)), params, where):
            self._check(hits.ids, hits.distances)
            short = k - len(hits.ids)
            lacking = lacking or short > 0
            ids.append(hits.ids + [-1] * short)
            distances.append(hits.distances + [0.0] * short)
        if len(ids) != len(queries):
            raise self._wrong(f"{len(ids)} answers to {len(queries)} queries")
        rows = np.array(ids, dtype=np.int32)
        scores = self.spec.scores(np.array(distances, dtype=np.float32), self.dims)
        if lacking:
            scores[rows < 0] = -np.inf
        return rows, scores

    def _ask(
        self, queries: Floats, k: int, params: Mapping[str, Any], where: Where | None
    ) -> Sequence[Any]:
        try:
            return self._send(queries, k, params, where)
        except Exception as error:  # noqa: BLE001  named there; to name it here costs each search
            return self._ask_again(error, queries, k, params, where)

    def _ask_again(
        self,
        error: Exception,
        queries: Floats,
        k: int,
        params: Mapping[str, Any],
        where: Where | None,
    ) -> Sequence[Any]:
        from pymilvus.exceptions import MilvusException

        link = self.link
        with said(link.where, link.place.uri or ""):
            # Another process that searched the same collection released it, or the server
            # started anew: either way it is there and only has to be loaded.
            released = isinstance(error, MilvusException) and error.code == NOT_LOADED
            if link.is_embedded or not released:
                raise error
            load(link, len(self.ids))
            return self._send(queries, k, params, where)

    def _send(
        self, queries: Floats, k: int, params: Mapping[str, Any], where: Where | None
    ) -> Sequence[Any]:
        # As bytes, which is what pymilvus sends: of an array it makes them number by number
        # (20 µs a query of 384). The schema says what they are.
        # No metric here: Lite takes a wrong one and answers nonsense. `id` is asked for on Lite
        # alone, which sends every hit's vector else; a server sends ids without being asked.
        found: Sequence[Any] = self.link.client.search(
            self.link.name,
            data=[bytes(query) for query in self.spec.pack(queries)],
            schema=self.about,
            filter="" if where is None else str(where),
            anns_field=FIELD,
            limit=k,
            search_params=params,
            output_fields=["id"] if self.link.is_lite else None,
            timeout=self.link.limits.search,
        )
        return found

    def _check(self, ids: Sequence[int], distances: Sequence[float]) -> None:
        """One query's hits as the engine sent them; k steps, however many rows there are."""
        if not ids:
            return
        given = min(ids) >= 0 and max(ids) < self._rows and self._blank.isdisjoint(ids)
        # One that is no number makes the sum none.
        if not given or not math.isfinite(sum(distances)):
            raise self._wrong("rows that it was not given, or scores that are no numbers")

    def _wrong(self, what: str) -> EngineError:
        return EngineError(
            f"{self.link.where} answered from {self.link.name} with {what}.",
            mend="drop the index and build it again.",
        )

    @cached_property
    def _rows(self) -> int:
        return len(self.ids) + len(self._blank) + self.written

    @cached_property
    def _blank(self) -> frozenset[int]:
        return frozenset(self.blank.rows.tolist())

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
    return MilvusSearcher(link, spec, int(dims), names, ids, Blank(rows, numbers), about)
