"""A whole benchmark against the simulator, over HTTP: measured, kept, resumed, stopped."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mox.bench.providers import ask, kept
from mox.bench.providers.client import records
from mox.bench.providers.found import ProviderBench
from mox.bench.providers.watch import Silent
from mox.errors import BudgetError, EngineError, PriceError, SpecError
from mox.pipeline.store import Store
from mox.simulation.serving import serving

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


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    """A `mox simulate` that most tests share."""
    with serving({"time_scale": 0.05}) as served:
        yield served.url


def written(prices: str, url: str | None = None, **changes: Any) -> dict[str, Any]:
    """Two providers, one closed load: nine requests of each in 3 rounds."""
    at = {} if url is None else {"url": url}
    return {
        "name": "test",
        "providers": [
            {"kind": "simulated", "model": "sim-swift", **at},
            {"kind": "simulated", "model": "sim-careful", **at},
        ],
        "workloads": [TINY],
        "loads": [{"kind": "closed", "concurrency": 3}],
        "requests": 3,
        "time_scale": 0.05,
        "instrument_s": 0,
        "prices": prices,
        **changes,
    }


def kept_records(store: Path, found: ProviderBench) -> list[records.Kept]:
    return records.read(kept.folder(Store(store), found.id) / "records.jsonl")


def test_a_benchmark_measures_what_the_simulator_is(prices: str, own_state: Path) -> None:
    content = written(prices, requests=8, instrument_s=0.5)
    found = ask.bench_providers(content, quiet=True, offline=True)
    document = found.document()
    json.dumps(document, allow_nan=False)
    assert (document["schema"], document["simulated"], document["time_scale"]) == (1, True, 0.05)
    swift, careful = document["rows"]
    assert [row["model"] for row in document["rows"]] == ["sim-swift", "sim-careful"]
    for row in document["rows"]:
        assert (row["n"], row["answers"], sum(row["errors"].values())) == (24, 24, 0)
        assert row["tokens"]["output"] == 24 * 12
        # The client was held against the simulator first, and says how far it was off.
        assert 0 <= row["client"]["instrument_first_ms"] < 1000
        assert row["pool_wait_ms"]["p50"]["value"] is None
    # Its profile says 0.2 s and 0.49 s to the first token, 6 and 18 ms between tokens, and more
    # under load; what this machine adds is divided by the time scale too.
    assert 150 < swift["ttft_ms"]["p50"]["value"] < 1000
    assert 350 < careful["ttft_ms"]["p50"]["value"] < 2000
    assert swift["itl_ms"]["p50"]["value"] < careful["itl_ms"]["p50"]["value"]
    # By hand: (at least 80 tokens in at 0.20 + 12 out at 1.00) / 1M · 1000 = 0.028 and more.
    assert 0.028 <= swift["usd_per_1k"] < 0.05
    assert careful["usd_per_1k"] == pytest.approx(10 * swift["usd_per_1k"])
    # Rounds take turns, and every one is kept.
    rounds = [one.header["round"] for one in kept_records(own_state, found)]
    assert rounds == [0, 0, 1, 1, 2, 2]
    # What is kept whole is shown, not measured again.
    again = ask.bench_providers(content, quiet=True, offline=True)
    assert again.document() == document
    assert len(kept_records(own_state, again)) == 6


def test_without_a_cache_nothing_comes_from_one_whatever_the_load(
    prices: str, simulator: str
) -> None:
    """Two loads of prompts that are long enough for a provider's cache."""
    content = written(prices, simulator, requests=2, warm_up=0)
    content["providers"] = content["providers"][:1]
    content["workloads"] = [{"kind": "tokens", "input": 3000, "output": 2}]
    content["loads"] = [{"kind": "closed", "concurrency": [1, 2]}]
    rows = ask.bench_providers(content, quiet=True, offline=True).content["rows"]
    assert [row["answers"] for row in rows] == [6, 6]
    assert [row["tokens"]["cached"] for row in rows] == [0, 0]


def test_a_round_that_was_cut_off_is_not_asked_again_word_for_word(
    prices: str, simulator: str, own_state: Path
) -> None:
    content = written(prices, simulator, requests=2, warm_up=0)
    content["providers"] = content["providers"][:1]
    content["workloads"] = [{"kind": "tokens", "input": 3000, "output": 2}]
    content["loads"] = [{"kind": "closed", "concurrency": 1}]
    found = ask.bench_providers(content, quiet=True, offline=True)
    # As a kill leaves it that comes after the last round's last answer.
    place = kept.folder(Store(own_state), found.id)
    lines = (place / "records.jsonl").read_text().splitlines(keepends=True)
    assert lines[-1].startswith('{"what":"end"')
    (place / "records.jsonl").write_text("".join(lines[:-1]))
    (place / "document.json").unlink()
    (row,) = ask.bench_providers(content, quiet=True, offline=True).content["rows"]
    assert (row["answers"], row["tokens"]["cached"]) == (6, 0)


def test_ctrl_c_keeps_what_was_measured_and_the_same_call_goes_on(
    prices: str, simulator: str, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(Silent):
        """A user who presses Ctrl-C after two rounds."""

        done = 0

        def round(self, name: str, *, resumed: bool) -> None:
            self.done += 1
            if self.done == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as pressed:
        pressed.setattr(ask, "watching", lambda *, quiet: Impatient())
        cut = ask.bench_providers(written(prices, simulator), quiet=True, offline=True)
    assert cut.content["stopped"] == "interrupted"
    assert not cut.whole
    assert [one["rounds"] for one in cut.content["missing"]] == [1, 1]
    assert sum(row["n"] for row in cut.content["rows"]) == 6
    before = kept_records(own_state, cut)
    whole = ask.bench_providers(written(prices, simulator), quiet=True, offline=True)
    assert whole.whole
    assert [row["n"] for row in whole.content["rows"]] == [9, 9]
    assert kept_records(own_state, whole)[:2] == before


def test_a_provider_that_refuses_everything_is_asked_no_more(prices: str, simulator: str) -> None:
    content = written(prices, simulator, requests=2)
    content["providers"][1]["model"] = "sim-nobody"
    content["loads"] = [{"kind": "closed", "concurrency": [1, 2]}]
    with Path(prices).open("a") as file:
        file.write(
            "  - {provider: simulated, model: sim-nobody, per: 1M, simulated: true,"
            " input: 1, output: 1}\n"
        )
    found = ask.bench_providers(content, quiet=True, offline=True)
    assert not found.whole
    good, lost = found.content["rows"][:2], found.content["rows"][2:]
    assert [(row["n"], row["answers"]) for row in good] == [(6, 6), (6, 6)]
    assert [(row["n"], row["answers"]) for row in lost] in ([(1, 0)], [(2, 0)])  # of a caller each
    assert lost[0]["errors"]["model_not_found"] == lost[0]["n"]
    assert "model_not_found" in lost[0]["why"]
    assert [one["provider"] for one in found.content["missing"]] == ["sim-nobody"] * 2
    assert "it is asked no more" in found.content["missing"][0]["why"]


def test_stated_limits_are_kept_by_the_pool_and_its_wait_is_a_column_of_its_own(
    prices: str, simulator: str
) -> None:
    limits = {"requests_per_min": 60, "tokens_per_min": 10_000_000}
    content = written(prices, simulator, requests=12)
    content["providers"] = [
        {**content["providers"][0], "limits": limits},
        {
            **content["providers"][0],
            "name": "two accounts",
            "accounts": [{"account": "one", "limits": limits}, {"account": "two"}],
            "limits": limits,
        },
    ]
    content["loads"] = [{"kind": "closed", "concurrency": 12}]
    one, two = ask.bench_providers(content, quiet=True, offline=True).content["rows"]
    for row in (one, two):
        assert (row["answers"], row["errors"]["rate_limit"]) == (36, 0)
        assert row["pool_wait_ms"]["p50"]["value"] is not None
    # By hand: 12 at once, and one a second of the provider's: the last waits some 11 s of it, half
    # a second of ours; with two accounts half as long.
    assert 8_000 < one["pool_wait_ms"]["p95"]["value"] < 25_000
    assert two["pool_wait_ms"]["p95"]["value"] < one["pool_wait_ms"]["p95"]["value"]
    # What is waited is in the time from the intended start, and in no time of the provider's.
    assert one["e2e_from_schedule_ms"]["p95"]["value"] > one["e2e_ms"]["p95"]["value"] + 5_000


def test_limits_are_in_the_providers_time_as_loads_are(prices: str) -> None:
    """At another time scale than above the pool's wait is as long, by the provider's clock."""
    content = written(prices, requests=8, time_scale=0.2, warm_up=0)
    content["providers"] = [{**content["providers"][0], "limits": {"requests_per_min": 240}}]
    content["loads"] = [{"kind": "closed", "concurrency": 8}]
    (row,) = ask.bench_providers(content, quiet=True, offline=True).content["rows"]
    # By hand: 8 at once, two of which half a second's worth lets go, then 4 a second: the last
    # waits for some 1.5 s, which are 0.3 s of ours. With limits in our time it would be 7.5 s.
    assert 1000 < row["pool_wait_ms"]["p95"]["value"] < 2500


def test_a_running_simulator_at_another_time_scale_is_refused_before_anything_is_asked(
    prices: str, simulator: str, own_state: Path
) -> None:
    with pytest.raises(SpecError, match=r"plays at time scale 0\.05, and the file says 1\."):
        ask.bench_providers(written(prices, simulator, time_scale=1), quiet=True, offline=True)
    nobody = written(prices, "http://127.0.0.1:1")
    with pytest.raises(EngineError, match=r"no `mox simulate` answers at http://127\.0\.0\.1:1 "):
        ask.bench_providers(nobody, quiet=True, offline=True)
    assert not list(own_state.glob("results/*/records.jsonl"))


def test_a_redis_that_is_not_there_is_refused_before_anything_is_asked(
    prices: str, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_REDIS_URL", "redis://:planted@127.0.0.1:1/0")
    content = written(prices)
    content["providers"][0]["limits"] = {"requests_per_min": 600}
    with pytest.raises(EngineError, match=r"no Redis answers at redis://127\.0\.0\.1:1/0") as said:
        ask.bench_providers(content, quiet=True, offline=True)
    assert "planted" not in str(said.value)
    assert not list(own_state.glob("results/*/records.jsonl"))


def test_again_moves_what_was_measured_aside(own_state: Path) -> None:
    store = Store(own_state)
    for _ in range(2):
        place = kept.folder(store, "abc")
        kept.begun(place, seed=3, simulated=True)
        kept.save(place, {"at": "now", "stopped": None, "missing": []})
        assert kept.whole(store, "abc") is not None
        kept.aside(store, "abc")
        assert kept.whole(store, "abc") is None
    assert sorted(path.name for path in (own_state / "results").iterdir()) == [
        "bench-abc.1", "bench-abc.2",
    ]  # fmt: skip
    assert kept.every(store) == []


def test_prompts_of_real_providers_are_salted_by_chance_and_stay_so(own_state: Path) -> None:
    place = kept.folder(Store(own_state), "abc")
    first = kept.begun(place, seed=3, simulated=False)
    assert kept.begun(place, seed=3, simulated=False) == first
    other = kept.begun(kept.folder(Store(own_state), "def"), seed=3, simulated=False)
    assert other.salt != first.salt
    assert kept.begun(kept.folder(Store(own_state), "ghi"), seed=3, simulated=True).salt == "3"


class TestMoney:
    def test_a_budget_stops_before_the_round_that_could_exceed_it(
        self, prices: str, simulator: str, own_state: Path
    ) -> None:
        # A round of 3 requests and 3 that warm up may cost sim-swift 6 · (138 · 0.20 + 12) / 1M =
        # 0.00024, sim-careful 10 times that.
        content = written(prices, simulator, budget={"usd": 0.0045})
        found = ask.bench_providers(content, quiet=True, offline=True).content
        assert found["stopped"] == "budget"
        assert 0.0025 < found["usd"]["simulated"] <= 0.0045
        assert "sim-careful" in {one["provider"] for one in found["missing"]}
        assert all("0.0045" in one["why"] for one in found["missing"])
        # What is held for requests that weren't made is let go again.
        with sqlite3.connect(own_state / "ledger" / "calls.sqlite") as ledger:
            assert ledger.execute("SELECT COUNT(*) FROM held").fetchone() == (0,)

    def test_a_budget_that_buys_no_round_is_refused_before_anything_is_asked(
        self, prices: str, own_state: Path
    ) -> None:
        with pytest.raises(BudgetError, match="buys no round"):
            ask.bench_providers(written(prices, budget={"usd": 0.00001}), quiet=True, offline=True)
        assert not list(own_state.glob("results/*/records.jsonl"))

    def test_a_price_that_is_not_known_is_refused_before_anything_is_asked(
        self, prices: str
    ) -> None:
        Path(prices).write_text("prices: []\n")
        with pytest.raises(PriceError, match="sim-swift"):
            ask.bench_providers(written(prices), quiet=True, offline=True)

    def test_without_a_price_it_is_measured_where_that_is_allowed(
        self, prices: str, simulator: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOME_KEY", "any")
        Path(prices).write_text("prices: []\n")
        loads = [{"kind": "closed", "concurrency": 2}]
        content = written(prices, requests=2, loads=loads, unpriced=True)
        content["providers"] = [
            {"kind": "compatible", "model": "sim-swift", "base_url": f"{simulator}/v1",
             "key_env": "SOME_KEY"}
        ]  # fmt: skip
        (row,) = ask.bench_providers(content, quiet=True, offline=True).content["rows"]
        assert (row["n"], row["answers"]) == (6, 6)
        assert (row["usd"], row["usd_per_1k"], row["usd_per_1k_good"]) == (None, None, None)
        # Any URL of OpenAI's shape is taken at its word, and at real time, …
        assert (row["simulated"], row["time_scale"]) == (False, 1.0)
        # … unless its price says that the model is simulated.
        Path(prices).write_text(PRICES.replace("provider: simulated", "provider: compatible"))
        again = ask.bench_providers({**content, "unpriced": False}, quiet=True, offline=True)
        assert [row["simulated"] for row in again.content["rows"]] == [True]

    def test_a_dry_run_asks_nobody_and_says_the_most_that_it_may_cost(
        self, prices: str, own_state: Path
    ) -> None:
        found = ask.plan_providers(written(prices)).document()
        # sim-swift: 9 · (138 · 0.20 + 12 · 1.00) / 1M, and 9 that warm up connections alike.
        most = 18 * (138 * 0.20 + 12) / 1e6
        assert found["providers"][0]["usd_at_most"] == pytest.approx(most)
        assert found["usd_at_most"] == 0  # nobody is paid
        assert not (own_state / "results").exists()


def test_a_search_finds_the_highest_load_that_may_be_tried(
    prices: str, simulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = written(
        prices,
        providers=[{"kind": "simulated", "model": "sim-swift", "url": simulator}],
        loads=[{"kind": "slo", "start": 2, "most": 2}],
        slo={"e2e_ms": 5000},
        requests=18,
    )

    class Counting(Silent):
        """Somebody who sees the rounds come."""

        done: ClassVar[list[bool]] = []

        def round(self, name: str, *, resumed: bool) -> None:
            self.done.append(resumed)

    monkeypatch.setattr(ask, "watching", lambda *, quiet: Counting())
    (row,) = ask.bench_providers(content, quiet=True, offline=True).content["rows"]
    # Nothing takes 5 s, so the bound is kept; and no more may be tried.
    assert row["load"] == {"kind": "slo", "arrival": "poisson", "value": 2.0}
    assert [probe["value"] for probe in row["probes"]] == [2]
    assert row["attained"]["low"] >= 0.95
    # 2 a second for six times 5 s, in each of as many rounds as it took to show 95 %.
    assert row["n"] == 60 * len(Counting.done)
    assert not any(Counting.done)  # none is shown twice
