"""From rounds to what a benchmark found: its rows, and what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from mox.bench.providers.client import Turn
from mox.bench.providers.conditions import Condition
from mox.bench.providers.moments import answered
from mox.bench.providers.rows import Row, row
from mox.bench.providers.searching import Searching
from mox.bench.providers.trust import doubt_of, first, worst

CUT = "the search was cut off."
Stopped = Literal["budget", "interrupted"] | None


@dataclass
class Measured:
    """What came of a benchmark."""

    rows: list[Row]
    stopped: Stopped
    missing: list[dict[str, Any]]
    """Conditions that have fewer rounds than they should or no answer, and searches that didn't
    come to their end, each with its reason."""
    notes: list[str]
    seconds: float


def made(one: Condition, turns: Sequence[Turn], *, simulated: bool) -> Row | None:
    """A condition's row, and whether its client could be believed; None where nothing was
    measured. What came before a round failed isn't in it: that is only what was quick.

    Args:
        simulated: whether nobody is paid.
    """
    turns = whole(turns)
    if not any(turn.records for turn in turns):
        return None
    return row(
        replace(one.about(), simulated=simulated),
        [turn.records for turn in turns],
        client=worst([turn.check for turn in turns if turn.check is not None]),
        invalid=first(doubt_of, turns),
    )


def highest(one: Searching, turns: Sequence[Turn], *, simulated: bool) -> Row | None:
    """A search's row: the figures of the highest load that keeps the bounds; None where nothing
    was measured. It is valid only where the search came to its end by what the provider did.

    Args:
        turns: of `one.last()`.
    """
    found, search = made(one.last(), turns, simulated=simulated), one.search
    if found is None:
        return None
    value = search.best.value if search.best is not None else None
    said = search.ended or CUT
    sure = value is not None and search.ended is not None and search.lost is None
    return replace(
        found,
        load=_load(one, value),
        why=found.why if sure else said,
        valid=found.valid and sure,
        probes=search.document(),
        ended=said,
    )


def lacking(one: Condition, turns: Sequence[Turn], *, why: str) -> dict[str, Any] | None:
    """What is missing of a condition; None where nothing is.

    Args:
        why: there are no more rounds.
    """
    rounds = whole(turns)
    if len(rounds) < one.benchmark.plain.rounds:
        failed = first(lambda turn: turn.failed, turns)
        return _missing(one, rounds=len(rounds), why=failed.message if failed else why)
    if _any_answer(rounds):
        return None
    return _missing(one, rounds=len(rounds), why=_unanswered(rounds))


def lacking_search(one: Searching, *, rounds: Sequence[Turn], why: str) -> dict[str, Any] | None:
    """What is missing of a search; None where nothing is.

    Args:
        rounds: of all loads that it tried.
        why: it was cut off.
    """
    rounds, search = whole(rounds), one.search
    if search.ended is not None and search.lost is None and _any_answer(rounds):
        return None
    said = search.ended if search.lost is not None else why or _unanswered(rounds)
    about = _missing(one.condition, rounds=len(rounds), why=said or CUT)
    return {**about, "load": _load(one, None)}


def whole(turns: Sequence[Turn]) -> list[Turn]:
    """Rounds that came to their end."""
    return [turn for turn in turns if turn.failed is None]


def _any_answer(turns: Sequence[Turn]) -> bool:
    return any(answered(record) for turn in turns for record in turn.records)


def _unanswered(turns: Sequence[Turn]) -> str:
    """What the first request that failed was told."""
    errors = [record for turn in turns for record in turn.records if record.error is not None]
    said = f" ({errors[0].error}: {errors[0].said})" if errors else ""
    return f"no request was answered{said}; the same call tries again."


def _missing(one: Condition, *, rounds: int, why: str) -> dict[str, Any]:
    about = one.about()
    return {
        "provider": about.provider,
        "model": about.model,
        "workload": about.workload,
        "load": dict(about.load),
        "rounds": rounds,
        "why": why,
    }


def _load(one: Searching, value: float | None) -> dict[str, Any]:
    return {"kind": "slo", "arrival": one.part.arrival, "value": value}
