"""What the wires have in common: what was asked and how, and lines of an event stream."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from mox.simulation.script import Asked, Script, Token

JsonObject = Mapping[str, Any]

OPENING = 0.9
"""Share of the time to the first token after which a stream begins: headers, and events without
output. A client that takes them for output measures a first token that is none."""

RefusalKind = Literal[
    "bad_request", "auth", "model_not_found", "context_length", "not_found", "too_large",
    "rate_limit", "quota", "overloaded", "server", "html",
]  # fmt: skip


class Refused(Exception):  # noqa: N818  what a client did wrong; it becomes a response, no error of ours
    """A request that gets an error in its wire's shape."""

    def __init__(
        self, kind: RefusalKind, message: str, *, param: str | None = None, about: str | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.param = param
        self.about = about
        """Of a rate limit: which resource."""
        self.headers: dict[str, str] = {}
        """What its response says beside its body."""
        self.account = ""
        self.model = ""
        self.fault = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as its wire read it: what the core is asked, and how the answer is sent."""

    asked: Asked
    streamed: bool
    include_usage: bool = True
    """Whether a stream ends with what it cost."""
    shows_reasoning: bool = False
    """Whether a summary of its reasoning was asked for."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A script, and how it is sent."""

    script: Script
    call: Call
    id: str
    """Without the prefix that its wire gives it."""
    created_s: int
    time_scale: float

    @property
    def opening_s(self) -> float:
        """When its stream begins."""
        tokens = self.script.tokens
        first = tokens[0].due_s if tokens else self.script.done_s
        return OPENING * first * self.time_scale

    @property
    def done_s(self) -> float:
        """When its last event is due."""
        last = self.script.tokens[-1].due_s if self.script.tokens else 0.0
        return max(self.script.done_s, last) * self.time_scale

    @property
    def runs(self) -> list[tuple[Literal["text", "reasoning"], list[Token]]]:
        """Tokens of one kind that follow each other; there is always one of text at the end."""
        found = [
            (kind, list(run)) for kind, run in groupby(self.script.tokens, lambda one: one.kind)
        ]
        return found if found and found[-1][0] == "text" else [*found, ("text", [])]

    def span_s(self, tokens: Sequence[Token]) -> tuple[float, float]:
        """When the first and the last of some tokens are due; when all is done where none are."""
        if not tokens:
            return self.done_s, self.done_s
        return tokens[0].due_s * self.time_scale, tokens[-1].due_s * self.time_scale


def dumped(value: Any) -> bytes:
    """JSON as providers write it: UTF-8, no spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def data(value: Any) -> bytes:
    """An event without a name."""
    return b"data: " + dumped(value) + b"\n\n"


def event(name: str, value: Any) -> bytes:
    """A named event."""
    return b"event: " + name.encode() + b"\n" + data(value)


def field(body: Mapping[str, Any], name: str, kind: type | tuple[type, ...], what: str) -> Any:
    """A field of a request; None where it isn't set.

    Raises:
        Refused: it is of another kind.
    """
    found = body.get(name)
    wrong = not isinstance(found, kind) or (isinstance(found, bool) and kind is int)
    if found is not None and wrong:
        raise Refused("bad_request", f"Invalid type for '{name}': expected {what}.", param=name)
    return found


def model_of(body: Mapping[str, Any]) -> str:
    """The model that a request names."""
    found = field(body, "model", str, "a string")
    if not found:
        raise Refused("bad_request", "you must provide a model parameter", param="model")
    return str(found)


def at_least_one(body: Mapping[str, Any], name: str) -> int | None:
    """A number of tokens; None where it isn't set."""
    found = field(body, name, int, "an integer")
    if found is not None and found < 1:
        raise Refused(
            "bad_request", f"Invalid '{name}': integer below minimum value 1.", param=name
        )
    return found if found is None else int(found)


def not_simulated(body: Mapping[str, Any], *names: str) -> None:
    """Refuse what would change the answer and is not simulated.

    Raises:
        Refused: one of the fields is set.
    """
    for name in names:
        if body.get(name):
            raise Refused(
                "bad_request", f"'{name}' is not simulated by Mox; leave it out.", param=name
            )


def text_of(content: Any, *, kinds: tuple[str, ...], param: str) -> str:
    """The text of a message's content: a string, or a list of text parts.

    Raises:
        Refused: it is neither, or has parts of another kind.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Refused("bad_request", f"Invalid type for '{param}'.", param=param)
    parts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in kinds or not isinstance(part.get("text"), str):
            raise Refused(
                "bad_request",
                f"'{param}' has a part of type {kind!r}; only {', '.join(kinds)} is simulated.",
                param=param,
            )
        parts.append(part["text"])
    return "".join(parts)
