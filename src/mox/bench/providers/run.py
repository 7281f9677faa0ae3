"""One benchmark from its first request to its last: measured in turns, kept as it comes, resumed.

Every record is written as soon as it is there. Stopped by Ctrl-C, by its budget or by a power
failure, the same call goes on with the rounds that are missing.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from mox.bench.providers import outcome, searching
from mox.bench.providers.client import Cell, Target, Turn, measure
from mox.bench.providers.client.barren import refused
from mox.bench.providers.client.instrument import Errors, Setting, instrument
from mox.bench.providers.client.measure import kept, resumed
from mox.bench.providers.client.records import Kept
from mox.bench.providers.conditions import Condition, ladder
from mox.bench.providers.file import Benchmark
from mox.bench.providers.outcome import Measured, Stopped
from mox.bench.providers.record import Record
from mox.bench.providers.rows import Row
from mox.bench.providers.searching import Searching
from mox.bench.providers.targets import target, targets
from mox.bench.providers.till import Till
from mox.bench.providers.watch import Watching
from mox.bench.providers.workloads import Workload
from mox.errors import BudgetError, StoreError

STREAMS = 16
"""By which the client's own error is measured where no load says how many callers there are."""
MOST_STREAMS = 400
"""… and at the most: what one process is made for."""
Judged = Callable[[Cell, Record, str], Record]


@dataclass
class Run:
    """One benchmark under way.

    Args:
        folder: where it is kept.
        asked: its workloads.
        until: `time.monotonic` after which nothing is begun; None: no such moment.
        whole: what is kept lacks nothing, so all of it will do.
    """

    benchmark: Benchmark
    asked: Sequence[Workload]
    folder: Path
    till: Till
    watching: Watching
    until: float | None = None
    whole: bool = False
    turns: dict[str, list[Turn]] = field(default_factory=lambda: defaultdict(list))
    """Of each condition, by its name, in the order of rounds."""
    lent: dict[str, list[Turn]] = field(default_factory=dict)
    """Of a search's loads, by their names, the ladder's rounds that will do."""
    kept: Mapping[tuple[str, int], Kept] = field(default_factory=dict)
    """Rounds that need not be measured again, by cell and round."""
    conditions: dict[str, Condition] = field(default_factory=dict)
    """By the names of their cells."""
    searched: list[Searching] = field(default_factory=list)
    why: str = ""
    errors: Errors | None = None
    """The client's own."""
    repriced: bool = False
    """Whether a kept request costs something else by today's prices."""
    hopeless: dict[str, str] = field(default_factory=dict)
    """Providers that refused every request of a round for a reason that no waiting mends, and
    which."""
    drawn: str = field(default_factory=lambda: secrets.token_hex(8))
    """What makes this call's prompts its own."""

    def measure(self) -> Measured:
        """All of it, or as much as the budget and the user let be."""
        began = time.monotonic()
        stopped: Stopped = None
        steps = ladder(self.benchmark, self.asked)
        self.searched = searching.begun(self.benchmark, self.asked)
        self.watching.begin(len(steps) * self.benchmark.plain.rounds)
        try:
            self._take_up(steps)
            if self._lacks(steps):
                self._ask(steps)
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
            rows=list(self._rows(steps)),
            stopped=stopped,
            missing=list(self._missing(steps)),
            notes=self._notes(),
            seconds=time.monotonic() - began,
        )

    def _ask(self, steps: Sequence[Condition]) -> None:
        """Measure what isn't kept."""
        self.errors = self._instrument(steps)
        with targets(self.benchmark.providers, self.benchmark.plain) as found:
            self._rounds(steps, found, range(self.benchmark.plain.rounds))
            searching.carry_out(self.searched, partial(self._probe, found), why=self._why)

    def _take_up(self, steps: Sequence[Condition]) -> None:
        """All that is kept, before anything may stop this call: it then has no fewer rows than
        the call before."""
        self.kept = kept(self.folder / "records.jsonl")
        for one in steps:
            self._restore(one)
        for each in self.searched:
            searching.carry_out([each], self._retrace, why=self._why)
        for name, turns in list(self.turns.items()):
            for _ in turns:
                self.watching.round(name, resumed=True)

    def _restore(self, one: Condition) -> None:
        """A condition's kept rounds, where it has none yet; a search's besides those it is lent."""
        cell, own = one.cell(target(one.provider, self.benchmark.plain)), self.turns[one.name]
        sifted = one.probe and not self.whole
        if not own:
            self.conditions[cell.name], turns = one, self._resumed(cell)
            own += searching.usable(one, turns) if sifted else turns
        if one.probe:
            # By the ladder's name a search's own rounds were kept too, before they had one.
            lent = self.turns.get(one.lender) or self._resumed(replace(cell, apart=""))
            self.lent[one.name] = searching.usable(one, lent) if sifted or own else lent

    def _resumed(self, cell: Cell) -> list[Turn]:
        """What is kept of a cell."""
        turns = resumed(cell, self.kept, rounds=self.benchmark.plain.rounds)
        return [self._priced(turn) for turn in turns]

    def _of(self, one: Condition) -> list[Turn]:
        """A condition's rounds; a search's with those that it is lent."""
        own = self.turns[one.name]
        there = {turn.round for turn in own}
        lent = [turn for turn in self.lent.get(one.name, ()) if turn.round not in there]
        return sorted([*own, *lent], key=lambda turn: turn.round)

    def _retrace(
        self, probes: Sequence[Condition], round_: int
    ) -> Mapping[str, Sequence[Turn]] | None:
        """The way that a search has gone already; None where it has to ask."""
        for one in probes:
            self._restore(one)
        if any(round_ not in self._done(one) for one in probes):
            return None
        return {one.name: self._of(one) for one in probes}

    def _done(self, one: Condition) -> set[int]:
        """The rounds that there are of a condition."""
        return {turn.round for turn in self._of(one)}

    def _lacks(self, steps: Sequence[Condition]) -> bool:
        """Whether anybody has to be asked."""
        short = any(len(self._done(one)) < self.benchmark.plain.rounds for one in steps)
        return short or any(each.search.ended is None for each in self.searched)

    def _instrument(self, steps: Sequence[Condition]) -> Errors | None:
        """The client's own error, at as many streams as the ladder has callers at the most."""
        seconds = self.benchmark.plain.instrument_s
        if seconds == 0:
            return None
        most = max((one.load.value for one in steps if one.load.kind == "closed"), default=STREAMS)
        return instrument(Setting(min(MOST_STREAMS, round(most)), seconds))

    def _rounds(
        self, steps: Sequence[Condition], found: Mapping[str, Target], rounds: range
    ) -> None:
        """Rounds of conditions, in turn with each other."""
        cells = []
        for one in steps:
            cell = one.cell(found[one.provider.name], drawn=self.drawn)
            self.conditions[cell.name] = one
            cells.append(cell)
        for turn in measure(
            cells,
            out=self.folder / "records.jsonl",
            rounds=rounds.stop,
            first=rounds.start,
            seed=self.benchmark.plain.seed,
            tick=self._tick,
            judge=self._judge(),
            errors=self.errors,
            permit=self._permit,
            given_up=lambda cell: cell.target.name in self.hopeless,
            reuse=self._taken_up,
        ):
            one = self.conditions[turn.cell.name]
            if turn.resumed:
                continue
            self.till.let_go(ended=turn.failed is None, unsent=turn.unsent)
            self.turns[one.name].append(turn)
            self.turns[one.name].sort(key=lambda turn: turn.round)
            self._give_up(turn)
            self.watching.round(one.name, resumed=False)

    def _probe(
        self, found: Mapping[str, Target], probes: Sequence[Condition], round_: int
    ) -> Mapping[str, Sequence[Turn]]:
        """A round of each load that is searched, but of those that the ladder has lent."""
        for one in probes:
            self._restore(one)
        new = [one for one in probes if round_ not in self._done(one)]
        if new:
            self._rounds(new, found, range(round_, round_ + 1))
        return {one.name: self._of(one) for one in probes}

    def _taken_up(self, found: Kept) -> bool:
        """Whether a kept round is among its condition's own."""
        one = self.conditions.get(found.name[0])
        return one is not None and any(turn.round == found.name[1] for turn in self.turns[one.name])

    def _priced(self, turn: Turn) -> Turn:
        """A kept round by today's prices: another table may have come since it was measured."""
        judge, records = self.till.judge(), []
        for record in turn.records:
            usd = judge(turn.cell, record, "").usd
            self.repriced |= usd != record.usd
            records.append(replace(record, usd=usd))
        return replace(turn, records=tuple(records))

    def _give_up(self, turn: Turn) -> None:
        """Ask a provider no more that refuses whatever it is asked."""
        if (said := refused(turn.records)) is not None:
            self.hopeless[turn.records[0].provider] = f"it is asked no more: {said}."

    def _permit(self, cell: Cell, _: int) -> None:
        """Asked before each round that isn't kept already."""
        if self.until is not None and time.monotonic() > self.until:
            raise BudgetError(
                f"{self.benchmark.budget.minutes:g} minutes are over.",
                mend="raise `budget.minutes`; what was measured is kept.",
            )
        self.till.begin(self.conditions[cell.name])

    def _tick(self) -> None:
        self.watching.tick()
        self.till.ahead()

    def _judge(self) -> Judged:
        """Puts price and quality into a record, and its price into the ledger."""
        judge = self.till.judge()

        def judged(cell: Cell, record: Record, text: str) -> Record:
            made = judge(cell, record, text)
            self.till.paid(self.conditions[cell.name], made)
            return made

        return judged

    def _rows(self, steps: Sequence[Condition]) -> Iterator[Row]:
        """The conditions' rows, in the order of the file, and then the searches'."""
        for one in steps:
            simulated = self.till.simulated(one)
            if found := outcome.made(one, self.turns[one.name], simulated=simulated):
                yield found
        for each in self.searched:
            last = each.last()
            simulated = self.till.simulated(last)
            if found := outcome.highest(each, self._of(last), simulated=simulated):
                yield found

    def _missing(self, steps: Sequence[Condition]) -> Iterator[dict[str, Any]]:
        for one in steps:
            if found := outcome.lacking(one, self.turns[one.name], why=self._why(one)):
                yield found
        for each in self.searched:
            tried = [turn for one in each.tried() for turn in self._of(one)]
            if found := outcome.lacking_search(each, rounds=tried, why=self._why(each.condition)):
                yield found

    def _why(self, one: Condition) -> str:
        return self.hopeless.get(one.provider.name) or self.why

    def _notes(self) -> list[str]:
        notes = [f"{name} is left out: {why}" for name, why in self.benchmark.left_out.items()]
        kinds = {condition.about().simulated for condition in self.conditions.values()}
        if len(kinds) > 1:
            notes.append("simulated and real providers are in one table: they are not compared.")
        if self.repriced:
            notes.append(
                f"priced anew by {self.till.prices.version}; what was paid stands as it was."
            )
        return notes
