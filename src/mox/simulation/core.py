"""What a simulated model answers, and when: one function of what was asked."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, repeat
from typing import Any, Literal, NamedTuple

from mox.simulation import answers, context, evidence, judge, latency
from mox.simulation.draws import Draws, identity
from mox.simulation.filler import filler
from mox.simulation.models import Model
from mox.simulation.script import Asked, Script, Token
from mox.simulation.tokens import Pieces, count_messages, pieces
from mox.types.providers import Finish, Usage

Kind = Literal["text", "reasoning"]


class Said(NamedTuple):
    """A whole answer before it is cut to the limit and put on the clock."""

    pieces: Pieces
    notes: dict[str, Any]


class Chunks(NamedTuple):
    """An answer as it is sent: several tokens at once."""

    texts: list[str]
    tokens: list[int]


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
    thought = _thought(model, asked, draws)
    room = asked.max_output_tokens - sum(thought.tokens)
    said = _said(model, asked, draws, room=room)
    spoken, finish = _cut(said.pieces, room)
    input_tokens = count_messages(asked.messages)
    cached_tokens = min(cached_tokens, input_tokens)
    usage = Usage(
        input_tokens=input_tokens,
        cached_tokens=cached_tokens,
        output_tokens=sum(thought.tokens) + sum(spoken.tokens),
        reasoning_tokens=sum(thought.tokens),
    )
    first, second = (
        _chunks(model, draws, part, kind)
        for part, kind in ((thought, "reasoning"), (spoken, "text"))
    )
    sizes = first.tokens + second.tokens
    dues, done_s = _dues(model, draws, sizes, uncached=input_tokens - cached_tokens, load=load)
    kinds: Iterator[Kind] = chain(
        repeat("reasoning", len(first.texts)), repeat("text", len(second.texts))
    )
    tokens = tuple(map(Token, dues, first.texts + second.texts, kinds, sizes))
    return Script(tokens, usage, finish, done_s, said.notes)


def warm() -> None:
    """Load what answers are made with: tokenizer, vectors, sentence model; some 0.5 s of CPU.

    A front calls it before it serves, or its first answers wait for it.
    """
    evidence.support("A heron eats fish.", evidence.sentences("Herons eat fish. They stand still."))
    filler(Draws(b""), 1)


def _thought(model: Model, asked: Asked, draws: Draws) -> Pieces:
    if model.reasoning is None:
        return Pieces([], [])
    chance = math.exp(model.reasoning.sigma * draws.normal("reasoning"))
    wanted = max(round(model.reasoning.median_tokens * chance), 1)
    return filler(draws, min(wanted, asked.max_output_tokens), name="reasoning")


def _said(model: Model, asked: Asked, draws: Draws, *, room: int) -> Said:
    """A judge's verdicts, an answer from the context, JSON of a schema, or filler."""
    quality = model.quality
    found = judge.judged(asked.messages, asked.json_schema, quality.judge_noise, draws)
    if found is None:
        given = context.given(asked.messages)
        found = None if given is None else answers.answer(given, quality, draws)
        form = judge.schema_of(asked.messages, asked.json_schema)
        if form is not None:
            found = answers.structured(form, found, draws)
    if found is not None:
        return Said(pieces(found.text), found.notes)
    if model.profile.fills:
        wanted = room
    else:
        drawn = model.median_tokens * math.exp(model.sigma * draws.normal("length"))
        wanted = min(max(round(drawn), 1), room + 1)
    return Said(filler(draws, wanted), {"answered": "filler"})


def _cut(said: Pieces, room: int) -> tuple[Pieces, Finish]:
    """What fits; a piece of several tokens goes in whole or not at all."""
    if room <= 0:  # all of it went into reasoning
        return Pieces([], []), "length"
    if sum(said.tokens) <= room:
        return said, "stop"
    fits = bisect_right(list(accumulate(said.tokens)), room)
    return Pieces(said.texts[:fits], said.tokens[:fits]), "length"


def _chunks(model: Model, draws: Draws, said: Pieces, name: str) -> Chunks:
    """Pieces put together by the profile's shares."""
    import numpy as np

    shares = model.profile.chunk_shares
    if len(shares) == 1 or not said.texts:
        return Chunks(said.texts, said.tokens)
    bounds = np.cumsum(shares) / sum(shares)
    bounds[-1] = 1.0
    drawn = np.frombuffer(draws.bytes(f"chunks {name}", 2 * len(said.texts)), dtype="<u2") / 65536
    ends = np.cumsum(np.searchsorted(bounds, drawn, side="right") + 1)
    ends = np.minimum(ends[: np.searchsorted(ends, len(said.texts)) + 1], len(said.texts))
    before = np.concatenate([[0], np.cumsum(said.tokens)])[ends]
    tokens = np.diff(before, prepend=0).tolist()
    stops = ends.tolist()
    starts = [0, *stops[:-1]]
    texts = ["".join(said.texts[a:b]) for a, b in zip(starts, stops, strict=True)]
    return Chunks(texts, tokens)


def _dues(
    model: Model, draws: Draws, sizes: Sequence[int], *, uncached: int, load: int
) -> tuple[list[float], float]:
    """(chunks,) seconds since admission, ascending, and when the last event is due."""
    profile = model.profile
    service = latency.service_s(profile, uncached_tokens=uncached, tokens=sum(sizes), load=load)
    first = (
        profile.network_s
        + latency.queue_s(profile, load=load, service_s=service, normal=draws.normal("queue"))
        + latency.first_s(profile, uncached_tokens=uncached, normal=draws.normal("first"))
    )
    if not sizes:
        return [], first
    gaps = latency.gaps_s(profile, sizes, draws, slower=latency.slower(profile, load))
    gaps[0] = first
    dues: list[float] = gaps.cumsum().tolist()
    return dues, dues[-1]
