"""From requests to a row: what one provider did with one workload under one load.

Failed requests have no latency and are in none; they are counted by class, and what they cost is
in the price of an answer. Rounds are pooled, request by request, before a percentile is taken:
percentiles are never averaged.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, get_args

from mox.bench.providers.moments import Moments, answered, moments
from mox.bench.providers.quantiles import Quantile, Share, quantiles
from mox.bench.providers.record import Record
from mox.types.providers import ErrorKind

STALL = 5.0
"""A gap between chunks so many times the median one is a stall."""
RATE_LIMITS = tuple(kind for kind in get_args(ErrorKind) if kind.startswith("rate_limit_"))
ERRORS = ("rate_limit", *(kind for kind in get_args(ErrorKind) if kind not in RATE_LIMITS))
"""Classes of errors in a row: the rate limits of whatever resource are one."""
LATENCIES = (
    "ttft_ms", "answer_ms", "itl_ms", "e2e_ms", "e2e_from_schedule_ms", "pool_wait_ms",
    "tokens_per_s",
)  # fmt: skip
"""What each answered request has one of; a row has their percentiles."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a good answer keeps, in the provider's time; None: not asked for."""

    ttft_ms: float | None = None
    """From the intended start, as the user feels it."""
    e2e_ms: float | None = None
    """From the intended start."""
    itl_ms: float | None = None
    quality: float | None = None
    """Where the workload can judge an answer."""

    def keeps(self, found: Moments) -> bool:
        """Whether an answer is in time. What can't be told isn't."""
        pairs = (
            (found.ttft_from_schedule_ms, self.ttft_ms),
            (found.e2e_from_schedule_ms, self.e2e_ms),
        )
        for value, most in pairs:
            if most is not None and (value is None or value > most):
                return False
        # An answer of one chunk has no time between tokens, and none too long.
        return self.itl_ms is None or found.itl_ms is None or found.itl_ms <= self.itl_ms

    def good(self, record: Record, found: Moments) -> bool:
        """Whether an answer is in time, and good enough as far as anybody can tell."""
        poor = (
            self.quality is not None
            and record.quality is not None
            and record.quality < self.quality
        )
        return self.keeps(found) and not poor


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    provider: str
    model: str
    workload: str
    load: Mapping[str, Any]
    """`kind` and `value`."""
    n: int
    """Requests, failed ones included."""
    answers: int
    valid: bool
    why: str | None
    """Why its figures are not to be used, or are none."""
    figures: Mapping[str, Mapping[str, Quantile]]
    """`ttft_ms`, … → percentiles over the answers."""
    chunk_gap_ms: Mapping[str, Quantile]
    """Over all gaps between chunks. No intervals: the gaps of one answer aren't independent."""
    stalls: Mapping[str, int]
    """`gaps`, how many of them are `stalled`, and the `answers` that have one."""
    errors: Mapping[str, int]
    """How many requests ended in each."""
    attained: Share | None
    """Requests that are answered in time; None without bounds. A load can't mend an answer's
    quality, so that is no part of it."""
    usd: Decimal | None
    """Of all requests; None where one has no price."""
    good: int
    """Answers that are in time and good enough."""
    quality: float | None
    """Mean over the answers that were judged."""
    throughput: Mapping[str, float | None]
    """`requests_per_s` and `tokens_per_s` of all callers together."""
    tokens: Mapping[str, int]
    """`input`, `cached`, `output`, `reasoning`, by the provider's count."""
    simulated: bool = False
    time_scale: float = 1.0
    client: Mapping[str, Any] = field(default_factory=dict)
    """What the client says of itself."""
    probes: Sequence[Mapping[str, Any]] = ()
    """Loads that a search tried."""
    ended: str | None = None
    """Why the search ended."""
    retried: Mapping[str, int] = field(default_factory=dict)
    """Attempts that were refused and made again by the pool, by class; those of none left out."""

    def usd_per(self, count: int, *, thousand: bool = True) -> float | None:
        """What one of so many cost, or a thousand of them; None of none."""
        if self.usd is None or count == 0:
            return None
        return float(self.usd * (1000 if thousand else 1) / count)

    def document(self) -> dict[str, Any]:
        """Its place in the JSON."""
        plain = {
            name: {key: one.document() for key, one in found.items()}
            for name, found in self.figures.items()
        }
        return {
            "provider": self.provider,
            "model": self.model,
            "workload": self.workload,
            "load": dict(self.load),
            "n": self.n,
            "answers": self.answers,
            "valid": self.valid,
            "why": self.why,
            **plain,
            "chunk_gap_ms": {key: one.document() for key, one in self.chunk_gap_ms.items()},
            "stalls": dict(self.stalls),
            "throughput": dict(self.throughput),
            "errors": dict(self.errors),
            "retried": dict(self.retried),
            "attained": self.attained.document() if self.attained else None,
            "quality": self.quality,
            "tokens": dict(self.tokens),
            "usd": None if self.usd is None else float(self.usd),
            "usd_per_request": self.usd_per(self.n, thousand=False),
            "usd_per_1k": self.usd_per(self.answers),
            "usd_per_1k_good": self.usd_per(self.good),
            "simulated": self.simulated,
            "time_scale": self.time_scale,
            "client": dict(self.client),
            "probes": list(self.probes),
            "ended": self.ended,
        }


@dataclass(frozen=True, slots=True)
class About:
    """What a row is of, apart from its requests."""

    provider: str
    model: str
    workload: str
    load: Mapping[str, Any]
    bounds: Bounds | None = None
    simulated: bool = False
    time_scale: float = 1.0


def row(
    about: About,
    rounds: Sequence[Sequence[Record]],
    *,
    client: Mapping[str, Any] | None = None,
    invalid: str | None = None,
) -> Row:
    """The row of the requests of all rounds.

    Args:
        rounds: the requests of each; warm-up left out.
        client: what the client says of itself, for the reader.
        invalid: why it measured itself rather than the provider; None where it did not.
    """
    records = [record for one in rounds for record in one]
    answers = [record for record in records if answered(record)]
    found = [moments(record, time_scale=about.time_scale) for record in answers]
    errors = error_counts(records)
    bounds = about.bounds or Bounds()
    kept = sum(map(bounds.keeps, found))
    judged = [record.quality for record in answers if record.quality is not None]
    return Row(
        provider=about.provider,
        model=about.model,
        workload=about.workload,
        load=about.load,
        n=len(records),
        answers=len(answers),
        valid=invalid is None and bool(answers),
        why=invalid or (None if answers else _nothing(errors, records)),
        figures={name: quantiles(_values(found, name)) for name in LATENCIES},
        chunk_gap_ms=quantiles([gap for one in found for gap in one.gaps_ms], level=None),
        stalls=stalls(found),
        errors=errors,
        attained=Share(kept, len(records)) if about.bounds else None,
        usd=spent(records),
        good=sum(map(bounds.good, answers, found)),
        quality=statistics.fmean(judged) if judged else None,
        throughput=throughput(rounds, about.time_scale),
        tokens=_tokens(answers),
        simulated=about.simulated,
        time_scale=about.time_scale,
        client=client or {},
        retried=retried(records),
    )


def error_counts(records: Sequence[Record]) -> dict[str, int]:
    """Every class of errors, and how many requests ended in it."""
    counts = Counter(_class(record.error) for record in records if record.error is not None)
    return {name: counts[name] for name in ERRORS}


def retried(records: Sequence[Record]) -> dict[str, int]:
    """The classes of attempts that a pool made again, and how many of each."""
    counts = Counter(_class(kind) for record in records for kind in record.retried)
    return {name: counts[name] for name in ERRORS if counts[name]}


def _class(kind: ErrorKind) -> str:
    return "rate_limit" if kind in RATE_LIMITS else kind


def spent(records: Sequence[Record]) -> Decimal | None:
    """What the requests cost, all attempts and failures included; None where one has no price.

    A request that failed and has no price was never charged, as far as anybody can tell.
    """
    total = Decimal(0)
    for record in records:
        if record.usd is not None:
            total += Decimal(record.usd)
        elif answered(record):
            return None
    return total


def stalls(found: Sequence[Moments]) -> dict[str, int]:
    """Gaps between chunks that are over five times the median gap of the row."""
    gaps = [gap for one in found for gap in one.gaps_ms]
    most = STALL * statistics.median(gaps) if gaps else 0.0
    stalled = [sum(gap > most for gap in one.gaps_ms) for one in found]
    return {"gaps": len(gaps), "stalled": sum(stalled), "answers": sum(map(bool, stalled))}


def throughput(rounds: Sequence[Sequence[Record]], time_scale: float) -> dict[str, float | None]:
    """Answers and output tokens a second, of all callers together.

    A round lasts from its first intended start to its last end, of failures too; pauses between
    rounds don't count.

    Returns:
        `requests_per_s` and `tokens_per_s`, in the provider's time; None where no time passed.
    """
    seconds, count, tokens = 0.0, 0, 0
    for records in rounds:
        if not records:
            continue
        start = min(record.scheduled_ns for record in records)
        end = max(record.done_ns or record.scheduled_ns for record in records)
        seconds += (end - start) / 1e9 / time_scale
        answers = [record for record in records if answered(record)]
        count += len(answers)
        tokens += sum(record.usage.output_tokens for record in answers)
    if seconds <= 0:
        return {"requests_per_s": None, "tokens_per_s": None}
    return {"requests_per_s": count / seconds, "tokens_per_s": tokens / seconds}


def _values(found: Sequence[Moments], name: str) -> list[float]:
    return [value for one in found if (value := getattr(one, name)) is not None]


def _tokens(answers: Sequence[Record]) -> dict[str, int]:
    used = [record.usage for record in answers]
    return {
        "input": sum(usage.input_tokens for usage in used),
        "cached": sum(usage.cached_tokens for usage in used),
        "output": sum(usage.output_tokens for usage in used),
        "reasoning": sum(usage.reasoning_tokens for usage in used),
    }


def _nothing(errors: Mapping[str, int], records: Sequence[Record]) -> str:
    """Why there is no answer."""
    if not records:
        return "nothing was sent."
    counts = ", ".join(f"{count} × {name}" for name, count in errors.items() if count)
    said = next((record.said for record in records if record.said), None)
    return f"no answer: {counts}" + (f" ({said})" if said else "") + "."
