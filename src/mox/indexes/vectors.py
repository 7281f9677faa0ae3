"""What all back ends of this room take and refuse, and what a vector without direction means.

An all-zero vector is legal: an embedder makes one of a text in which it knows nothing. It has
no direction, so no cosine, and engines disagree about it (measured with COSINE): Milvus Lite
3.2.2 scores it 0, before every real vector that points away; Milvus 2.3.5's HNSW scores it NaN,
puts it first and loses real neighbours over it; its FLAT never returns it. So here: a row
without direction comes after every row that has one, with the score `NO_DIRECTION`, and is
never handed to an engine; to a query without direction all rows with one are equally near, 0.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from mox.errors import SpecError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.spec import IndexSpec, SearchSettings
    from mox.types import Floats, Ints, Rows, Where

LEAST_COSINE = -1.0
"""What no cosine is under: the indexes' trait `least`."""
NO_DIRECTION = -2.0
"""Score of a row without direction: below every cosine, above the padding's -inf."""


OWN_ROWS = 1_000_000
"""Numbers that a writer may give its rows, past the last one of those that were built."""


def dense(rows: Rows, *, kind: str) -> Floats:
    """The (rows, dims) vectors of what an index is to be built from.

    Raises:
        SpecError: none, not float32 numbers, or more than a dense index can hold.
    """
    import numpy as np

    held = {"sparse vectors": rows.sparse, "texts": rows.texts}
    more = [name for name, value in held.items() if value is not None]
    if more:
        raise SpecError(
            f"{kind} holds dense vectors only, not {' or '.join(more)}.",
            mend="build it from `Rows(vectors=…)` alone.",
        )
    vectors = rows.vectors
    if vectors is None or vectors.ndim != 2 or vectors.size == 0:
        raise SpecError(f"{kind} has no vectors to hold.", mend="give (rows, dims) float32.")
    if vectors.dtype != np.float32:
        raise SpecError(f"{kind} holds float32, not {vectors.dtype}.", mend="convert the vectors.")
    unknown = ~np.isfinite(vectors).all(axis=1)
    if unknown.any():
        raise SpecError(
            f"{kind}: the vector of row {int(unknown.argmax())} is not finite.",
            mend="mend the embedder that made it.",
        )
    for name, values in rows.fields.items():
        if not name.isidentifier() or values.shape != vectors.shape[:1] or values.dtype.kind != "i":
            raise SpecError(
                f"{kind}: the field {name!r} is {values.dtype} of shape {values.shape}.",
                mend=f"give ({len(vectors)},) whole numbers under a plain name.",
            )
    return vectors


def directed(vectors: Floats) -> NDArray[np.bool_]:
    """(rows,) whether each vector has a direction."""
    found: NDArray[np.bool_] = (vectors != 0).any(axis=1)
    return found


def check_search(
    spec: IndexSpec, settings: SearchSettings, queries: Floats, dims: int, k: int
) -> None:
    """Refuse a search that an index cannot answer as it was meant.

    Raises:
        SpecError: settings of another index or that cannot fill k places, queries of other
            dimensions.
    """
    check_settings(spec, settings, k)
    check_queries(queries, dims)


def check_settings(spec: IndexSpec, settings: SearchSettings, k: int) -> None:
    """Refuse settings of another index, or that cannot fill k places (SpecError)."""
    if type(settings) is not type(spec).Search:
        raise SpecError(
            f"{spec.kind} cannot be searched with {type(settings).__qualname__}.",
            mend=f"use {type(spec).__name__}.Search.",
        )
    if k < 1:
        raise SpecError(f"k = {k} asks for nothing.", mend="set k to 1 or more.")
    settings.check(spec, k)


def check_queries(queries: Floats, dims: int) -> None:
    """Refuse queries of other dimensions than an index' (SpecError)."""
    if queries.ndim != 2 or queries.shape[1] != dims:
        raise SpecError(
            f"queries of shape {queries.shape} for an index of {dims} dimensions.",
            mend="embed questions and chunks with the same model.",
        )


def check_written(spec: IndexSpec, ids: Ints, rows: Rows, fields: Collection[str]) -> Floats:
    """The vectors of rows that are inserted into a built collection.

    Raises:
        SpecError: other fields than the collection's, a vector without direction, or not as many
            numbers as rows.
    """
    vectors = dense(rows, kind=spec.kind)
    if set(rows.fields) != set(fields) or len(ids) != len(vectors) or not directed(vectors).all():
        raise SpecError(
            f"{spec.kind}: {len(ids)} numbers for {len(vectors)} rows with the fields"
            f" {', '.join(rows.fields) or '(none)'}.",
            mend=f"give each row its number, a vector that isn't all zero, and the fields"
            f" {', '.join(fields) or '(none)'}.",
        )
    return vectors


def check_where(spec: IndexSpec, where: Where | None, fields: Collection[str]) -> None:
    """Refuse a filter by a field that an index was built without.

    Raises:
        SpecError: names the fields that it has.
    """
    if where is not None and where.field not in fields:
        has = f"fields {', '.join(fields)}" if fields else "no fields"
        raise SpecError(
            f"{spec.kind} was built with {has}, not {where.field!r}.",
            mend="filter by a field that it has, or build it with this one.",
        )
