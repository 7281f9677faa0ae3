"""How good a simulated model is: what goes wrong with an answer, and how often."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Quality(BaseModel):
    """Chances in [0, 1] of what goes wrong; all 0 is the best that the context allows."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    drop: float = Field(default=0.0, ge=0, le=1)
    """Of each sentence that the answer should hold: it is left out."""
    invent: float = Field(default=0.0, ge=0, le=1)
    """Of an answer: a sentence is added that no passage says."""
    miss_citation: float = Field(default=0.0, ge=0, le=1)
    """Of each sentence: it cites nothing."""
    miss_abstention: float = Field(default=0.0, ge=0, le=1)
    """Of a question that the context doesn't answer: it is answered all the same."""
    judge_noise: float = Field(default=0.0, ge=0, le=0.5)
    """Of each verdict as a judge: it is turned round."""
