"""A release asked: the passages that the sweep found, from a corpus that is verified."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import mox
from mox.errors import DataError, SpecError
from mox.pipeline.store import Store
from mox.release.ask import open_release
from mox.release.bundle import Release, dump, promote
from mox.results import Results, TrialRun
from mox.settings import settings
from mox.spec import digest

pytestmark = pytest.mark.timeout(120)

KINDS = ("dense exact", "dense HNSW", "hybrid exact", "hybrid HNSW", "bm25")


def trial_of_kind(results: Results, kind: str) -> TrialRun:
    search, _, index = kind.partition(" ")
    [found] = [
        trial
        for trial in results.finished
        if trial.config["search"]["kind"] == search
        and trial.config.get("index", {}).get("kind", "") == index
    ]
    return found


def release_of(results: Results, kind: str) -> Release:
    return promote(results, trial=trial_of_kind(results, kind).id)


def artifacts(store: Store) -> set[tuple[str, str]]:
    return set(store.held())


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_what_the_sweep_found_and_nothing_is_stored_for_it(
    results: Results, kind: str
) -> None:
    trial = trial_of_kind(results, kind)
    release = promote(results, trial=trial.id)
    before = artifacts(results.store)
    rows = results.questions(trial.id).rows
    with open_release(release.path, results.store, settings()) as opened:
        for row in rows[:4]:
            answer = opened.ask(row.text, k=5)
            found = [(p.document, p.spans, p.score) for p in answer.passages]
            assert found == [(hit.document, hit.spans, pytest.approx(hit.score, rel=1e-5))
                             for hit in row.hits]  # fmt: skip
            assert [p.rank for p in answer.passages] == list(range(1, len(found) + 1))
    assert answer.warnings == ()
    assert artifacts(results.store) == before  # its index is the sweep's


def test_a_passage_is_verbatim_and_names_its_source(results: Results) -> None:
    release = release_of(results, "bm25")
    answer = mox.api.ask(release.path, "copper lantern", k=2)  # type: ignore[attr-defined]
    assert len(answer.passages) == 2
    for passage in answer.passages:
        document = results.documents[passage.document]
        assert passage.text == "".join(document.text[a:b] for a, b in passage.spans)
        assert passage.uri == document.uri
        assert passage.uri.startswith("shelf:")
    assert answer.document()["passages"][0]["rank"] == 1
    json.dumps(answer.document())


def test_fewer_passages_may_be_asked_for_but_not_more(results: Results) -> None:
    with open_release(release_of(results, "dense exact").path, results.store, settings()) as opened:
        five, two = opened.ask("river", k=5), opened.ask("river", k=2)
        assert two.passages == five.passages[:2]
        with pytest.raises(SpecError, match="returns 1 to 5 passages, not 6"):
            opened.ask("river", k=6)
        with pytest.raises(SpecError, match="the question is empty"):
            opened.ask("  ")


def test_a_question_that_nothing_matches_gets_no_padding(results: Results) -> None:
    release = release_of(results, "bm25")
    answer = mox.ask(release.path, "zzzz qqqq", k=5)
    assert answer.passages == ()


@pytest.mark.parametrize("kind", ["dense HNSW", "hybrid exact"])
def test_a_release_is_rebuilt_where_the_state_is_another(
    results: Results, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = release_of(results, kind)
    here = mox.ask(release.path, "copper lantern", k=5)
    monkeypatch.setenv("MOX_HOME", str(tmp_path / "new"))
    fresh = Store(tmp_path / "new")
    there = mox.ask(release.path, "copper lantern", k=5)
    assert there.passages == here.passages
    stages = release.content["run"]["stages"]
    for role in {"chunk", "embed", "build"} & set(stages):
        assert fresh.has(role, stages[role])  # the very keys that were measured


def test_a_collection_that_is_gone_is_built_again(results: Results, here: Path) -> None:
    release = release_of(results, "dense HNSW")
    before = mox.ask(release.path, "copper lantern", k=5)
    shutil.rmtree(here / "state" / "services")
    after = mox.ask(release.path, "copper lantern", k=5)
    assert after.passages == before.passages


def test_a_release_and_its_corpus_may_move_together(
    results: Results, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = release_of(results, "bm25")
    moved = tmp_path / "moved"
    shutil.copytree(here, moved)
    shutil.rmtree(here)
    monkeypatch.setenv("MOX_HOME", str(moved / "state"))
    path = moved / release.path.relative_to(here)
    answer = mox.ask(path, "copper lantern", k=1)
    assert len(answer.passages) == 1


def test_what_becomes_of_the_questions_is_nothing_to_who_asks(results: Results, here: Path) -> None:
    """A stricter Mox, or another hand, may refuse them: the documents are those of the release."""
    release = release_of(results, "bm25")
    before = mox.ask(release.path, "copper lantern", k=1).passages
    questions = here / "corpus" / "questions.jsonl"
    questions.write_text("no question\n")
    assert mox.ask(release.path, "copper lantern", k=1).passages == before
    questions.unlink()
    assert mox.ask(release.path, "copper lantern", k=1).passages == before


def edit_document(here: Path, at: int, **changes: str) -> None:
    path = here / "corpus" / "documents.jsonl"
    lines = path.read_text().splitlines()
    lines[at] = json.dumps({**json.loads(lines[at]), **changes})
    path.write_text("\n".join(lines) + "\n")


def test_a_changed_corpus_is_refused_and_the_document_named(results: Results, here: Path) -> None:
    release = release_of(results, "bm25")
    text = json.loads((here / "corpus" / "documents.jsonl").read_text().splitlines()[7])["text"]
    edit_document(here, 7, text=f"{text} And more.")
    with pytest.raises(DataError, match=r"documents: 1 changed .book-7"):
        open_release(release.path, results.store, settings())


def test_a_changed_corpus_is_refused_where_the_old_one_is_nowhere(
    results: Results, here: Path, tmp_path: Path
) -> None:
    release = release_of(results, "bm25")
    text = json.loads((here / "corpus" / "documents.jsonl").read_text().splitlines()[7])["text"]
    edit_document(here, 7, text=f"{text} And more.")
    was = release.content["corpus"]["fingerprint"][:12]
    with pytest.raises(DataError, match=rf"instead of {was}, 8 documents where it had 8"):
        open_release(release.path, Store(tmp_path / "new"), settings())


def rewritten(release: Release, **changes: object) -> Release:
    """The release as another Mox would have written it, its checksum right."""
    content = {name: value for name, value in release.content.items() if name != "sha256"}
    content |= changes
    content["sha256"] = digest(content)
    release.path.write_text(dump(content), encoding="utf-8")
    return Release(release.path, content)


def test_versions_that_differ_are_named(results: Results) -> None:
    release = release_of(results, "bm25")
    prints = json.loads(json.dumps(release.content["fingerprints"]))
    prints["retriever"]["bm25s"] = "0.0.1"
    environment = {**release.content["environment"], "mox-workbench": "0.0.0"}
    other = rewritten(release, fingerprints=prints, environment=environment)
    answer = mox.ask(other.path, "copper", k=1)
    assert len(answer.warnings) == 2
    assert answer.warnings[0].startswith("retriever: bm25s was 0.0.1, is ")
    assert answer.warnings[1].startswith("mox-workbench was 0.0.0, is ")


def test_a_configuration_that_this_mox_does_not_know_is_refused(results: Results) -> None:
    release = release_of(results, "bm25")
    config = {**release.content["config"], "chunk": {"kind": "telepathic"}}
    other = rewritten(release, config=config)
    with pytest.raises(DataError, match="doesn't understand the release's configuration"):
        open_release(other.path, results.store, settings())
