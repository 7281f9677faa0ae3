"""Third parties: found by entry point, held to our contracts, swept; broken ones stop nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.chunking import chunkers
from mox.chunking.tokenizers import open_tokenizer
from mox.embedding import embedders
from mox.errors import MissingError, SpecError
from mox.evaluation import metrics
from mox.evaluation.measures import Measure
from mox.experiment.schema import schema
from mox.testing.chunking import ChunkerContract
from mox.testing.embedding import EmbedderContract
from mox.testing.evaluation import MetricContract

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(autouse=True)
def toys(toy_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(toy_plugin))
    return toy_plugin


class TestToyLines(ChunkerContract):
    """A third party's chunker passes the contract that ours pass."""

    @pytest.fixture
    def spec(self) -> Any:
        return chunkers.parse({"kind": "toy-lines", "group": 2})

    @pytest.fixture
    def tokenizer(self) -> Any:
        return open_tokenizer("cl100k")


class TestToyLetters(EmbedderContract):
    """A third party's embedder passes the contract that ours pass."""

    @pytest.fixture
    def spec(self) -> Any:
        return embedders.parse({"kind": "toy-letters"})


class TestToyWords(MetricContract):
    """A third party's metric passes the contract that ours pass."""

    @pytest.fixture
    def spec(self) -> Any:
        return metrics.parse({"kind": "toy-words"})


def test_plugins_are_found_by_entry_point_and_swept(small_corpus: Path) -> None:
    results = mox.run(
        {
            "name": "toys",
            "corpus": {"kind": "evidence", "path": str(small_corpus)},
            "axes": {
                "chunk": [{"kind": "toy-lines", "group": [1, 3]}],
                "embed": [{"kind": "toy-letters"}],
                "index": [{"kind": "exact"}],
                "search": [{"kind": "dense", "k": 3}],
            },
            "measure": "recall@3",
        },
        offline=True,
        quiet=True,
    )
    assert [trial.status for trial in results.run.trials] == ["FINISHED", "FINISHED"]
    chunks = [results.costs[trial.id]["chunks"] for trial in results.finished]
    assert chunks == [12 * 6, 12 * 4]  # 11 lines a document, every other one empty


def test_a_broken_plugin_is_an_error_only_where_it_is_asked_for() -> None:
    assert chunkers.parse({"kind": "whole"}).kind == "whole"
    with pytest.raises(MissingError, match=r"mox-toy brings 'toy-broken' but cannot be imported"):
        chunkers.parse({"kind": "toy-broken"})


def test_doctor_names_a_broken_plugin(toys: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mox", "doctor", "--json"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(toys)},
    )  # fmt: skip
    checks = json.loads(done.stdout)["checks"]
    [broken] = [check for check in checks if check["state"] == "broken"]
    assert broken["name"] == "mox.chunkers: toy-broken"
    assert "no_such_module" in broken["said"]
    assert done.returncode == 1


def unread(corpus: Path, *, truncate: bool) -> dict[str, Any]:
    return {
        "name": "unread",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "toy-lines"}, {"kind": "recursive", "size": 8}],
            "embed": [{"kind": "toy-short", "truncate": truncate}],
            "index": [{"kind": "exact"}],
            "search": [{"kind": "dense", "k": 3}],
        },
        "measure": "recall@3",
    }


def test_text_that_an_embedder_does_not_read_is_refused(small_corpus: Path) -> None:
    plan = mox.plan(unread(small_corpus, truncate=False))
    assert any("toy-short reads 9 tokens and toy-lines may exceed it" in n for n in plan.notes)
    results = mox.run(plan, offline=True, quiet=True)
    states = {t.config["chunk"]["kind"]: t for t in results.run.trials}
    assert states["toy-lines"].status == "FAILED"
    # A line is "Paragraph 1 of book 2:" and 12 words: 17 words, of which 8 lie beyond 9.
    assert "47.1 % of the chunks' text lies beyond" in (states["toy-lines"].error or "")
    assert "truncate: true" in (states["toy-lines"].error or "")
    assert states["recursive"].status == "FINISHED"


def test_leaving_text_unread_is_allowed_where_asked_for_and_reported(small_corpus: Path) -> None:
    results = mox.run(unread(small_corpus, truncate=True), offline=True, quiet=True)
    assert {trial.status for trial in results.run.trials} == {"FINISHED"}
    shares = {t.config["chunk"]["kind"]: results.costs[t.id]["unread"] for t in results.finished}
    assert shares["toy-lines"] == pytest.approx(8 / 17)
    assert shares["recursive"] < shares["toy-lines"]


def measured(corpus: Path, *measures: str) -> Any:
    return mox.plan(
        {
            "name": "measured",
            "corpus": {"kind": "evidence", "path": str(corpus)},
            "axes": {"chunk": [{"kind": "toy-lines"}], "search": [{"kind": "bm25", "k": 3}]},
            "measure": list(measures),
        }
    )


def test_a_metric_is_shown_the_texts_within_its_cut(small_corpus: Path) -> None:
    names = ("toy-words@1", "toy-words@3", "toy-words@1t")
    results = mox.run(measured(small_corpus, *names), offline=True, quiet=True)
    [trial] = results.finished
    asked = {question.id: question.text for question in results.questions_asked}
    for row in results.questions(trial.id).rows:
        texts = [
            results.documents[hit.document].text[start:end].lower().split()
            for hit in row.hits
            for start, end in hit.spans
        ]
        words = asked[row.id].lower().split()
        for cut in (1, 3):
            seen = {word for text in texts[:cut] for word in text}
            share = sum(word in seen for word in words) / len(words)
            assert row.scores[f"toy-words@{cut}"] == pytest.approx(share)
        # One token of "Paragraph 1 of book 2: …" is "Par" or so, which no question asks for.
        assert row.scores["toy-words@1t"] == 0
        assert row.scores["toy-words@3"] > 0


def test_a_metric_that_gives_no_number_fails_its_trial_by_name(small_corpus: Path) -> None:
    plan = measured(small_corpus, "recall@3", "toy-nan@3")
    results = mox.run(plan, offline=True, quiet=True)
    [trial] = results.run.trials
    assert trial.status == "FAILED"
    assert "the metric of toy-nan@3 gave nan, which is not in [0, 1] (question 'q-03-1')" in (
        trial.error or ""
    )
    assert "mend toy-nan in mox-toy" in (trial.error or "")
    assert not plan.store.has(*trial.roles["score"])  # not even of the measure that is fine


def test_an_unknown_metric_names_a_plugins_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'toy-words'"):
        Measure.parse("toy-word@5")


def test_a_metrics_version_is_part_of_its_scores_key(
    small_corpus: Path, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(*measures: str) -> str:
        [trial] = measured(small_corpus, *measures).trials
        return str(trial.roles["score"].key)

    before = key("toy-words@3"), key("recall@3")
    known = metrics.entry("toy-words")
    newer = replace(known, fingerprint=lambda _: {"mox-toy": "1.2.4"})
    monkeypatch.setitem(metrics._entries, "toy-words", newer)
    assert key("toy-words@3") != before[0]
    assert key("recall@3") == before[1]


def test_the_schema_lists_plugins_and_survives_a_broken_one() -> None:
    made = schema()
    measure = made["properties"]["measure"]["anyOf"][0]
    assert "toy-words" in measure["description"]
    assert re.search(measure["pattern"], "toy-words@1000t")
    assert not re.search(measure["pattern"], "toy-words")
    chunk = json.dumps(made["properties"]["axes"]["properties"]["chunk"])
    assert "toy-lines" in chunk
    assert "toy-broken" not in chunk


def test_what_is_installed_into_a_running_process_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    assert "late-lines" not in chunkers.kinds()
    (site / "late-1.0.dist-info").mkdir()
    (site / "late-1.0.dist-info" / "METADATA").write_text("Name: late\nVersion: 1.0\n")
    (site / "late-1.0.dist-info" / "entry_points.txt").write_text(
        "[mox.chunkers]\nlate-lines = mox_toy.lines\n"
    )
    assert "late-lines" in chunkers.kinds()
