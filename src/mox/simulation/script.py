"""What passes between the core and the fronts: what was asked, and what will be played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from mox.types.providers import Finish, Message, Usage

Wire = Literal["chat", "responses", "messages"]
"""OpenAI's Chat Completions, OpenAI's Responses, Anthropic's Messages."""


class End(NamedTuple):
    """Where a part of a prompt ends: a message may have several."""

    message: int
    characters: int
    """Of that message's text, so far."""
    kept: bool
    """Whether the client asked for all up to here to be kept (Anthropic's `cache_control`)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a front understood it, whatever wire it came by."""

    wire: Wire
    account: str
    """Which limits it counts against: the key that it came with, by name."""
    model: str
    messages: tuple[Message, ...]
    max_output_tokens: int
    json_schema: Mapping[str, Any] | None = None
    ends: tuple[End, ...] = ()
    """Of the prompt's parts, in order, where its wire can ask for some to be kept."""
    attempt: int = 0
    """How often this very request came before on this account."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of output, and when it is due."""

    due_s: float
    """Since the request was admitted, at time scale 1."""
    text: str
    kind: Literal["text", "reasoning"] = "text"
    tokens: int = 1
    """How many tokens it holds: providers send several at once."""


@dataclass(frozen=True, slots=True)
class Script:
    """An answer before it is played: what, when, and what it will have cost."""

    tokens: tuple[Token, ...]
    usage: Usage
    finish: Finish = "stop"
    done_s: float = 0.0
    """When the last event is due."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Why it says what it says: sentences cited, what was left out or made up."""

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(token.text for token in self.tokens if token.kind == "text")
