"""What the same call does again: it tries what said nothing, and prices what is kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mox.bench.providers import ask, kept
from mox.bench.providers.found import ProviderBench
from mox.pipeline.store import Store
from mox.simulation.serving import serving

pytestmark = pytest.mark.timeout(120)

KEY, NOWHERE = "the-good-key", "http://127.0.0.1:1/v1"
LOOSE = {"e2e_ms": 60_000, "attain": 0.5}
"""Four answers of four show it: by Wilson, 4 / (4 + 1.645²) = 0.6."""


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    """Where a simulator answers whoever has the key."""
    with serving({"time_scale": 0.05, "accounts": {KEY: {}}}) as served:
        yield served.openai_base_url


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    file = tmp_path / "prices.yaml"
    file.write_text(
        "prices:\n  - {provider: compatible, model: sim-swift, per: 1M, simulated: true,"
        " input: 0.20, output: 1.00}\n"
    )
    return file


@pytest.fixture
def content(prices: Path, simulator: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A provider with a key that may be wrong, one caller, six requests in three rounds."""
    monkeypatch.setenv("SOME_KEY", KEY)
    return {
        "providers": [
            {"kind": "compatible", "model": "sim-swift", "base_url": simulator,
             "key_env": "SOME_KEY"}
        ],
        "workloads": [{"kind": "tokens", "input": 80, "output": 12}],
        "loads": [{"kind": "closed", "concurrency": 1}],
        "requests": 2,
        "instrument_s": 0,
        "prices": str(prices),
    }  # fmt: skip


def measured(content: dict[str, Any]) -> ProviderBench:
    return ask.bench_providers(content, quiet=True, offline=True)


def asked(store: Path, found: ProviderBench) -> int:
    """How many requests were ever made for it, warm-up left out."""
    file = kept.folder(Store(store), found.id) / "records.jsonl"
    return file.read_text().count('"what":"record"')


def test_a_key_that_was_refused_is_tried_again_once_it_is_mended(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    content["loads"].append({"kind": "slo", "arrival": "closed", "start": 4, "most": 4})
    content |= {"slo": {"e2e_ms": 60_000}, "requests": 18}
    monkeypatch.setenv("SOME_KEY", "a-key-that-is-refused")
    refused = measured(content)
    assert not refused.whole
    step, search = refused.content["missing"]
    assert step["why"].startswith("it is asked no more: every request of a round ended in auth")
    assert "it is asked no more" in search["why"]
    assert [row["valid"] for row in refused.content["rows"]] == [False]

    monkeypatch.setenv("SOME_KEY", KEY)
    mended = measured(content)
    assert mended.whole
    assert [row["answers"] for row in mended.content["rows"]] == [54, 54]
    assert mended.content["rows"][1]["load"]["value"] == 4


def test_a_server_that_is_not_there_is_missing_and_not_kept_as_measured(
    content: dict[str, Any], own_state: Path
) -> None:
    content["providers"][0]["base_url"] = NOWHERE
    found = measured(content)
    assert not found.whole
    (missing,) = found.content["missing"]
    assert "no request was answered (connection: sim-swift: no connection" in missing["why"]
    assert asked(own_state, found) == 6
    again = measured(content)
    assert (again.id, asked(own_state, again)) == (found.id, 12)


LADDER = {"kind": "closed", "concurrency": 1}
SEARCH = {"kind": "slo", "arrival": "closed", "start": 1, "most": 1}


def spoil(store: Path, found: ProviderBench, error: str, cpu_share: str) -> None:
    """As if of each round's four requests only the last was answered, by a client that used so
    much of its core, and as if the benchmark hadn't come to its end."""
    place = kept.folder(Store(store), found.id)
    lines = (place / "records.jsonl").read_text().splitlines(keepends=True)
    for at, line in enumerate(lines):
        if '"what":"record"' in line and '"number":3' not in line:
            lines[at] = line.replace('"error":null', f'"error":"{error}"')
    spoilt = re.sub(r'"cpu_share":[0-9.e-]+', f'"cpu_share":{cpu_share}', "".join(lines))
    (place / "records.jsonl").write_text(spoilt)
    kept.save(place, {**found.content, "stopped": "interrupted"})


@pytest.mark.parametrize("beside", [[], [LADDER]], ids=["alone", "with a ladder"])
@pytest.mark.parametrize(
    ("error", "cpu_share"), [("connection", "0.99"), ("quota_exhausted", "0.1")]
)
def test_a_search_that_its_client_or_a_credit_spoilt_is_tried_again(
    content: dict[str, Any],
    own_state: Path,
    beside: list[dict[str, Any]],
    error: str,
    cpu_share: str,
) -> None:
    content["loads"] = [*beside, SEARCH]
    content |= {"slo": LOOSE, "requests": 4}
    found = measured(content)
    # One round shows it; a ladder's three will do, and nobody is asked for more.
    before = asked(own_state, found)
    assert before == (12 if beside else 4)
    spoil(own_state, found, error, cpu_share)
    again = measured(content)
    assert asked(own_state, again) == before + 4
    *steps, search = again.content["rows"]
    assert search["errors"][error] == 0
    assert search["load"]["value"] == 1
    assert [(row["n"], row["errors"][error]) for row in steps] == ([(12, 9)] if beside else [])


def test_a_search_goes_by_no_round_of_the_ladder_that_was_cut_short(
    content: dict[str, Any], own_state: Path
) -> None:
    # A caller asks once in each round of 0.25 s, since 1,000 tokens take 0.05 · 6 s and some. By
    # Wilson three answers of three would do.
    content["loads"] = [LADDER, SEARCH]
    content["workloads"] = [{"kind": "tokens", "input": 80, "output": 1000}]
    content |= {"slo": LOOSE, "requests": 4, "seconds": 0.25}
    found = measured(content)
    assert [row["n"] for row in found.content["rows"]] == [3, 4]
    # What is kept of both is told apart.
    (kept.folder(Store(own_state), found.id) / "document.json").unlink()
    again = measured(content)
    assert [row["n"] for row in again.content["rows"]] == [3, 4]
    assert asked(own_state, again) == 7


def test_what_a_search_measured_before_its_rounds_had_names_of_their_own_is_kept(
    content: dict[str, Any], own_state: Path
) -> None:
    content["loads"] = [SEARCH]
    content |= {"slo": LOOSE, "requests": 4}
    found = measured(content)
    place = kept.folder(Store(own_state), found.id)
    lines = (place / "records.jsonl").read_text()
    assert lines.count(", for a search") == 2  # a round's beginning, and its end
    (place / "records.jsonl").write_text(lines.replace(", for a search", ""))
    (place / "document.json").unlink()
    again = measured(content)
    assert asked(own_state, again) == 4
    assert again.content["rows"] == found.content["rows"]


def test_a_call_that_is_stopped_at_once_keeps_what_the_one_before_it_found(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_KEY", "a-key-that-is-refused")
    shut = {**content["providers"][0], "name": "shut", "key_env": "NO_KEY"}
    content["providers"].append(shut)
    content["loads"].append({"kind": "slo", "arrival": "closed", "start": 4, "most": 4})
    content |= {"slo": LOOSE, "requests": 4}
    before = measured(content)
    assert not before.whole
    after = measured({**content, "budget": {"minutes": 1e-9}})
    assert after.content["stopped"] == "budget"
    assert after.id == before.id
    rows = [row for row in before.content["rows"] if row["provider"] != "shut"]
    assert [row["load"]["value"] for row in rows] == [1, 4]
    assert after.content["rows"] == rows
    assert {one["provider"] for one in after.content["missing"]} == {"shut"}


def test_what_is_kept_is_priced_by_todays_table_and_asked_of_nobody(
    prices: Path, content: dict[str, Any], own_state: Path
) -> None:
    before = measured(content).content
    prices.write_text(prices.read_text().replace("0.20", "20.0").replace("1.00", "100.0"))
    after = measured(content)
    (was,), (is_,) = before["rows"], after.content["rows"]
    assert is_["usd_per_1k"] == pytest.approx(100 * was["usd_per_1k"])
    assert is_["ttft_ms"] == was["ttft_ms"]
    # Nobody was asked again, and nothing was paid again.
    assert after.content["usd"] == before["usd"]
    assert asked(own_state, after) == 6
    assert any("priced anew by" in note for note in after.content["notes"])
    assert measured(content).content == after.content


def test_a_whole_search_is_priced_by_todays_table_and_asked_of_nobody(
    prices: Path, content: dict[str, Any], own_state: Path
) -> None:
    """Not even where its client was slow, and where its provider isn't there any more."""
    prices.write_text(prices.read_text().replace("compatible", "simulated"))
    with serving({"time_scale": 0.05}) as served:
        content["providers"] = [{"kind": "simulated", "model": "sim-swift", "url": served.url}]
        content["loads"] = [{"kind": "slo", "arrival": "closed", "start": 1, "most": 1}]
        content |= {"slo": LOOSE, "requests": 4, "time_scale": 0.05}
        before = measured(content)
    file = kept.folder(Store(own_state), before.id) / "records.jsonl"
    file.write_text(re.sub(r'"cpu_share":[0-9.e-]+', '"cpu_share":0.99', file.read_text()))
    prices.write_text(prices.read_text().replace("0.20", "20.0").replace("1.00", "100.0"))
    after = measured(content)
    assert asked(own_state, after) == asked(own_state, before)
    (was,), (is_,) = before.content["rows"], after.content["rows"]
    assert is_["load"] == was["load"]
    assert is_["usd"] == pytest.approx(100 * was["usd"])
