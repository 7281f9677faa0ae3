"""Questions as people write them, made requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from mox.errors import SpecError
from mox.types.providers import Message, Request, Role

Question = str | Request | Sequence[Message | Mapping[str, str]]
"""A text, a conversation, or a whole request."""
ROLES: tuple[Role, ...] = get_args(Role)


def request_of(
    question: Question,
    *,
    model: str,
    system: str | None = None,
    max_output_tokens: int = 1024,
    temperature: float | None = None,
) -> Request:
    """A question as a request; a request as it is.

    Args:
        system: said before it.

    Raises:
        SpecError: it is no question, or is one for another model.
    """
    if isinstance(question, Request):
        if question.model != model:
            raise SpecError(
                f"a request for {question.model} was given to {model}.",
                mend=f'open it: `mox.model("KIND/{question.model}")`; each model has its own'
                " limits and price.",
            )
        return question
    said = [Message("user", question)] if isinstance(question, str) else _messages(question)
    if not said:
        raise SpecError("an empty conversation is no question.", mend="give it a text.")
    if max_output_tokens < 1:
        raise SpecError(
            f"max_output_tokens={max_output_tokens} leaves no answer.", mend="give 1 or more."
        )
    before = [] if system is None else [Message("system", system)]
    return Request(model, (*before, *said), max_output_tokens, temperature)


def text_of(question: Any) -> str:
    """What a question is called in a table: its last message."""
    if isinstance(question, Request):
        return question.messages[-1].text if question.messages else ""
    if isinstance(question, str):
        return question
    try:
        return _messages(question)[-1].text
    except (SpecError, IndexError, TypeError):
        return repr(question)


def _messages(question: Any) -> list[Message]:
    if not isinstance(question, Sequence):
        raise _unlike(question)
    found = []
    for one in question:
        if isinstance(one, Message):
            found.append(one)
            continue
        if not isinstance(one, Mapping):
            raise _unlike(one)
        role = next((role for role in ROLES if role == one.get("role")), None)
        text = one.get("text", one.get("content"))
        if role is None or not isinstance(text, str):
            raise _unlike(one)
        found.append(Message(role, text))
    return found


def _unlike(value: object) -> SpecError:
    return SpecError(
        f"{type(value).__name__} is no question.",
        mend='give a text, or messages: [{"role": "user", "text": "…"}], their roles one of'
        f" {', '.join(ROLES)}.",
    )
