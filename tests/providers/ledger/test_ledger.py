"""The ledger and the budget: every call is in it, and no budget is ever exceeded."""

from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3
import threading
import time
from decimal import Decimal
from typing import Any

import pytest

from mox.errors import BudgetError, PriceError, SpecError, StoreError
from mox.providers.budget import Budget, RunBook
from mox.providers.costs import sums
from mox.providers.ledger import Ledger, Purse
from mox.providers.prices import Prices
from mox.types.providers import Call, Usage

CALL = Call("compatible", "first", "m", "bench", trial="t1")
SIMULATED = Call("simulated", "first", "sim", "judge", simulated=True)


def test_each_call_is_a_line_with_all_that_is_known_of_it(ledger: Ledger, prices: Prices) -> None:
    book = RunBook(ledger, prices, run="r", sweep="s")
    booking = book.before(CALL, input_tokens=2_000, max_output_tokens=100)
    # 2,000 × 1 + 100 × 10 at most; 1,500 × 1 + 40 × 10 in the end
    assert book.standing().held == Decimal("0.003")
    book.after(booking, Usage(1_500, 200, 0, 40, 10))
    (row,) = ledger.rows()
    at = dt.datetime.fromisoformat(row.pop("at"))
    assert abs(at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert row == {
        "run": "r",
        "sweep": "s",
        "account": "first",
        "provider": "compatible",
        "model": "m",
        "purpose": "bench",
        "trial": "t1",
        "simulated": 0,
        "service_tier": None,
        "price_table": prices.version,
        "price_row": "prices.yaml:2",
        "input_tokens": 1_500,
        "cached_tokens": 200,
        "cache_write_tokens": 0,
        "output_tokens": 40,
        "reasoning_tokens": 10,
        "usd": "0.001900",
        "held_usd": "0.003000",
        "error": None,
        "note": None,
    }
    assert (book.standing().spent, book.standing().held) == (Decimal("0.0019"), 0)


def test_a_call_without_an_answer_costs_nothing_and_is_a_line(
    ledger: Ledger, prices: Prices
) -> None:
    book = RunBook(ledger, prices, run="r", budget=Budget.of(1))
    booking = book.before(CALL, input_tokens=100, max_output_tokens=100)
    book.after(booking, None, error="overloaded")
    (row,) = ledger.rows()
    assert (row["usd"], row["error"], row["input_tokens"]) == ("0", "overloaded", 0)
    assert book.standing().held == 0


@pytest.mark.parametrize(
    ("error", "billable", "usd"),
    [
        ("timeout_total", None, "0.000600"),
        ("cancelled", None, "0.000600"),
        ("unusable", None, "0.000600"),
        ("overloaded", True, "0.000600"),  # in mid-answer
        ("connection", False, "0"),  # there never was one
        ("timeout_connect", None, "0"),
        ("rate_limit_tokens", None, "0"),
    ],
)
def test_what_was_sent_may_be_billed_and_counts_in_the_budget(
    ledger: Ledger, prices: Prices, error: Any, billable: bool | None, usd: str
) -> None:
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.0006"))
    # 100 × 1 + 50 × 10 at most, of a million
    booking = book.before(CALL, input_tokens=100, max_output_tokens=50)
    book.after(booking, None, error=error, billable=billable)
    (row,) = ledger.rows()
    assert (row["usd"], row["error"]) == (usd, error)
    assert book.standing().spent == Decimal(usd)
    left = Decimal("0.0006") - Decimal(usd)
    if not left:
        with pytest.raises(BudgetError, match=r"0\.000600 are spent"):
            book.before(CALL, input_tokens=1, max_output_tokens=0)


def test_a_failed_call_that_was_counted_is_priced_by_its_count(
    ledger: Ledger, prices: Prices
) -> None:
    book = RunBook(ledger, prices, run="r")
    booking = book.before(CALL, input_tokens=100, max_output_tokens=50)
    book.after(booking, Usage(11, output_tokens=7), error="unusable")
    (row,) = ledger.rows()
    assert (row["usd"], row["error"], row["note"]) == ("0.000081", "unusable", None)


def test_what_was_never_made_leaves_no_line(ledger: Ledger, prices: Prices) -> None:
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.0006"))
    for _ in range(2):
        book.release(book.before(CALL, input_tokens=100, max_output_tokens=50))
    assert list(ledger.rows()) == []
    assert (book.standing().spent, book.standing().held) == (0, 0)


def test_a_mend_speaks_of_output_only_where_there_is_some(ledger: Ledger, prices: Prices) -> None:
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.0001"))
    embed = Call("compatible", "first", "m", "embed")
    for call, said in ((CALL, True), (embed, False)):
        with pytest.raises(BudgetError, match="would be exceeded") as caught:
            book.before(call, input_tokens=1_000, max_output_tokens=0)
        assert ("max_output_tokens" in caught.value.mend) == said


def test_a_usage_that_cannot_be_right_costs_the_most_and_says_why(
    ledger: Ledger, prices: Prices
) -> None:
    book = RunBook(ledger, prices, run="r")
    booking = book.before(CALL, input_tokens=100, max_output_tokens=10)
    book.after(booking, Usage(5, 50))
    (row,) = ledger.rows()
    assert row["usd"] == row["held_usd"] == "0.000200"
    assert "can't be right" in row["note"]


def test_lines_cannot_be_changed_or_removed(spend: Any, ledger: Ledger, prices: Prices) -> None:
    spend(RunBook(ledger, prices))
    ledger.close()
    db = sqlite3.connect(ledger.file)
    for wanted in ["UPDATE calls SET usd = '0'", "DELETE FROM calls"]:
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            db.execute(wanted)
    db.close()


def test_a_call_is_settled_once(ledger: Ledger, prices: Prices) -> None:
    book = RunBook(ledger, prices)
    booking = book.before(CALL, input_tokens=1, max_output_tokens=1)
    book.after(booking, Usage(1))
    with pytest.raises(StoreError, match="holds nothing"):
        book.after(booking, Usage(1))
    assert len(list(ledger.rows())) == 1


def test_the_budget_stops_before_the_call_that_would_exceed_it(
    spend: Any, ledger: Ledger, prices: Prices
) -> None:
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.0035"))
    for _ in range(3):
        spend(book)  # 0.001 each
    with pytest.raises(BudgetError, match=r"0\.0035 USD .* 0\.003000 are spent.*up to 0\.001000"):
        spend(book)
    assert book.standing().spent == Decimal("0.003")
    spend(book, tokens=500)  # what is left is there still, to the last
    with pytest.raises(BudgetError, match="would be exceeded"):
        spend(book, tokens=1)
    spend(RunBook(ledger, prices, run="another", budget=Budget.of("0.001")))


def test_what_is_under_way_counts_as_spent_until_it_is_settled(
    spend: Any, ledger: Ledger, prices: Prices
) -> None:
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.002"))
    first = book.before(CALL, input_tokens=1_000, max_output_tokens=100)  # at most 0.002
    with pytest.raises(BudgetError, match=r"0\.002000 are held for calls under way"):
        spend(book, tokens=1)
    book.after(first, Usage(1_000))  # it was 0.001
    spend(book)


def test_a_budget_of_zero_refuses_every_paid_call_and_says_so(
    spend: Any, ledger: Ledger, prices: Prices
) -> None:
    book = RunBook(ledger, prices, run="r", budget=Budget.of(0))
    with pytest.raises(BudgetError, match="the budget is 0 USD"):
        spend(book)
    spend(book, Call("compatible", "a", "free", "bench"))
    assert [row["model"] for row in ledger.rows()] == ["free"]


@pytest.mark.parametrize("usd", [-0.01, "-1", "nan", "inf", "much"])
def test_a_budget_that_cannot_be_meant_is_refused(usd: float | str) -> None:
    with pytest.raises(SpecError, match=r"can't be meant|is no number"):
        Budget.of(usd)


def test_a_budget_needs_a_run_and_holds_nothing_without_a_price(
    spend: Any, ledger: Ledger, prices: Prices
) -> None:
    with pytest.raises(SpecError, match="without a run"):
        RunBook(ledger, prices, budget=Budget.of(1))
    unknown = Call("compatible", "a", "unknown", "bench")
    with pytest.raises(PriceError, match="no price is known"):
        spend(RunBook(ledger, prices, run="r"), unknown)
    let = Prices(prices.overrides, unpriced=True)
    with pytest.raises(PriceError, match="can't hold"):
        spend(RunBook(ledger, let, run="r", budget=Budget.of(1)), unknown)
    spend(RunBook(ledger, let, run="r"), unknown)
    (row,) = ledger.rows()
    assert row["usd"] is None
    assert sums(ledger)[0].unpriced == 1


def test_simulated_and_real_money_have_purses_of_their_own(
    spend: Any, ledger: Ledger, prices: Prices
) -> None:
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.001"))
    spend(book)
    spend(book, SIMULATED)
    for call in (CALL, SIMULATED):
        with pytest.raises(BudgetError, match="would be exceeded"):
            spend(book, call, tokens=1)
    assert book.standing().spent == book.standing(simulated=True).spent == Decimal("0.001")


def test_tasks_at_once_never_exceed_a_budget(go: Any, ledger: Ledger, prices: Prices) -> None:
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.0105"))
    refused = 0

    async def one() -> None:
        nonlocal refused
        try:
            booking = book.before(CALL, input_tokens=1_000, max_output_tokens=0)
        except BudgetError:
            refused += 1
            return
        await asyncio.sleep(0.001)
        book.after(booking, Usage(1_000))

    async def go() -> None:
        await asyncio.gather(*(one() for _ in range(40)))

    asyncio.run(go())
    assert (refused, book.standing().spent) == (30, Decimal("0.01"))


def test_threads_share_a_ledger(spend: Any, ledger: Ledger, prices: Prices) -> None:
    book = RunBook(ledger, prices, run="r")
    threads = [threading.Thread(target=lambda: [spend(book) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(ledger.rows())) == 80
    assert book.standing().spent == Decimal("0.08")


def test_nothing_is_made_before_the_first_call(ledger: Ledger) -> None:
    assert list(ledger.rows()) == []
    assert ledger.standing(Purse("r")).spent == 0
    assert sums(ledger, "day") == []
    assert len(ledger.frame()) == 0
    assert not ledger.file.parent.exists()


@pytest.mark.parametrize("raw", [b"no database at all, but long enough to be read as one" * 30])
def test_a_damaged_file_is_one_clear_error(
    spend: Any, ledger: Ledger, prices: Prices, raw: bytes
) -> None:
    ledger.file.parent.mkdir(parents=True)
    ledger.file.write_bytes(raw)
    with pytest.raises(StoreError, match=r"calls\.sqlite can't be used"):
        spend(RunBook(ledger, prices))
    with pytest.raises(StoreError, match=r"calls\.sqlite can't be used"):
        list(ledger.rows())


def test_a_newer_ledger_is_left_alone(spend: Any, ledger: Ledger, prices: Prices) -> None:
    ledger.file.parent.mkdir(parents=True)
    db = sqlite3.connect(ledger.file)
    db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(StoreError, match="written by a newer Mox"):
        spend(RunBook(ledger, prices))


def test_a_call_waits_for_no_disk(spend: Any, ledger: Ledger, prices: Prices) -> None:
    # Two transactions each: far from the milliseconds that a sync takes.
    book = RunBook(ledger, prices, run="r", budget=Budget.of(1))
    spend(book)
    begun = time.process_time()
    for _ in range(50):
        spend(book)
    assert time.process_time() - begun < 1
