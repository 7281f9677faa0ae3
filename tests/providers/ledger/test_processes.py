"""Several processes and one ledger: no budget is exceeded, and no settled call is lost."""

from __future__ import annotations

import os
import signal
from decimal import Decimal
from typing import Any

import pytest

from mox.errors import BudgetError
from mox.providers.budget import Budget, RunBook
from mox.providers.ledger import Ledger, Purse
from mox.providers.prices import Prices
from mox.types.providers import Call, Usage

CALL = Call("compatible", "first", "m", "bench", trial="t1")


def test_processes_at_once_never_exceed_a_budget(
    worker: Any, go: Any, ledger: Ledger, prices: Prices
) -> None:
    # A call may cost 0.002 and costs 0.0015: of 0.1 USD 66 calls fit, the last of them only
    # where nothing else is under way.
    crew = [worker(ledger, prices, "0.1") for _ in range(3)]
    for one in crew:
        go(one)
    made = sum(int(one.communicate(timeout=60)[0].split()[-1]) for one in crew)
    rows = list(ledger.rows())
    spent = sum(Decimal(row["usd"]) for row in rows)
    assert len(rows) == made
    assert spent == made * Decimal("0.0015") <= Decimal("0.1")
    assert made >= 64  # 0.1 less what two others may hold
    assert ledger.standing(Purse("r")).spent == spent


def test_kill_9_loses_no_settled_call_and_frees_what_was_held(
    spend: Any, worker: Any, go: Any, ledger: Ledger, prices: Prices
) -> None:
    busy = worker(ledger, prices, "1000000")
    hanging = worker(ledger, prices, "1000000", "hangs")
    for one in (busy, hanging):
        go(one)
    assert busy.stdout is not None
    assert hanging.stdout is not None
    assert hanging.stdout.readline() == "hangs\n"
    seen = 0
    while seen < 20:
        seen += busy.stdout.readline() == "made\n"
    purse = Purse("r")
    assert ledger.standing(purse).held >= Decimal("0.002")
    for one in (busy, hanging):
        one.send_signal(signal.SIGKILL)
    seen += busy.stdout.read().count("made\n")
    for one in (busy, hanging):
        one.communicate()
    # Whoever comes next to write lets go what the dead held.
    spend(RunBook(ledger, prices, run="other"))
    rows = [row for row in ledger.rows() if row["run"] == "r"]
    settled = [row for row in rows if row["error"] is None]
    lost = [row for row in rows if row["error"] == "abandoned"]
    assert seen <= len(settled) <= seen + 1  # killed between its line and its word of it
    assert len(lost) in (1, 2)
    # Nobody knows what their provider billed: the most that it may.
    assert {(row["usd"], row["held_usd"]) for row in lost} == {("0.002000", "0.002000")}
    assert all("not known" in row["note"] for row in lost)
    assert ledger.standing(purse).held == 0
    assert ledger.standing(purse).spent == sum(Decimal(row["usd"]) for row in rows)


def test_what_a_living_process_holds_is_not_let_go(
    spend: Any, worker: Any, go: Any, ledger: Ledger, prices: Prices
) -> None:
    alive = worker(ledger, prices, "0.002", "hangs")
    go(alive)
    assert alive.stdout is not None
    assert alive.stdout.readline() == "hangs\n"
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.002"))
    with pytest.raises(BudgetError, match="held for calls under way"):
        spend(book)
    alive.kill()
    alive.communicate()
    # The dead hold nothing; what they may have spent is spent.
    with pytest.raises(BudgetError, match=r"0\.002000 are spent, and a call"):
        spend(book)
    assert (book.standing().spent, book.standing().held) == (Decimal("0.002"), 0)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_child_writes_by_a_connection_of_its_own(
    spend: Any, ledger: Ledger, prices: Prices
) -> None:
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.003"))
    spend(book)
    held = book.before(CALL, input_tokens=1, max_output_tokens=0)
    child = os.fork()
    if child == 0:
        try:
            spend(book, tokens=500)
            book.before(CALL, input_tokens=1_000, max_output_tokens=0)  # and dies
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    # What the child held is written as what it may have cost; what the parent holds stays held.
    with pytest.raises(BudgetError, match=r"0\.002500 are spent, 0\.000001 are held"):
        spend(book)
    book.after(held, Usage(1))
    assert [(row["usd"], row["error"]) for row in ledger.rows()] == [
        ("0.001000", None),
        ("0.000500", None),
        ("0.001000", "abandoned"),
        ("0.000001", None),
    ]
