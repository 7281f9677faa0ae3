"""Choosing by a cost: throughput, latency, size. A point estimate with its spread, no inference.

Nothing on dev says how sure a throughput is; its rounds do. Trials that differ by no more than
their spreads are tied, and the preferred one of them is taken; of those that share what is
preferred, and where nothing is, the best as measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mox.experiment.constraints import COSTS
from mox.experiment.loads import TIMED
from mox.results.load.apart import jobs_of
from mox.results.preferred import foremost, tying
from mox.results.worth import Worth, figure, lacks, loaded

if TYPE_CHECKING:
    from mox.results.results import Results


@dataclass(frozen=True)
class Cheapest:
    """`taken`, `best`, `ties`: positions among the finished trials; `taken` is None, and `reason`
    says why, where no trial has the figure."""

    taken: int | None
    best: int
    ties: tuple[int, ...]
    figure: Worth | None
    reason: str


def cheapest(results: Results, rule: Mapping[str, Any], kept: Sequence[int]) -> Cheapest:
    """The trial with the best figure of those kept, or what is preferred of those tied with it;
    equal figures go to the order of the file."""
    goal, more = results.run.goal, bool(rule.get("maximise"))
    trials = results.finished
    known = {at: found for at in kept if (found := figure(results, trials[at], goal)) is not None}
    if not known:
        whys = dict.fromkeys(lacks(results, trials[at], goal) for at in kept)
        said = f"no trial that keeps the constraints has {goal} ({'; '.join(whys)})."
        return Cheapest(None, -1, (), None, said)
    ties = tying(known, more=more)
    sign = -1.0 if more else 1.0
    best = min(known, key=lambda at: (sign * known[at].value, at))
    liked = foremost(results, ties, rule["prefer"])
    taken = min(liked or ties, key=lambda at: (sign * known[at].value, at))
    chosen = Cheapest(taken, best, tuple(ties), known[taken], "")
    how = _taken(rule, known, liked or ties)
    return replace(chosen, reason=_reason(results, rule, known, chosen, how))


def _reason(
    results: Results,
    rule: Mapping[str, Any],
    known: Mapping[int, Worth],
    found: Cheapest,
    how: str,
) -> str:
    """The choice in a sentence or two.

    Args:
        found: what is chosen, its reason unsaid.
        how: it was taken of those that are tied.
    """
    assert found.taken is not None  # noqa: S101  no figure at all is said elsewhere
    taken, best, ties = found.taken, found.best, found.ties
    goal, trials = results.run.goal, results.finished
    most = "most" if rule.get("maximise") else "least"
    said = f"{results.label(trials[taken])} is chosen: {goal} {known[taken]}, "
    if len(ties) == 1:
        said += f"the {most} of {len(known)} trials{_lead(results, known)}"
    elif taken == best:
        said += f"the {most} of {len(known)} trials, and tied with {len(ties) - 1} more"
    else:
        said += f"tied with the {most} ({results.label(trials[best])}, {known[best]})"
    if len(ties) > 1:
        said += ": a difference inside the spread is none, so " + how
    parts = (
        f"{said}.",
        _spread(results, goal, taken),
        _known(results, known),
    )
    return " ".join(part for part in parts if part)


def _lead(results: Results, known: Mapping[int, Worth]) -> str:
    """How far ahead one is that is tied with none: a spread holds nothing of another job's."""
    jobs = jobs_of(results, [results.finished[at] for at in known])
    timed = results.run.goal in TIMED and len(set(jobs)) > 1
    return " as measured" if timed else ", beyond the spread of all others"


def _taken(rule: Mapping[str, Any], known: Mapping[int, Worth], first: Sequence[int]) -> str:
    """How one is taken of those that are tied, by what is preferred too where something is."""
    if len(first) == 1:
        return "the preferred one is taken"
    equal = len({known[at].value for at in first}) == 1
    said = f"the {'first written' if equal else 'best as measured'} is taken"
    prefer = rule["prefer"]
    if not prefer:
        return said
    return f"{said}, since {prefer['minimise'] or prefer['maximise']} doesn't decide it"


def _spread(results: Results, goal: str, taken: int) -> str:
    """What the spread is of: the choice is a point estimate."""
    if goal not in COSTS:
        return "Bounds are 95 %, all trials at once."
    if not COSTS[goal].by_load:
        return ""
    found = loaded(results, results.finished[taken]) or {}
    rounds = found.get("rounds")
    if rounds == 1:
        return "A point estimate of a single round, whose spread isn't known."
    return f"A point estimate: the median of {rounds} rounds, and what they spread over."


def _known(results: Results, known: Mapping[int, Worth]) -> str:
    """Trials that can't be chosen by this figure, since theirs is invalid or missing."""
    out = [
        lacks(results, trial, results.run.goal)
        for at, trial in enumerate(results.finished)
        if at not in known and figure(results, trial, results.run.goal) is None
    ]
    if not out:
        return ""
    return f"{len(out)} trials are left out: {'; '.join(dict.fromkeys(out))}."
