"""How an engine fuses the hits of vectors and of texts itself: what may be asked of it.

Mox's own fusions are in `mox.retrieval`; `rrf` is the same sum in both. `weighted` is not: an
engine puts each score on a scale by a function of that score alone, Mox by the list it is in.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mox.spec import Spec

MOST_K = 16_383
"""Milvus' limit of the constant."""


class EngineRrf(Spec):
    """A row scores the sum over the sides of 1 / (k + its rank there), ranks from 1."""

    kind: Literal["rrf"] = "rrf"
    k: int = Field(60, ge=1, le=MOST_K)
    """How much a low rank still counts; nothing to do with how many hits are kept."""


class EngineWeighted(Spec):
    """A row scores weight · dense + (1 - weight) · lexical; a side that lacks it adds 0."""

    kind: Literal["weighted"] = "weighted"
    weight: float = Field(0.5, ge=0, le=1)
    """The dense side's share."""
    normalise: Literal["arctan", "none"] = "arctan"
    """The common scale, both in [0, 1]: (1 + cosine) / 2 and 2 / π · arctan(BM25); or the scores
    as they are, where BM25's have no upper end and so weigh more."""
