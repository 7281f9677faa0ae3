"""Releases: all that was chosen in one file, verified when opened, asked as it was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mox
from mox.errors import DataError, SpecError
from mox.release.bundle import read_release

pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def results(small_corpus: Path) -> mox.Results:
    experiment: dict[str, Any] = {
        "name": "to release",
        "corpus": {"kind": "evidence", "path": str(small_corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 32}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "HNSW", "m": 8}],
            "search": [{"kind": "hybrid", "k": 8, "ef": 64}, {"kind": "bm25", "k": 8}],
        },
        "measure": ["recall@5"],
        "choose": {"maximise": "recall@5"},
    }
    return mox.run(experiment, offline=True, quiet=True)


def test_promoting_again_writes_the_same_file(results: mox.Results) -> None:
    first = mox.promote(results, offline=True).release
    raw = first.path.read_bytes()
    second = mox.promote(results, offline=True).release
    assert second.path == first.path
    assert second.path.read_bytes() == raw
    content = read_release(first.path).content
    assert content["trial"] == results.choice.trial
    assert content["config"] == results.chosen.config
    assert set(content["scores"]) == {"all", "dev", "test"}
    assert set(content["scores"]["dev"]["recall@5"]) == {"mean", "low", "high", "n"}
    assert content["corpus"]["fingerprint"] == results.run.corpus["fingerprint"]


def test_a_release_that_was_edited_is_refused(results: mox.Results) -> None:
    path = mox.promote(results, offline=True).release.path
    path.write_text(path.read_text().replace("size: 32", "size: 16"))
    with pytest.raises(DataError, match="was changed after it was written"):
        mox.ask(path, "anything")


def test_another_corpus_is_refused(results: mox.Results, small_corpus: Path) -> None:
    path = mox.promote(results, offline=True).release.path
    documents = small_corpus / "documents.jsonl"
    documents.write_text(documents.read_text().replace("Paragraph 5", "Paragraph five"))
    with pytest.raises(DataError, match="corpus"):
        mox.ask(path, "anything")


def test_asking_finds_what_the_sweep_found(results: mox.Results, own_state: Path) -> None:
    hybrid = next(t for t in results.finished if t.config["search"]["kind"] == "hybrid")
    promotion = mox.promote(results, trial=hybrid.id, offline=True)
    assert promotion.release.content["trial"] == hybrid.id
    row = results.questions(hybrid.id).rows[3]
    answer = mox.ask(promotion.release.path, row.text, k=4)
    assert answer.warnings == ()
    assert [(p.document, p.spans) for p in answer.passages] == [
        (hit.document, hit.spans) for hit in row.hits[:4]
    ]
    document = results.documents[answer.passages[0].document]
    [[start, end]] = answer.passages[0].spans
    assert answer.passages[0].text == document.text[start:end]
    builds = list((own_state / "artifacts" / "build").iterdir())
    assert len(builds) == 1, "the sweep's index was used again"
    with pytest.raises(SpecError, match="1 to 8 passages, not 9"):
        mox.ask(promotion.release.path, row.text, k=9)


def test_an_index_that_is_gone_is_built_again(results: mox.Results, own_state: Path) -> None:
    import shutil

    hybrid = next(t for t in results.finished if t.config["search"]["kind"] == "hybrid")
    path = mox.promote(results, trial=hybrid.id, offline=True).release.path
    shutil.rmtree(own_state / "services")
    row = results.questions(hybrid.id).rows[0]
    answer = mox.ask(path, row.text, k=1)
    assert answer.passages[0].document == row.hits[0].document


def test_a_release_is_a_model_version_with_an_alias(results: mox.Results) -> None:
    first = mox.promote(results, alias="production")
    assert first.registered is not None
    assert (first.registered.version, first.registered.previous) == ("1", None)
    again = mox.promote(results, alias="production")
    assert again.registered is not None
    assert again.registered.version == "1", "the same release is the same version"
    other = next(t for t in results.finished if t.id != results.choice.trial)
    third = mox.promote(results, trial=other.id, alias="production")
    assert third.registered is not None
    assert (third.registered.version, third.registered.previous) == ("2", "1")
    with pytest.raises(SpecError, match="reads as a version"):
        mox.promote(results, alias="v1")


def test_nothing_chosen_is_nothing_promoted(results: mox.Results, small_corpus: Path) -> None:
    unchosen = mox.run(
        {
            "corpus": {"kind": "evidence", "path": str(small_corpus)},
            "axes": {"chunk": [{"kind": "whole"}], "search": [{"kind": "bm25", "k": 3}]},
            "measure": "recall@3",
        },
        offline=True,
        quiet=True,
    )
    with pytest.raises(SpecError, match="has no `choose`"):
        mox.promote(unchosen, offline=True)
