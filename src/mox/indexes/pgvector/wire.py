"""Vectors as PostgreSQL's binary protocol has them, whole arrays at a time.

Sources: COPY's binary format in PostgreSQL's documentation; vector_recv, halfvec_recv of
pgvector and bit_recv of PostgreSQL.
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
BIT = (1560, 1561)
"""Numbers of the types `bit` and `bit[]`, the same in every PostgreSQL."""


class Parameter:
    """A query's parameter as it is sent. Each subclass is a type of PostgreSQL."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


class Vector(Parameter):
    """One `vector`."""


class Vectors(Parameter):
    """Several, as an array."""


class Halfvec(Parameter):
    """One `halfvec`: 16 bits a dimension."""


class Halfvecs(Parameter):
    """Several, as an array."""


class Bit(Parameter):
    """One `bit`."""


class Bits(Parameter):
    """Several, as an array."""


CLASSES: Mapping[str, tuple[type[Parameter], type[Parameter]]] = {
    "vector": (Vector, Vectors),
    "halfvec": (Halfvec, Halfvecs),
    "bit": (Bit, Bits),
}


def parameter(kind: str, queries: Floats, oid: int) -> Parameter:
    """(queries, dims) vectors as one value where there is one, else as an array.

    Args:
        kind: `vector`, `halfvec`, or `bit`: whether each dimension is positive, as
            `binary_quantize` has it.
        oid: the type's number.
    """
    import numpy as np

    count, dims = queries.shape
    if count == 1 and kind != "bit":
        numbers = queries.astype(">f2" if kind == "halfvec" else ">f4")
        return CLASSES[kind][0](struct.pack(">hh", dims, 0) + numbers.tobytes())
    if kind == "bit":
        values: NDArray[Any] = np.packbits(queries > 0, axis=1)
        head: list[tuple[Any, ...]] = [("dims", ">i4")]
        shape: tuple[Any, ...] = ("values", "u1", values.shape[1:])
    else:
        values = queries
        head = [("dims", ">i2"), ("unused", ">i2")]
        shape = ("values", ">f2" if kind == "halfvec" else ">f4", (dims,))
    made = np.zeros(count, dtype=[("bytes", ">i4"), *head, shape])
    made["bytes"] = made.dtype.itemsize - 4
    made["dims"], made["values"] = dims, values
    one, many = CLASSES[kind]
    if count == 1:
        return one(made.tobytes()[4:])
    # One dimension, nothing null, `count` elements from 1 on.
    return many(struct.pack(">iiIii", 1, 0, oid, count, 1) + made.tobytes())


def register(connection: Any, types: Mapping[str, tuple[int, int]]) -> None:
    """Have a connection send parameters under their types' numbers in its database.

    Args:
        types: the numbers of `vector`, `halfvec` and `bit`, and of their arrays.
    """
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    def dump(_: Any, value: Parameter) -> bytes:
        return value.raw

    for name, oids in types.items():
        for kind, oid in zip(CLASSES[name], oids, strict=True):
            made = type(name, (Dumper,), {"format": Format.BINARY, "oid": oid, "dump": dump})
            connection.adapters.register_dumper(kind, made)


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
