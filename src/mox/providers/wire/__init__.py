"""The three wire formats: a Request as a body, and what comes back as pieces of an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mox.errors import SpecError
from mox.providers.classify import Said
from mox.types.providers import Finish, Request, Usage

_PAID_BY_CALL = (
    "web_search", "file_search", "code_interpreter", "code_execution", "image_generation",
)  # fmt: skip
"""How the types of tools begin that a provider runs itself (OpenAI's, Anthropic's)."""

_OWN = ("stream", "n", "max_tokens", "max_completion_tokens", "max_output_tokens")
"""What no other name may set: how many answers come, and how long each may be. Of the wires' names
for the latter each sends one, and a server that reads another too would pass the budget by it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some output."""

    text: str
    kind: Literal["text", "reasoning"] = "text"


@dataclass(frozen=True, slots=True)
class End:
    """An answer's end, as its wire format marks one. Without one an answer isn't whole."""

    reason: str
    """Why it ended, in the wire's words."""
    finish: Finish | None
    """None where these words aren't known."""
    usage: Usage | None
    """None where the provider didn't count."""
    model: str


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer that came at once."""

    text: str
    reasoning: str
    end: End


Parts = AsyncIterator[Piece | End | Said]
"""Pieces and an End; Said where the provider reports an error in mid-answer."""


@dataclass(frozen=True, slots=True)
class Wire:
    """How one SDK's client speaks one wire format."""

    body: Callable[[Request, bool], dict[str, Any]]
    """The arguments of `create` for a request, and whether it is to stream."""
    create: Callable[..., Awaitable[Any]]
    """The SDK's `with_raw_response.create`."""
    parts: Callable[[AsyncIterator[Any]], Parts]
    whole: Callable[[Any], Whole | Said]
    """Whole: `end.reason` is empty where the answer doesn't say that it ended."""


class Plain:
    """A JSON object with its fields as attributes, as the SDKs' objects have them, else None."""

    __slots__ = ("model_extra",)

    def __init__(self, fields: dict[str, Any]) -> None:
        self.model_extra = fields

    def __getattr__(self, name: str) -> Any:
        return self.model_extra.get(name)


def count_of(said: Any, name: str) -> int | None:
    """A count in a provider's usage, 0 or more; None where it says none: no usage, no such field,
    null, or what is no count."""
    found = getattr(said, name, None)
    return found if type(found) is int and found >= 0 else None


def with_extra(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """A body with a request's own further fields, sent as they are.

    Raises:
        SpecError: one is set by the Request itself, would change what comes back, or buys what
            isn't paid by the token.
    """
    _refuse_unpriced(extra)
    sent = dict(extra)
    for name in body.keys() & sent.keys():
        mine, theirs = body[name], sent[name]
        if not (isinstance(mine, dict) and isinstance(theirs, dict)) or mine.keys() & theirs.keys():
            raise _clash(name)
        sent[name] = {**mine, **theirs}
    for name in _OWN:
        if name in sent:
            raise _clash(name)
    return {**body, "extra_body": sent} if sent else body


def _refuse_unpriced(extra: Mapping[str, Any]) -> None:
    """Prices and budgets count tokens: what else is bought would cost nothing by them."""
    tools = extra.get("tools")
    kinds = [
        str(tool.get("type")) for tool in (tools if isinstance(tools, list | tuple) else ())
        if isinstance(tool, Mapping)
    ]  # fmt: skip
    kinds += [name for name in extra if name == "web_search_options"]
    paid = next((kind for kind in kinds if kind.startswith(_PAID_BY_CALL)), None)
    if paid is not None:
        raise SpecError(
            f"Request.extra asks for {paid!r}, which is paid by the call.",
            mend="leave it out: prices and budgets here count tokens alone.",
        )
    if _for_an_hour(extra):
        raise SpecError(
            "Request.extra lets a cache be kept for an hour, which has a price of its own.",
            mend="leave `ttl` out (it is kept for 5 minutes, and again with each use): prices and"
            " budgets here count on that.",
        )


def _for_an_hour(part: Any) -> bool:
    """Whether Anthropic's `cache_control` asks for its longer time anywhere."""
    if isinstance(part, Mapping):
        return part.get("ttl") == "1h" or any(map(_for_an_hour, part.values()))
    return isinstance(part, list | tuple) and any(map(_for_an_hour, part))


def _clash(name: str) -> SpecError:
    return SpecError(
        f"Request.extra sets {name!r}, which Mox sets itself.",
        mend="use the Request's own field, or leave it out.",
    )
