"""OpenAI's Embeddings."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mox.errors import SpecError
from mox.simulation import vectors
from mox.simulation.models import EmbeddingModel
from mox.simulation.script import Asked
from mox.simulation.wire.common import Refused, at_least_one, dumped, field, model_of
from mox.types.providers import Message

MOST = 2048
"""Texts of one request."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for."""

    asked: Asked
    """As a question, for what limits and chance go by."""
    texts: tuple[str, ...]
    dims: int | None
    as_base64: bool


def read(body: Mapping[str, Any], *, account: str) -> Wanted:
    """What a request asks for.

    Raises:
        Refused: it can't be meant, or isn't simulated.
    """
    model = model_of(body)
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise Refused("bad_request", "'input' is a text or a list of texts.", param="input")
    if not all(isinstance(text, str) for text in texts):
        raise Refused(
            "bad_request", "Lists of token ids are not simulated by Mox; send texts.", param="input"
        )
    if len(texts) > MOST or not all(texts):
        raise Refused(
            "bad_request", f"'input' has 1 to {MOST} texts, none of them empty.", param="input"
        )
    form = field(body, "encoding_format", str, "a string") or "float"
    if form not in ("float", "base64"):
        raise Refused(
            "bad_request", f"Invalid 'encoding_format': {form!r}.", param="encoding_format"
        )
    messages = tuple(Message("user", text) for text in texts)
    asked = Asked("chat", account, model, messages, max_output_tokens=0)
    return Wanted(asked, tuple(texts), at_least_one(body, "dimensions"), form == "base64")


def warm(model: EmbeddingModel) -> None:
    """Load its weights."""
    vectors.embedded(model, ["warm"])


def answered(wanted: Wanted, model: EmbeddingModel) -> vectors.Made:
    """The vectors.

    Raises:
        Refused: the model hasn't got so many dimensions.
    """
    try:
        return vectors.embedded(model, wanted.texts, dims=wanted.dims)
    except SpecError as error:
        raise Refused("bad_request", error.message, param="dimensions") from None


def told(wanted: Wanted, made: vectors.Made, *, with_usage: bool) -> bytes:
    """The answer."""
    rows = made.vectors.astype("<f4")
    data = [
        {
            "object": "embedding",
            "index": at,
            "embedding": (
                base64.b64encode(row.tobytes()).decode() if wanted.as_base64 else row.tolist()
            ),
        }
        for at, row in enumerate(rows)
    ]
    said: dict[str, Any] = {"object": "list", "data": data, "model": wanted.asked.model}
    if with_usage:
        tokens = made.usage.input_tokens
        said["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return dumped(said)
