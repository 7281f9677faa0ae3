"""Searches under way: each tries a load at a time, for as many rounds as it takes to tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mox.bench.providers.client import Turn
from mox.bench.providers.client.barren import PERMANENT, barren
from mox.bench.providers.conditions import Condition, at, searches
from mox.bench.providers.file import Benchmark
from mox.bench.providers.moments import answered, moments
from mox.bench.providers.quantiles import Share
from mox.bench.providers.record import Record
from mox.bench.providers.rows import Bounds, throughput
from mox.bench.providers.sections import Search as SearchPart
from mox.bench.providers.slo import Search, verdict
from mox.bench.providers.trust import doubt_of, first
from mox.bench.providers.workloads import Workload

Measure = Callable[[Sequence[Condition], int], Mapping[str, Sequence[Turn]] | None]
"""Measures a round of each condition, by its number from 0; returns all rounds that there are, by
the conditions' names. None of a condition whose provider is asked no more; None at all where the
searches rest there."""


@dataclass(frozen=True)
class Searching:
    """One search."""

    condition: Condition
    """At its first load."""
    part: SearchPart
    search: Search

    def last(self) -> Condition:
        """At the load that its row is of: the highest that keeps the bounds, else the lowest that
        doesn't, else the first."""
        shown = self.search.best or self.search.broken
        return at(self.condition, self.search.first if shown is None else shown.value)

    def tried(self) -> list[Condition]:
        """The loads that it tried, with the one at which it was given up."""
        told = [probe.value for probe in self.search.probes]
        lost = [] if self.search.lost is None else [self.search.lost]
        return [at(self.condition, value) for value in told + lost]


@dataclass(frozen=True)
class _Probe:
    """A load, and all searches that ask for it now."""

    condition: Condition
    searches: list[Search]


def begun(benchmark: Benchmark, asked: Sequence[Workload]) -> list[Searching]:
    """A file's searches, none of which has tried anything."""
    return [
        Searching(one, part, Search(part.start, part.most, part.within, part.arrival == "closed"))
        for one, part in searches(benchmark, asked)
    ]


def carry_out(
    every: Sequence[Searching], measure: Measure, *, why: Callable[[Condition], str]
) -> None:
    """All of them to their ends, so that they take turns with each other, or to where they rest:
    they go on from there.

    Args:
        why: a condition has no round that it should have.
    """
    while probes := _probes(every):
        round_ = 0
        while probes:
            turns = measure([one.condition for one in probes], round_)
            if turns is None:
                return
            probes = [one for one in probes if not _told(one, turns, round_=round_, why=why)]
            round_ += 1


def _probes(every: Sequence[Searching]) -> list[_Probe]:
    """What is to be tried next; what two searches ask for is tried once for both."""
    found: dict[str, _Probe] = {}
    for one in every:
        if (value := one.search.ask()) is not None:
            condition = at(one.condition, value)
            found.setdefault(condition.name, _Probe(condition, [])).searches.append(one.search)
    return list(found.values())


def _told(
    probe: _Probe,
    measured: Mapping[str, Sequence[Turn]],
    *,
    round_: int,
    why: Callable[[Condition], str],
) -> bool:
    """Tell its searches what came of a load, once that is clear; whether it is."""
    one, turns = probe.condition, measured[probe.condition.name]
    if (said := _said_nothing(turns)) is not None:
        return _give_up(probe, said)
    if round_ not in {turn.round for turn in turns}:
        return _give_up(probe, why(one))
    assert one.benchmark.slo is not None  # noqa: S101  by file._check_search
    share = _share(one.benchmark.slo.bounds, one.time_scale, turns)
    told = verdict(share, one.benchmark.slo.attain)
    if told == "open" and round_ + 1 < one.benchmark.plain.rounds:
        return False
    # A client that lags makes answers later, never earlier: what it saw kept is kept.
    if told != "kept" and (said := _nobodys(one, share, turns)) is not None:
        return _give_up(probe, said)
    flow = throughput([_flowing(turn.records) for turn in turns], one.time_scale)["requests_per_s"]
    for search in probe.searches:
        search.tell(one.load.value, share, kept=told == "kept", answers_per_s=flow)
    return True


def usable(one: Condition, turns: Sequence[Turn]) -> list[Turn]:
    """Of a load's kept rounds, or the ladder's, those that will do. None that was cut short: a
    burst is no rate. Of the others all where they show that it is kept; else none that says nothing
    of the load: what was given up by it would be given up for ever."""
    assert one.benchmark.slo is not None  # noqa: S101  by file._check_search
    full = [turn for turn in turns if turn.failed is None and len(turn.records) >= one.requests]
    share = _share(one.benchmark.slo.bounds, one.time_scale, full)
    if verdict(share, one.benchmark.slo.attain) == "kept":
        return full
    return [turn for turn in full if not _shut([turn]) and doubt_of(turn) is None]


def _said_nothing(turns: Sequence[Turn]) -> str | None:
    """Why rounds say nothing of the provider at all."""
    if (failed := first(lambda turn: turn.failed, turns)) is not None:
        return failed.message
    said = first(lambda turn: barren(turn.records), turns)
    return None if said is None else f"{said}."


def _nobodys(one: Condition, share: Share, turns: Sequence[Turn]) -> str | None:
    """Why it isn't the provider's doing that a load isn't kept; None where it is."""
    if (said := first(doubt_of, turns)) is not None:
        return f"{said}."
    assert one.benchmark.slo is not None  # noqa: S101  by file._check_search
    if share.met == share.n:
        return f"all of {share.n} requests kept the bounds, too few to show it."
    shut = _shut(turns)
    best = Share(share.met + len(shut), share.n)  # had they been let in, and been in time
    if not shut or verdict(best, one.benchmark.slo.attain) == "broken":
        return None
    return f"{len(shut)} of {share.n} requests ended in {shut[0].error} ({shut[0].said})."


def _shut(turns: Sequence[Turn]) -> list[Record]:
    """Requests that were refused for good: a key or a credit that had run out by then."""
    return [record for turn in turns for record in turn.records if record.error in PERMANENT]


def _flowing(records: Sequence[Record]) -> Sequence[Record]:
    """A round's answers: one request that hangs until it is given up makes no provider slower."""
    return [record for record in records if answered(record)]


def _give_up(probe: _Probe, said: str) -> bool:
    for search in probe.searches:
        search.give_up(probe.condition.load.value, said)
    return True


def _share(bounds: Bounds, time_scale: float, turns: Sequence[Turn]) -> Share:
    """Of all requests, those that keep the bounds."""
    records = [record for turn in turns for record in turn.records]
    met = sum(
        bounds.keeps(moments(record, time_scale=time_scale))
        for record in records
        if answered(record)
    )
    return Share(met, len(records))
