"""What is simulated says so wherever it is shown, and is never taken for real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mox
from mox.embedding import embedders
from mox.pipeline.describe import describe, text
from mox.pipeline.dollars import money
from mox.providers.ledger import Ledger
from mox.results.document import document
from mox.simulation.serving import Served, serving
from mox.spec import Spec
from mox.testing.embedding import TEXTS, EmbedderContract, opened
from mox.tracking import parent, trials

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(
        "prices: [{provider: [simulated, compatible], model: sim-embed-small, per: 1M,"
        " simulated: true, input: 0.02}, {provider: compatible, model: m, per: 1M, input: 0.02}]\n"
    )
    monkeypatch.setenv("MOX_PRICES", str(file))
    monkeypatch.setenv("MOX_WORKERS", "1")


def experiment(corpus: Path, **more: Any) -> dict[str, Any]:
    simulated = {"kind": "simulated", "time_scale": 0.01}
    return {
        "name": "simulated",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 48}],
            "embed": [{"kind": "wordllama", "dims": 128}, simulated],
            "index": [{"kind": "exact"}],
            "search": [{"kind": "dense", "k": 5}],
        },
        "measure": ["recall@5"],
        **more,
    }


def test_what_is_simulated_is_marked_in_every_table_and_bounded_by_its_price(
    small_corpus: Path,
) -> None:
    """Beside wordllama's own vectors, which it returns: so its scores are theirs."""
    rule = {
        "maximise": "recall@5",
        "within": 0.5,
        "prefer": {"minimise": "embed_usd"},
        "subject_to": ["embed_usd <= 0.0000001"],
    }
    plan = mox.plan(experiment(small_corpus, choose=rule))
    assert "simulated: nobody is paid" in text(plan, 1)
    assert "before the call that would exceed it" not in text(plan, 1)
    tight = mox.plan(experiment(small_corpus, choose=rule), set={"budget.usd": 1e-9})
    assert "budget.usd is 1e-09: the run stops before the call that would exceed it" in text(
        tight, 1
    )
    assert "nobody is paid" in tight._repr_html_()
    results = mox.run(plan, offline=True, quiet=True)
    real, simulated = results.run.trials
    assert results.choice is not None
    assert results.choice.trial == real.id
    assert [str(one) for one in results.sifted.out(simulated.id)] == ["embed_usd <= 1e-07"]

    said = document(results)
    assert said["simulated"] is True
    assert [trial["simulated"] for trial in said["trials"]] == [False, True]
    assert said["trials"][0]["metrics"] == said["trials"][1]["metrics"]
    assert said["trials"][0]["costs"]["embed_usd"] == 0
    [note] = [note for note in said["notes"] if "SIMULATED" in note]
    assert "simulated sim-embed-small" in note
    board = results.leaderboard()
    assert board["simulated"].to_dict() == {real.id: False, simulated.id: True}
    assert board["embed_usd"][simulated.id] > board["embed_usd"][real.id] == 0
    assert "simulated" in repr(results)
    assert "embed $" in repr(results)
    assert "embed $" in results._repr_html_()
    assert "embed_usd" in results.frontier().by

    tags = trials.content(results, simulated, "parent")
    assert tags.tags["mox.simulated"] == "true"
    assert tags.metrics["embed_usd"] > 0
    assert "mox.simulated" not in trials.content(results, real, "parent").tags
    assert parent.tags(results)["mox.simulated"] == "true"
    lines = list(Ledger(results.store.root).rows())
    assert lines
    assert {line["simulated"] for line in lines} == {1}

    release = mox.promote(results, trial=simulated.id, offline=True).release
    assert "simulated: true" in release.path.read_text()
    answer = mox.ask(release.path, "where is the copper lantern", k=2)
    assert len(answer.passages) == 2
    asked = list(Ledger(results.store.root).rows())[len(lines) :]
    assert [line["trial"] for line in asked] == [simulated.id]


def test_a_plan_does_not_add_simulated_money_to_real_money(small_corpus: Path) -> None:
    both = experiment(small_corpus)
    both["axes"]["embed"][0] = {
        "kind": "compatible", "base_url": "http://127.0.0.1:9/v1", "model": "m", "dims": 64,
    }  # fmt: skip
    found = describe(mox.plan(both), 1)
    real, simulated = (one["usd"] for one in found["usd_by"])
    assert real == simulated > 0  # the same texts at the same price
    assert found["usd"] == found["usd_simulated"] == real
    enough = mox.plan(both, set={"budget.usd": 1.5 * real})  # of each, not of both
    said = text(enough, 1)
    assert "before the call that would exceed it" not in said
    assert f"about $ {money(real)}, and simulated $ {money(real)}, before a call" in said
    assert f"$ {money(real)}, and simulated $ {money(real)}" in enough._repr_html_()
    tight = mox.plan(both, set={"budget.usd": 0.5 * real})
    assert "before the call that would exceed it" in text(tight, 1)


def test_dollars_are_no_figure_where_every_embedder_is_free(small_corpus: Path) -> None:
    free = experiment(small_corpus, choose={"minimise": "embed_usd"})
    free["axes"]["embed"] = [{"kind": "hashing"}]
    with pytest.raises(mox.MoxError, match="nothing measures it") as refused:
        mox.plan(free)
    assert "add an embedder that costs money" in refused.value.mend


class TestSimulated(EmbedderContract):
    @pytest.fixture
    def spec(self) -> Spec:
        return embedders.parse({"kind": "simulated", "time_scale": 0.01, "batch": 4})


LIMITS = {"rpm": 600, "tpm": 600_000, "burst_s": 1}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    accounts = {name: {"limits": LIMITS} for name in ("simulated", "paced", "blind")}
    accounts["small"] = {"limits": {"rpm": 6000, "tpm": 4000, "burst_s": 60}}
    with serving({"time_scale": 0.01, "accounts": accounts}) as found:
        yield found


def there(served: Served, **more: Any) -> Spec:
    settings = {"model": "sim-embed-small", "dims": 128, "simulated": True, **more}
    return embedders.parse({"kind": "compatible", "base_url": served.openai_base_url, **settings})


def test_the_simulators_server_answers_as_the_simulator_in_this_process(served: Served) -> None:
    here = embedders.parse({"kind": "simulated", "time_scale": 0.01})
    found = [opened(spec).embed(TEXTS) for spec in (here, there(served))]
    assert np.allclose(found[0], found[1], atol=1e-6)


def test_stated_limits_are_never_met(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"requests_per_min": 600, "tokens_per_min": 600_000}
    for account, more in (("paced", {"limits": limits}), ("blind", {})):
        monkeypatch.setenv("KEY", account)
        opened(there(served, key_env="KEY", batch=1, **more)).embed([f"t {n}" for n in range(15)])
    refused = {one["account"]: one["rate_limited"] for one in served.stats()["accounts"]}
    assert refused["paced"] == {}
    assert refused["blind"]["requests"] > 0


def test_no_request_is_larger_than_what_a_minute_lets_in(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAI's limiter counts a quarter of the characters, which is more than the tokens of long
    words: by tokens a request would seem to fit, and never pass."""
    monkeypatch.setenv("KEY", "small")
    limits = {"requests_per_min": 6000, "tokens_per_min": 4000, "burst_s": 60}
    paid: Any = opened(there(served, key_env="KEY", batch=2048, limits=limits))
    long = "extraordinary circumstances notwithstanding " * 4  # 176 characters, 14 tokens
    paid.embed(["a"])  # from now on it is known how the provider counts
    bought = paid._embedder.buy([f"{long}{n}" for n in range(200)], paid, paid._call)
    [account] = [one for one in served.stats()["accounts"] if one["account"] == "small"]
    assert account["rate_limited"] == {}
    assert 3900 <= 45 * len(bought.vectors) <= 4000
