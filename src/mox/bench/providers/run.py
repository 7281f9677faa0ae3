"""One benchmark from its first request to its last: measured in turns, kept as it comes, resumed.

Every record is written as soon as it is there. Stopped by Ctrl-C, by its budget or by a power
failure, the same call goes on with the rounds that are missing.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from mox.bench.providers.client import Cell, SelfCheck, Target, Turn, doubt, measure
from mox.bench.providers.client.instrument import Errors, Setting, instrument
from mox.bench.providers.conditions import Condition, at, ladder, searches
from mox.bench.providers.file import Benchmark
from mox.bench.providers.moments import answered, moments
from mox.bench.providers.quantiles import Share, quantile
from mox.bench.providers.record import Record
from mox.bench.providers.rows import Bounds, Row, row, throughput
from mox.bench.providers.sections import Search as SearchPart
from mox.bench.providers.slo import Search, verdict
from mox.bench.providers.targets import targets
from mox.bench.providers.till import Judge, Till
from mox.bench.providers.workloads import Workload
from mox.errors import BudgetError, StoreError

STREAMS = 16
"""At the most, when the client's own error is measured: it takes a few seconds of a stream each."""
PERMANENT = frozenset({"auth", "model_not_found", "quota_exhausted"})
Stopped = Literal["budget", "interrupted"] | None
Judged = Callable[[Cell, Record, str], Record]


class Watching(Protocol):
    """Who is shown how far it is."""

    def begin(self, total: int) -> None:
        """So many rounds will be measured; searches may need more."""

    def round(self, name: str, *, resumed: bool) -> None:
        """One is done."""

    def tick(self) -> None:
        """Time passes."""

    def end(self) -> None:
        """No more is done."""


@dataclass
class Measured:
    """What came of a benchmark."""

    rows: list[Row]
    stopped: Stopped
    missing: list[dict[str, Any]]
    """Conditions that have fewer rounds than they should, and why."""
    notes: list[str]
    seconds: float


@dataclass
class Run:
    """One benchmark under way.

    Args:
        folder: where it is kept.
        asked: its workloads.
        until: `time.monotonic` after which nothing is begun; None: no such moment.
    """

    benchmark: Benchmark
    asked: Sequence[Workload]
    folder: Path
    till: Till
    watching: Watching
    until: float | None = None
    turns: dict[str, list[Turn]] = field(default_factory=lambda: defaultdict(list))
    """Of each condition, by its name, in the order of rounds."""
    conditions: dict[str, Condition] = field(default_factory=dict)
    """By the names of their cells."""
    searched: list[tuple[Condition, SearchPart, Search]] = field(default_factory=list)
    why: str = ""
    errors: Errors | None = None
    """The client's own."""
    hopeless: dict[str, str] = field(default_factory=dict)
    """Providers that refused every request of a round for a reason that no waiting mends, and
    which."""

    def measure(self) -> Measured:
        """All of it, or as much as the budget and the user let be."""
        began = time.monotonic()
        stopped: Stopped = None
        steps = ladder(self.benchmark, self.asked)
        self.searched = [
            (one, part, Search(part.start, part.most, part.within, part.arrival == "closed"))
            for one, part in searches(self.benchmark, self.asked)
        ]
        self.watching.begin(len(steps) * self.benchmark.plain.rounds)
        try:
            self.errors = self._instrument(steps)
            with targets(self.benchmark.providers, self.benchmark.plain) as found:
                self._rounds(steps, found, self.benchmark.plain.rounds)
                self._search(found)
        except BudgetError as error:
            stopped, self.why = "budget", error.message
        except KeyboardInterrupt:
            stopped, self.why = "interrupted", "interrupted."
        except StoreError:
            with suppress(StoreError):  # a full disk: said once is enough
                self.till.let_go()
            raise
        finally:
            self.till.let_go()
            self.watching.end()
        return Measured(
            rows=[*self._rows(steps), *self._found()],
            stopped=stopped,
            missing=list(self._missing(steps)),
            notes=self._notes(),
            seconds=time.monotonic() - began,
        )

    def _instrument(self, steps: Sequence[Condition]) -> Errors | None:
        """The client's own error, at the streams of the highest number of callers."""
        seconds = self.benchmark.plain.instrument_s
        if seconds == 0:
            return None
        most = max((one.load.value for one in steps if one.load.kind == "closed"), default=STREAMS)
        return instrument(Setting(min(STREAMS, round(most)), seconds))

    def _rounds(self, steps: Sequence[Condition], found: Mapping[str, Target], rounds: int) -> None:
        """Rounds of conditions, in turn with each other."""
        cells = []
        for one in steps:
            cell = one.cell(found[one.provider.name])
            self.conditions[cell.name] = one
            cells.append(cell)
        for turn in measure(
            cells,
            out=self.folder / "records.jsonl",
            rounds=rounds,
            seed=self.benchmark.plain.seed,
            tick=self.watching.tick,
            judge=self._judge(),
            errors=self.errors,
            permit=self._permit,
            given_up=lambda cell: cell.target.name in self.hopeless,
        ):
            one = self.conditions[turn.cell.name]
            self.till.let_go()
            turns = self.turns[one.name]
            if turn.round not in {old.round for old in turns}:  # a probe may be one of the ladder
                turns.append(turn)
            self._give_up(turn)
            self.watching.round(one.name, resumed=turn.resumed)

    def _give_up(self, turn: Turn) -> None:
        """Ask a provider no more that refuses whatever it is asked."""
        kinds = {record.error for record in turn.records}
        if len(kinds) != 1 or not kinds <= PERMANENT:
            return
        first = turn.records[0]
        self.hopeless[first.provider] = (
            f"it is asked no more: every request of a round ended in {first.error} ({first.said})."
        )

    def _permit(self, cell: Cell, _: int) -> None:
        """Asked before each round that isn't kept already."""
        if self.until is not None and time.monotonic() > self.until:
            raise BudgetError(
                f"{self.benchmark.budget.minutes:g} minutes are over.",
                mend="raise `budget.minutes`; what was measured is kept.",
            )
        self.till.begin(self.conditions[cell.name])

    def _judge(self) -> Judged:
        """Puts price and quality into a record, and its price into the ledger."""
        kinds = {one.name: one.spec.kind for one in self.benchmark.providers}
        judge = Judge(self.till.prices, kinds)

        def judged(cell: Cell, record: Record, text: str) -> Record:
            made = judge(cell, record, text)
            self.till.paid(self.conditions[cell.name], made)
            return made

        return judged

    def _search(self, found: Mapping[str, Target]) -> None:
        """All searches step by step, so that they too take turns."""
        while asked := [
            (at(one, value), search)
            for one, _, search in self.searched
            if (value := search.ask()) is not None
        ]:
            self._probe(asked, found)

    def _probe(
        self, asked: Sequence[tuple[Condition, Search]], found: Mapping[str, Target]
    ) -> None:
        """A load of each search, for as many rounds as it takes to tell."""
        slo = self.benchmark.slo
        assert slo is not None  # noqa: S101  by file._check_search
        pending = list(asked)
        for rounds in range(1, self.benchmark.plain.rounds + 1):
            self._rounds([one for one, _ in pending], found, rounds)
            still = []
            for one, search in pending:
                turns = self.turns[one.name]
                share = self._share(one, turns)
                told = verdict(share, slo.attain)
                lost = any(turn.failed for turn in turns) or not turns
                if told == "open" and rounds < self.benchmark.plain.rounds and not lost:
                    still.append((one, search))
                    continue
                flow = throughput([turn.records for turn in turns], one.time_scale)
                search.tell(
                    one.load.value, share, kept=told == "kept",
                    answers_per_s=flow["requests_per_s"],
                )  # fmt: skip
            pending = still

    def _share(self, one: Condition, turns: Sequence[Turn]) -> Share:
        """Of all requests, those that keep the bounds."""
        bounds = self.benchmark.slo.bounds if self.benchmark.slo else Bounds()
        records = [record for turn in turns for record in turn.records]
        met = sum(
            bounds.keeps(moments(record, time_scale=one.time_scale))
            for record in records
            if answered(record)
        )
        return Share(met, len(records))

    def _rows(self, steps: Sequence[Condition]) -> Iterator[Row]:
        """The conditions' rows, in the order of the file."""
        for one in steps:
            turns = self.turns[one.name]
            if any(turn.records for turn in turns):
                yield self._row(one, turns)

    def _found(self) -> Iterator[Row]:
        """A row for each search: the figures of the highest load that keeps the bounds."""
        for one, part, search in self.searched:
            best = search.best or search.broken
            if best is None:
                continue
            there = at(one, best.value)
            made = self._row(there, self.turns[there.name])
            value = best.value if search.best is not None else None
            load = {"kind": "slo", "arrival": part.arrival, "value": value}
            said = search.ended or "the search was cut off."
            why = made.why if value is not None else said
            yield replace(
                made, load=load, why=why, valid=made.valid and value is not None,
                probes=search.document(), ended=said,
            )  # fmt: skip

    def _row(self, one: Condition, turns: Sequence[Turn]) -> Row:
        """A condition's row, and whether its client could be believed."""
        doubts = [said for turn in turns if (said := _doubt(turn)) is not None]
        checks = [turn.check for turn in turns if turn.check is not None]
        return row(
            replace(one.about(), simulated=self.till.simulated(one)),
            [turn.records for turn in turns],
            client=_worst(checks),
            invalid=doubts[0] if doubts else None,
        )

    def _missing(self, steps: Sequence[Condition]) -> Iterator[dict[str, Any]]:
        for one in steps:
            turns = self.turns[one.name]
            failed = next((turn.failed for turn in turns if turn.failed), None)
            whole = [turn for turn in turns if turn.failed is None]
            if len(whole) < self.benchmark.plain.rounds:
                about = one.about()
                yield {
                    "provider": about.provider,
                    "model": about.model,
                    "workload": about.workload,
                    "load": dict(about.load),
                    "rounds": len(whole),
                    "why": failed.message if failed else self._why(about.provider),
                }

    def _why(self, provider: str) -> str:
        return self.hopeless.get(provider) or self.why

    def _notes(self) -> list[str]:
        notes = [f"{name} is left out: {why}" for name, why in self.benchmark.left_out.items()]
        kinds = {condition.about().simulated for condition in self.conditions.values()}
        if len(kinds) > 1:
            notes.append("simulated and real providers are in one table: they are not compared.")
        return notes


def _doubt(turn: Turn) -> str | None:
    """Why a round measured the client; None where it did not."""
    if turn.check is None:
        return None
    first = [
        found.ttft_ms
        for record in turn.records
        if answered(record) and (found := moments(record)).ttft_ms is not None
    ]
    p50 = quantile(first, 0.5).value if first else None
    said = doubt(turn.check, ttft_p50_ms=p50)
    return None if said is None else f"round {turn.round + 1}: {said}"


def _worst(checks: Sequence[SelfCheck]) -> dict[str, float | None]:
    """What the client says of itself, the worst of its rounds, in real milliseconds."""
    found: dict[str, float | None] = {}
    for check in map(asdict, checks):
        for name, value in check.items():
            old = found.get(name)
            found[name] = value if old is None else old if value is None else max(old, value)
    return found
