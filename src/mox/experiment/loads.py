"""The axis `load`: under which loads each index is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mox.errors import FieldError
from mox.registry import validate
from mox.source import Path_, Source

TIMED = ("qps", "p50_ms", "p95_ms", "p99_ms")
"""Costs that are an engine's speed: said of Milvus Lite they are Lite's own, and no index's."""
LOAD_COSTS = (*TIMED, "memory_mb", "disk_mb")
"""What a trial with a load has among its costs besides."""


class Load(BaseModel):
    """One condition under which an index is measured, the machine being its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    clients: int = Field(1, ge=1, le=256)
    """Processes that each wait for their answer before they ask again."""
    selectivity: float = Field(1.0, ge=0.0001, le=1.0)
    """Share of the rows that pass a filter, drawn without regard to what is asked; 1: no filter."""
    inserts: float = Field(0.0, ge=0.0, le=100_000)
    """Rows a second that one more process inserts meanwhile, and deletes again, in a copy."""
    cold: bool = False
    """Whether the collection is closed and opened before each round, and no query warms it."""
    seconds: float = Field(5.0, gt=0, le=600)
    """Of each round."""
    rounds: int = Field(5, ge=1, le=100)
    """Repeats, interleaved with those of all other loads of the sweep; 5 and more show a spread."""


def parse_load(source: Source, raw: Mapping[str, Any], path: Path_) -> Load:
    """A point of the axis.

    Raises:
        SpecError: an unknown field or a value that it refuses; names the line.
    """
    try:
        return validate(Load, raw, name="load")
    except FieldError as error:
        raise source.error((*path, *error.field.split(".")), error) from None
