"""kill -9 at each boundary of a benchmark of providers: what was measured is kept, the same call
measures the rest and nothing else, and what was answered is in the ledger.
"""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mox.bench.providers.client import records
from mox.services.process import born
from mox.simulation.serving import Served, serving

pytestmark = pytest.mark.timeout(900)

BENCHMARK = """\
name: struck
providers:
  - {{kind: simulated, model: sim-swift{at}}}
  - {{kind: simulated, model: sim-careful{at}}}
workloads: [{{kind: tokens, input: 80, output: 12}}]
loads: [{{kind: closed, concurrency: 2}}]
requests: {requests}
rounds: {rounds}
time_scale: 0.01
instrument_s: 0
budget: {{usd: 1.0}}
"""
PRICES = """\
prices:
  - {provider: simulated, model: sim-swift, per: 1M, simulated: true, input: 0.20, output: 1.00}
  - {provider: simulated, model: sim-careful, per: 1M, simulated: true, input: 2.00, output: 10.00}
"""
ROUNDS, REQUESTS, WARM_UP = 3, 4, 2
TURN = REQUESTS + WARM_UP
"""Requests of a round. As many warm up as there are callers."""
KILLED = -signal.SIGKILL
ALONE = (
    "bench.providers.ask._alone: make the folder of locks",
    "bench.providers.ask._alone: open a lock",
    "bench.providers.ask._alone: lock a lock",
    "bench.providers.ask._alone: unlock a lock",
)
BEGUN = tuple(
    f"bench.providers.kept.begun: {what}"
    for what in (
        "make a benchmark's folder",
        "make the folder of results",
        "open the temporary begun.json",
        "sync the temporary begun.json",
        "sync the temporary begun.json, torn",
        "rename to begun.json",
        "sync a benchmark's folder",
    )
)
RECORDS = (
    "bench.providers.client.records.__init__: open records.jsonl",
    "bench.providers.client.records.begin: add begin to records.jsonl",
    "bench.providers.client.records.begin: add begin to records.jsonl, torn",
    "bench.providers.client.records.record: add record to records.jsonl",
    "bench.providers.client.records.record: add record to records.jsonl, torn",
    "bench.providers.client.records.end: add end to records.jsonl",
    "bench.providers.client.records.end: add end to records.jsonl, torn",
)
LEDGER = (
    "providers.ledger._open: make the folder of ledger",
    "providers.ledger._open: open a lock",
    "providers.ledger._open: lock a lock",
    "providers.ledger._open: connect to the ledger",
    "providers.ledger._open: make the tables of the ledger",
    "providers.ledger._open: unlock a lock",
    "providers.ledger._open: begin on the ledger",
    "providers.ledger._open: commit to the ledger",
    "providers.ledger.hold: begin on the ledger",
    "providers.ledger.hold: book in the ledger",
    "providers.ledger.hold: commit to the ledger",
    "providers.ledger.settle: begin on the ledger",
    "providers.ledger.settle: add a call to the ledger",
    "providers.ledger.settle: free a booking in the ledger",
    "providers.ledger.settle: commit to the ledger",
    "providers.ledger._reading: connect to the ledger",
)
DOCUMENT = tuple(
    f"bench.providers.kept.save: {what}"
    for what in (
        "open the temporary document.json",
        "sync the temporary document.json",
        "sync the temporary document.json, torn",
        "rename to document.json",
        "sync a benchmark's folder",
    )
)
BY_HAND = (*ALONE, *BEGUN, *LEDGER, *RECORDS, *DOCUMENT)
CHAIN = (
    ("bench.providers.client.records.record: add record to records.jsonl, torn", 3),
    ("bench.providers.client.records.end: add end to records.jsonl", 2),
    ("providers.ledger.settle: commit to the ledger", TURN + 3),
    ("bench.providers.kept.save: rename to document.json", 1),
)
"""What is killed in continuous integration, at which occurrence, each on the state that the one
before it left."""


@dataclass
class Counted:
    """What there is of a benchmark."""

    asked: int
    """Requests that the simulator let in."""
    whole: dict[tuple[str, int], records.Kept]
    came: int
    """Answers that any line of the records tells of, and what warmed up before them."""
    paid: int
    """Answers that the ledger knows."""
    abandoned: int
    held: int


class Bench:
    """One benchmark, called again and again."""

    def __init__(self, caller: Any, served: Served) -> None:
        self.caller, self.served = caller, served
        self.words = ("bench", "providers", caller.file, "--offline", "--json")
        served.reset()
        self.met: Counter[str] = caller.met(*self.words)
        self.undisturbed = self.counted()
        self.came_to = self.figures()

    def anew(self) -> None:
        self.caller.back_to("nothing")
        self.served.reset()

    def end(self) -> Counted:
        """The same call, left alone now: it measures what is missing, and keeps the rest."""
        before = self.counted()
        again = self.caller.call(*self.words)
        assert again == 0, self.caller.said()
        found = self.counted()
        missing = 2 * ROUNDS - len(before.whole)
        assert found.asked - before.asked == missing * TURN
        assert {name: found.whole[name] for name in before.whole} == before.whole
        assert len(found.whole) == 2 * ROUNDS
        assert all(len(one.records) == REQUESTS for one in found.whole.values())
        assert self.figures() == self.came_to
        assert found.paid >= found.came >= before.came
        assert found.held == 0
        return found

    def figures(self) -> Any:
        """What does not depend on the machine."""
        document = self.caller.document()
        rows = [
            {name: row[name] for name in ("model", "n", "answers", "errors", "usd_per_1k")}
            for row in document["rows"]
        ]
        return [rows, document["missing"], document["stopped"], document["simulated"]]

    def counted(self) -> Counted:
        asked = sum(one["admitted"] for one in self.served.stats()["accounts"])
        files = list(self.caller.home.glob("results/bench-*/records.jsonl"))
        kept = {one.name: one for path in files for one in records.read(path) if one.whole}
        came = sum(answers_in(path) for path in files)
        ledger = self.caller.home / "ledger" / "calls.sqlite"
        if not ledger.exists():
            return Counted(asked, kept, came, 0, 0, 0)
        with closing(sqlite3.connect(ledger)) as db:
            if not db.execute("PRAGMA user_version").fetchone()[0]:
                return Counted(asked, kept, came, 0, 0, 0)
            errors = Counter(db.execute("SELECT error FROM calls").fetchall())
            (held,) = db.execute("SELECT COUNT(*) FROM held").fetchone()
        return Counted(asked, kept, came, errors[(None,)], errors[("abandoned",)], held)


def answers_in(path: Path) -> int:
    """Of every round that was begun, whole or not."""
    found, warm = 0, 0
    for line in path.read_bytes().splitlines():
        with suppress(ValueError):  # a torn one
            what = json.loads(line)["what"]
            if what == "begin":
                warm = WARM_UP
            if what == "record":
                found, warm = found + 1 + warm, 0
    return found


def prepared(folder: Path, *, url: str | None, **size: int) -> dict[str, str]:
    """Write a benchmark's files; returns the environment that it is run in."""
    at = "" if url is None else f', url: "{url}"'
    (folder / "e.yaml").write_text(BENCHMARK.format(at=at, **size))
    (folder / "prices.yaml").write_text(PRICES)
    return {"MOX_PRICES": str(folder / "prices.yaml")}


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory, new_caller: Callable[..., Any]
) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("bench")
    with serving({"time_scale": 0.01}) as served:
        caller = new_caller(
            folder, prepared(folder, url=served.url, requests=REQUESTS, rounds=ROUNDS)
        )
        caller.keep("nothing")
        try:
            yield Bench(caller, served)
        finally:
            caller.close()


def test_every_boundary_of_a_benchmark_has_its_name_here(bench: Bench) -> None:
    named = ("providers.", "bench.")
    met = {name for name in bench.met if name.startswith(named)}
    assert met == {*BY_HAND, "providers.ledger_file.close: unlock a lock"}
    assert bench.undisturbed.asked == 2 * ROUNDS * TURN
    assert bench.undisturbed.paid == bench.undisturbed.came == bench.undisturbed.asked


def test_killed_at_each_in_turn_it_measures_only_what_is_missing(bench: Bench) -> None:
    bench.anew()
    for name, occurrence in CHAIN:
        said = bench.caller.call(*bench.words, at=name, occurrence=occurrence)
        assert said == KILLED, (name, bench.caller.said())
    found = bench.end()
    assert found.abandoned > 0, "what was booked for requests that were never made"


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_HAND)
def test_killed_here_at_first_and_later(bench: Bench, name: str) -> None:
    for occurrence in sorted({1, (bench.met[name] + 1) // 2, bench.met[name]}):
        bench.anew()
        said = bench.caller.call(*bench.words, at=name, occurrence=occurrence)
        assert said == KILLED, bench.caller.said()
        bench.end()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_any_instant(bench: Bench, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311  no secret
    bench.anew()
    first = draw.choice(RECORDS)
    orders = {"at": first, "occurrence": draw.randint(1, bench.met[first])}
    said = bench.caller.call(*bench.words, **orders, later_s=draw.uniform(1e-4, 0.3))
    assert said in (KILLED, 0), bench.caller.said()
    bench.end()


@pytest.mark.slow
def test_no_process_outlives_a_benchmark_that_is_killed(
    tmp_path: Path, new_caller: Callable[..., Any]
) -> None:
    caller = new_caller(tmp_path, prepared(tmp_path, url=None, requests=60, rounds=3))
    seen: dict[int, str] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for pid in of(caller.home):
                # As it is called last: just forked, it is called as its parent.
                seen[pid] = " ".join(words_of(pid)) or seen.get(pid, "")

    looking = threading.Thread(target=look)
    looking.start()
    try:
        at = "bench.providers.client.records.record: add record to records.jsonl"
        words = ("bench", "providers", caller.file, "--offline")
        assert caller.call(*words, at=at, occurrence=20) == KILLED, caller.said()
        over.set()
        until = time.monotonic() + 10
        while left := [seen[pid] for pid in seen if born(pid) and pid != caller._template.pid]:
            assert time.monotonic() < until, left
            time.sleep(0.05)
    finally:
        over.set()
        looking.join()
        caller.close()
    assert sum("mox simulate" in said for said in seen.values()) == 1
    assert sum("client.worker" in said for said in seen.values()) >= 1


def of(home: Path) -> list[int]:
    """Processes that work on a state folder."""
    found = []
    for pid in (int(path.name) for path in Path("/proc").glob("[0-9]*")):
        with suppress(OSError):
            if f"MOX_HOME={home}".encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
    return found


def words_of(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []
