"""What is asked: prompts by workload, round and number, the same for every provider.

A sized prompt has exactly as many tokens (o200k) as its workload says, in its messages' texts: it
is made of words that are one token each with the space before them. Real text would come back to
a provider's cache, and its tokens could only be met by trying.

With the cache off every prompt begins with words of its own, so that it shares no beginning with
another one, under whatever load, in this run or, for providers that outlive it, in an earlier one:
a round that was cut off is asked again in other words. With the cache on, four fifths of the tokens
(what the task leaves, of short prompts) are a system message that all requests share; only prompts
of 1,280 tokens and more are kept by OpenAI's and Anthropic's caches then (their least is 1,024).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from mox.bench.providers.sections import SHARED, Own, Sized
from mox.bench.providers.words import Draw, capped, vocabulary
from mox.errors import SpecError
from mox.types.providers import Message, Request

if TYPE_CHECKING:
    from pathlib import Path

    from mox.bench.providers.sections import Rag

LEAST = 8
"""Words of a prompt's own at the least."""
HEAD = "Words:"
OWN_HEAD = "More words:"


class Workload(Protocol):
    """Prompts of one workload. Crosses to client processes: it is pickled."""

    @property
    def name(self) -> str:
        """In rows and records."""

    @property
    def output_tokens(self) -> int:
        """The most that an answer may have."""

    def __call__(self, round_: int, number: int) -> Request:
        """The request of a round by its number; its model is set by who asks. Numbers below 0
        are for warming up."""

    def under(self, load: str) -> Workload:
        """The same under a load, by its name: what a prompt has of its own differs from that of
        every other load's, and what prompts share they share under all loads."""

    def quality(self, number: int, answer: str) -> float | None:
        """How good an answer to a number's prompt is, in [0, 1]; None where nobody can tell."""

    @property
    def input_tokens(self) -> int:
        """Of a prompt, on average."""

    @property
    def most_input_tokens(self) -> int:
        """Of the longest prompt: what a budget is held to."""


@dataclass(frozen=True)
class Words:
    """Prompts of random words."""

    name: str
    input_tokens: int
    output_tokens: int
    shared: bool
    """Whether prompts begin alike."""
    salt: str
    words: tuple[str, ...] = field(repr=False)
    fixed: tuple[int, int, int]
    """Tokens of `HEAD`, of `OWN_HEAD` and of the task."""
    load: str = ""

    def __call__(self, round_: int, number: int) -> Request:
        head, own_head, task = self.fixed
        said, most = _task(self.output_tokens), output(self, number)
        own = self._drawn(f"{self.load}/{round_}/{number}")
        if not self.shared:
            text = HEAD + own(self.input_tokens - head - task) + said
            return Request("", (Message("user", text),), most)
        common = min(round(SHARED * self.input_tokens), self.input_tokens - own_head - task - LEAST)
        system = HEAD + self._drawn("shared")(common - head)
        user = OWN_HEAD + own(self.input_tokens - common - own_head - task) + said
        messages = (Message("system", system), Message("user", user))
        return Request("", messages, most, cached_messages=1)

    @property
    def most_input_tokens(self) -> int:
        return self.input_tokens  # all are as long

    def under(self, load: str) -> Words:
        return replace(self, load=load)

    def quality(self, number: int, answer: str) -> float | None:
        return None

    def _drawn(self, what: str) -> Draw:
        return Draw(self.words, f"{self.salt}/{self.name}/{what}")


def output(workload: Workload, number: int) -> int:
    """The most that an answer may have."""
    return capped(workload.output_tokens, number)


def _task(output: int) -> str:
    return (
        f"\n\nWrite a plain text of about {output} words in which many of these words occur."
        " Go on until it is that long: no list, no heading, and no remark about the task."
    )


def sized(part: Sized | Own, *, shared: bool, salt: str) -> Words:
    """The prompts of a workload by size.

    Args:
        shared: whether they begin alike (the cache is on).
        salt: prompts of another one are others.

    Raises:
        SpecError: too few tokens for the task itself.
    """
    from mox.chunking.tokenizers import open_tokenizer

    tokens_in, tokens_out = part.tokens
    count = open_tokenizer("o200k").count
    fixed = (count(HEAD), count(OWN_HEAD), count(_task(tokens_out)))
    least = fixed[0] + fixed[2] + LEAST + (fixed[1] + LEAST if shared else 0)
    if tokens_in < least:
        raise SpecError(
            f"{part.name}: {tokens_in} tokens hold no task and {LEAST} words of its own.",
            mend=f"raise `input` to {least} or more.",
        )
    name = f"{part.name}/cached" if shared else part.name
    return Words(name, tokens_in, tokens_out, shared, salt, vocabulary(), fixed)


def workloads(
    part: Sized | Own | Rag, *, caches: tuple[str, ...], salt: str, base: Path
) -> list[Workload]:
    """The prompts of a file's workload, with the cache off, on, or both in turn.

    Args:
        base: the folder that a corpus' paths start from.

    Raises:
        MoxError: it is too short, or its corpus can't be read.
    """
    found: list[Workload] = []
    for cache in dict.fromkeys(caches):
        shared = cache == "on"
        if isinstance(part, Sized | Own):
            found.append(sized(part, shared=shared, salt=salt))
        else:
            from mox.bench.providers.passages import asked

            found.append(asked(part, shared=shared, salt=salt, base=base))
    return found
