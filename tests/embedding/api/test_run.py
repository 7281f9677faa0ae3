"""A sweep over embedders behind an API, by the command line: priced before a call is made, paid
once, stopped by its budget, and gone on with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

import mox
from mox.errors import BudgetError, MissingError, MoxError, PriceError
from mox.pipeline.describe import describe
from mox.providers.ledger import Ledger
from mox.results.document import document

pytestmark = pytest.mark.timeout(120)

EXPERIMENT = """\
name: paid
corpus: {{kind: evidence, path: {corpus}}}
axes:
  chunk: {{kind: recursive, size: [24, 48]}}
  embed:
    - {{kind: hashing, dims: 64}}
    - {{kind: compatible, base_url: "{url}", model: m, dims: 64, key_env: PLANTED_KEY, batch: 20}}
  index: [{{kind: exact}}]
  search: [{{kind: dense, k: 10}}]
measure: [recall@5, ndcg@60t]
choose: {{maximise: ndcg@60t, within: 0.9, prefer: {{minimise: embed_usd}}}}
"""
PRICES = "prices: [{provider: compatible, model: m, per: 1M, input: 2.00}]\n"
USD_PER_TOKEN = 2.00 / 1e6
KEY = "sk-planted-4711"


class Sweep:
    """One experiment file and state folder; planned and run here, or by the command line."""

    def __init__(self, folder: Path, corpus: Path, api: Any) -> None:
        self.file, self.home, self.api = folder / "e.yaml", folder / "state", api
        self.file.write_text(EXPERIMENT.format(corpus=corpus, url=api.url))
        self.started: list[subprocess.Popen[str]] = []

    def plan(self) -> dict[str, Any]:
        return describe(mox.plan(self.file), 1)

    def run(self, **changes: Any) -> dict[str, Any]:
        named = {name.replace("__", "."): value for name, value in changes.items()}
        return document(mox.run(self.file, set=named, offline=True, quiet=True))

    def start(self, command: str, *options: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "mox", command, str(self.file), "--json", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def do(self, command: str, *options: str, status: int = 0) -> dict[str, Any]:
        process = self.start(command, *options)
        out, err = process.communicate(timeout=100)
        assert process.returncode == status, (out, err)
        assert KEY not in out + err
        found: dict[str, Any] = json.loads(out)
        return found

    def ledger(self) -> list[Any]:
        return list(Ledger(self.home).rows())

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
                process.communicate(timeout=10)


@pytest.fixture
def sweep(
    tmp_path: Path, small_corpus: Path, api: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sweep]:
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES)
    monkeypatch.setenv("MOX_PRICES", str(prices))
    monkeypatch.setenv("MOX_WORKERS", "1")
    monkeypatch.setenv("PLANTED_KEY", KEY)
    made = Sweep(tmp_path, small_corpus, api)
    yield made
    made.close()


def by_embedder(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one for one in document["trials"] if one["params"]["embed.kind"] == kind]


def test_a_sweep_is_priced_run_and_paid_once(sweep: Sweep) -> None:
    plan = sweep.plan()
    assert not sweep.api.requests
    assert plan["usd_by"][0]["basis"] == "characters"

    first = sweep.run()
    assert {trial["status"] for trial in first["trials"]} == {"FINISHED"}
    assert set(sweep.api.texts.values()) == {1}
    paid = sum(sweep.api.tokens(asked["input"]) for asked in sweep.api.requests) * USD_PER_TOKEN
    assert plan["usd"] == pytest.approx(paid, rel=0.3)
    lines = sweep.ledger()
    assert float(sum(Decimal(line["usd"]) for line in lines)) == pytest.approx(paid)
    assert {line["sweep"] for line in lines} == {first["run_id"]}
    assert {line["purpose"] for line in lines} == {"embed"}
    assert {line["trial"].partition("/")[0] for line in lines} == {"embed", "queries"}
    costs = [trial["costs"]["embed_usd"] for trial in by_embedder(first, "compatible")]
    assert all(cost > 0 for cost in costs)
    assert [trial["costs"]["embed_usd"] for trial in by_embedder(first, "hashing")] == [0, 0]
    assert first["chosen"]["trial"] in [trial["id"] for trial in by_embedder(first, "hashing")]

    asked = len(sweep.api.requests)
    assert sweep.run()["stages"]["run"] == 0
    sweep.run(axes__search__0__k=5)
    assert len(sweep.api.requests) == asked
    assert sweep.plan()["usd"] == 0
    files = [path for path in sweep.home.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_a_budget_stops_it_and_the_next_run_goes_on(sweep: Sweep) -> None:
    whole = sweep.do("plan")["usd"]
    half = f"{whole / 2:.8f}"
    stopped = sweep.do("run", "--offline", "--set", f"budget.usd={half}", status=1)
    assert stopped["stopped"] == "budget"
    assert "SKIPPED" in {trial["status"] for trial in stopped["trials"]}
    assert {trial["status"] for trial in by_embedder(stopped, "hashing")} == {"FINISHED"}
    assert Decimal(0) < sum(Decimal(line["usd"]) for line in sweep.ledger()) <= Decimal(half)
    assert any(note.startswith("not paid for: ") for note in stopped["notes"])
    paid = dict(sweep.api.texts)

    assert sweep.plan()["usd"] < whole
    resumed = sweep.do("run", "--offline", "--set", "budget.usd=1")
    assert resumed["stopped"] is None
    assert resumed["run_id"] == stopped["run_id"]
    assert {trial["status"] for trial in resumed["trials"]} == {"FINISHED"}
    assert set(sweep.api.texts.values()) == {1}, "nothing was paid twice"
    assert set(paid) < set(sweep.api.texts)


def test_each_run_has_the_budget_anew(sweep: Sweep) -> None:
    small = 0.6 * sweep.plan()["usd"]
    assert sweep.run(budget__usd=small)["stopped"] == "budget"
    assert sweep.run(budget__usd=small)["stopped"] is None
    assert set(sweep.api.texts.values()) == {1}


def test_questions_are_paid_first_and_what_is_paid_is_finished(sweep: Sweep) -> None:
    """One chunking fits into the budget: its trial is scored, though the next one's is not."""
    sweep.run(budget__usd=0.6 * sweep.plan()["usd"])
    found = mox.load(sweep.file)
    status = [t.status for t in found.run.trials if t.config["embed"]["kind"] == "compatible"]
    assert status == ["FINISHED", "SKIPPED"]


def test_kill_9_loses_one_batch_at_most(sweep: Sweep) -> None:
    sweep.api.delay_s = 0.2
    process = sweep.start("run", "--offline")
    until = time.monotonic() + 60
    while len(sweep.api.requests) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    psutil.wait_procs(workers, timeout=10)
    assert len(sweep.api.requests) == 4
    sweep.api.delay_s = 0.0
    sweep.run()
    twice = [text for text, times in sweep.api.texts.items() if times > 1]
    assert len(twice) <= 20  # a batch of the experiment
    assert len(sweep.api.texts) > 60


def test_what_cannot_be_paid_is_refused_before_a_call(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BudgetError, match=r"budget.usd is 0, and embedding costs about \$"):
        mox.plan(sweep.file, set={"budget.usd": 0})
    other = tmp_path / "other.yaml"
    other.write_text(PRICES.replace("model: m", "model: n"))
    monkeypatch.setenv("MOX_PRICES", str(other))
    with pytest.raises(PriceError, match="no price is known of compatible/m") as unknown:
        mox.plan(sweep.file)
    assert 'provider: compatible, model: "m"' in unknown.value.mend
    monkeypatch.delenv("PLANTED_KEY")
    with pytest.raises(MissingError, match="PLANTED_KEY is not set"):
        mox.plan(sweep.file)
    with pytest.raises(MoxError, match="no run"):
        mox.load(sweep.file)  # what was run is read without a key
    assert not sweep.api.requests


def test_what_the_provider_refuses_fails_its_trials_only(sweep: Sweep) -> None:
    body = json.dumps({"error": {"message": "The model `m` does not exist", "code": None}})
    sweep.api.spoil = lambda _: (404, {"content-type": "application/json"}, body.encode())
    found = sweep.run()
    assert found["stopped"] is None
    assert {trial["status"] for trial in by_embedder(found, "hashing")} == {"FINISHED"}
    for trial in by_embedder(found, "compatible"):
        assert trial["status"] == "FAILED"
        assert "The model `m` does not exist" in trial["error"]
    assert all(line["usd"] == "0" and line["error"] for line in sweep.ledger())
