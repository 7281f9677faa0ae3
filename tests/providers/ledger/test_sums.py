"""What calls cost, summed up: exactly, by what is asked for, real and simulated apart."""

from __future__ import annotations

import json
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
from mox.providers.budget import RunBook
from mox.providers.costs import frame, sums, text
from mox.providers.ledger import Ledger, Purse
from mox.providers.prices import Prices
from mox.providers.rates import Price
from mox.types.providers import Call, Usage

CALL = Call("compatible", "first", "m", "bench", trial="t1")
SIMULATED = Call("simulated", "first", "sim", "judge", simulated=True)


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


def test_a_frame_has_a_line_for_each_call_and_exact_money(
    spend: Any, ledger: Ledger, prices: Prices
) -> None:
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
    nothing = Ledger(ledger.file.parent / "elsewhere").sums("trial")
    assert nothing.empty
    assert list(nothing.columns) == list(ledger.sums("trial").columns)
    spend(book)
    by_trial = ledger.sums("trial", "day", "sweep", "purpose")
    assert list(by_trial["trial"]) == ["t1", ""]
    assert list(by_trial["simulated"]) == [False, True]
    assert list(by_trial["usd"]) == [Decimal("0.002"), Decimal("0.001")]
    assert list(by_trial["day"]) == [f"{table['at'][0]:%Y-%m-%d}"] * 2


def mox(*words: str) -> Any:
    return CliRunner().invoke(app, words)


def test_the_command_sums_up_and_tells_simulated_from_paid(
    spend: Any, ledger: Ledger, prices: Prices
) -> None:
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
    later = mox("costs", "--since", "2999-01-01").stdout
    assert "no call has been made since 2999-01-01" in later
    assert "simulated" in mox("costs", "--help").stdout


def test_calls_that_broke_off_and_unpriced_ones_are_named_beside_the_sums(
    spend: Any, worker: Any, go: Any, ledger: Ledger, prices: Prices
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
    # The one that died held 1,000 × 1 + 100 × 10, the one that broke off 500 × 1, of a million.
    most = "nobody knows what they cost: 0.0025 USD of the sum is the most that may be billed for"
    assert f"of 2 calls {most} them" in said
    (found,) = sums(ledger)
    assert (found.usd, found.uncertain, found.uncertain_usd) == (
        Decimal("0.0025"), 2, Decimal("0.0025"),
    )  # fmt: skip


def test_calls_that_are_not_counted_are_not_said_to_have_broken_off(
    ledger: Ledger, prices: Prices, tmp_path: Path
) -> None:
    """A whole answer without a count, and one whose count contradicts itself; where the most is
    nothing there is nothing to say."""
    book = RunBook(ledger, prices)
    book.after(book.before(CALL, input_tokens=500, max_output_tokens=0), None)
    odd = Usage(5, output_tokens=1, reasoning_tokens=9)
    book.after(book.before(CALL, input_tokens=500, max_output_tokens=0), odd)
    said = text(sums(ledger))
    assert "of 2 calls nobody knows what they cost: 0.0010 USD of the sum is the most" in said
    file = tmp_path / "free.yaml"
    file.write_text("prices: [{provider: compatible, model: m, per: 1M, input: 0, output: 0}]\n")
    free = Ledger(tmp_path / "free")
    book = RunBook(free, Prices.load(file))
    book.after(book.before(CALL, input_tokens=500, max_output_tokens=0), None)
    assert "nobody knows" not in text(sums(free))
    free.close()
