"""No more of a benchmark's money is spent than was said: dry runs, budgets, and time that is up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mox.bench.providers import ask
from mox.bench.providers.quantiles import Share
from mox.bench.providers.slo import Search
from mox.errors import PriceError
from mox.providers.ledger import Ledger
from mox.simulation.serving import serving

Writes = Callable[..., dict[str, Any]]
Measures = Callable[..., dict[str, Any]]
MOST = Decimal("0.000738")
"""Of a request of 80 tokens in and 60 out: (1.1 · 80 + 50) · 1 + 60 · 10, of a million."""
MOST_WARM = Decimal("0.000298")
"""Of one that warms up, with 16 tokens out: 138 · 1 + 16 · 10."""


def test_a_budget_is_not_promised_for_what_has_no_price(
    written: Writes, prices: Path, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "any")
    content = written(prices, unpriced=True, budget={"usd": 1})
    content["providers"].append(
        {"kind": "compatible", "model": "llama-x", "base_url": "http://127.0.0.1:9/v1",
         "key_env": "SOME_KEY"}
    )  # fmt: skip
    for work in (ask.plan_providers, lambda file: ask.bench_providers(file, offline=True)):
        with pytest.raises(PriceError, match="compatible/llama-x has no price, and a budget"):
            work(content)
    assert not list(own_state.glob("results/*/records.jsonl"))


def test_a_model_whose_price_is_simulated_is_paid_by_nobody(
    written: Writes, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "any")
    prices.write_text(prices.read_text().replace("provider: simulated", "provider: compatible"))
    content = written(prices)
    content["providers"] = [
        {"kind": "compatible", "model": "sim-swift", "base_url": "http://127.0.0.1:9/v1",
         "key_env": "SOME_KEY"}
    ]  # fmt: skip
    found = ask.plan_providers(content).document()
    assert found["usd_at_most"] == 0
    assert found["providers"][0]["simulated"] is True


def test_a_dry_run_takes_any_most(written: Writes, prices: Path) -> None:
    loads = [
        {"kind": "slo", "start": 1, "most": 33.3333},
        {"kind": "slo", "arrival": "closed", "start": 1, "most": 10.4},
    ]
    content = written(prices, loads=loads, slo={"e2e_ms": 1000}, requests=20, rounds=3)
    assert ask.plan_providers(content).parts[0].requests > 0


@pytest.mark.parametrize(
    ("start", "most", "broken_from"), [(1, 16, 99), (1, 16, 11.5), (8, 16, 0), (4, 16, 5)]
)
def test_a_dry_run_says_no_less_than_any_search_takes(
    written: Writes, prices: Path, start: float, most: float, broken_from: float
) -> None:
    loads = [{"kind": "slo", "start": start, "most": most}]
    content = written(
        prices, loads=loads, slo={"e2e_ms": 1000}, requests=20, rounds=3, warm_up=None
    )
    said = ask.plan_providers(content).document()["providers"][0]
    every, none = Share(1, 1), Share(0, 1)
    search, requests, warmed = Search(start, most, 0.1), 0, 0
    while (value := search.ask()) is not None:
        kept = value < broken_from
        search.tell(value, every if kept else none, kept=kept, answers_per_s=None)
        # It takes all rounds to tell, each of which lasts 6 times the bound of 1 s.
        requests += 3 * max(20, math.ceil(6 * value))
        warmed += 3 * max(1, round(value))
    assert said["requests"] >= requests
    assert said["usd_at_most"] >= requests * MOST + warmed * MOST_WARM


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    """A `mox simulate` at the time scale of these files."""
    with serving({"time_scale": 0.05}) as served:
        yield served.url


@pytest.fixture
def measured(written: Writes) -> Measures:
    """Measures a benchmark of three callers over HTTP, and gives its document."""

    def measure(prices: Path, url: str, *, again: bool = False, **changes: Any) -> dict[str, Any]:
        content = written(prices, loads=[{"kind": "closed", "concurrency": 3}], time_scale=0.05)
        content["providers"][0]["url"] = url
        found = ask.bench_providers({**content, **changes}, again=again, quiet=True, offline=True)
        return dict(found.content)

    return measure


def test_what_a_round_had_no_time_for_is_no_call(
    measured: Measures, prices: Path, simulator: str, own_state: Path
) -> None:
    # 2 s of the provider's time are 0.1 s of ours, and an answer takes 0.4 s and more of it.
    (row,) = measured(prices, simulator, requests=100, seconds=2)["rows"]
    lines = list(Ledger(own_state).rows())
    assert [line["error"] for line in lines] == [None] * row["n"]
    assert 9 <= row["n"] < 100  # each caller asks once in each of three rounds, at the least


def test_measured_again_it_has_a_budget_of_its_own(
    measured: Measures, prices: Path, simulator: str
) -> None:
    for again in (False, True):
        found = measured(prices, simulator, again=again, requests=3)
        rows = sum(row["usd"] for row in found["rows"])
        assert found["usd"]["simulated"] == pytest.approx(rows)
