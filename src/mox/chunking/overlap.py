"""What chunkers that overlap have in common."""

from __future__ import annotations

from pydantic import ValidationInfo


def below_size(overlap: int, info: ValidationInfo) -> int:
    """A validator for `overlap`, declared after `size`: a chunk must get on.

    Raises:
        ValueError: the overlap fills the chunk.
    """
    size = info.data.get("size")
    if size is not None and overlap >= size:
        raise ValueError(f"overlap must be below size = {size}")
    return overlap
