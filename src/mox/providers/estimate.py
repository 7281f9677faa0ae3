"""What a call will use, from what calls like it used."""

from __future__ import annotations

import json
from collections import deque
from typing import TypeVar

from mox.providers.pool.limits import Account
from mox.providers.pool.nouns import Need
from mox.types.providers import Answer, Request

K = TypeVar("K")
CHARACTERS = 4.0
"""To a token, as OpenAI's limiter counts input before it reads it."""
KEPT, ENOUGH = 64, 3
"""Answers of a kind that are remembered; fewer than so many say nothing of the next one."""
WEIGHT = 0.2
"""Of the newest in a mean."""


class Outputs:
    """Lengths of the last answers of one kind."""

    def __init__(self) -> None:
        self._last: deque[int] = deque(maxlen=KEPT)

    def add(self, tokens: int) -> None:
        self._last.append(tokens)

    def expected(self) -> float | None:
        """Their mean; None where too few are known.

        Not a high quantile of them: what is set aside beyond the mean comes back too late to be
        used, and what running answers make beyond it is followed while they run.
        """
        return sum(self._last) / len(self._last) if len(self._last) >= ENOUGH else None


class Estimates:
    """Of one purpose; by provider and model."""

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose
        self._outputs: dict[tuple[str, str, str], Outputs] = {}
        self._input: dict[tuple[str, str], float] = {}
        self._speed: dict[tuple[str, str], float] = {}
        self._length: dict[str, float] = {}

    def need(self, account: Account, request: Request) -> Need:
        """What a request is expected to use on an account."""
        key = (account.fails_with, request.model)
        outputs = self._outputs.get((*key, self._purpose))
        expected = outputs.expected() if outputs is not None else None
        most = request.max_output_tokens
        by = self._input.get(key, 1.0) if account.limits.counts == "anthropic" else 1.0
        return Need(
            input=_characters(request) / CHARACTERS * by,
            output=most if expected is None else min(expected, most),
            max_output=most,
            tokens_per_s=self._speed.get(key),
        )

    def learn(self, account: Account, request: Request, answer: Answer) -> None:
        """What an answer did use."""
        key, usage = (account.fails_with, request.model), answer.usage
        self._outputs.setdefault((*key, self._purpose), Outputs()).add(usage.output_tokens)
        # What came from a cache too: the next request may find none. Settling gives that back.
        _mean(self._input, key, usage.input_tokens * CHARACTERS / max(1, _characters(request)))
        made = len(answer.text) + len(answer.reasoning)
        if made and usage.output_tokens:
            _mean(self._length, request.model, made / usage.output_tokens)
        timings = answer.timings
        if timings.done is not None and timings.done > timings.sent and usage.output_tokens:
            _mean(self._speed, key, usage.output_tokens * 1e9 / (timings.done - timings.sent))

    def tokens(self, request: Request, characters: int) -> float:
        """How many tokens so many characters of an answer are."""
        return characters / self._length.get(request.model, CHARACTERS)


def _mean(means: dict[K, float], key: K, value: float) -> None:
    means[key] = value if key not in means else means[key] + WEIGHT * (value - means[key])


def _characters(request: Request) -> int:
    schema = json.dumps(request.json_schema) if request.json_schema else ""
    return sum(len(message.text) for message in request.messages) + len(schema)
