"""A whole benchmark against the simulator, over HTTP: measured, kept, resumed, stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mox.bench.providers import ask, kept
from mox.bench.providers.client import records
from mox.bench.providers.found import ProviderBench
from mox.errors import BudgetError, PriceError
from mox.pipeline.store import Store

pytestmark = pytest.mark.timeout(120)

PRICES = """
prices:
  - {provider: simulated, model: sim-swift, per: 1M, simulated: true, input: 0.20, output: 1.00}
  - {provider: simulated, model: sim-careful, per: 1M, simulated: true, input: 2.00, output: 10.00}
"""
TINY = {"kind": "tokens", "input": 80, "output": 12}


@pytest.fixture
def prices(tmp_path: Path) -> str:
    file = tmp_path / "prices.yaml"
    file.write_text(PRICES)
    return str(file)


def written(prices: str, **changes: Any) -> dict[str, Any]:
    """Two providers, one closed load: nine requests of each in 3 rounds."""
    return {
        "name": "test",
        "providers": [
            {"kind": "simulated", "model": "sim-swift"},
            {"kind": "simulated", "model": "sim-careful"},
        ],
        "workloads": [TINY],
        "loads": [{"kind": "closed", "concurrency": 3}],
        "requests": 3,
        "time_scale": 0.05,
        "prices": prices,
        **changes,
    }


def kept_records(store: Path, found: ProviderBench) -> list[records.Kept]:
    return records.read(kept.folder(Store(store), found.id) / "records.jsonl")


def test_a_benchmark_measures_what_the_simulator_is(prices: str, own_state: Path) -> None:
    found = ask.bench_providers(written(prices, requests=8), quiet=True)
    document = found.document()
    json.dumps(document, allow_nan=False)
    assert (document["schema"], document["simulated"], document["time_scale"]) == (1, True, 0.05)
    swift, careful = document["rows"]
    assert [row["model"] for row in document["rows"]] == ["sim-swift", "sim-careful"]
    for row in document["rows"]:
        assert (row["n"], row["answers"], sum(row["errors"].values())) == (24, 24, 0)
        assert row["tokens"]["output"] == 24 * 12
    # Its profile says 0.2 s and 0.49 s to the first token, 6 and 18 ms between tokens, and more
    # under load; what this machine adds is divided by the time scale too.
    assert 150 < swift["ttft_ms"]["p50"]["value"] < 1000
    assert 350 < careful["ttft_ms"]["p50"]["value"] < 2000
    assert swift["itl_ms"]["p50"]["value"] < careful["itl_ms"]["p50"]["value"]
    # By hand: (at least 80 tokens in at 0.20 + 12 out at 1.00) / 1M · 1000 = 0.028 and more.
    assert 0.028 <= swift["usd_per_1k"] < 0.05
    assert careful["usd_per_1k"] == pytest.approx(10 * swift["usd_per_1k"])


def test_rounds_take_turns_and_are_kept_as_they_came(prices: str, own_state: Path) -> None:
    found = ask.bench_providers(written(prices), quiet=True)
    rounds = [one.header["round"] for one in kept_records(own_state, found)]
    assert rounds == sorted(rounds) == [0, 0, 1, 1, 2, 2]
    assert kept.every(Store(own_state))[0]["benchmark"] == found.id


class TestResuming:
    def test_what_is_kept_whole_is_not_asked_again(self, prices: str, own_state: Path) -> None:
        first = ask.bench_providers(written(prices), quiet=True)
        asked = kept_records(own_state, first)
        again = ask.bench_providers(written(prices), quiet=True)
        assert kept_records(own_state, again) == asked
        assert again.content["rows"] == first.content["rows"]
        assert again.content["usd"] == first.content["usd"]

    def test_ctrl_c_keeps_what_was_measured_and_the_same_call_goes_on(
        self, prices: str, own_state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Impatient(ask.Silent):
            """A user who presses Ctrl-C after two rounds."""

            done = 0

            def round(self, name: str, *, resumed: bool) -> None:
                self.done += 1
                if self.done == 2:
                    raise KeyboardInterrupt

        monkeypatch.setattr(ask, "watching", lambda *, quiet: Impatient())
        cut = ask.bench_providers(written(prices), quiet=True)
        assert cut.content["stopped"] == "interrupted"
        assert not cut.whole
        assert [one["rounds"] for one in cut.content["missing"]] == [1, 1]
        assert sum(row["n"] for row in cut.content["rows"]) == 6
        monkeypatch.undo()
        monkeypatch.setenv("MOX_HOME", str(own_state))
        whole = ask.bench_providers(written(prices), quiet=True)
        assert whole.whole
        assert [row["n"] for row in whole.content["rows"]] == [9, 9]
        assert len(kept_records(own_state, whole)) == 6

    def test_again_measures_anew_and_moves_the_old_aside(
        self, prices: str, own_state: Path
    ) -> None:
        first = ask.bench_providers(written(prices), quiet=True)
        again = ask.bench_providers(written(prices), quiet=True, again=True)
        place = kept.folder(Store(own_state), first.id)
        assert (place.with_name(f"{place.name}.1") / "records.jsonl").exists()
        assert again.content["rows"] != first.content["rows"]
        assert len(kept.every(Store(own_state))) == 1


class TestMoney:
    def test_a_budget_stops_before_the_round_that_could_exceed_it(
        self, prices: str, own_state: Path
    ) -> None:
        # A round of 3 requests and 3 that warm up may cost sim-swift
        # 3 · (138 · 0.20 + 12) / 1M + 3 · (138 · 0.20 + 16) / 1M = 0.0002, sim-careful 10 times it.
        content = written(prices, budget={"usd": 0.0045})
        found = ask.bench_providers(content, quiet=True).content
        assert found["stopped"] == "budget"
        assert 0 < found["usd"]["simulated"] <= 0.0045
        assert found["missing"][-1]["provider"] == "sim-careful"
        assert "budget" in found["missing"][-1]["why"] or "$" in found["missing"][-1]["why"]
        more = ask.bench_providers({**content, "budget": {"usd": 1}}, quiet=True)
        assert more.whole
        assert [row["n"] for row in more.content["rows"]] == [9, 9]

    def test_a_budget_that_buys_no_round_is_refused_before_anything_is_asked(
        self, prices: str, own_state: Path
    ) -> None:
        with pytest.raises(BudgetError, match="buys no round"):
            ask.bench_providers(written(prices, budget={"usd": 0.00001}), quiet=True)
        assert not list(own_state.glob("results/*/records.jsonl"))

    def test_a_price_that_is_not_known_is_refused_before_anything_is_asked(
        self, tmp_path: Path, prices: str
    ) -> None:
        Path(prices).write_text("prices: []\n")
        with pytest.raises(PriceError, match="sim-swift"):
            ask.bench_providers(written(prices), quiet=True)

    def test_a_dry_run_asks_nobody_and_says_the_most_that_it_may_cost(
        self, prices: str, own_state: Path
    ) -> None:
        found = ask.plan(written(prices)).document()
        # sim-swift: 9 · (138 · 0.20 + 12) / 1M
        assert found["providers"][0]["usd_at_most"] == pytest.approx(0.000356, rel=0.01)
        assert found["usd_at_most"] == 0  # nobody is paid
        assert not (own_state / "results").exists()


def test_a_search_finds_a_load_that_keeps_the_bounds(prices: str, own_state: Path) -> None:
    content = written(
        prices,
        providers=[{"kind": "simulated", "model": "sim-swift"}],
        loads=[{"kind": "slo", "start": 2, "most": 8}],
        slo={"e2e_ms": 60_000},
        requests=20,
    )
    (row,) = ask.bench_providers(content, quiet=True).content["rows"]
    # Nothing takes a minute, so every load keeps the bound, up to the most that may be tried.
    assert row["load"] == {"kind": "slo", "arrival": "poisson", "value": 8.0}
    assert [probe["value"] for probe in row["probes"]] == [2, 4, 8]
    assert row["attained"]["low"] >= 0.95
    assert row["n"] == 60


def test_a_search_that_finds_none_says_so(prices: str) -> None:
    content = written(
        prices,
        providers=[{"kind": "simulated", "model": "sim-swift"}],
        loads=[{"kind": "slo", "start": 4, "most": 8}],
        slo={"ttft_ms": 1},
        requests=18,
    )
    (row,) = ask.bench_providers(content, quiet=True).content["rows"]
    assert row["load"]["value"] is None
    assert row["why"] == "not even 0.25 keeps the bounds."
    assert not row["valid"]


@pytest.fixture
def bench() -> Iterator[ProviderBench]:
    """A document by hand: a simulated row, a real one that is invalid, and one left out."""
    ends = {"value": 412.3, "low": 398.0, "high": None}
    figure = dict.fromkeys(("p50", "p90", "p95"), ends)
    figure["p99"] = {"value": None, "low": None, "high": None, "why": "n=40 < 200"}  # type: ignore[dict-item]
    names = ("ttft_ms", "answer_ms", "itl_ms", "e2e_ms", "e2e_from_schedule_ms", "tokens_per_s")
    row = {
        "provider": "sim-swift", "model": "sim-swift", "workload": "short",
        "load": {"kind": "closed", "value": 4}, "n": 40, "answers": 38, "valid": True, "why": None,
        **dict.fromkeys(names, figure),
        "errors": {"rate_limit": 2, "server": 0}, "attained": None, "usd_per_1k": 0.19,
        "usd_per_1k_good": None, "simulated": True, "time_scale": 0.1, "ended": None, "probes": [],
    }  # fmt: skip
    real = {**row, "provider": "gpt", "simulated": False, "time_scale": 1.0, "valid": False,
            "why": "the client's loop lagged"}  # fmt: skip
    yield ProviderBench(
        {
            "schema": 1, "simulated": True, "time_scale": 0.1, "benchmark": "b", "name": "test",
            "rows": [row, real], "missing": [], "notes": ["claude is left out: no key"],
            "stopped": None, "usd": {"real": 0.5, "simulated": 0.1},
        }
    )  # fmt: skip


class TestShown:
    def test_simulated_and_real_stand_in_tables_of_their_own(self, bench: ProviderBench) -> None:
        lines = bench.text().splitlines()
        titles = [at for at, line in enumerate(lines) if line.startswith("test")]
        assert "SIMULATED, time scale 0.1" in lines[titles[1]]
        assert "SIMULATED" not in lines[titles[0]]
        assert any("gpt" in line for line in lines[titles[0] : titles[1]])
        assert not any("sim-swift" in line for line in lines[titles[0] : titles[1]])

    def test_what_is_invalid_failed_or_left_out_is_said(self, bench: ProviderBench) -> None:
        text = bench.text()
        assert "INVALID: the client's loop lagged" in text
        assert "2 rate_limit" in text
        assert "claude is left out: no key" in text
        assert "no p99 under 200 requests" in text
        assert "paid: $0.5000" in text
        assert repr(bench) == text

    def test_a_notebook_gets_the_same_tables(self, bench: ProviderBench) -> None:
        html = bench._repr_html_()
        assert html.count("<table") == 2
        assert "SIMULATED, time scale 0.1" in html
        assert "412 [398, –]" in html

    def test_a_frame_has_a_row_per_condition_and_a_column_per_figure(
        self, bench: ProviderBench
    ) -> None:
        frame = bench.frame()
        assert list(frame["provider"]) == ["sim-swift", "gpt"]
        assert frame["ttft_ms.p50"][0] == 412.3
        assert frame["ttft_ms.p50.low"][0] == 398.0
        assert frame["errors.rate_limit"].sum() == 4
        assert list(frame["load.kind"]) == ["closed", "closed"]
        assert frame["ttft_ms.p99"].isna().all()
