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


def test_texts_are_asked_and_paid_for_as_far_as_each_model_reads(
    small_corpus: Path, api: Any
) -> None:
    written = experiment(small_corpus, api, None, 8, 3)
    whole, cut, short = (one["tokens"] for one in describe(mox.plan(written), 1)["usd_by"])
    # Of chunks that aren't cut yet, 8 and 3 of 48 tokens are read; and of questions that many.
    assert short < cut < whole / 3
    found = mox.run(written, offline=True, quiet=True)
    assert {trial.status for trial in found.run.trials} == {"FINISHED"}
    sent: dict[int, set[str]] = {}
    for text in api.texts:
        sent.setdefault(api.tokens([text]), set()).add(text)
    assert set(sent) >= {3, 8}, "each is asked the texts that it reads"
    assert len(sent[3]) <= len(sent[8])
    costs = [found.costs[trial.id]["embed_usd"] for trial in found.run.trials]
    told = [one["tokens"] for one in describe(mox.plan(written), 1)["usd_by"]]
    assert told == []  # nothing is left to pay for
    paid = sum(api.tokens([text]) * times for text, times in api.texts.items())
    # What two of them send alike each pays for itself, and each trial says what its texts cost.
    assert sum(costs) == pytest.approx(paid * USD_PER_TOKEN)
    assert costs[2] < costs[1] < costs[0] / 3
