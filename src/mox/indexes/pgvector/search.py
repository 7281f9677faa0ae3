"""Searching a table: one query as one statement, many as one statement over their array."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mox.errors import EngineError
from mox.indexes.pgvector import wire
from mox.indexes.pgvector.build import column
from mox.indexes.pgvector.client import Link, connected
from mox.indexes.pgvector.specs import HnswSearch, IvfflatSearch, PgSearch, PgSpec
from mox.indexes.pgvector.verify import check_described, check_plan, columns
from mox.indexes.vectors import NO_DIRECTION, check_search, check_where, directed
from mox.spec import SearchSettings
from mox.types import Place, Where

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Floats, Ints

    Places = NDArray[np.intp]

BATCH_QUERIES = 100
"""Of one statement: a graph's slowest searches take half a second each."""
BATCH_HITS = 1_000_000
BATCH_NUMBERS = 2_000_000_000
"""Queries × rows × dimensions of one statement: some 10 s where each row is compared."""
SCAN_MEMORY = 1_000
"""`hnsw.scan_mem_multiplier` at its most, so that `max_scan_tuples` alone ends a scan: with 1,
its default, the larger values of a sweep would be one."""


@dataclass
class PgSearcher:
    """An opened table.

    `rows`: how many of its rows have a direction. `blank`: (rows,) those that have none.
    """

    link: Link
    spec: PgSpec
    dims: int
    rows: int
    blank: Ints
    fields: tuple[str, ...]
    _set: dict[str, str] = field(default_factory=dict)
    _explained: set[tuple[str, PgSearch]] = field(default_factory=set)
    _lone: _Lone | None = None

    def search(
        self, queries: Floats, *, k: int, settings: SearchSettings, where: Where | None = None
    ) -> tuple[Ints, Floats]:
        """See `mox.types.Searcher`. What the engine leaves out is not filled up."""
        import numpy as np

        lone = self._lone
        if lone is not None and lone.is_for(queries, self.dims, k, settings, where):
            answer = self._answer(lone, queries)
            if answer is not None:
                return answer
        wanted = settings
        if isinstance(settings, PgSearch):
            settings = settings.on(self.spec, k)
        check_search(self.spec, settings, queries, self.dims, k)
        check_where(self.spec, where, self.fields)
        assert isinstance(settings, PgSearch)  # noqa: S101  checked just now
        ids = np.full((len(queries), k), -1, dtype=np.int32)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        asked = directed(queries)
        with self.link.said():
            self.apply(settings)
            places = np.flatnonzero(asked)
            numbers = max(1, self.rows) * self.dims
            step = max(1, min(BATCH_QUERIES, BATCH_HITS // k, BATCH_NUMBERS // numbers))
            for at in range(0, len(places), step):
                part = places[at : at + step]
                self._fill(ids, scores, part, self._ask(queries[part], k, settings, where))
            if not asked.all():
                self._equally_near(ids, scores, np.flatnonzero(~asked), where)
            if ids[:, -1].min(initial=0) < 0:
                self._append_blank(ids, scores, where)
        self._check(ids, scores)
        if len(queries) == 1 and asked.all():
            statement = self.nearest_sql("$1", "$2", k, settings, where, also="1, ")
            self._lone = _Lone(wanted, k, where, statement)
        return ids, scores

    def _answer(self, lone: _Lone, queries: Floats) -> tuple[Ints, Floats] | None:
        """To one more query like the last: what is checked already isn't checked again, and
        numpy, whose every call costs microseconds, is called as little as can be.

        None where rows without direction may have to fill up what was found.
        """
        import numpy as np

        link = self.link
        try:
            found = link.ask(lone.statement, *self._parameters(queries))
        except Exception:
            with link.said():
                raise
        short = lone.k - len(found)
        if short and len(self.blank):
            return None
        found.sort(key=_best_first)
        ids, scores = [row for _, row, _ in found], [score for *_, score in found]
        # A score that is no number makes the sum none.
        if found and (min(ids) < 0 or max(ids) >= self._most or not math.isfinite(sum(scores))):
            raise self._wrong()
        return (
            np.array([ids + [-1] * short], dtype=np.int32),
            np.array([scores + [-math.inf] * short], dtype=np.float32),
        )

    def _parameters(self, queries: Floats) -> list[Any]:
        kinds = {"bit": ("vector", "bit")}.get(self.spec.column, (self.spec.column,))
        return [wire.parameter(kind, queries) for kind in kinds]

    def _ask(
        self, queries: Floats, k: int, settings: PgSearch, where: Where | None
    ) -> list[tuple[Any, ...]]:
        """(place, row, score) of each hit, places counted from 1."""
        parts = self._parameters(queries)
        if len(queries) == 1:
            query = self.nearest_sql("$1", "$2", k, settings, where, also="1, ")
        else:
            names = ", ".join(("v", "b")[: len(parts)])
            arrays = ", ".join(f"${at + 1}" for at in range(len(parts)))
            nearest = self.nearest_sql("q.v", "q.b", k, settings, where)
            query = (
                f"select q.n::int4, h.* from unnest({arrays}) with ordinality q({names}, n),"
                f" lateral ({nearest}) h"
            )
        if (query, settings) not in self._explained:
            check_plan(self.link, self.spec, query, parts)
            self._explained.add((query, settings))
        return self.link.ask(query, *parts)

    def nearest_sql(
        self,
        vector: str,
        bits: str,
        k: int,
        settings: PgSearch,
        where: Where | None,
        also: str = "",
    ) -> str:
        """SQL of the k nearest: bare `order by … limit`, the one form that an index answers."""
        link, passing = self.link, _passing(where)
        if self.spec.method is None:
            passing = [*passing, "v is not null"]  # an index has none of these
        kept = f" where {' and '.join(passing)}" if passing else ""
        if self.spec.column == "bit":
            first = f"select id, v from {link.table}{kept} order by b <~> {bits}"
            source = f"({first} limit {settings.rerank}) c"
        else:
            source = f"{link.table}{kept}"
        distance = f"v <=> {vector}"
        return f"select {also}id, 1 - ({distance}) from {source} order by {distance} limit {k}"

    def _fill(
        self, ids: Ints, scores: Floats, places: Places, found: list[tuple[Any, ...]]
    ) -> None:
        """Hits into their rows, best first: relaxed scans come a little out of order."""
        import numpy as np

        if len(places) == 1:  # a tenth of the time of what follows
            found.sort(key=lambda hit: (-hit[2], hit[1]))
            ids[places[0], : len(found)] = [hit[1] for hit in found]
            scores[places[0], : len(found)] = [hit[2] for hit in found]
            return
        if not found:
            return
        at, row, score = np.array(found, dtype=np.float64).T
        order = np.lexsort((row, -score, at))
        at, row, score = at[order].astype(np.intp) - 1, row[order], score[order]
        starts = np.searchsorted(at, np.arange(len(places)))
        rank = np.arange(len(at)) - starts[at]
        ids[places[at], rank] = row
        scores[places[at], rank] = score

    def _equally_near(self, ids: Ints, scores: Floats, places: Places, where: Where | None) -> None:
        """To a query without direction: the first rows, all at 0."""
        passing = " and ".join([*_passing(where), "v is not null"])
        found = self.link.ask(
            f"select id from {self.link.table} where {passing} order by id limit {ids.shape[1]}"
        )
        ids[places, : len(found)] = [row for (row,) in found]
        scores[places, : len(found)] = 0.0

    def _append_blank(self, ids: Ints, scores: Floats, where: Where | None) -> None:
        """Rows without direction come last: once all that have one came."""
        here, blank = self.rows, self.blank.tolist()
        if where is not None and blank:
            passing = " and ".join(_passing(where))
            table = self.link.table
            ((here,),) = self.link.ask(f"select count(v) from {table} where {passing}")
            blank = [row for (row,) in self.link.ask(
                f"select id from {table} where v is null and {passing} order by id"
            )]  # fmt: skip
        last = blank[: max(0, ids.shape[1] - here)]
        if last:
            whole = (ids >= 0).sum(axis=1) == here
            ids[whole, here : here + len(last)] = last
            scores[whole, here : here + len(last)] = NO_DIRECTION

    def apply(self, settings: PgSearch) -> None:
        """Have the session search by these settings; those of other sessions stay as they are."""
        wanted = {"enable_seqscan": "off" if self.spec.method else "on"}
        if isinstance(settings, HnswSearch):
            wanted["hnsw.ef_search"] = str(settings.ef_search)
            wanted["hnsw.iterative_scan"] = settings.iterative
            wanted["hnsw.scan_mem_multiplier"] = str(SCAN_MEMORY)
            if settings.max_scan_tuples is not None:
                wanted["hnsw.max_scan_tuples"] = str(settings.max_scan_tuples)
        elif isinstance(settings, IvfflatSearch):
            wanted["ivfflat.probes"] = str(settings.probes)
            wanted["ivfflat.iterative_scan"] = settings.iterative
            if settings.max_probes is not None:
                wanted["ivfflat.max_probes"] = str(settings.max_probes)
        lines = [f"set {name} = '{v}'" for name, v in wanted.items() if self._set.get(name) != v]
        if lines:
            self._lone = None
            self.link.do("; ".join(lines))
            self._set |= wanted

    def _check(self, ids: Ints, scores: Floats) -> None:
        import numpy as np

        if not np.isfinite(scores[ids >= 0]).all() or (ids >= self._most).any():
            raise self._wrong()

    @property
    def _most(self) -> int:
        return self.rows + len(self.blank)

    def _wrong(self) -> EngineError:
        return EngineError(
            f"{self.link.where} answered from {self.link.name} with rows that it was not"
            " given, or scores that are no numbers.",
            mend="drop the index and build it again.",
        )


@dataclass(frozen=True)
class _Lone:
    """How one query is asked for, once its settings, its filter and its plan were checked."""

    settings: SearchSettings
    k: int
    where: Where | None
    statement: str

    def is_for(
        self, queries: Floats, dims: int, k: int, settings: SearchSettings, where: Where | None
    ) -> bool:
        """Whether this asks the same of one query, which has a direction by its first number."""
        same = settings is self.settings and k == self.k and where == self.where
        return same and queries.shape == (1, dims) and bool(queries.item(0))


def _best_first(hit: tuple[Any, ...]) -> tuple[float, int]:
    return -hit[2], hit[1]


def _passing(where: Where | None) -> list[str]:
    return [f'"{column(where.field)}" < {int(where.below)}'] if where else []


@contextmanager
def opened(spec: PgSpec, place: Place) -> Iterator[PgSearcher]:
    """A table, known to have the index that it should.

    Raises:
        EngineError: it is not there or has another index, or the engine is away.
    """
    import numpy as np

    with connected(place) as link:
        held = columns(link)
        if not held:
            raise EngineError(f"{link.where} has no {link.name}.", mend="build the index first.")
        check_described(link, spec)
        ((rows, blank),) = link.ask(
            f"select count(v), coalesce(array_agg(id order by id) filter (where v is null), '{{}}')"
            f" from {link.table}"
        )
        dims = int(held["v"].partition("(")[2].rstrip(")"))
        fields = tuple(name[2:] for name in held if name.startswith("f_"))
        yield PgSearcher(link, spec, dims, rows, np.array(blank, dtype=np.int32), fields)
