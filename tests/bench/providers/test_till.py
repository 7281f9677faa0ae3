"""A benchmark's money: what was sent may be billed, and what was never sent is nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mox.bench.providers.client import Target
from mox.bench.providers.conditions import Condition, ladder
from mox.bench.providers.file import load
from mox.bench.providers.passages import Asked, Questions
from mox.bench.providers.record import Chunk, Load, Record
from mox.bench.providers.run import Run
from mox.bench.providers.till import Judge, Till
from mox.bench.providers.watch import watching
from mox.bench.providers.workloads import workloads
from mox.providers.ledger import Ledger
from mox.providers.prices import Prices
from mox.types.providers import Usage

Writes = Callable[..., dict[str, Any]]
MOST = Decimal("0.000738")
"""Of a request of 80 tokens in and 60 out: (1.1 · 80 + 50) · 1 + 60 · 10, of a million."""
MOST_WARM = Decimal("0.000298")
"""Of one that warms up, with 16 tokens out: 138 · 1 + 16 · 10."""


class Money:
    """A till over a ledger, and what is in it."""

    def __init__(self, content: dict[str, Any], root: Path) -> None:
        benchmark = load(content)
        asked = tuple(workloads(benchmark.workloads[0], caches=("off",), salt="0", base=Path()))
        self.one: Condition = ladder(benchmark, asked)[0]
        self.ledger = Ledger(root)
        prices = Prices.load(benchmark.prices)
        self.till = Till(benchmark, prices, self.ledger, "bench-x")
        self.judge = Judge(prices, {"sim-swift": "simulated"})
        self.cell = self.one.cell(
            Target("sim-swift", "chat", "http://nowhere/v1", "sim-swift", simulated=True)
        )

    def came(self, number: int, **rest: Any) -> Record:
        """A record of a request, paid."""
        record = Record(
            "sim-swift", "sim-swift", "w", Load("closed", 2), 0, number, 0,
            **{"sent_ns": 1, **rest},
        )  # fmt: skip
        made = self.judge(self.cell, record, "text")
        self.till.paid(self.one, made)
        return made

    def lines(self) -> list[tuple[str | None, Decimal]]:
        return [(row["error"], Decimal(row["usd"])) for row in self.ledger.rows()]

    @property
    def held(self) -> Decimal:
        return self.till._book.standing(simulated=True).held


@pytest.fixture
def money(written: Writes, prices: Path, own_state: Path) -> Iterator[Money]:
    found = Money(written(prices), own_state)
    yield found
    found.ledger.close()


PARTS = tuple(Chunk(at, 4) for at in range(290))


@pytest.mark.parametrize(
    ("fields", "usd"),
    [
        ({"usage": Usage(11, output_tokens=7)}, "0.000081"),
        ({"usage": Usage(11, output_tokens=7), "error": "unusable"}, "0.000081"),
        ({"chunks": PARTS, "error": "timeout_total"}, MOST),
        ({"chunks": PARTS, "error": "truncated"}, MOST),
        ({"chunks": PARTS, "error": "overloaded"}, MOST),  # in mid-answer
        ({"error": "timeout_first_byte"}, MOST),
        ({"error": "connection"}, MOST),  # it was sent, and then reset
        ({"error": "overloaded"}, 0),
        ({"error": "rate_limit_tokens"}, 0),
        ({"error": "server"}, 0),
        ({"error": "server", "billable": True}, MOST),  # a gateway's 504
        # More reasoning than output: the answer is paid, and its price can't be told.
        ({"usage": Usage(11, output_tokens=7, reasoning_tokens=9)}, MOST),
    ],
)
def test_a_request_costs_what_it_may_be_billed_in_its_record_and_in_the_ledger(
    money: Money, fields: dict[str, Any], usd: Any
) -> None:
    money.till.begin(money.one)
    made = money.came(0, **fields)
    assert Decimal(made.usd or "-1") == Decimal(usd)
    assert money.lines() == [(fields.get("error"), Decimal(usd))]


def test_a_request_that_was_never_sent_leaves_no_line(money: Money) -> None:
    money.till.begin(money.one)
    for number, error in enumerate(["connection", "client_limited", "timeout_total"]):
        assert money.came(number, sent_ns=None, error=error).usd == "0"
    assert money.lines() == []
    assert money.held == 2 * MOST  # of 3 that are left, one of each caller


def test_of_a_round_that_ended_what_is_left_was_never_sent(money: Money) -> None:
    money.till.begin(money.one)
    money.came(0, usage=Usage(11, output_tokens=7))
    money.till.let_go(ended=True)
    assert money.lines() == [(None, Decimal("0.000081"))]
    assert money.held == 0


def test_of_a_round_that_was_cut_off_each_caller_may_have_one_under_way(money: Money) -> None:
    money.till.begin(money.one)
    money.came(0, usage=Usage(11, output_tokens=7))
    money.till.let_go()  # 5 are left; 2 callers
    assert money.lines() == [(None, Decimal("0.000081")), *[("cancelled", MOST)] * 2]
    assert money.held == 0


def test_of_a_round_that_failed_before_anything_was_sent_nothing_is_paid(
    written: Writes, prices: Path, own_state: Path
) -> None:
    money = Money(written(prices, warm_up=2), own_state)
    money.till.begin(money.one)
    money.till.let_go(unsent=True)
    assert (money.lines(), money.held) == ([], 0)
    money.ledger.close()


KILLED = """
import json, os, signal, sys
from pathlib import Path
from mox.bench.providers.conditions import ladder
from mox.bench.providers.file import load
from mox.bench.providers.passages import Asked, Questions
from mox.bench.providers.record import Load, Record
from mox.bench.providers.till import Till
from mox.bench.providers.workloads import workloads
from mox.providers.ledger import Ledger
from mox.providers.prices import Prices
from mox.types.providers import Usage

found, came, root = load(json.loads(sys.argv[1])), int(sys.argv[2]), Path(sys.argv[3])
asked = workloads(found.workloads[0], caches=("off",), salt="0", base=Path())
(one,) = ladder(found, asked)
till = Till(found, Prices.load(found.prices), Ledger(root), "bench-x")
till.begin(one)
for at in range(came):
    used = Usage(11, output_tokens=7)
    till.paid(one, Record("a", "a", "w", Load("closed", 2), 0, at, 0, sent_ns=1, usage=used))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("came", [0, 3])
def test_a_kill_leaves_as_many_lines_as_ctrl_c_does(
    written: Writes, prices: Path, own_state: Path, came: int
) -> None:
    content = written(prices, warm_up=1, requests=70)
    command = [sys.executable, "-c", KILLED, json.dumps(content), str(came), str(own_state)]
    done = subprocess.run(command, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    # Whoever opens the ledger next settles what the dead held.
    money = Money(written(prices), own_state)
    money.till.begin(money.one)
    money.till.let_go(ended=True)
    errors = Counter(error for error, _ in money.lines())
    # By hand: two callers and one to warm up; the first answer tells that this is over.
    assert errors == ({"abandoned": 3} if came == 0 else {None: 1 + came, "abandoned": 2})
    money.ledger.close()


def test_an_open_load_holds_what_is_due_and_no_more(
    written: Writes, prices: Path, own_state: Path
) -> None:
    # 2 a second of the provider's, 4 of ours, of which 5 s are held ahead: 0 to 20.
    rates = [{"kind": "constant", "rate": 2}]
    money = Money(written(prices, loads=rates, requests=60), own_state)
    money.till.begin(money.one)
    assert money.held == 21 * MOST
    money.till._began_s -= 2.0
    money.till.ahead()
    assert money.held == 29 * MOST
    money.till._began_s -= 60.0
    money.till.ahead()
    assert money.held == 60 * MOST
    money.ledger.close()


def test_an_open_load_that_is_over_holds_no_more_than_it_brought(
    written: Writes, prices: Path, own_state: Path
) -> None:
    # 2 a second for 10 s, of the provider's time: 20, and one where a moment falls on the end.
    rates = [{"kind": "constant", "rate": 2}]
    money = Money(written(prices, loads=rates, requests=60, seconds=10), own_state)
    money.till.begin(money.one)
    money.till._began_s -= 60.0
    money.till.ahead()
    assert money.held == 21 * MOST
    for number in range(19):
        money.came(number, usage=Usage(11, output_tokens=7))
    money.till.let_go()  # one hangs
    assert Counter(error for error, _ in money.lines()) == {None: 19, "cancelled": 2}
    money.ledger.close()


def test_a_prompt_of_a_corpus_may_cost_as_much_as_the_longest(
    written: Writes, prices: Path, own_state: Path
) -> None:
    money = Money(written(prices), own_state)
    asked = tuple(Asked(f"{at}?", (), ()) for at in range(4))
    prompts = Questions("rag", 60, False, "0", asked, ("a",), (3000, 300, 300, 300))
    # By hand: (1.1 · (3000 + 10 of its own) + 50) · 1 + 60 · 10, of a million.
    most = Decimal("0.003961")
    assert money.till.worst(replace(money.one, workload=prompts)) == 6 * most
    assert prompts.input_tokens == 985  # on average
    money.ledger.close()


def test_a_round_that_was_cut_off_while_it_warmed_up(
    written: Writes, prices: Path, own_state: Path
) -> None:
    money = Money(written(prices, warm_up=2), own_state)
    money.till.begin(money.one)
    money.till.let_go()
    costs = Counter(usd for _, usd in money.lines())
    assert costs == {MOST: 2, MOST_WARM: 2}
    money.ledger.close()


@pytest.mark.parametrize("arrival", ["constant", "poisson"])
def test_of_an_open_load_that_was_cut_off_those_may_be_under_way_whose_time_had_come(
    written: Writes, prices: Path, own_state: Path, arrival: str
) -> None:
    # 2 a second of the provider's, which are 4 of ours at a time scale of 0.5.
    rates = [{"kind": arrival, "rate": 2}]
    money = Money(written(prices, loads=rates, requests=60), own_state)
    money.till.begin(money.one)
    money.till._began_s = time.monotonic() - 4.0  # so long ago
    money.came(0, usage=Usage(11, output_tokens=7))
    money.till.let_go()
    under_way = Counter(error for error, _ in money.lines())["cancelled"]
    # By 4 s, 16 came after the first; a Poisson load may have brought 4 · √16 more.
    assert under_way in ((16, 17) if arrival == "constant" else (32, 33))
    money.ledger.close()


def test_what_a_budget_refused_was_never_sent(
    written: Writes, prices: Path, own_state: Path
) -> None:
    money = Money(written(prices, budget={"usd": float(3 * MOST)}), own_state)
    with pytest.raises(Exception, match="would be exceeded"):
        money.till.begin(money.one)
    money.till.let_go()
    assert (money.lines(), money.held) == ([], 0)
    money.ledger.close()


def test_a_round_whose_key_is_gone_was_never_begun(
    written: Writes, prices: Path, own_state: Path, tmp_path: Path
) -> None:
    prices.write_text(prices.read_text().replace("provider: simulated", "provider: compatible"))
    key = tmp_path / "key"
    key.write_text("some-key")
    content = written(prices, warm_up=4)
    content["providers"] = [
        {"kind": "compatible", "model": "sim-swift", "base_url": "http://127.0.0.1:9/v1",
         "key_file": str(key)}
    ]  # fmt: skip
    money = Money(content, own_state)
    key.unlink()  # while the benchmark runs
    run = Run(
        money.one.benchmark,
        [money.one.workload],
        tmp_path / "bench",
        money.till,
        watching(quiet=True),
    )
    (missing,) = run.measure().missing
    assert str(key) in missing["why"]
    assert (money.lines(), money.held) == ([], 0)
    money.ledger.close()
