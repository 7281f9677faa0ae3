"""Searching an opened collection of vectors and texts: both questions in one request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.errors import SpecError
from mox.indexes.fused import EngineRrf, EngineWeighted
from mox.indexes.milvus.build import FIELD
from mox.indexes.milvus.client import Link
from mox.indexes.milvus.search import BATCH_HITS
from mox.indexes.milvus.specs import MilvusSearch
from mox.indexes.milvus.text import SparseSearch
from mox.indexes.milvus.text_build import DIRECTED, SPARSE
from mox.indexes.milvus.text_search import BATCH_TEXTS, Answers, opened, sent
from mox.indexes.pairs import Pair, PairSearch, check_asked
from mox.indexes.vectors import directed
from mox.spec import SearchSettings, Spec
from mox.types import Asked, Place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Floats, Ints


@dataclass(frozen=True)
class MilvusPairSearcher:
    """See `mox.types.PairSearcher`.

    `marked`: whether rows without direction are there, which the dense side has to pass over.
    """

    link: Link
    spec: Pair
    rows: int
    dims: int
    marked: bool

    def search_pairs(
        self, queries: Asked, *, k: int, depth: int, fusion: Spec, settings: SearchSettings
    ) -> tuple[Ints, Floats]:
        """A question without direction is asked by its text alone, one without text by its
        vector alone; one without either finds nothing."""
        import numpy as np

        check_asked(self.spec, queries, self.dims, k, depth, settings)
        assert isinstance(settings, PairSearch)  # noqa: S101  by check_asked
        found = Answers.none(self.link, self.rows, len(queries.texts), k)
        by_vector = directed(queries.vectors)
        by_text = np.array([bool(text.strip()) for text in queries.texts], dtype=bool)
        step = max(1, min(BATCH_TEXTS, BATCH_HITS // depth))
        for dense, lexical in ((True, True), (True, False), (False, True)):
            asked = np.flatnonzero((by_vector == dense) & (by_text == lexical))
            for at in range(0, len(asked), step):
                part = asked[at : at + step]
                requests = self._requests(queries, part, (dense, lexical), depth, settings)
                answers = sent(self.link, self.rows, self._sending(requests, k, fusion))
                for query, hits in zip(part.tolist(), answers, strict=True):
                    found.put(query, hits)
        return found.ids, found.scores

    def _requests(
        self,
        queries: Asked,
        part: NDArray[np.intp],
        sides: tuple[bool, bool],
        depth: int,
        settings: PairSearch,
    ) -> list[Any]:
        """The dense side's request, then the lexical one's, as far as they are asked."""
        from pymilvus import AnnSearchRequest

        vector, text = self.spec.parts
        found = []
        if sides[0]:
            of_vector = settings.of(vector)
            assert isinstance(of_vector, MilvusSearch)  # noqa: S101  by its Spec
            params = {"params": of_vector.engine_params(depth)}
            only = f"{DIRECTED} > 0" if self.marked else None
            data = queries.vectors[part]
            found.append(AnnSearchRequest(data, FIELD, params, limit=depth, expr=only))
        if sides[1]:
            of_text = settings.of(text)
            assert isinstance(of_text, SparseSearch)  # noqa: S101  by its Spec
            params = {"params": of_text.engine_params()}
            texts = [queries.texts[at] for at in part]
            found.append(AnnSearchRequest(texts, SPARSE, params, limit=depth))
        return found

    def _sending(self, requests: list[Any], k: int, fusion: Spec) -> Callable[[], Sequence[Any]]:
        ranker = _ranker(fusion, requests)

        def send() -> Sequence[Any]:
            answers: Sequence[Any] = self.link.client.hybrid_search(
                self.link.name,
                requests,
                ranker,
                limit=k,
                output_fields=["id"],
                timeout=self.link.limits.search,
            )
            return answers

        return send


def _ranker(fusion: Spec, requests: Sequence[Any]) -> Any:
    """Milvus' fusion of the sides that are asked."""
    from pymilvus import RRFRanker, WeightedRanker

    if isinstance(fusion, EngineRrf):
        return RRFRanker(fusion.k)
    if isinstance(fusion, EngineWeighted):
        weights = {FIELD: fusion.weight, SPARSE: 1 - fusion.weight}
        shares = [weights[request.anns_field] for request in requests]
        return WeightedRanker(*shares, norm_score=fusion.normalise == "arctan")
    raise SpecError(
        f"Milvus has no fusion {fusion.kind}.", mend="use rrf or weighted, or `kind: hybrid`."
    )


@contextmanager
def opened_pairs(
    spec: Pair, place: Place, check: Callable[[Link], None]
) -> Iterator[MilvusPairSearcher]:
    """A collection of vectors and texts, opened."""
    with opened(place, check) as (link, rows):
        about = link.client.describe_collection(link.name, timeout=link.limits.answer)
        dims = next(f["params"]["dim"] for f in about["fields"] if f["name"] == FIELD)
        marked = link.client.query(
            link.name, filter=f"{DIRECTED} < 1", output_fields=["id"], limit=1,
            timeout=link.limits.search,
        )  # fmt: skip
        yield MilvusPairSearcher(link, spec, rows, int(dims), bool(marked))
