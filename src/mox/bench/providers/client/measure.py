"""Rounds of load on providers, interleaved over everything that is compared, and resumed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from mox.bench.providers.client.asking import key
from mox.bench.providers.client.barren import barren
from mox.bench.providers.client.crew import Crew, crew, still
from mox.bench.providers.client.instrument import Errors
from mox.bench.providers.client.jobs import Cell, Target
from mox.bench.providers.client.records import Kept, Writer, read
from mox.bench.providers.client.selfcheck import SelfCheck
from mox.bench.providers.record import Record
from mox.errors import MoxError, SpecError, StoreError

Judge = Callable[[Cell, Record, str], Record]
"""Given a record and its answer's text, the record with what only the text tells (`quality`,
`usd`). Called in the measuring process while others stream: milliseconds at most."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One round of one cell: what was measured, or why it was not."""

    cell: Cell
    round: int
    records: tuple[Record, ...] = ()
    """Without those of the warm-up. Of a round that failed, those that came before."""
    check: SelfCheck | None = None
    """None where it failed."""
    failed: MoxError | None = None
    unsent: bool = False
    """Whether it failed before anything was sent, to warm up included."""
    resumed: bool = False
    """Whether it stood in the file already."""


Permit = Callable[[Cell, int], None]
"""Asked before a round that has to be measured and has its keys; what it raises ends the measuring,
before any request of the round is made. Here a budget stops."""


def _none(_: Cell) -> bool:
    """None is given up."""
    return False


def _any_round(_: Kept) -> bool:
    """Every one will do."""
    return True


def _freely(_: Cell, __: int) -> None:
    """Nothing stands against it."""


def measure(
    cells: Sequence[Cell],
    *,
    out: Path,
    rounds: int = 3,
    first: int = 0,
    given_up: Callable[[Cell], bool] = _none,
    seed: int = 0,
    tick: Callable[[], None] = still,
    judge: Judge | None = None,
    permit: Permit = _freely,
    errors: Errors | None = None,
    reuse: Callable[[Kept], bool] = _any_round,
) -> Iterator[Turn]:
    """Put each cell under load for its rounds, in an order drawn anew for each round.

    Every record is written to `out` as soon as it is there; a round that stands there whole isn't
    measured again. One that failed is, and one that says nothing of the provider: nobody was
    reached or let in, or none of all the cell's requests was answered. A cell that fails doesn't
    stop the others: its later rounds are left out. No process is left at the end, whatever happens.

    Args:
        out: JSON lines (`mox.bench.providers.client.records`); made where it isn't there.
        first: rounds before it are left out.
        seed: of the order, and of the schedules.
        tick: called at least every half second of waiting.
        given_up: whether a cell's further rounds are left out.
        reuse: whether a round that stands in `out` will do.

    Raises:
        SpecError: two cells of one name, or one that asks for nothing.
        StoreError: `out` can't be written, or is no such file.
    """
    _check(cells)
    there = {name: found for name, found in kept(out).items() if reuse(found)}
    draw = random.Random(seed)  # noqa: S311  no secret
    lost: set[str] = set()
    with crew(tick) as workers, Writer(out) as writer:
        for round_ in range(first, rounds):
            order = list(cells)
            draw.shuffle(order)
            for cell in order:
                if cell.name in lost or given_up(cell):
                    continue
                if (found := there.get((cell.name, round_))) is not None:
                    turn = Turn(cell, round_, found.records, found.check, resumed=True)
                else:
                    keyless = _keyless(cell, round_)
                    if keyless is None:
                        permit(cell, round_)
                    kit = _Kit(writer, seed, judge, errors)
                    turn = keyless or _round(cell, round_, workers, kit)
                if turn.failed is not None:
                    lost.add(cell.name)
                yield turn


@dataclass(frozen=True, slots=True)
class _Kit:
    """What all rounds share."""

    writer: Writer
    seed: int
    judge: Judge | None
    errors: Errors | None


def kept(out: Path) -> dict[tuple[str, int], Kept]:
    """The rounds of a file that need not be measured again, by cell and round.

    Raises:
        StoreError: it can't be read, or is no such file.
    """
    every = [one for one in read(out) if one.whole and one.failed is None]
    answered = {
        one.header["cell"] for one in every if any(record.error is None for record in one.records)
    }
    return {
        one.name: one
        for one in every
        if one.header["cell"] in answered and barren(one.records) is None
    }


def resumed(cell: Cell, there: Mapping[tuple[str, int], Kept], *, rounds: int) -> list[Turn]:
    """A cell's rounds of those that are kept, in order."""
    every = [(at, there[cell.name, at]) for at in range(rounds) if (cell.name, at) in there]
    return [Turn(cell, at, found.records, found.check, resumed=True) for at, found in every]


def _check(cells: Sequence[Cell]) -> None:
    for name, times in Counter(cell.name for cell in cells).items():
        if times > 1:
            raise SpecError(f"{times} cells are {name!r}.", mend="name each target by itself.")
    for cell in cells:
        if cell.seconds is None and cell.requests is None:
            raise SpecError(f"{cell.name}: it never ends.", mend="give `seconds` or `requests`.")
        _check_pool(cell)
        least = 1 if cell.load.kind == "closed" else 0
        if cell.load.value < least or cell.load.value == 0:
            raise SpecError(f"{cell.name}: no load.", mend="ask for one caller or more.")


def _check_pool(cell: Cell) -> None:
    if cell.pool is None:
        return
    if cell.workers > 1 and cell.pool.url is None:
        raise SpecError(
            f"{cell.name}: {cell.workers} processes can't share a pool that lies in one of them.",
            mend="give the pool a Redis' URL, or take one worker.",
        )
    if {member.target.wire for member in cell.pool.members} != {cell.target.wire}:
        raise SpecError(
            f"{cell.name}: the pool's accounts speak another wire.",
            mend="pool those that speak it.",
        )


def _keyless(cell: Cell, round_: int) -> Turn | None:
    """A round that can't be begun for want of a key; None where all are there. They are then known
    here too, so that no message of a provider repeats one."""
    try:
        for target in _targets(cell):
            key(target)
    except MoxError as error:
        return Turn(cell, round_, failed=error, unsent=True)
    return None


def _round(cell: Cell, round_: int, workers: Crew, kit: _Kit) -> Turn:
    """One round of one cell, written as it comes."""
    records: list[Record] = []
    # The same schedule for all cells of a round: they differ in nothing else.
    seed = 1000 * kit.seed + round_
    kit.writer.begin(_header(cell, round_, seed))
    try:
        running = workers.run(cell, round_=round_, seed=seed)
        while True:
            try:
                record, text = next(running)
            except StopIteration as end:
                check = _with(kit.errors, end.value)
                break
            if kit.judge is not None:
                record = kit.judge(cell, record, text)
            records.append(record)
            kit.writer.record(record)
    except StoreError:
        raise  # what can't be kept isn't measured: no cell's fault
    except MoxError as error:
        workers.end()  # some may still be asking; the next cell gets new ones
        kit.writer.end(cell.name, round_, check=None, failed=error.message)
        return Turn(cell, round_, tuple(records), failed=error, unsent=workers.unsent)
    kit.writer.end(cell.name, round_, check=check, failed=None)
    return Turn(cell, round_, tuple(records), check)


def _with(errors: Errors | None, check: SelfCheck) -> SelfCheck:
    if errors is None:
        return check
    return replace(
        check,
        instrument_first_ms=errors.first_p50_ms,
        instrument_later_ms=errors.later_p50_ms,
    )


def _targets(cell: Cell) -> list[Target]:
    """All that a cell's requests may go to."""
    return [member.target for member in cell.pool.members] if cell.pool else [cell.target]


def _header(cell: Cell, round_: int, seed: int) -> dict[str, Any]:
    """What a round's figures depend on and don't say themselves."""
    from datetime import UTC, datetime

    from mox.loadgen import host
    from mox.registry import versions

    target = cell.target
    return {
        "cell": cell.name,
        "round": round_,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "at_ns": perf_counter_ns(),
        "host": host(),
        "versions": versions("mox-workbench", "httptools"),
        "seed": seed,
        "simulated": target.simulated,
        "time_scale": target.time_scale,
        "target": {"wire": target.wire, "base_url": target.base_url},
        "workload": cell.workload,
        "load": asdict(cell.load),
        "seconds": cell.seconds,
        "requests": cell.requests,
        "workers": cell.workers,
    }
