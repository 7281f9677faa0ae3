"""Bytes by formula: how PostgreSQL and pgvector 0.8 lay rows, graphs and cells out in pages.

Sources: PostgreSQL's page layout (storage/bufpage.h, access/htup_details.h), pgvector's hnsw.h
and ivfflat.h. Tuples are aligned to 8 bytes and never span pages, so sizes go in steps: at 384
dimensions a page holds four vectors of a graph, and at 500 three.
"""

from __future__ import annotations

from typing import Literal

Column = Literal["vector", "halfvec", "bit"]
PAGE = 8_192
POINTER = 4
"""Of a tuple, at the head of its page."""
SAFETY = 1.2
"""Of working memory, over what was measured."""


def _aligned(size: int) -> int:
    return -(-size // 8) * 8


def held(dims: int, column: Column) -> int:
    """Bytes of one vector as an index holds it."""
    return 8 + {"vector": 4 * dims, "halfvec": 2 * dims, "bit": -(-dims // 8)}[column]


def row(dims: int, column: Column, fields: int = 0) -> int:
    """Bytes of one row of the table: its head, its number, fields, bits and vector."""
    vector = held(dims, "halfvec" if column == "halfvec" else "vector")
    bits = held(dims, "bit") + 3 if column == "bit" else 0
    return _aligned(24 + 4 + 8 * fields + bits + vector)


def table(rows: int, dims: int, column: Column) -> int:
    """Bytes of a table without further fields. What is longer than a page lies beside it.

    PostgreSQL extends a table that is being filled by up to 64 pages at once, so that it may
    have half a megabyte more.
    """
    room, size = PAGE - 24, row(dims, column) + POINTER
    if size > room:
        pieces = -(-(size - 32) // 1_996)  # of a vector that lies beside the table, 4 on a page
        return rows * pieces * PAGE // 4
    return -(-rows // (room // size)) * PAGE


def graph(rows: int, dims: int, column: Column, m: int) -> int:
    """Bytes of an HNSW index: each node's vector, and its links on the layers that it is on."""
    room = PAGE - 24 - 8
    node = _aligned(72 + held(dims, column)) + POINTER
    # Layers above the lowest: 1 / (m - 1) a node on average.
    links = _aligned(4 + int(6 * m * (2 + 1 / (m - 1)))) + POINTER
    if node + links > room:
        return rows * 2 * PAGE  # its links are then on a page of others' links, or alone
    return (-(-rows // (room // (node + links))) + 1) * PAGE


def cells(rows: int, dims: int, column: Column, lists: int) -> int:
    """Bytes of an IVFFlat index: pages of each cell, one at least, the last half full; and the
    centroids."""
    room = PAGE - 24 - 8
    vector = _aligned(8 + held(dims, column)) + POINTER
    centre = _aligned(8 + held(dims, column)) + POINTER
    each = max(1.0, rows / lists / (room // vector) + 0.5)
    return int(lists * each + lists / (room // centre) + 1) * PAGE


def graph_memory(rows: int, dims: int, column: Column, m: int) -> int:
    """Working memory in which an HNSW index is built whole.

    Measured at 384 dimensions and m = 16: 2,250 bytes a row. A node's candidates are 16 bytes
    each, 2 × m of them in the lowest layer.
    """
    node = held(dims, column) + 200 + 32 * m * (1 + 0.5 / (m - 1))
    return int(SAFETY * rows * node) + (16 << 20)


def cells_memory(rows: int, dims: int, column: Column, lists: int) -> int:
    """Working memory of k-means over a sample: its vectors, and a bound of each to each centre."""
    samples = min(rows, max(10_000, 50 * lists))
    vector = held(dims, column)
    return int(
        SAFETY * (samples * (vector + 4 * lists + 16) + lists * (3 * vector + 4 * lists))
    ) + (16 << 20)
