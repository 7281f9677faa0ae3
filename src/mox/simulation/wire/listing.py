"""What is asked beside answers: which models there are, and how long a prompt is."""

from __future__ import annotations

from typing import Any

from mox.simulation.config import Simulation
from mox.simulation.reply import Piece, Reply
from mox.simulation.script import Wire
from mox.simulation.wire.common import Refused, dumped

SINCE = "2026-01-01T00:00:00Z"
SINCE_S = 1_767_225_600
"""The same as a number."""


def reply(simulation: Simulation, wire: Wire, name: str | None) -> Reply:
    """All models, or one, in a provider's shape."""
    shape = _anthropic if wire == "messages" else _openai
    if name is not None:
        if name not in {*simulation.models, *simulation.embedding_models}:
            raise Refused("model_not_found", f"The model `{name}` does not exist.", param="model")
        return _json(shape(name))
    # Anthropic has no models that make vectors.
    names = [*simulation.models]
    if wire != "messages":
        names += simulation.embedding_models
    data = [shape(one) for one in names]
    if wire == "messages":
        ends = {"first_id": names[0], "last_id": names[-1]} if names else {}
        return _json({"data": data, "has_more": False, **ends})
    return _json({"object": "list", "data": data})


def counted(tokens: int) -> Reply:
    """How long a prompt is (`/v1/messages/count_tokens`)."""
    return _json({"input_tokens": tokens})


def _openai(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": SINCE_S, "owned_by": "mox-simulated"}


def _anthropic(name: str) -> dict[str, Any]:
    return {
        "type": "model", "id": name, "display_name": f"{name} (simulated)", "created_at": SINCE,
        "lifecycle": "active",
    }  # fmt: skip


def _json(value: dict[str, Any]) -> Reply:
    return Reply(200, {"content-type": "application/json"}, (Piece(0.0, dumped(value)),))
