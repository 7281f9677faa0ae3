"""No index, and the engine's own choice."""

from __future__ import annotations

from typing import Literal

from mox.indexes.milvus.specs.base import MilvusSpec


class Flat(MilvusSpec):
    """No index in Milvus either: exact, and the yardstick of what the engine itself costs."""

    kind: Literal["FLAT"] = "FLAT"


class AutoIndex(MilvusSpec):
    """Whatever the engine takes by default: another index with another version."""

    kind: Literal["AUTOINDEX"] = "AUTOINDEX"

    def formula_bytes(self, rows: int, dims: int) -> int:
        """As of HNSW with m = 18, which open-source servers resolve it to."""
        return rows * (dims * 4 + 8 * 18 + 16)
