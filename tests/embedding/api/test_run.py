"""A sweep over embedders behind an API, by the command line: priced before a call is made, paid
once, stopped by its budget, and gone on with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

import mox
from mox.errors import BudgetError, EngineError, MissingError, MoxError, PriceError
from mox.experiment.experiment import load
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
BATCH = 20
"""Texts of a request, as the experiment has it."""


class Sweep:
    """One experiment file and state folder; planned and run here, or by the command line."""

    def __init__(self, folder: Path, corpus: Path, api: Any) -> None:
        self.file, self.home, self.api = folder / "e.yaml", folder / "state", api
        self.file.write_text(EXPERIMENT.format(corpus=corpus, url=api.url))
        self.started: list[subprocess.Popen[str]] = []

    def set(self, patch: pytest.MonkeyPatch) -> None:
        """The environment that it is run in."""
        prices = self.file.with_name("prices.yaml")
        prices.write_text(PRICES)
        patch.setenv("MOX_HOME", str(self.home))
        patch.setenv("MOX_PRICES", str(prices))
        patch.setenv("MOX_WORKERS", "1")
        patch.setenv("PLANTED_KEY", KEY)

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
    made = Sweep(tmp_path, small_corpus, api)
    made.set(monkeypatch)
    yield made
    made.close()


@dataclass
class Journey:
    """One sweep's way: planned, killed, stopped by its budget, gone on with, run again."""

    home: Path
    priced: dict[str, Any]
    asked_by_plans: int
    killed_at: int
    stopped: dict[str, Any]
    limit: float
    spent_then: Decimal
    paid_then: dict[str, int]
    rest: dict[str, Any]
    resumed: dict[str, Any]
    again: dict[str, Any]
    asked_again: int
    texts: dict[str, int]
    counted: int
    """Tokens of all texts, each once."""
    ledger: list[Any]


@pytest.fixture(scope="module")
def journey(
    tmp_path_factory: pytest.TempPathFactory,
    corpus_writer: Callable[..., Path],
    new_api: Callable[[], Any],
) -> Iterator[Journey]:
    folder = tmp_path_factory.mktemp("journey")
    with pytest.MonkeyPatch.context() as patch:
        sweep = Sweep(folder, corpus_writer(folder / "corpus"), new_api())
        sweep.set(patch)
        try:
            yield travelled(sweep)
        finally:
            sweep.close()
            sweep.api.close()


def travelled(sweep: Sweep) -> Journey:
    api = sweep.api
    priced = sweep.plan()
    by_plans = len(api.requests)
    killed_at = killed(sweep, after=4)
    limit = 0.6 * sweep.plan()["usd"]
    stopped = sweep.do("run", "--offline", "--set", f"budget.usd={limit:.10f}", status=1)
    spent = sum(Decimal(line["usd"]) for line in sweep.ledger() if line["run"] in runs(sweep)[1:])
    paid, rest = dict(api.texts), sweep.plan()
    resumed = sweep.run(budget__usd=limit)
    asked = len(api.requests)
    return Journey(
        sweep.home, priced, by_plans, killed_at, stopped, limit, Decimal(spent), paid, rest,
        resumed, sweep.run(), len(api.requests) - asked, dict(api.texts),
        api.tokens(list(api.texts)), sweep.ledger(),
    )  # fmt: skip


def runs(sweep: Sweep) -> list[str]:
    """What the ledger calls the times that it was run, in order."""
    return list(dict.fromkeys(line["run"] for line in sweep.ledger()))


def killed(sweep: Sweep, *, after: int) -> int:
    """Run, and kill -9 in the midst of a request; how many were sent."""
    sweep.api.delay_s = 0.3
    process = sweep.start("run", "--offline")
    until = time.monotonic() + 100
    while len(sweep.api.requests) < after and time.monotonic() < until:
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    psutil.wait_procs(workers, timeout=10)
    sweep.api.delay_s = 0.0
    return len(sweep.api.requests)


def by_embedder(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one for one in document["trials"] if one["params"]["embed.kind"] == kind]


def test_a_plan_is_priced_before_a_call_is_made(journey: Journey) -> None:
    assert journey.asked_by_plans == 0
    [cost] = journey.priced["usd_by"]
    assert cost["embedder"] == "compatible m, 64 dimensions"
    assert cost["basis"] == "characters"
    assert journey.priced["usd"] == pytest.approx(journey.counted * USD_PER_TOKEN, rel=0.3)
    assert journey.rest["usd_by"][0]["basis"] == "texts"  # both chunkings are cut by then
    unpaid = journey.counted * USD_PER_TOKEN - journey.rest["usd"]
    assert 0 < unpaid < journey.counted * USD_PER_TOKEN


def test_kill_9_loses_one_batch_at_most(journey: Journey) -> None:
    assert journey.killed_at == 4
    twice = [text for text, times in journey.texts.items() if times > 1]
    assert len(twice) <= BATCH
    assert len(journey.texts) > 4 * BATCH


def test_a_budget_stops_before_it_is_exceeded(journey: Journey) -> None:
    stopped = journey.stopped
    assert stopped["stopped"] == "budget"
    assert 0 < journey.spent_then <= Decimal(journey.limit)
    assert {trial["status"] for trial in by_embedder(stopped, "hashing")} == {"FINISHED"}
    assert any(note.startswith("not paid for: embed") for note in stopped["notes"])


def test_questions_are_paid_first_and_what_is_paid_is_finished(journey: Journey) -> None:
    """One chunking fits into the budget: its trial is scored, though the next one's is not."""
    found = by_embedder(journey.stopped, "compatible")
    assert [trial["status"] for trial in found] == ["FINISHED", "SKIPPED"]
    assert found[1]["error"] is None


def test_the_next_run_has_the_budget_anew_and_pays_only_the_rest(journey: Journey) -> None:
    assert journey.resumed["stopped"] is None
    assert journey.resumed["run_id"] == journey.stopped["run_id"]
    assert {trial["status"] for trial in journey.resumed["trials"]} == {"FINISHED"}
    assert set(journey.paid_then) < set(journey.texts)


def test_a_second_run_pays_nothing(journey: Journey) -> None:
    assert journey.asked_again == 0
    assert journey.again["stages"]["run"] == 0


def test_every_call_is_in_the_ledger_and_no_key(journey: Journey) -> None:
    lines = journey.ledger
    assert {line["sweep"] for line in lines} == {journey.resumed["run_id"]}
    assert {line["purpose"] for line in lines} == {"embed"}
    # The chunks of each size are one trial's; the questions are shared by the two of them.
    paying = [one["id"] for one in by_embedder(journey.resumed, "compatible")]
    assert {line["trial"] for line in lines} == {*paying, f"{paying[0]} +1"}
    answered = [line for line in lines if line["error"] is None]
    paid = float(sum(Decimal(line["usd"]) for line in answered))
    assert paid <= (journey.counted + 40 * BATCH) * USD_PER_TOKEN
    assert paid >= (journey.counted - 40 * BATCH) * USD_PER_TOKEN  # the batch that was killed
    files = [path for path in journey.home.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_a_trial_says_what_its_texts_cost_whoever_paid(journey: Journey) -> None:
    found = journey.resumed
    costs = [trial["costs"]["embed_usd"] for trial in by_embedder(found, "compatible")]
    assert all(cost > 0 for cost in costs)
    # Each holds the questions, and so together they are more than the whole.
    assert sum(costs) > journey.counted * USD_PER_TOKEN
    assert [trial["costs"]["embed_usd"] for trial in by_embedder(found, "hashing")] == [0, 0]
    assert found["chosen"]["trial"] in [trial["id"] for trial in by_embedder(found, "hashing")]


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


def test_a_redis_that_is_not_there_is_refused_before_a_call(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_REDIS_URL", "redis://:planted@127.0.0.1:1/0")
    mox.plan(sweep.file)  # who states no limits shares none
    limited = {"axes.embed.1.limits": {"requests_per_min": 600}}
    with pytest.raises(EngineError, match=r"no Redis answers at redis://127\.0\.0\.1:1/0") as said:
        mox.plan(sweep.file, set=limited)
    assert "planted" not in str(said.value)
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


def test_the_example_is_refused_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    example = Path(__file__).parents[3] / "experiments" / "embedders.yaml"
    assert len(load(example).trials) == 12
    with pytest.raises(MissingError, match="OPENAI_API_KEY is not set"):
        mox.plan(example)
