"""What a simulated model answers, and when: one function of what was asked."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Literal, NamedTuple

from mox.simulation import answers, context, judge, latency, schema
from mox.simulation.draws import Draws, identity
from mox.simulation.filler import filler
from mox.simulation.models import Model
from mox.simulation.script import Asked, Script, Token
from mox.simulation.tokens import Piece, count_messages, pieces
from mox.types.providers import Finish, Usage


class Said(NamedTuple):
    """A whole answer before it is cut to the limit and put on the clock."""

    pieces: Sequence[Piece]
    notes: dict[str, Any]


def script(
    asked: Asked, model: Model, *, seed: int, load: int = 0, cached_tokens: int = 0
) -> Script:
    """The answer to a request, and when each piece of it is due.

    Text, usage and finish follow from the seed, the account, the request and its attempt; load
    and cache move due times only (and `usage.cached_tokens` says what the cache had).

    Args:
        load: requests in flight at the provider when this one was admitted.
        cached_tokens: of the input, what the provider's cache had (`caching`).

    Returns:
        At most `asked.max_output_tokens` tokens, reasoning first.
    """
    draws = Draws(identity(seed, asked))
    input_tokens = count_messages(asked.messages)
    thought = _thought(model, asked, draws)
    said = _said(model, asked, draws, room=asked.max_output_tokens - _total(thought))
    spoken, finish = _cut(said.pieces, asked.max_output_tokens - _total(thought))
    cached_tokens = min(cached_tokens, input_tokens)
    chunks = [
        *_chunks(model, draws, thought, "reasoning"),
        *_chunks(model, draws, spoken, "text"),
    ]
    dues, done_s = _dues(model, draws, chunks, uncached=input_tokens - cached_tokens, load=load)
    usage = Usage(
        input_tokens=input_tokens,
        cached_tokens=cached_tokens,
        output_tokens=_total(thought) + _total(spoken),
        reasoning_tokens=_total(thought),
    )
    tokens = tuple(
        Token(due, text, kind, size) for due, (text, kind, size) in zip(dues, chunks, strict=True)
    )
    return Script(tokens, usage, finish, done_s, said.notes)


def _thought(model: Model, asked: Asked, draws: Draws) -> list[Piece]:
    if model.reasoning is None:
        return []
    wanted = model.reasoning.median_tokens * math.exp(
        model.reasoning.sigma * draws.normal("reasoning")
    )
    return filler(draws, min(max(round(wanted), 1), asked.max_output_tokens), name="reasoning")


def _said(model: Model, asked: Asked, draws: Draws, *, room: int) -> Said:
    """A judge's verdicts, JSON of a schema, an answer from the context, or filler."""
    quality = model.quality
    found = judge.judged(asked.messages, asked.json_schema, quality.judge_noise, draws)
    form = asked.json_schema or judge.asked_schema(asked.messages)
    if found is None and form is not None:
        made = json.dumps(schema.instance(form, draws), ensure_ascii=False)
        found = answers.Answered(made, {"answered": "schema"})
    if found is None:
        given = context.given(asked.messages)
        found = None if given is None else answers.answer(given, quality, draws)
    if found is not None:
        return Said(pieces(found.text), found.notes)
    if model.profile.fills:
        wanted = room
    else:
        drawn = model.median_tokens * math.exp(model.sigma * draws.normal("length"))
        wanted = min(max(round(drawn), 1), room + 1)
    return Said(filler(draws, wanted), {"answered": "filler"})


def _cut(said: Sequence[Piece], room: int) -> tuple[Sequence[Piece], Finish]:
    """What fits; a piece of several tokens goes in whole or not at all."""
    if room <= 0:  # all of it went into reasoning
        return (), "length"
    for at, total in enumerate(accumulate(piece.tokens for piece in said)):
        if total > room:
            return said[:at], "length"
    return said, "stop"


Chunk = tuple[str, Literal["text", "reasoning"], int]


def _chunks(
    model: Model, draws: Draws, said: Sequence[Piece], kind: Literal["text", "reasoning"]
) -> list[Chunk]:
    """Pieces as they are sent: several tokens at once, by the profile's shares."""
    import numpy as np

    shares = model.profile.chunk_shares
    if len(shares) == 1:
        return [(text, kind, tokens) for text, tokens in said]
    bounds = np.cumsum(shares) / sum(shares)
    bounds[-1] = 1.0
    drawn = np.frombuffer(draws.bytes(f"chunks {kind}", 2 * len(said)), dtype="<u2") / 65536
    sizes = (np.searchsorted(bounds, drawn, side="right") + 1).tolist()
    found: list[Chunk] = []
    start = 0
    for size in sizes:
        if start >= len(said):
            break
        held = said[start : start + size]
        found.append(("".join(piece[0] for piece in held), kind, _total(held)))
        start += size
    return found


def _dues(
    model: Model, draws: Draws, chunks: Sequence[Chunk], *, uncached: int, load: int
) -> tuple[list[float], float]:
    """(chunks,) seconds since admission, ascending, and when the last event is due."""
    profile = model.profile
    sizes = [size for _, _, size in chunks]
    service = latency.service_s(profile, uncached_tokens=uncached, tokens=sum(sizes), load=load)
    first = (
        profile.network_s
        + latency.queue_s(profile, load=load, service_s=service, normal=draws.normal("queue"))
        + latency.first_s(profile, uncached_tokens=uncached, normal=draws.normal("first"))
    )
    if not chunks:
        return [], first
    gaps = latency.gaps_s(profile, sizes, draws, slower=latency.slower(profile, load))
    gaps[0] = first
    dues: list[float] = gaps.cumsum().tolist()
    return dues, dues[-1]


def _total(said: Sequence[Piece]) -> int:
    return sum(piece.tokens for piece in said)
