"""The process that asks, one of several: `python -m mox.loadgen.client`, its connection its own.

Spawned, never forked: a forked child shares its parent's connections. It ends when its standard
input does, that is with the process that started it, whatever it is doing.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

from mox.errors import MoxError
from mox.loadgen.messages import Answers, Closing, Failed, Opening, Ready, Searching, Writing, Wrote
from mox.types import Rows, Searcher

if TYPE_CHECKING:
    from mox.types import Floats

LOST = 3
"""Errors running after which an engine counts as lost: each may have cost its whole time limit."""
WRITES_A_SECOND = 10
"""Batches in which a writer keeps its rate."""
NUMBERS = 1_000_000
"""A writer's rows have these numbers in turn, past the first; long before the first comes again
its row is deleted."""
KEPT_S = 1.0
"""How long a writer's row stays before it is deleted."""


class _Open(NamedTuple):
    stack: ExitStack
    searcher: Any
    """A Searcher; a Writable where cells with inserts were announced."""
    queries: list[Floats]
    """(1, dims) each, cut before any clock runs."""


def main() -> None:
    """Do what is told until told no more."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(2, 1)  # what libraries print is no answer
    link: Connection[Any, Any] = Connection(int(sys.argv[1]))
    opened: dict[str, _Open] = {}
    while True:
        try:
            command = link.recv()
        except EOFError:
            return
        try:
            link.send(_do(command, opened, link))
        except MoxError as error:
            link.send(Failed(error.message, error.mend))
        except Exception as error:  # noqa: BLE001  whatever a back end raises fails its cell only
            link.send(Failed(f"{type(error).__name__}: {error}", "see the back end's own log."))


def _end_with_parent() -> None:
    with suppress(OSError):
        while os.read(0, 1):
            pass
    os._exit(1)


def _do(command: Any, opened: dict[str, _Open], link: Connection[Any, Any]) -> Any:
    if isinstance(command, Opening):
        began = time.monotonic()
        stack = ExitStack()
        searcher = stack.enter_context(command.open_())
        queries = [command.queries[at : at + 1] for at in range(len(command.queries))]
        opened[command.name] = _Open(stack, searcher, queries)
        return Ready(time.monotonic() - began)
    if isinstance(command, Closing):
        if found := opened.pop(command.name, None):
            found.stack.close()
        return Ready()
    if isinstance(command, Searching):
        return _search(command, opened[command.name], link)
    if isinstance(command, Writing):
        return _write(command, opened[command.name].searcher, link)
    raise TypeError(type(command).__name__)


def _search(command: Searching, found: _Open, link: Connection[Any, Any]) -> Answers:
    import numpy as np

    ask, searcher, queries = command.ask, found.searcher, found.queries
    order = np.random.default_rng(command.seed).permutation(len(queries)).tolist()
    once = _asking(searcher, ask)
    for at in range(command.warm_up):
        once(queries[order[-1 - at % len(order)]])
    asked, took, answers = [], [], []
    errors: Counter[str] = Counter()
    running = at = 0
    gc.collect()
    gc.disable()
    link.send(Ready())
    go = link.recv()
    _sleep_until(go.begin)
    cpu, first = time.process_time(), time.monotonic()
    began = first
    # Once at least: on a crowded machine it may be woken late.
    while at == 0 or (began < go.end and running < LOST):
        query = order[at % len(order)]
        at += 1
        try:
            ids = once(queries[query])
        except Exception as error:  # noqa: BLE001  counted, whatever it is, and shown by name
            errors[_said(error)] += 1
            running += 1
            began = time.monotonic()
            continue
        now = time.monotonic()
        took.append(now - began)
        asked.append(query)
        answers.append(ids)
        running = 0
        began = now
    cpu = time.process_time() - cpu
    gc.enable()
    if running == LOST:
        raise _lost(errors)
    return Answers(
        np.array(took),
        np.array(asked, dtype=np.int32),
        np.concatenate(answers) if answers else np.empty((0, ask.k), dtype=np.int32),
        began - first,
        errors,
        cpu,
    )


def _asking(searcher: Searcher, ask: Any) -> Callable[[Floats], Any]:
    """One search as a call of one argument: (1, k) ids."""
    k, settings, where = ask.k, ask.settings, ask.where

    def once(query: Floats) -> Any:
        return searcher.search(query, k=k, settings=settings, where=where)[0]

    return once


def _said(error: Exception) -> str:
    return error.message if isinstance(error, MoxError) else f"{type(error).__name__}: {error}"


def _lost(errors: Counter[str]) -> MoxError:
    from mox.errors import EngineError

    said, times = errors.most_common(1)[0]
    return EngineError(
        f"{said} ({times} times; {LOST} running end a load).",
        mend="start the engine again, see its log for why it stopped answering, and run again.",
    )


def _write(command: Writing, writable: Any, link: Connection[Any, Any]) -> Wrote:
    """Insert at a rate, and delete each row after `KEPT_S`; all of them at the end.

    An engine that can't keep the rate is asked as fast as it takes rows, and `inserted` says so.
    """
    import numpy as np

    batch = max(1, round(command.rate / WRITES_A_SECOND))
    pause = batch / command.rate
    held: list[tuple[float, Any]] = []
    inserted = 0
    link.send(Ready())
    go = link.recv()
    _sleep_until(go.begin)
    cpu = time.process_time()
    due = go.begin
    try:
        while time.monotonic() < go.end:
            number = np.arange(inserted, inserted + batch)
            ids = (command.first_id + number % NUMBERS).astype(np.int32)
            writable.insert(ids, taken(command.rows, number))
            inserted += batch
            held.append((time.monotonic(), ids))
            while held and held[0][0] < time.monotonic() - KEPT_S:
                writable.delete(held.pop(0)[1])
            due += pause
            _sleep_until(min(due, go.end))
        until_s = time.monotonic() - go.begin
    finally:
        if held:
            writable.delete(np.concatenate([ids for _, ids in held]))
    return Wrote(inserted, until_s, time.process_time() - cpu)


def taken(rows: Rows, number: Any) -> Rows:
    """So many rows of a few, over and over."""
    assert rows.vectors is not None  # noqa: S101  by `measure`
    places = number % len(rows.vectors)
    fields = {name: values[places] for name, values in rows.fields.items()}
    return Rows(rows.vectors[places], fields=fields)


def _sleep_until(moment: float) -> None:
    left = moment - time.monotonic()
    if left > 0:
        time.sleep(left)


if __name__ == "__main__":
    main()
