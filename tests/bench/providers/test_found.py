"""What a benchmark found, as it is shown: text, a notebook's tables, a frame."""

from __future__ import annotations

import pytest

from mox.bench.providers.found import ProviderBench


@pytest.fixture
def bench() -> ProviderBench:
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
        "client": {"instrument_first_ms": 0.21, "instrument_later_ms": 0.09},
    }  # fmt: skip
    real = {**row, "provider": "gpt", "simulated": False, "time_scale": 1.0, "valid": False,
            "why": "the client's loop lagged"}  # fmt: skip
    return ProviderBench(
        {
            "schema": 1, "simulated": True, "time_scale": 0.1, "benchmark": "b", "name": "test",
            "rows": [row, real], "missing": [], "notes": ["claude is left out: no key"],
            "stopped": None, "usd": {"real": 0.5, "simulated": 0.1},
        }
    )  # fmt: skip


def test_simulated_and_real_stand_in_tables_of_their_own(bench: ProviderBench) -> None:
    lines = bench.text().splitlines()
    titles = [at for at, line in enumerate(lines) if line.startswith("test")]
    assert "SIMULATED, time scale 0.1" in lines[titles[1]]
    assert "SIMULATED" not in lines[titles[0]]
    assert any("gpt" in line for line in lines[titles[0] : titles[1]])
    assert not any("sim-swift" in line for line in lines[titles[0] : titles[1]])


def test_what_is_invalid_failed_or_left_out_is_said(bench: ProviderBench) -> None:
    text = bench.text()
    assert "INVALID: the client's loop lagged" in text
    assert "2 rate_limit" in text
    assert "claude is left out: no key" in text
    assert "no p99 under 200 requests" in text
    assert "paid: $0.5000" in text
    assert "0.21 ms of a first token, 0.09 ms of a later one" in text
    assert repr(bench) == text


def test_a_notebook_gets_the_same_tables(bench: ProviderBench) -> None:
    html = bench._repr_html_()
    assert html.count("<table") == 2
    assert "SIMULATED, time scale 0.1" in html
    assert "412 [398, –]" in html


def test_a_frame_has_a_row_per_condition_and_a_column_per_figure(bench: ProviderBench) -> None:
    frame = bench.frame()
    assert list(frame["provider"]) == ["sim-swift", "gpt"]
    assert frame["ttft_ms.p50"][0] == 412.3
    assert frame["ttft_ms.p50.low"][0] == 398.0
    assert frame["errors.rate_limit"].sum() == 4
    assert list(frame["load.kind"]) == ["closed", "closed"]
    assert frame["ttft_ms.p99"].isna().all()
