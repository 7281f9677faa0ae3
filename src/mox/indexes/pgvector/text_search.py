"""Searching full text: questions as they are, one statement for many of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mox.errors import EngineError
from mox.indexes.pgvector.client import Link, connected
from mox.indexes.pgvector.text import FtsSearch, PostgresFts
from mox.indexes.pgvector.text_table import check_described, index_name
from mox.indexes.pgvector.verify import nodes
from mox.indexes.texts import check_settings
from mox.spec import SearchSettings
from mox.types import Place

if TYPE_CHECKING:
    from mox.types import Floats, Ints

BATCH_TEXTS = 20
"""Questions of one statement, so that it stays within its time limit: where a common word makes
a row of every row, cover density takes half a second a question of 5,000 texts."""


def words_sql(spec: PostgresFts, settings: FtsSearch, text: str) -> str:
    """SQL of a question's words as a tsquery; NULL where it has none.

    Made of the lexemes themselves: the query languages of `to_tsquery` and `websearch_to_tsquery`
    would read signs of the question, and `plainto_tsquery` asks for all words.
    """
    quoted = "'''' || replace(replace(lexeme, '\\', '\\\\'), '''', '''''') || ''''"
    sign = "|" if settings.words == "any" else "&"
    return (
        f"(select string_agg({quoted}, ' {sign} ')"
        f" from unnest(to_tsvector('{spec.config}'::regconfig, {text})))::tsquery"
    )


def best_sql(link: Link, settings: FtsSearch, words: str, k: int, also: str = "") -> str:
    """SQL of (id, score) of the k best rows, equal ones by their number.

    Args:
        also: further sources, of which `words` is.
    """
    score = f"{settings.rank}(t, {words}, {settings.normalization})"
    return (
        f"select id, {score} as score from {link.table}{also} where t @@ {words}"
        f" order by score desc, id limit {k}"
    )


@dataclass
class FtsSearcher:
    """See `mox.types.TextSearcher`."""

    link: Link
    spec: PostgresFts
    _explained: set[str] = field(default_factory=set)

    def search_texts(
        self, queries: Sequence[str], *, k: int, settings: SearchSettings
    ) -> tuple[Ints, Floats]:
        import numpy as np

        check_settings(self.spec, settings, k)
        assert isinstance(settings, FtsSearch)  # noqa: S101  by check_settings
        ids = np.full((len(queries), k), -1, dtype=np.int32)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        words = words_sql(self.spec, settings, "asked.body")
        query = (
            f"select w.n::int4, h.id, h.score from (select n, {words} as words"
            " from unnest($1::text[]) with ordinality asked(body, n)) w,"
            f" lateral ({best_sql(self.link, settings, 'w.words', k)}) h"
            " order by w.n, h.score desc, h.id"
        )
        rank = np.zeros(len(queries), dtype=np.intp)
        with self.link.said():
            if query not in self._explained:
                check_plan(self.link, query, [["words"]])
                self._explained.add(query)
            for at in range(0, len(queries), BATCH_TEXTS):
                part = [text.replace("\0", " ") for text in queries[at : at + BATCH_TEXTS]]
                for n, row, score in self.link.ask(query, part):
                    place = at + n - 1
                    ids[place, rank[place]], scores[place, rank[place]] = row, score
                    rank[place] += 1
        return ids, scores


def check_plan(link: Link, query: str, parameters: Sequence[Any]) -> None:
    """Have PostgreSQL say how it would answer: by the index of words, or by reading all rows.

    Raises:
        EngineError: otherwise than by the index.
    """
    ((plan,),) = link.ask(f"explain (format json) {query}", *parameters)
    plan = json.loads(plan) if isinstance(plan, str) else plan
    found = list(nodes(plan[0]["Plan"]))
    by = [(node["Node Type"], node["Index Name"]) for node in found if "Index Name" in node]
    if ("Bitmap Index Scan", index_name(link)) not in by:
        kinds = [node["Node Type"] for node in found if node.get("Relation Name") == link.name]
        raise EngineError(
            f"{link.where} would search the words of {link.name} by {kinds}, not by its index.",
            mend="drop it and build again; if that repeats, this version of PostgreSQL plans"
            " otherwise than it should.",
        )


@contextmanager
def opened_texts(spec: PostgresFts, place: Place) -> Iterator[FtsSearcher]:
    """A table of texts, known to be what it should be.

    Raises:
        EngineError: it is not there or is another, or the engine is away.
    """
    with connected(place) as link:
        if link.ask("select to_regclass($1)::text", link.table) == [(None,)]:
            raise EngineError(f"{link.where} has no {link.name}.", mend="build the index first.")
        check_described(link, spec)
        # So few rows that reading all is cheaper are searched by the index, too: by what is asked.
        link.do("set enable_seqscan = off")
        yield FtsSearcher(link, spec)
