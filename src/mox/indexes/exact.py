"""Exact search by matrix product: the truth that other indexes are held to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mox.errors import EngineError
from mox.indexes import indexes
from mox.indexes.vectors import (
    LEAST_COSINE,
    NO_DIRECTION,
    check_search,
    check_where,
    dense,
    directed,
)
from mox.registry import versions
from mox.spec import IndexSpec, SearchSettings
from mox.types import Built, Place, Rows, Searcher, Served, Where

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Floats, Ints

CELLS = 4_000_000
"""Scores that are held at once: 16 MB, and some 100 MB of working memory around them."""
STRIP = 4096
"""Rows that are widened to float64 at once."""


class Exact(IndexSpec):
    """No index: each query is compared with every vector."""

    kind: Literal["exact"] = "exact"


def nearest(vectors: Floats, queries: Floats, k: int) -> tuple[Ints, Floats]:
    """The k nearest rows of each query by cosine; equal scores by row ascending.

    Args:
        vectors: (rows, dims) of length 1, or all zero: those come last, scored `NO_DIRECTION`.
        queries: (queries, dims) of length 1, or all zero: every cosine is 0.
        k: 1 or more.

    Returns:
        (queries, k) rows and float32 cosines, best first; padded with -1 and -inf past the
        last row. Sums run in float64 and are rounded once, so that equal vectors score
        equally however many queries, rows or threads a product has.
    """
    import numpy as np

    ids = np.full((len(queries), k), -1, dtype=np.int32)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    kept = min(k, len(vectors))
    if not kept:
        return ids, scores
    blank = ~directed(vectors)
    step = max(1, CELLS // len(vectors))
    for at in range(0, len(queries), step):
        found = _cosines(vectors, queries[at : at + step])
        found[:, blank] = NO_DIRECTION
        best = _best(found, kept)
        ids[at : at + step, :kept] = best
        scores[at : at + step, :kept] = np.take_along_axis(found, best, axis=1)
    return ids, scores


def nearest_where(
    vectors: Floats, queries: Floats, k: int, passing: NDArray[np.bool_]
) -> tuple[Ints, Floats]:
    """`nearest` among the rows that pass a filter: the truth of filtered searches.

    Args:
        passing: (rows,) which rows may be found.
    """
    import numpy as np

    rows = np.flatnonzero(passing).astype(np.int32)
    ids, scores = nearest(vectors[rows], queries, k)
    found = ids >= 0
    ids[found] = rows[ids[found]]
    return ids, scores


def _cosines(vectors: Floats, queries: Floats) -> Floats:
    """(queries, rows) dot products."""
    import numpy as np

    wide = queries.astype(np.float64)
    found = np.empty((len(queries), len(vectors)), dtype=np.float32)
    for at in range(0, len(vectors), STRIP):
        found[:, at : at + STRIP] = wide @ vectors[at : at + STRIP].T.astype(np.float64)
    return found


def _best(scores: Floats, k: int) -> NDArray[np.intp]:
    """(queries, k) columns of the best scores, in order; of equal ones the lower column."""
    import numpy as np

    least = np.partition(scores, -k, axis=1)[:, -k, None]
    taken = scores >= least
    for row in np.flatnonzero(np.count_nonzero(taken, axis=1) > k):
        tied = np.flatnonzero(scores[row] == least[row])
        surplus = np.count_nonzero(taken[row]) - k
        taken[row, tied[-surplus:]] = False
    columns = np.nonzero(taken)[1].reshape(len(scores), k)
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


@dataclass(frozen=True)
class _Searcher:
    spec: IndexSpec
    vectors: Floats
    fields: Mapping[str, Ints]

    def search(
        self, queries: Floats, *, k: int, settings: SearchSettings, where: Where | None = None
    ) -> tuple[Ints, Floats]:
        check_search(self.spec, settings, queries, self.vectors.shape[1], k)
        check_where(self.spec, where, self.fields)
        if where is None:
            return nearest(self.vectors, queries, k)
        return nearest_where(self.vectors, queries, k, self.fields[where.field] < where.below)


class ExactBackend:
    """Keeps the vectors in a file of the state folder; the same wherever Milvus is."""

    def engine(self, uri: str | None) -> Mapping[str, str]:
        return {"engine": "numpy", "version": versions("numpy")["numpy"]}

    def check(self, spec: IndexSpec, engine: Mapping[str, str]) -> None:
        """Nothing can be asked of it that it hasn't got."""

    def build(self, spec: IndexSpec, rows: Rows, place: Place) -> Built:
        import numpy as np

        started = time.perf_counter()
        vectors = dense(rows, kind=spec.kind)
        file = _file(place)
        file.parent.mkdir(parents=True, exist_ok=True)
        if rows.fields:
            np.savez(_fields(place), allow_pickle=False, **rows.fields)
        part = file.with_suffix(".part")
        with part.open("wb") as stream:
            np.save(stream, vectors)
        part.replace(file)
        return Built(self._held(place, file), {}, vectors.nbytes, "measured",
                     time.perf_counter() - started)  # fmt: skip

    @contextmanager
    def open(self, spec: IndexSpec, place: Place) -> Iterator[Searcher]:
        import numpy as np

        if self.rows(place) is None:
            raise EngineError(f"{_file(place)} is not there.", mend="build the index first.")
        fields = dict(np.load(_fields(place))) if _fields(place).exists() else {}
        yield _Searcher(spec, np.load(_file(place)), fields)

    @contextmanager
    def served(self, spec: IndexSpec, place: Place) -> Iterator[Served]:
        """See `mox.types.IndexServer`: each client reads the file, and searches it itself."""
        size = sum(file.stat().st_size for file in (_file(place), _fields(place)) if file.exists())
        yield Served(
            place,
            in_client=True,
            consistency="a file that nothing writes",
            cold="the file read anew, from the system's cache",
            disk_bytes=size,
        )

    def rows(self, place: Place) -> int | None:
        return self._held(place, _file(place)) if _file(place).exists() else None

    def drop(self, place: Place) -> None:
        _file(place).unlink(missing_ok=True)
        _fields(place).unlink(missing_ok=True)

    def _held(self, place: Place, file: Path) -> int:
        import numpy as np

        try:
            return len(np.load(file, mmap_mode="r"))
        except (OSError, ValueError) as error:
            raise EngineError(
                f"{place.name}: {file} cannot be read ({error}).", mend="drop it and build again."
            ) from error


def _file(place: Place) -> Path:
    return place.folder / f"{place.name}.npy"


def _fields(place: Place) -> Path:
    return place.folder / f"{place.name}.fields.npz"


indexes.register(Exact, fingerprint=lambda _: versions("numpy"), least=lambda _: LEAST_COSINE)(
    ExactBackend()
)
