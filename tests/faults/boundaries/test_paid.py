"""kill -9 at each boundary of a sweep that is paid for: nothing is paid twice but what was on its
way, and the ledger knows of all the rest.

The simulator stands outside, over HTTP, and counts what it is asked: its sums are held against the
ledger's. Only what the ledger adds is killed at here, with what stands around it.
"""

from __future__ import annotations

import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mox.simulation.serving import Served, serving

pytestmark = pytest.mark.timeout(900)

EXPERIMENT = """\
name: paid
corpus: {{kind: evidence, path: {corpus}}}
axes:
  chunk: [{{kind: fixed, size: 24}}]
  embed:
    - {{kind: compatible, base_url: "{url}", model: sim-embed-small, dims: 128, simulated: true,
       batch: {batch}}}
  index: [{{kind: exact}}]
  search: [{{kind: dense, k: 5}}]
measure: [ndcg@40t]
budget: {{usd: 1.0}}
"""
PRICES = """\
prices:
  - {provider: compatible, model: sim-embed-small, per: 1M, simulated: true, input: 0.02}
"""
BATCH = 4
KILLED = -signal.SIGKILL
OPENED = (
    "providers.ledger._open: make the folder of ledger",
    "providers.ledger._open: open a lock",
    "providers.ledger._open: lock a lock",
    "providers.ledger._open: connect to the ledger",
    "providers.ledger._open: make the tables of the ledger",
    "providers.ledger._open: unlock a lock",
    "providers.ledger._open: begin on the ledger",
    "providers.ledger._open: commit to the ledger",
)
BEFORE = (
    "providers.ledger.hold: begin on the ledger",
    "providers.ledger.hold: book in the ledger",
    "providers.ledger.hold: commit to the ledger",
)
AFTER = (
    "providers.ledger.settle: begin on the ledger",
    "providers.ledger.settle: add a call to the ledger",
    "providers.ledger.settle: free a booking in the ledger",
    "providers.ledger.settle: commit to the ledger",
)
LET_GO = (
    "providers.ledger._let_go: add a call to the ledger",
    "providers.ledger._let_go: free a booking in the ledger",
)
"""Met only after a kill that left something booked."""
MEMO = tuple(
    f"pipeline.memo._append: {what}"
    for what in (
        "make an embedder's folder",
        "make the folder of memo",
        "open vectors",
        "sync vectors",
        "sync vectors, torn",
        "open temporary hashes",
        "sync temporary hashes",
        "sync temporary hashes, torn",
        "rename to hashes",
    )
)
"""Where what was paid for is kept."""
BY_HAND = (*OPENED, *BEFORE, *AFTER, *MEMO)
CHAIN = (
    "providers.ledger.settle: commit to the ledger",
    "pipeline.memo._append: rename to hashes",
)
"""What is killed in continuous integration, each on the state that the one before it left: a worker
takes three CPU seconds to get there."""


@dataclass
class Counted:
    """What the simulator was asked, and what the ledger knows of it."""

    asked: int
    """Requests that it let in: each is paid for."""
    lines: int
    answered: int
    tokens: int
    abandoned: int
    held: int


class Paid:
    """One paid sweep, called again and again."""

    def __init__(self, caller: Any, served: Served) -> None:
        self.caller, self.served = caller, served
        self.words = ("run", caller.file, "--offline")
        served.reset()
        self.met: Counter[str] = caller.met(*self.words)
        self.whole = self.counted()
        self.came_to = self.results()

    def anew(self) -> None:
        """As if nothing had been run."""
        self.caller.back_to("nothing")
        self.served.reset()

    def end(self) -> Counted:
        """Run it to its end, undisturbed now."""
        assert self.caller.call(*self.words) == 0, self.caller.said()
        found = self.counted()
        results, usd = self.results()
        assert results == self.came_to[0]
        assert usd == self.came_to[1], "what was paid for before is kept as it was billed"
        assert self.counted() == found, "what is there is not paid for again"
        return found

    def results(self) -> tuple[Any, float]:
        """All that a run came to; and what its texts cost."""
        found = self.caller.results()
        [trial] = found["document"]["trials"]
        return found, trial["costs"].pop("embed_usd")

    def counted(self) -> Counted:
        asked = sum(one["admitted"] for one in self.served.stats()["accounts"])
        with closing(sqlite3.connect(self.caller.home / "ledger" / "calls.sqlite")) as db:
            errors = Counter(db.execute("SELECT error FROM calls").fetchall())
            (tokens,) = db.execute(
                "SELECT SUM(input_tokens) FROM calls WHERE error IS NULL"
            ).fetchone()
            (held,) = db.execute("SELECT COUNT(*) FROM held").fetchone()
        return Counted(asked, errors.total(), errors[(None,)], tokens, errors[("abandoned",)], held)


@pytest.fixture(scope="module")
def paid(
    tmp_path_factory: pytest.TempPathFactory,
    corpus_writer: Callable[..., Path],
    new_caller: Callable[..., Any],
) -> Iterator[Paid]:
    folder = tmp_path_factory.mktemp("paid")
    corpus_writer(folder / "corpus", documents=4, paragraphs=6)
    (folder / "prices.yaml").write_text(PRICES)
    limits = {"rpm": 1_000_000, "tpm": 1_000_000_000}
    simulation = {"time_scale": 0.01, "accounts": {"simulated": {"limits": limits}}}
    with serving(simulation) as served:
        (folder / "e.yaml").write_text(
            EXPERIMENT.format(corpus=folder / "corpus", url=served.openai_base_url, batch=BATCH)
        )
        caller = new_caller(folder, {"MOX_PRICES": str(folder / "prices.yaml")})
        caller.keep("nothing")
        try:
            yield Paid(caller, served)
        finally:
            caller.close()


def test_every_boundary_of_the_ledger_has_its_name_here(paid: Paid) -> None:
    met = {name for name in paid.met if name.startswith(("providers.", "pipeline.memo"))}
    assert met == {*BY_HAND, "providers.ledger_file.close: unlock a lock"}
    assert paid.whole.asked == paid.whole.lines == paid.whole.answered
    assert paid.whole.held == 0


def test_killed_at_each_in_turn_it_pays_for_what_was_on_its_way_and_nothing_else_twice(
    paid: Paid,
) -> None:
    paid.anew()
    for name in CHAIN:
        assert paid.caller.call(*paid.words, at=name) == KILLED, (name, paid.caller.said())
    found = paid.end()
    # At the first one was answered and not settled; at the last one was paid, and not kept.
    assert found.abandoned == 1
    assert found.answered == paid.whole.answered + 1
    assert found.asked == found.lines == paid.whole.asked + 2
    assert found.held == 0, "what the dead held is let go"


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_HAND)
def test_killed_here_at_first_and_later(paid: Paid, name: str) -> None:
    for occurrence in sorted({1, (paid.met[name] + 1) // 2}):
        paid.anew()
        said = paid.caller.call(*paid.words, at=name, occurrence=occurrence)
        assert said == KILLED, paid.caller.said()
        held_up(paid, paid.end())


@pytest.mark.slow
@pytest.mark.parametrize("name", LET_GO)
def test_killed_while_it_lets_go(paid: Paid, name: str) -> None:
    paid.anew()
    for at in ("providers.ledger.settle: commit to the ledger", name, name):
        assert paid.caller.call(*paid.words, at=at) == KILLED, paid.caller.said()
    held_up(paid, paid.end())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_any_instant(paid: Paid, seed: int) -> None:
    """Also within SQLite, which no name can tell."""
    draw = random.Random(seed)  # noqa: S311  no secret
    paid.anew()
    first = draw.choice([*BEFORE, *AFTER])
    occurrence = draw.randint(1, paid.whole.asked - 1)
    wait_s = draw.uniform(1e-5, 3e-3)
    said = paid.caller.call(*paid.words, at=first, occurrence=occurrence, later_s=wait_s)
    assert said == KILLED, paid.caller.said()
    held_up(paid, paid.end())


def held_up(paid: Paid, found: Counted) -> None:
    """After one kill: no more than one batch was paid twice, and it can be seen."""
    assert paid.whole.asked <= found.asked <= paid.whole.asked + 1
    assert found.asked <= found.lines <= found.asked + 1  # booked, and killed before it was sent
    assert found.abandoned <= 1
    assert found.answered + found.abandoned == found.lines
    assert found.tokens >= paid.whole.tokens - 100 * BATCH * found.abandoned
    assert found.held == 0
