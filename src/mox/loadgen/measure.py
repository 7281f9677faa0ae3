"""Rounds of load, interleaved over everything that is compared.

All cells take their turn in each round, in an order of its own, so that what befalls the machine
in one minute befalls all of them alike.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from mox.errors import MoxError, SpecError
from mox.loadgen.cells import Cell, Measured, Round
from mox.loadgen.clients import GRACE_S, STARTS_WITHIN_S, Client, Clients, clients
from mox.loadgen.engine import cpu_s, machine_cpu_s
from mox.loadgen.messages import Answers, Go, Searching, Writing, Wrote

WARM_UP = 20
"""Queries that each client asks before a warm round's clock runs."""
HEAD_START_S = 0.05
"""Between the last client's `Ready` and the common beginning."""


def _still() -> None:
    """Nobody watches."""


def measure(
    cells: Sequence[Cell],
    *,
    seed: int = 0,
    tick: Callable[[], None] = _still,
) -> list[Measured]:
    """Put each cell under load for its rounds, interleaved; returns them in the order given.

    A cell whose engine is lost, or one of whose clients dies, ends with what failed, and the
    others go on without it. No process is left at the end, whatever happens.

    Args:
        seed: of the order within each round, and of the queries' order.
        tick: called at least every half second of waiting.

    Raises:
        SpecError: two cells of one name, or inserts without vectors to insert.
    """
    import numpy as np

    _check(cells)
    draw = np.random.default_rng(seed)
    found: dict[str, list[Round]] = {cell.name: [] for cell in cells}
    failed: dict[str, MoxError] = {}
    with clients(tick) as crew:
        for at in range(max((cell.rounds for cell in cells), default=0)):
            due = [cell for cell in cells if at < cell.rounds]
            for place in draw.permutation(len(due)):
                cell = due[place]
                if cell.name in failed:
                    continue
                try:
                    found[cell.name].append(_round(cell, crew, seed + at))
                except MoxError as error:
                    failed[cell.name] = error
                    crew.end()  # some may still be asking; the next cell gets new ones
    return [Measured(cell, tuple(found[cell.name]), failed.get(cell.name)) for cell in cells]


def _check(cells: Sequence[Cell]) -> None:
    for name, times in Counter(cell.name for cell in cells).items():
        if times > 1:
            raise SpecError(f"{times} cells are named {name!r}.", mend="name each by itself.")
    for cell in cells:
        fresh = cell.subject.fresh
        if cell.inserts and (fresh is None or fresh.vectors is None or not len(fresh.vectors)):
            raise SpecError(
                f"{cell.name}: inserts without vectors.", mend="give its subject `fresh` rows."
            )


def _round(cell: Cell, crew: Clients, seed: int) -> Round:
    """One round of one cell.

    Raises:
        MoxError: a client died, or the engine is lost.
    """
    subject = cell.subject
    if cell.cold:
        crew.close(subject.name)
    everyone = crew.take(cell.clients + (1 if cell.inserts else 0))
    open_s = crew.open(everyone, subject)
    askers, writers = everyone[: cell.clients], everyone[cell.clients :]
    for number, client in enumerate(askers):
        warm_up = 0 if cell.cold else WARM_UP
        client.tell(Searching(subject.name, cell.ask, warm_up, 1000 * seed + number))
    for client in writers:
        assert subject.fresh is not None  # noqa: S101  by _check
        client.tell(Writing(subject.name, subject.fresh, subject.first_id, cell.inserts))
    crew.hear(everyone, STARTS_WITHIN_S)
    before = cpu_s(subject.pid), machine_cpu_s()
    answers, wall_s = _go(cell, crew, everyone)
    after = cpu_s(subject.pid), machine_cpu_s()
    engine, machine = (
        None if a is None or b is None else b - a for a, b in zip(before, after, strict=True)
    )
    return _joined(
        answers,
        wall_s=wall_s,
        engine_cpu_s=None if subject.in_client else engine,
        machine_cpu_s=machine,
        open_s=open_s if cell.cold else None,
    )


def _go(cell: Cell, crew: Clients, everyone: Sequence[Client]) -> tuple[list[Any], float]:
    """All begin at one moment; returns what each said, and how long it took till the last did."""
    begin = time.monotonic() + HEAD_START_S
    for client in everyone:
        client.tell(Go(begin, begin + cell.seconds))
    said = crew.hear(everyone, HEAD_START_S + cell.seconds + GRACE_S)
    return said, time.monotonic() - begin


def _joined(said: Sequence[Any], **rest: Any) -> Round:
    import numpy as np

    answers = [one for one in said if isinstance(one, Answers)]
    wrote = [one for one in said if isinstance(one, Wrote)]
    errors: Counter[str] = Counter()
    for one in answers:
        errors.update(one.errors)
    firsts = [one.latency_s[0] for one in answers if len(one.latency_s)]
    return Round(
        qps=sum(len(one.query) / one.until_s for one in answers if len(one.query)),
        latency_ms=1e3 * np.concatenate([one.latency_s for one in answers]),
        query=np.concatenate([one.query for one in answers]),
        ids=np.concatenate([one.ids for one in answers]),
        errors=errors,
        client_cpu_s=sum(one.cpu_s for one in answers) + sum(one.cpu_s for one in wrote),
        inserted=sum(one.inserted for one in wrote),
        insert_s=sum(one.until_s for one in wrote),
        first_ms=1e3 * float(np.median(firsts)) if firsts else None,
        **rest,
    )
