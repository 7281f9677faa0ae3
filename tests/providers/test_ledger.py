"""The ledger and the budget: every call is in it, and no budget is ever exceeded."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st
from typer.testing import CliRunner

from mox.cli.app import app
from mox.errors import BudgetError, PriceError, SpecError, StoreError
from mox.providers.budget import Budget, RunBook
from mox.providers.costs import frame, sums, text
from mox.providers.ledger import Ledger, Purse
from mox.providers.overrides import read_overrides
from mox.providers.prices import Prices
from mox.providers.rates import Price
from mox.types.providers import Call, Usage

CALL = Call("compatible", "first", "m", "bench", trial="t1")
SIMULATED = Call("simulated", "first", "sim", "judge", simulated=True)


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Prices:
    """1 USD for a million input tokens and 10 for output: a token is 0.000001 USD."""
    file = tmp_path_factory.mktemp("prices") / "prices.yaml"
    file.write_text(
        "prices:\n"
        "  - {provider: compatible, model: m, per: 1M, input: 1, output: 10}\n"
        "  - {provider: compatible, model: free, per: 1M, input: 0, output: 0}\n"
        "  - {provider: simulated, model: sim, per: 1M, input: 1, output: 10, simulated: true}\n"
    )
    return Prices(read_overrides(file))


@pytest.fixture
def ledger(own_state: Path) -> Ledger:
    return Ledger(own_state)


def spend(book: RunBook, call: Call = CALL, *, tokens: int = 1_000) -> None:
    booking = book.before(call, input_tokens=tokens, max_output_tokens=0)
    book.after(booking, Usage(tokens))


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


def test_a_usage_that_cannot_be_right_costs_the_most_and_says_why(
    ledger: Ledger, prices: Prices
) -> None:
    book = RunBook(ledger, prices, run="r")
    booking = book.before(CALL, input_tokens=100, max_output_tokens=10)
    book.after(booking, Usage(5, 50))
    (row,) = ledger.rows()
    assert row["usd"] == row["held_usd"] == "0.000200"
    assert "can't be right" in row["note"]


def test_lines_cannot_be_changed_or_removed(ledger: Ledger, prices: Prices) -> None:
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
    ledger: Ledger, prices: Prices
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
    ledger: Ledger, prices: Prices
) -> None:
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.002"))
    first = book.before(CALL, input_tokens=1_000, max_output_tokens=100)  # at most 0.002
    with pytest.raises(BudgetError, match=r"0\.002000 are held for calls under way"):
        spend(book, tokens=1)
    book.after(first, Usage(1_000))  # it was 0.001
    spend(book)


def test_a_budget_of_zero_refuses_every_paid_call_and_says_so(
    ledger: Ledger, prices: Prices
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
    ledger: Ledger, prices: Prices
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


def test_simulated_and_real_money_have_purses_of_their_own(ledger: Ledger, prices: Prices) -> None:
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.001"))
    spend(book)
    spend(book, SIMULATED)
    for call in (CALL, SIMULATED):
        with pytest.raises(BudgetError, match="would be exceeded"):
            spend(book, call, tokens=1)
    assert book.standing().spent == book.standing(simulated=True).spent == Decimal("0.001")


def test_tasks_at_once_never_exceed_a_budget(ledger: Ledger, prices: Prices) -> None:
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


def test_threads_share_a_ledger(ledger: Ledger, prices: Prices) -> None:
    book = RunBook(ledger, prices, run="r")
    threads = [threading.Thread(target=lambda: [spend(book) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(ledger.rows())) == 80
    assert book.standing().spent == Decimal("0.08")


WORKER = """
import sys, time
from pathlib import Path
from mox.errors import BudgetError
from mox.providers.budget import Budget, RunBook
from mox.providers.ledger import Ledger
from mox.providers.overrides import read_overrides
from mox.providers.prices import Prices
from mox.types.providers import Call, Usage

root, file, usd, hangs = sys.argv[1:]
book = RunBook(Ledger(Path(root)), Prices(read_overrides(Path(file))), run="r",
               budget=Budget.of(usd))
made = 0
print("ready", flush=True)
sys.stdin.readline()
while True:
    try:
        booking = book.before(Call("compatible", "a", "m", "bench"), input_tokens=1_000,
                              max_output_tokens=100)
    except BudgetError:
        break
    if hangs == "hangs":
        print("hangs", flush=True)
        time.sleep(60)
    book.after(booking, Usage(1_000, 0, 0, 50))
    made += 1
    print("made", flush=True)
print(made, flush=True)
"""


def worker(ledger: Ledger, prices: Prices, usd: str, how_: str = "") -> subprocess.Popen[str]:
    root, file = ledger.file.parents[1], prices.overrides.file
    one = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(root), str(file), usd, how_],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert one.stdout is not None
    assert one.stdout.readline() == "ready\n"
    return one


def go(one: subprocess.Popen[str]) -> None:
    assert one.stdin is not None
    one.stdin.write("\n")
    one.stdin.flush()


def test_processes_at_once_never_exceed_a_budget(ledger: Ledger, prices: Prices) -> None:
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
    ledger: Ledger, prices: Prices
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
    assert {(row["usd"], row["held_usd"]) for row in lost} == {("0", "0.002000")}
    assert ledger.standing(purse).held == 0
    assert ledger.standing(purse).spent == sum(Decimal(row["usd"]) for row in rows)


def test_what_a_living_process_holds_is_not_let_go(ledger: Ledger, prices: Prices) -> None:
    alive = worker(ledger, prices, "0.002", "hangs")
    go(alive)
    assert alive.stdout is not None
    assert alive.stdout.readline() == "hangs\n"
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.002"))
    with pytest.raises(BudgetError, match="held for calls under way"):
        spend(book)
    alive.kill()
    alive.communicate()
    spend(book)  # within the run that was full: the dead hold nothing


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_child_writes_by_a_connection_of_its_own(ledger: Ledger, prices: Prices) -> None:
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
    spend(book)  # what the child held is free, and what the parent holds is not
    book.after(held, Usage(1))
    assert [(row["usd"], row["error"]) for row in ledger.rows()] == [
        ("0.001000", None),
        ("0.000500", None),
        ("0", "abandoned"),
        ("0.001000", None),
        ("0.000001", None),
    ]


def test_nothing_is_made_before_the_first_call(ledger: Ledger) -> None:
    assert list(ledger.rows()) == []
    assert ledger.standing(Purse("r")).spent == 0
    assert sums(ledger, "day") == []
    assert len(ledger.frame()) == 0
    assert not ledger.file.parent.exists()


@pytest.mark.parametrize("raw", [b"no database at all, but long enough to be read as one" * 30])
def test_a_damaged_file_is_one_clear_error(ledger: Ledger, prices: Prices, raw: bytes) -> None:
    ledger.file.parent.mkdir(parents=True)
    ledger.file.write_bytes(raw)
    with pytest.raises(StoreError, match=r"calls\.sqlite can't be used"):
        spend(RunBook(ledger, prices))
    with pytest.raises(StoreError, match=r"calls\.sqlite can't be used"):
        list(ledger.rows())


def test_a_newer_ledger_is_left_alone(ledger: Ledger, prices: Prices) -> None:
    ledger.file.parent.mkdir(parents=True)
    db = sqlite3.connect(ledger.file)
    db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(StoreError, match="written by a newer Mox"):
        spend(RunBook(ledger, prices))


AMOUNTS = st.decimals("0", "1000", places=15)
ROWS = st.lists(
    st.tuples(
        AMOUNTS,
        st.sampled_from(["m1", "m2"]),
        st.sampled_from(["answer", "judge"]),
        st.booleans(),
        st.sampled_from(["t1", None]),
    ),
    max_size=12,
)


@given(ROWS)
@how(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_are_the_sums_of_the_rows_exactly_and_never_mix(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any]
) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("state"))
    wanted: dict[tuple[bool, str, str], Fraction] = defaultdict(Fraction)
    for usd, model, purpose, simulated, trial in rows:
        call = Call("p", "a", model, purpose, trial, simulated)
        booking = ledger.hold(call, Purse("r", None, simulated), Price(input=usd), limit=None)
        ledger.settle(booking, Usage(1), Price(input=usd))
        wanted[simulated, f"p/{model}", purpose] += Fraction(usd)
    found = sums(ledger, "model", "purpose")
    assert {
        (one.simulated, one.by["model"], one.by["purpose"]): Fraction(one.usd) for one in found
    } == wanted
    for simulated in (False, True):
        total = sum((usd for (sim, *_), usd in wanted.items() if sim == simulated), Fraction())
        assert Fraction(ledger.standing(Purse("r", None, simulated)).spent) == total
    table = ledger.frame()
    assert [Fraction(value) for value in table["usd"]] == [Fraction(row[0]) for row in rows]
    ledger.close()


def test_a_frame_has_a_line_for_each_call_and_exact_money(ledger: Ledger, prices: Prices) -> None:
    book = RunBook(ledger, prices, run="r")
    spend(book)
    spend(book, SIMULATED)
    table = ledger.frame()
    assert list(table["simulated"]) == [False, True]
    assert list(table["usd"]) == [Decimal("0.001"), Decimal("0.001")]
    assert str(table["at"].dt.tz) == "UTC"
    assert table.groupby(["simulated", "trial"], dropna=False)["usd"].sum().tolist() == [
        Decimal("0.001"),
        Decimal("0.001"),
    ]
    assert frame([]).empty
    spend(book)
    by_trial = ledger.sums("trial", "day", "sweep", "purpose")
    assert list(by_trial["trial"]) == ["t1", ""]
    assert list(by_trial["simulated"]) == [False, True]
    assert list(by_trial["usd"]) == [Decimal("0.002"), Decimal("0.001")]
    assert list(by_trial["day"]) == [f"{table['at'][0]:%Y-%m-%d}"] * 2


def mox(*words: str) -> Any:
    return CliRunner().invoke(app, words)


def test_the_command_sums_up_and_tells_simulated_from_paid(ledger: Ledger, prices: Prices) -> None:
    book = RunBook(ledger, prices, run="r")
    spend(book)
    spend(book)
    spend(book, SIMULATED)
    book.after(book.before(CALL, input_tokens=1, max_output_tokens=0), None, error="server")
    found = json.loads(mox("costs", "--json", "--by", "model,purpose").stdout)
    assert found["schema"] == 1
    assert [
        (one["simulated"], one["model"], one["purpose"], one["calls"], one["failed"], one["usd"])
        for one in found["sums"]
    ] == [
        (False, "compatible/m", "bench", 3, 1, "0.002000"),
        (True, "simulated/sim", "judge", 1, 0, "0.001000"),
    ]
    said = mox("costs").stdout
    paid, _, simulated = said.partition("SIMULATED (nobody was paid):")
    assert "compatible/m" in paid
    assert "simulated/sim" not in paid
    assert "simulated/sim" in simulated
    refused = mox("costs", "--by", "modl")
    assert refused.exit_code == 2
    assert "did you mean 'model'?" in refused.stderr
    assert mox("costs", "--since", "soon").exit_code == 2
    assert json.loads(mox("costs", "--json", "--since", "2999-01-01").stdout)["sums"] == []
    assert "simulated" in mox("costs", "--help").stdout


def test_calls_that_broke_off_and_unpriced_ones_are_named_beside_the_sums(
    ledger: Ledger, prices: Prices
) -> None:
    lost = worker(ledger, prices, "1", "hangs")
    go(lost)
    assert lost.stdout is not None
    lost.stdout.readline()
    lost.kill()
    lost.communicate()
    spend(RunBook(ledger, Prices(unpriced=True)), Call("compatible", "a", "x", "bench"))
    book = RunBook(ledger, prices)
    for error in ("timeout_stall", "overloaded"):  # the one may be billed, the other never is
        booking = book.before(CALL, input_tokens=500, max_output_tokens=0)
        book.after(booking, None, error=error)  # type: ignore[arg-type]
    said = text(sums(ledger, "purpose"))
    assert "1 call has no price and is in no sum" in said
    assert "2 calls broke off or died with their process: up to 0.0025 USD more" in said


def test_a_call_waits_for_no_disk(ledger: Ledger, prices: Prices) -> None:
    # Two transactions each: far from the milliseconds that a sync takes.
    book = RunBook(ledger, prices, run="r", budget=Budget.of(1))
    spend(book)
    begun = time.process_time()
    for _ in range(50):
        spend(book)
    assert time.process_time() - begun < 1
