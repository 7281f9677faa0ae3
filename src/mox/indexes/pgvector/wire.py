"""Vectors as PostgreSQL gets them: a query's by the pgvector package, a table's by COPY's format.

Source: COPY's binary format in PostgreSQL's documentation; vector_recv and halfvec_recv of
pgvector.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Floats, Ints

COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
COPY_END = struct.pack(">h", -1)
CHUNK_BYTES = 1 << 20
NULL = -1


def parameter(kind: str, queries: Floats) -> Any:
    """(queries, dims) vectors as one value where there is one, else as a list, sent as an array.

    Args:
        kind: `vector`, `halfvec`, or `bit`: whether each dimension is positive, as
            `binary_quantize` has it.
    """
    from pgvector import Bit, HalfVector, Vector

    made: list[Any]
    if kind == "bit":
        made = [Bit(signs) for signs in queries > 0]
    else:
        of = HalfVector if kind == "halfvec" else Vector
        made = [of(query) for query in queries]
    return made[0] if len(made) == 1 else made


def copied(
    vectors: Floats, directed: NDArray[np.bool_], fields: Mapping[str, Ints], *, half: bool
) -> Iterator[bytes]:
    """Rows (number, fields, vector) for COPY, in chunks; NULL for a vector without direction.

    Rows of one shape are made by one assignment each column: ten times as fast as a row at a
    time, so that the server is what takes the time.
    """
    import numpy as np

    numbers = np.arange(len(vectors), dtype=np.int32)
    held = _layout(fields, vectors.shape[1], ">f2" if half else ">f4")
    blank = _layout(fields, None, "")
    step = max(1, CHUNK_BYTES // held.itemsize)
    yield COPY_HEAD
    rows = np.flatnonzero(directed)
    for at in range(0, len(rows), step):
        yield _filled(held, rows[at : at + step], numbers, fields, vectors)
    yield _filled(blank, np.flatnonzero(~directed), numbers, fields, None)
    yield COPY_END


def _layout(fields: Mapping[str, Ints], dims: int | None, kind: str) -> np.dtype[Any]:
    import numpy as np

    parts: list[tuple[Any, ...]] = [("columns", ">i2"), ("id_bytes", ">i4"), ("id", ">i4")]
    for at, _ in enumerate(fields):
        parts += [(f"field_bytes{at}", ">i4"), (f"field{at}", ">i8")]
    parts += [("bytes", ">i4")]
    if dims is not None:
        parts += [("dims", ">i2"), ("unused", ">i2"), ("vector", kind, (dims,))]
    return np.dtype(parts)


def _filled(
    layout: np.dtype[Any],
    rows: NDArray[np.intp],
    numbers: Ints,
    fields: Mapping[str, Ints],
    vectors: Floats | None,
) -> bytes:
    import numpy as np

    made = np.zeros(len(rows), dtype=layout)
    made["columns"] = 2 + len(fields)
    made["id_bytes"], made["id"] = 4, numbers[rows]
    for at, values in enumerate(fields.values()):
        made[f"field_bytes{at}"], made[f"field{at}"] = 8, values[rows]
    made["bytes"] = NULL
    if vectors is not None:
        made["bytes"] = 4 + layout["vector"].itemsize
        made["dims"] = vectors.shape[1]
        made["vector"] = vectors[rows]
    return made.tobytes()
