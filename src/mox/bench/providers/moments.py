"""From the raw moments of one request to its durations, in milliseconds of the provider's time.

A simulated provider may play its answers faster than it says they take: at a time scale of 0.05
a second of it lasts 50 ms. Its durations are divided by that scale, so that bounds, rates and
figures mean the same for a simulated provider as for a real one; whatever the client adds is
made larger by the same division, never smaller.

- First event: the first with text or reasoning in it, from the moment that the request's bytes
  were handed to the socket. One that only names a role is none.
- First answer token: the first with text; a model that reasons comes to it later.
- Between tokens: (last text − first text) / (tokens of the answer − tokens in the first chunk).
  Providers send several tokens at once, and then gaps between chunks are no times between
  tokens: chunks' gaps are told apart. How many tokens a chunk has is told by its share of the
  characters; so are the answer's, where reasoning comes and isn't counted apart (vLLM, Ollama).
  Events that one network read brought are one chunk: nobody can tell when each was sent.
- End to end: to the last event, from the actual send and from the intended start. Only the
  second one contains what a caller waits where requests come faster than they are answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mox.bench.providers.record import Chunk, Record
from mox.types.providers import Usage


@dataclass(frozen=True, slots=True)
class Moments:
    """One answered request. None: it has no such moment."""

    ttft_ms: float | None
    """From the send to the first event with text or reasoning."""
    answer_ms: float | None
    """From the send to the first event with text."""
    itl_ms: float | None
    """Between tokens of the answer."""
    gaps_ms: tuple[float, ...]
    """Between chunks of text."""
    e2e_ms: float
    """From the send."""
    late_ms: float
    """From the intended start to the send: the pool's wait, and the client's own lateness."""
    pool_wait_ms: float | None
    """For the pool's leave, of all attempts together."""

    @property
    def e2e_from_schedule_ms(self) -> float:
        return self.e2e_ms + self.late_ms

    @property
    def ttft_from_schedule_ms(self) -> float | None:
        return None if self.ttft_ms is None else self.ttft_ms + self.late_ms

    @property
    def tokens_per_s(self) -> float | None:
        """Of the answer's tokens after its first chunk."""
        return 1000 / self.itl_ms if self.itl_ms else None


def answered(record: Record) -> bool:
    """Whether a whole answer came. What failed has no latency: it is counted by its error."""
    return record.error is None and record.sent_ns is not None and record.done_ns is not None


def moments(record: Record, *, time_scale: float = 1.0) -> Moments:
    """Durations of a request that was answered.

    Args:
        time_scale: how long a second of the provider lasts, in seconds.

    Raises:
        ValueError: it wasn't answered.
    """
    sent, done = record.sent_ns, record.done_ns
    if not answered(record) or sent is None or done is None:
        raise ValueError(f"request {record.number} was not answered")

    def ms(start: int, end: int) -> float:
        return (end - start) / 1e6 / time_scale

    every = reads(record.chunks)
    text = [chunk for chunk in every if chunk.kind == "text"]
    leased = record.leased_ns
    return Moments(
        ttft_ms=ms(sent, every[0].at_ns) if every else None,
        answer_ms=ms(sent, text[0].at_ns) if text else None,
        itl_ms=_between_tokens(record.usage, every, time_scale),
        gaps_ms=tuple(ms(one.at_ns, two.at_ns) for one, two in pairwise(text)),
        e2e_ms=ms(sent, done),
        late_ms=ms(record.scheduled_ns, sent),
        pool_wait_ms=None if leased is None else ms(0, _waited_ns(record, leased)),
    )


def reads(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Chunks with output in them; those of a kind that one network read brought as one."""
    found: list[Chunk] = []
    for chunk in chunks:
        if not chunk.characters:
            continue
        if found and found[-1].at_ns == chunk.at_ns and found[-1].kind == chunk.kind:
            found[-1] = Chunk(chunk.at_ns, found[-1].characters + chunk.characters, chunk.kind)
        else:
            found.append(chunk)
    return found


def tokens_each(usage: Usage, chunks: Sequence[Chunk]) -> dict[str, float]:
    """Tokens of a character of `text` and of `reasoning`.

    They differ where reasoning is counted apart: what is shown of it may be a summary. Where it
    isn't, a character of either has as many.
    """
    shown = {"text": 0, "reasoning": 0}
    for chunk in chunks:
        shown[chunk.kind] += chunk.characters
    if not usage.reasoning_tokens:
        return dict.fromkeys(shown, usage.output_tokens / max(1, sum(shown.values())))
    answer = usage.output_tokens - usage.reasoning_tokens
    return {
        "text": answer / max(1, shown["text"]),
        "reasoning": usage.reasoning_tokens / max(1, shown["reasoning"]),
    }


def _between_tokens(usage: Usage, every: Sequence[Chunk], time_scale: float) -> float | None:
    """None where all came in one read, or the provider counted no token after the first one.

    Args:
        every: as `reads` gives them.
    """
    text = [chunk for chunk in every if chunk.kind == "text"]
    if len(text) < 2:
        return None
    each = tokens_each(usage, every)["text"]
    tokens = each * sum(chunk.characters for chunk in text)
    after = tokens - max(1.0, each * text[0].characters)
    if after <= 0:
        return None
    return (text[-1].at_ns - text[0].at_ns) / 1e6 / time_scale / after


def _waited_ns(record: Record, leased_ns: int) -> int:
    """As the pool says it; of older records, from the intended start to the last leave, which may
    have refused attempts in it."""
    said_ns = record.pool_wait_ns
    return leased_ns - record.scheduled_ns if said_ns is None else said_ns
