"""Texts that are cut off where a model stops reading: priced, paid and kept as they are sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mox
from mox.pipeline.describe import describe

pytestmark = pytest.mark.timeout(120)

USD_PER_TOKEN = 2.00 / 1e6


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("prices: [{provider: compatible, model: m, per: 1M, input: 2.00}]\n")
    monkeypatch.setenv("MOX_PRICES", str(file))
    monkeypatch.setenv("MOX_WORKERS", "1")


def experiment(corpus: Path, api: Any, *reads: int | None) -> dict[str, Any]:
    of = {"kind": "compatible", "base_url": api.url, "model": "m", "dims": 64, "truncate": True}
    return {
        "name": "cut",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 48}],
            "embed": [{**of, "reads": one} if one else of for one in reads],
            "index": [{"kind": "exact"}],
            "search": [{"kind": "dense", "k": 5}],
        },
        "measure": ["recall@5"],
    }


def paid_usd(results: Any) -> float:
    """What all of a run's stages paid."""
    refs = {ref for trial in results.finished for ref in trial.roles.values()}
    notes = [results.store.sidecar(*ref) for ref in refs]
    return float(sum(note["facts"].get("paid_usd", 0.0) for note in notes))


def test_texts_are_asked_and_paid_for_as_far_as_each_model_reads(
    small_corpus: Path, api: Any
) -> None:
    # No chunk and no question has 100 tokens: the second sends the very texts of the first.
    written = experiment(small_corpus, api, None, 100, 8, 3)
    whole, same, cut, short = (one["tokens"] for one in describe(mox.plan(written), 1)["usd_by"])
    # Of chunks that aren't cut yet, 8 and 3 of 48 tokens are read; and of questions that many.
    assert short < cut < whole / 3
    asked = sum(api.tokens([question.text]) for question in mox.plan(written).corpus.questions)
    assert same == whole - asked, "questions that are known are priced once"
    found = mox.run(written, offline=True, quiet=True)
    assert {trial.status for trial in found.run.trials} == {"FINISHED"}
    sent: dict[int, set[str]] = {}
    for text in api.texts:
        sent.setdefault(api.tokens([text]), set()).add(text)
    assert set(sent) >= {3, 8}, "each is asked the texts that it reads"
    assert len(sent[3]) <= len(sent[8])
    assert set(api.texts.values()) == {1}, "each text is bought once, whoever sends it"
    told = [one["tokens"] for one in describe(mox.plan(written), 1)["usd_by"]]
    assert told == []  # nothing is left to pay for
    # Each trial says what its own texts cost, whoever paid for them.
    costs = [found.costs[trial.id]["embed_usd"] for trial in found.run.trials]
    assert costs[0] == costs[1]
    bought = api.tokens(list(api.texts)) * USD_PER_TOKEN
    assert sum(costs[1:]) == pytest.approx(bought)
    assert paid_usd(found) == pytest.approx(bought)
    assert costs[3] < costs[2] < costs[1] / 3
