"""A provider's prompt cache: which beginning of a prompt it has seen, and what that is worth."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import takewhile
from time import monotonic
from typing import Literal, NamedTuple

from mox.simulation.script import Asked, End, Script
from mox.simulation.tokens import BYTES_PER_TOKEN, PER_MESSAGE, count_messages, encoded
from mox.types.providers import Message

Accounting = Literal["openai", "anthropic"]
Kept = OrderedDict[bytes, float]
"""Digest of a beginning → when it was last used, the least recently used first."""
MINIMUM = 1024
"""Tokens of the shortest prefix that is kept, by both providers' documents."""
BLOCK = 128
"""Tokens that are hashed together, and so the steps in which OpenAI's hits come."""

_MARKS = {
    role: bytes([255 - at]) * PER_MESSAGE * BYTES_PER_TOKEN
    for at, role in enumerate(("system", "user", "assistant"))
}
"""What a message's own tokens are in a prefix: no token of the vocabulary has these bytes."""


@dataclass(frozen=True, slots=True)
class Found:
    """Of one request's input, what the cache had and what it took in."""

    read_tokens: int = 0
    written_tokens: int = 0

    def on(self, script: Script) -> Script:
        """The script with both in its usage."""
        usage = replace(
            script.usage,
            cached_tokens=self.read_tokens,
            cache_write_tokens=self.written_tokens,
        )
        return replace(script, usage=usage)


class PromptCache:
    """What each account's earlier prompts left behind. For one provider; not for threads.

    `openai`: the longest beginning seen before, from 1,024 tokens on in steps of 128; nothing is
    asked for, and nothing is charged for writing. `anthropic`: only what the client marked
    (`Asked.ends`), each mark by itself; the longest beginning that an earlier request marked is
    read, the rest up to the last mark is written. What is shorter than the minimum is neither. A
    hit renews the time to live of what was read.

    Args:
        ttl_s: how long a beginning is kept after it was last used, on the given clock.
        clock: seconds; the fronts give one that runs with the time scale.
        entries: blocks or prefixes kept of an account, the least recently used go first.
    """

    def __init__(
        self,
        accounting: Accounting,
        *,
        ttl_s: float = 300.0,
        minimum: int = MINIMUM,
        entries: int = 10_000,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._accounting = accounting
        self._ttl_s = ttl_s
        self._minimum = minimum
        self._entries = entries
        self._clock = clock
        self._kept: dict[tuple[str, str], Kept] = {}

    def look(self, asked: Asked, *, keep: bool = True) -> Found:
        """What this request finds, and what it leaves behind for the next.

        Args:
            keep: False leaves nothing behind: a limit has to know what a request would find
                before it is let in.
        """
        kept = self._kept.setdefault((asked.account, asked.model), OrderedDict())
        found, left = (self._automatic if self._accounting == "openai" else self._marked)(
            asked, kept
        )
        if keep:
            self._keep(kept, left)
        return found

    def _automatic(self, asked: Asked, kept: Kept) -> tuple[Found, list[bytes]]:
        prompt = _encoded(asked.messages)
        if len(prompt) < self._minimum * BYTES_PER_TOKEN:
            return Found(), []
        now = self._clock()
        blocks = list(_blocks(prompt))
        seen = sum(1 for _ in takewhile(lambda block: self._alive(kept, block, now), blocks))
        read = seen * BLOCK
        return Found(read_tokens=read if read >= self._minimum else 0), blocks

    def _marked(self, asked: Asked, kept: Kept) -> tuple[Found, list[bytes]]:
        ends = list(_prefixes(asked))
        if not ends or ends[-1].tokens < self._minimum:
            return Found(), []
        now = self._clock()
        read = next((end for end in reversed(ends) if self._alive(kept, end.key, now)), None)
        read_tokens = read.tokens if read else 0
        left = [
            end.key for end in ends if end is read or (end.kept and end.tokens >= self._minimum)
        ]
        return Found(read_tokens, ends[-1].tokens - read_tokens), left

    def _alive(self, kept: Kept, key: bytes, now: float) -> bool:
        used = kept.get(key)
        return used is not None and now - used <= self._ttl_s

    def _keep(self, kept: Kept, left: Sequence[bytes]) -> None:
        now = self._clock()
        # The beginning last: without its first block a prompt is not found at all, so what has
        # to go when it is full goes from the end.
        for key in reversed(left):
            kept[key] = now
            kept.move_to_end(key)
        while len(kept) > self._entries:
            kept.popitem(last=False)


def _encoded(messages: Sequence[Message]) -> bytes:
    """Tokens of messages, their roles' included, four bytes each."""
    parts: list[bytes] = []
    for message in messages:
        parts += [_MARKS[message.role], encoded(message.text)]
    return b"".join(parts)


class _Prefix(NamedTuple):
    """A beginning of a prompt, up to the end of one of its parts."""

    tokens: int
    key: bytes
    kept: bool


def _prefixes(asked: Asked) -> Iterator[_Prefix]:
    """All beginnings up to the last one that is marked."""
    marked = [at for at, end in enumerate(asked.ends, 1) if end.kept]
    # Parts by themselves may come to more tokens than their text at once.
    most = count_messages(asked.messages) if marked else 0
    length, chained, before = 0, b"", End(-1, 0, kept=False)
    for end in asked.ends[: marked[-1]] if marked else ():
        message = asked.messages[end.message]
        begins = end.message != before.message
        part = encoded(message.text[0 if begins else before.characters : end.characters])
        part = _MARKS[message.role] + part if begins else part
        length += len(part) // BYTES_PER_TOKEN
        chained = blake2b(chained + part, digest_size=16).digest()
        yield _Prefix(min(length, most), chained, end.kept)
        before = end


def _blocks(prompt: bytes) -> Iterator[bytes]:
    """A digest for each whole block, of all that stands before its end."""
    chained = b""
    width = BLOCK * BYTES_PER_TOKEN
    for start in range(0, len(prompt) - width + 1, width):
        chained = blake2b(chained + prompt[start : start + width], digest_size=16).digest()
        yield chained
