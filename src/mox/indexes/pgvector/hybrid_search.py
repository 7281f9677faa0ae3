"""Searching a table of vectors and texts: both sides and their fusion in one statement."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mox.errors import EngineError, SpecError
from mox.indexes.fused import EngineRrf, EngineWeighted
from mox.indexes.pairs import Pair, PairSearch, check_asked
from mox.indexes.pgvector import text_table, wire
from mox.indexes.pgvector.client import Link
from mox.indexes.pgvector.search import PgSearcher, opened
from mox.indexes.pgvector.specs import PgSearch, PgSpec
from mox.indexes.pgvector.text import FtsSearch, PostgresFts
from mox.indexes.pgvector.text_search import best_sql, words_sql
from mox.indexes.pgvector.verify import nodes
from mox.indexes.vectors import directed
from mox.spec import SearchSettings, Spec
from mox.types import Asked, Place

if TYPE_CHECKING:
    from mox.types import Floats, Ints

    Sides = tuple[bool, bool]


@dataclass
class PgPairSearcher:
    """See `mox.types.PairSearcher`. `dense` searches the vectors of the same table."""

    link: Link
    spec: Pair
    dense: PgSearcher
    _explained: set[str] = field(default_factory=set)

    def search_pairs(
        self, queries: Asked, *, k: int, depth: int, fusion: Spec, settings: SearchSettings
    ) -> tuple[Ints, Floats]:
        """A question without direction is asked by its text alone, one without text by its
        vector alone; one without either finds nothing."""
        import numpy as np

        if isinstance(settings, PairSearch):
            settings = settings.on(self.spec, depth)
        check_asked(self.spec, queries, self.dense.dims, k, depth, settings)
        assert isinstance(settings, PairSearch)  # noqa: S101  by check_asked
        ids = np.full((len(queries.texts), k), -1, dtype=np.int32)
        scores = np.full((len(queries.texts), k), -np.inf, dtype=np.float32)
        by_vector = directed(queries.vectors).tolist()
        with self.link.said():
            self._apply(settings)
            for at, text in enumerate(queries.texts):
                sides = (by_vector[at], bool(text.strip()))
                if any(sides):
                    query = self._sql(sides, k, depth, fusion, settings)
                    asked = self._parameters(queries.vectors[at : at + 1], text, sides)
                    found = self._ask(query, asked, sides)
                    ids[at, : len(found)] = [row for row, _ in found]
                    scores[at, : len(found)] = [score for _, score in found]
        return ids, scores

    def _apply(self, settings: PairSearch) -> None:
        vector, _ = self.spec.parts
        of_vector = settings.of(vector)
        assert isinstance(of_vector, PgSearch)  # noqa: S101  by its Spec
        self.dense.apply(of_vector)
        # The words are searched by their index, however few rows there are; vectors without one
        # are read all the same.
        self.link.do("set enable_seqscan = off")

    def _parameters(self, vector: Floats, text: str, sides: Sides) -> list[Any]:
        asked: list[Any] = [text.replace("\0", " ")]
        if sides[0]:
            whole = "halfvec" if self.dense.spec.column == "halfvec" else "vector"
            kinds = [whole, "bit"] if self.dense.spec.column == "bit" else [whole]
            asked += [wire.parameter(kind, vector) for kind in kinds]
        return asked

    def _ask(self, query: str, asked: list[Any], sides: Sides) -> list[tuple[Any, ...]]:
        if query not in self._explained:
            check_plan(self.link, self.dense.spec, query, asked, sides)
            self._explained.add(query)
        return self.link.ask(query, *asked)

    def _sql(self, sides: Sides, k: int, depth: int, fusion: Spec, settings: PairSearch) -> str:
        """$1 the question's text, $2 its vector, $3 its bits."""
        vector, text = self.spec.parts
        of_vector, of_text = settings.of(vector), settings.of(text)
        assert isinstance(of_vector, PgSearch)  # noqa: S101  by its Spec
        assert isinstance(of_text, FtsSearch)  # noqa: S101
        assert isinstance(text, PostgresFts)  # noqa: S101
        near = self.dense.nearest_sql("$2", "$3", depth, of_vector, None)
        named = best_sql(self.link, of_text, "asked.words", depth, also=", asked")
        ranked = "row_number() over (order by score desc, id) as place"
        lists = {
            "dense": f"select id, score, {ranked} from ({near}) d(id, score)",
            "lexical": f"select id, score, {ranked} from ({named}) l",
        }
        shares = shares_sql(fusion)
        kept = [name for name, wanted in zip(lists, sides, strict=True) if wanted]
        withs = [f"asked as materialized (select {words_sql(text, of_text, '$1::text')} as words)"]
        withs += [f"{name} as materialized ({lists[name]})" for name in kept]
        union = " union all ".join(
            f"select id, {shares[name]} as share from {name}" for name in kept
        )
        return (
            f"with {', '.join(withs)} select id, sum(share)::float8 as score from ({union}) sides"
            f" group by id order by score desc, id limit {k}"
        )


def shares_sql(fusion: Spec) -> dict[str, str]:
    """What a row of each side adds to its score, by SQL.

    Raises:
        SpecError: no fusion that this statement can make.
    """
    if isinstance(fusion, EngineRrf):
        share = f"1.0::float8 / ({fusion.k} + place)"
        return {"dense": share, "lexical": share}
    if isinstance(fusion, EngineWeighted):
        arctan = fusion.normalise == "arctan"
        dense = "(1 + score) / 2" if arctan else "score"
        lexical = "2 / pi() * atan(score)" if arctan else "score"
        return {
            "dense": f"{fusion.weight!r}::float8 * ({dense})",
            "lexical": f"{1 - fusion.weight!r}::float8 * ({lexical})",
        }
    raise SpecError(
        f"PostgreSQL has no fusion {fusion.kind}.", mend="use rrf or weighted, or `kind: hybrid`."
    )


def check_plan(link: Link, spec: PgSpec, query: str, asked: list[Any], sides: Sides) -> None:
    """Have PostgreSQL say how it would answer: each side by its index.

    Raises:
        EngineError: otherwise than the Spec says.
    """
    ((plan,),) = link.ask(f"explain (format json) {query}", *asked)
    plan = json.loads(plan) if isinstance(plan, str) else plan
    by = {
        (node["Node Type"], node.get("Index Name"))
        for node in nodes(plan[0]["Plan"])
        if node.get("Relation Name") == link.name or "Index Name" in node
    }
    wanted = set()
    if sides[0]:
        wanted.add(("Index Scan", link.index) if spec.method else ("Seq Scan", None))
    if sides[1]:
        wanted |= {("Bitmap Index Scan", text_table.index_name(link)), ("Bitmap Heap Scan", None)}
    if by != wanted:
        raise EngineError(
            f"{link.where} would search {link.name} by {sorted(map(str, by))}, not by"
            f" {sorted(map(str, wanted))}.",
            mend="drop it and build again; if that repeats, this version of PostgreSQL or pgvector"
            " plans otherwise than it should.",
        )


@contextmanager
def opened_pairs(spec: Pair, place: Place) -> Iterator[PgPairSearcher]:
    """A table of vectors and texts, known to be what it should be.

    Raises:
        EngineError: it is not there or is another, or the engine is away.
    """
    vector, text = spec.parts
    assert isinstance(vector, PgSpec)  # noqa: S101  by its Spec
    assert isinstance(text, PostgresFts)  # noqa: S101
    with opened(vector, place) as dense:
        text_table.check_described(dense.link, text)
        yield PgPairSearcher(dense.link, spec, dense)
